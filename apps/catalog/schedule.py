"""What beat runs for the catalog: name → (task, seconds)."""

SCHEDULE = {
    "catalog-models-reconcile": ("apps.catalog.tasks.models_reconcile", 300.0),
    "catalog-transfers-reconcile": ("apps.catalog.tasks.transfers_reconcile", 120.0),
    "catalog-discarded-files-reconcile": ("apps.catalog.tasks.discarded_files_reconcile", 600.0),
}
