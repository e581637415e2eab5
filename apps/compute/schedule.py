"""Periodic tasks of the compute app: name → (task, seconds)."""

SCHEDULE = {
    "compute-workloads-reconcile": ("apps.compute.tasks.workloads_reconcile", 30),
    "compute-workloads-clean": ("apps.compute.tasks.workloads_clean", 3600),
}
