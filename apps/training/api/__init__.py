"""API of the training app."""
