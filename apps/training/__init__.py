"""Training jobs: submission, attempts, experiments, metrics."""
