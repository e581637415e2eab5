"""Sweeps of datasets."""

SCHEDULE = {
    "datasets-reconcile": ("apps.datasets.tasks.datasets_reconcile", 60.0),
    "dataset-comparisons-reconcile": ("apps.datasets.tasks.dataset_comparisons_reconcile", 120.0),
    "dataset-deletions-reconcile": ("apps.datasets.tasks.dataset_deletions_reconcile", 600.0),
    "datasets-retention-sweep": ("apps.datasets.tasks.datasets_retention_sweep", 3600.0),
    "dataset-derivations-reconcile": ("apps.datasets.tasks.dataset_derivations_reconcile", 120.0),
    "dataset-leftovers-reconcile": ("apps.datasets.tasks.dataset_leftovers_reconcile", 3600.0),
}
