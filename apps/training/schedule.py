"""Periodic tasks of the training app: name → (task, seconds)."""

SCHEDULE = {"training-jobs-reconcile": ("apps.training.tasks.jobs_reconcile", 20)}
