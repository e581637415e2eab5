"""Pages of the compute app."""
