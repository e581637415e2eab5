"""Reading datasets: what exists for whom, and what a dataset is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core import clock
from apps.core.permissions import SEES_ALL_TEAMS, is_shared, organisation_roles, visible_to
from apps.core.transitions import get_or_not_found
from apps.datasets.models import Dataset, DatasetCheck, DatasetTombstone, PiiFinding
from apps.datasets.types import CheckStatus


def datasets_visible_to(actor: User | None) -> QuerySet[Dataset]:
    """Datasets that exist for ``actor``, newest first, with what lists show of them."""
    queryset = Dataset.objects.select_related("team", "created_by", "submitted_by", "approved_by", "source_dataset")
    return visible_to(actor, queryset).order_by("-created_at", "id")


def datasets_kept(datasets: QuerySet[Dataset]) -> QuerySet[Dataset]:
    """Those whose retention is not over: the ones that new work may use."""
    return datasets.exclude(retention_until__lt=clock.now().date())


def dataset_get(*, actor: User | None, dataset_id: object) -> Dataset:
    """One visible dataset. Raises NotFound for absent, invisible and malformed ids alike."""
    return get_or_not_found(datasets_visible_to(actor), dataset_id, "dataset")


def datasets_by_ids(*, actor: User | None, ids: Iterable[object]) -> dict[str, Dataset]:
    """The visible ones among ``ids``, by id as text."""
    found = datasets_visible_to(actor).filter(pk__in=list(ids))
    return {str(dataset.pk): dataset for dataset in found}


def dataset_versions(*, actor: User | None, dataset: Dataset) -> QuerySet[Dataset]:
    """All visible versions of the same name in the same team, highest version first."""
    found = datasets_visible_to(actor).filter(team_id=dataset.team_id, name=dataset.name)
    return found.order_by("-version_key", "-created_at")


def dataset_digest(dataset: Dataset) -> str:
    """SHA-256 over what an approval vouches for: identity, description, files, rows and columns."""
    return dataset.compute_digest()


def author_ids(dataset: Dataset) -> set[UUID | int]:
    """Who registered it, submitted it, or uploaded any of its files: four eyes keep them from deciding about it."""
    authors = {
        dataset.created_by_id,
        dataset.submitted_by_id,
        *dataset.files.values_list("uploaded_by_id", flat=True),
    }
    return {author for author in authors if author is not None}


def check_latest(dataset: Dataset) -> DatasetCheck | None:
    """The newest check run, finished or not."""
    return DatasetCheck.objects.filter(dataset=dataset).order_by("-created_at").first()


def check_results(dataset: Dataset) -> DatasetCheck | None:
    """The newest run with results for the files as they are now."""
    return (
        DatasetCheck.objects.filter(dataset=dataset, status=CheckStatus.SUCCEEDED, digest=dataset.rows_sha256)
        .order_by("-created_at")
        .first()
    )


def findings_of(check: DatasetCheck) -> QuerySet[PiiFinding]:
    """What a run found, in order of rows."""
    return PiiFinding.objects.filter(check_run=check).order_by("row", "id")


def statistics_by_column(check: DatasetCheck | None) -> Mapping[str, Any]:
    """Statistics of a run by column name."""
    return {} if check is None else {entry["name"]: entry for entry in check.statistics}


def source_visible_to(actor: User | None, dataset: Dataset) -> bool:
    """Whether what ``dataset`` was derived from exists for ``actor``. Asks roles only, no query: for
    lists."""
    source = dataset.source_dataset
    if source is None:
        return False
    if actor is None or source.team_id in actor.role_map() or is_shared(source):
        return True
    return bool(SEES_ALL_TEAMS & organisation_roles(actor))


def tombstones_visible_to(actor: User | None) -> QuerySet[DatasetTombstone]:
    """What is left of deleted datasets of the teams that ``actor`` sees; being shared ends with the deletion."""
    found = DatasetTombstone.objects.select_related("team", "deleted_by").order_by("-deleted_at", "id")
    return visible_to(actor, found)


def tombstone_find(*, actor: User | None, dataset_id: object) -> DatasetTombstone | None:
    """What is left of one dataset, if ``actor`` may know of it."""
    try:
        return tombstones_visible_to(actor).filter(pk=UUID(str(dataset_id))).first()
    except ValueError:
        return None


def tombstones_by_ids(*, actor: User | None, ids: Iterable[object]) -> dict[str, DatasetTombstone]:
    """The visible ones among ``ids``, by id as text: for lineage, which names what is gone."""
    return {str(found.pk): found for found in tombstones_visible_to(actor).filter(pk__in=list(ids))}


def lineage_lost(dataset: Dataset, actor: User | None) -> str:
    """What to call the source of a derived dataset that ``actor`` cannot open: hidden, or deleted (by name where the
    name may be known)."""
    if dataset.source_dataset_id is not None:
        return "a dataset that is not visible to you"
    left = tombstone_find(actor=actor, dataset_id=dataset.derivation.get("sourceId", ""))
    return f"{left.name} {left.version}, deleted {left.deleted_at:%d %b %Y}" if left else "a dataset that was deleted"
