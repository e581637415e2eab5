"""Workloads: what runs on a compute backend, and the one reconciler that looks after it."""
