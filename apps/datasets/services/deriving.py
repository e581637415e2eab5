"""Making new datasets out of one: the common part of splits and repairs.

Small sources are worked on at once, large ones by a worker as an operation that people watch. The operation's row holds
what was asked for, so that a lost message or a dead worker only means that the next one does it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.core import clock, versions
from apps.core.errors import Conflict, DomainError
from apps.core.models import Operation, OperationStatus
from apps.core.operations import operation_fail, operation_finish, operation_progress, operation_start
from apps.core.storage import file_chunks, store
from apps.core.tasks import enqueue
from apps.datasets.models import Dataset
from apps.datasets.selectors import dataset_get
from apps.datasets.services.entries import dataset_create
from apps.datasets.services.upload import content_take

logger = logging.getLogger(__name__)

TASK = "apps.datasets.tasks.dataset_derive"
WAIT = timedelta(minutes=2)
SILENCE = timedelta(minutes=15)
GIVE_UP = timedelta(hours=24)
_PREFIX = "dataset.derive."
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Derived:
    """What came of it: the new datasets, or the operation in which a worker makes them."""

    source: Dataset
    datasets: tuple[Dataset, ...] = ()
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A dataset to be made: its name, version, file, and what is said about it."""

    name: str
    version: str
    path: Path
    change_log: str
    derivation: Mapping[str, Any] = field(default_factory=dict)


# actor, source, what was asked for, progress (percent) → the new datasets
Work = Callable[[User | None, Dataset, Mapping[str, Any], Progress], Sequence[Dataset]]
_WORKS: dict[str, Work] = {}


def register_work(kind: str, work: Work) -> None:
    """Make ``work`` what operations of ``kind`` do."""
    _WORKS[kind] = work


def derive(*, actor: User | None, source: Dataset, kind: str, asked: Mapping[str, Any]) -> Derived:
    """Do the work of ``kind`` now, or have a worker do it when ``source`` is large. The caller has checked permission
    and input. Raises what the work raises."""
    if (source.row_count or 0) <= settings.DATASETS_DERIVE_INLINE_ROWS:
        return Derived(source, tuple(_WORKS[kind](actor, source, asked, lambda _percent: None)))
    with transaction.atomic():
        operation = operation_start(
            actor=actor,
            team=source.team,
            kind=f"{_PREFIX}{kind}",
            target_type="dataset",
            target_id=source.pk,
            message="Waiting for a worker",
        )
        operation.result = {"asked": dict(asked), "sourceDigest": source.digest}
        operation.save(update_fields=["result"])
        enqueue(TASK, str(operation.pk))
    return Derived(source, operation=operation)


def derivation_run(operation_id: UUID | str) -> None:
    """The work of one operation. Safe to call twice, also at once: one call works, the others return."""
    claimed = Operation.objects.filter(pk=operation_id, status=OperationStatus.QUEUED, kind__startswith=_PREFIX).update(
        status=OperationStatus.RUNNING, updated_at=clock.now()
    )
    operation = Operation.objects.select_related("created_by").filter(pk=operation_id).first()
    if not claimed or operation is None:
        return
    try:
        source = dataset_get(actor=operation.created_by, dataset_id=operation.target_id)
        if source.digest != operation.result["sourceDigest"]:
            raise Conflict(f"{source} has changed since it was asked for. Start again.", code="changed")
        work = _WORKS[operation.kind.removeprefix(_PREFIX)]
        made = work(
            operation.created_by,
            source,
            operation.result["asked"],
            lambda percent: operation_progress(operation.pk, percent, "Writing the rows"),
        )
    except DomainError as error:
        operation_fail(operation.pk, error.message)
    except Exception:
        logger.exception("dataset_derivation_failed", extra={"operation_id": str(operation.pk)})
        operation_fail(operation.pk, "It broke down unexpectedly. Try again; if it fails again, tell an operator.")
    else:
        result = {
            **operation.result,
            "datasets": [{"id": str(one.pk), "name": one.name, "version": one.version} for one in made],
        }
        operation_finish(operation.pk, result, f"Made {', '.join(str(one) for one in made)}")


