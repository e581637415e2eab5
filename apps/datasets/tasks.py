"""Background work of datasets."""

from __future__ import annotations

from celery import shared_task

from apps.datasets import services


@shared_task(name="apps.datasets.tasks.dataset_check")
def dataset_check(check_id: str) -> None:
    """Run one check; harmless when it was run already or another worker runs it."""
    services.check_run(check_id)


@shared_task(name="apps.datasets.tasks.datasets_reconcile")
def datasets_reconcile() -> int:
    """Repair checks that were lost with a worker or a message."""
    return services.checks_reconcile()


@shared_task(name="apps.datasets.tasks.dataset_leftovers_reconcile")
def dataset_leftovers_reconcile() -> int:
    """Remove files of uploads that never finished."""
    return services.leftovers_remove()


@shared_task(name="apps.datasets.tasks.dataset_comparison_run")
def dataset_comparison_run(comparison_id: str) -> None:
    """Work out one comparison; harmless when it was done already or another worker does it."""
    services.comparison_run(comparison_id)


@shared_task(name="apps.datasets.tasks.dataset_comparisons_reconcile")
def dataset_comparisons_reconcile() -> int:
    """Repair comparisons that were lost with a worker or a message; forget old ones."""
    return services.comparisons_reconcile()


@shared_task(name="apps.datasets.tasks.dataset_derive")
def dataset_derive(operation_id: str) -> None:
    """Make the parts or the repaired version of a large dataset; harmless when it was done already."""
    services.derivation_run(operation_id)


@shared_task(name="apps.datasets.tasks.dataset_derivations_reconcile")
def dataset_derivations_reconcile() -> int:
    """Repair splits and repairs that were lost with a worker or a message."""
    return services.derivations_reconcile()


@shared_task(name="apps.datasets.tasks.dataset_files_remove")
def dataset_files_remove(dataset_id: str) -> bool:
    """Remove the files of a deleted dataset and record the proof; harmless to repeat."""
    return services.dataset_files_remove(dataset_id)


@shared_task(name="apps.datasets.tasks.dataset_deletions_reconcile")
def dataset_deletions_reconcile() -> int:
    """Finish deletions that a lost message or a store that was away left unfinished."""
    return services.deletions_reconcile()


@shared_task(name="apps.datasets.tasks.datasets_retention_sweep")
def datasets_retention_sweep() -> tuple[int, int]:
    """Mark datasets whose retention is over, tell their people, delete where the settings say so."""
    return services.retention_sweep()
