"""Sweeps of evaluation: name to (task, seconds)."""

SCHEDULE = {"evaluations-reconcile": ("apps.evaluation.tasks.evaluations_reconcile", 60.0)}
