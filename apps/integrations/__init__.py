"""Adapters to everything outside the portal; every vendor SDK lives here and nowhere else."""
