"""Sweeps of uploads."""

SCHEDULE = {"uploads-reconcile": ("apps.core.uploads.tasks.uploads_reconcile", 120.0)}