def derivations_reconcile() -> int:
    """Send lost operations to a worker again; those that are a day old end with a word. Returns how many."""
    now = clock.now()
    open_ = Operation.objects.filter(kind__startswith=_PREFIX)
    for operation in open_.filter(
        status__in=[OperationStatus.QUEUED, OperationStatus.RUNNING], created_at__lt=now - GIVE_UP
    ):
        operation_fail(operation.pk, "It was interrupted again and again. Start it anew, or ask an operator why.")
    open_.filter(status=OperationStatus.RUNNING, updated_at__lt=now - SILENCE).update(status=OperationStatus.QUEUED)
    waiting = open_.filter(status=OperationStatus.QUEUED, created_at__lt=now - WAIT)
    ids = [str(pk) for pk in waiting.values_list("pk", flat=True)[:500]]
    with transaction.atomic():
        for operation_id in ids:
            enqueue(TASK, operation_id)
    return len(ids)


def derivation_latest(dataset: Dataset) -> Operation | None:
    """The newest operation that makes datasets out of ``dataset``, for its page."""
    found = Operation.objects.filter(target_type="dataset", target_id=str(dataset.pk), kind__startswith=_PREFIX)
    return found.order_by("-created_at").first()


def parts_take(*, actor: User | None, source: Dataset, parts: Sequence[Part]) -> list[Dataset]:
    """Register the parts as drafts with lineage to ``source`` and start their checks: all of them or none.

    Raises what creating and uploading raise.
    """
    made: list[Dataset] = []
    try:
        for part in parts:
            dataset = dataset_create(
                actor=actor,
                name=part.name,
                version=part.version,
                dataset_type=source.type,
                team=source.team,
                change_log=part.change_log,
                metadata=source.metadata,
                visibility=source.visibility,
                source_dataset=source,
                derivation={
                    **part.derivation,
                    "sourceId": str(source.pk),
                    "sourceName": source.name,
                    "sourceVersion": source.version,
                    "sourceDigest": source.digest,
                },
            )
            made.append(dataset)
            with part.path.open("rb") as handle:
                taken = content_take(
                    actor=actor, dataset=dataset, names=[part.path.name], contents=[file_chunks(handle)]
                )
            made[-1] = taken.dataset
    except BaseException:
        # One part without the others is no split; nobody has seen them yet.
        with transaction.atomic():
            Dataset.objects.filter(pk__in=[dataset.pk for dataset in made]).delete()
        for dataset in made:
            store().delete_prefix(f"datasets/{dataset.pk}")
        raise
    return made


@contextmanager
def work_folder(prefix: str) -> Iterator[Path]:
    """A folder for files on their way."""
    with tempfile.TemporaryDirectory(dir=settings.VAR_DIR / "tmp", prefix=prefix) as folder:
        yield Path(folder)


def file_name(source: Dataset, suffix: str, *, as_text: bool) -> str:
    """What the file of a derived dataset is called; CSV stays CSV while it is ``as_text``, so that types stay."""
    first = source.files.order_by("position").values_list("filename", flat=True).first() or source.name
    stem = PurePosixPath(first).stem.removesuffix(f"-{suffix}")[:200]
    return f"{stem}-{suffix}.{'csv' if source.format == 'csv' and as_text else 'jsonl'}"


def free_version(source: Dataset, names: Sequence[str], start: str) -> str:
    """``start``, or the first patch version after it, that the team has not used for any of ``names``."""
    used = set(Dataset.objects.filter(team_id=source.team_id, name__in=names).values_list("version_key", flat=True))
    version = start
    for _attempt in range(1_000):
        if versions.version_key(version) not in used:
            return version
        version = versions.next_patch(version)
    raise Conflict(f"No version is free after {start}. Name one in “version”.", code="no_free_version")
