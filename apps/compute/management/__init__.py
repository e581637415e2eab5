"""Management commands of the compute app."""
