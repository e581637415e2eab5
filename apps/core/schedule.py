"""Sweeps of the kernel."""

SCHEDULE = {"idempotency-keys-purge": ("apps.core.tasks.idempotency_keys_purge", 3600.0)}
