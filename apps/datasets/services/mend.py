"""Repairs as new versions: what the recommendations say, done with one click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, versions
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.datasets.mending import (
    Repair,
    RepairKind,
    RepairRefused,
    cast_frames,
    castable,
    castable_at_first,
    keep_complete,
    keep_first,
    kept_frames,
    repairs_for,
    required_of,
)
from apps.datasets.models import Dataset, DatasetCheck
from apps.datasets.reading import RowsFile
from apps.datasets.selectors import check_results, dataset_get
from apps.datasets.services.content import rows_opened, rows_ranged
from apps.datasets.services.deriving import (
    Derived,
    Part,
    Progress,
    derive,
    file_name,
    free_version,
    parts_take,
    register_work,
    work_folder,
)
from apps.datasets.services.redaction import dataset_redact
from apps.datasets.types import PiiStatus
from apps.datasets.writing import RowsOut
from apps.governance.services import authorize

KIND = "repair"
# Few rows can hold much: what is read within a request, as the rows file spells it before compression.
INLINE_BYTES = 64 * 1024 * 1024
_FRAME_ROWS = 16_384
_SUFFIX: Mapping[str, str] = {"drop_duplicates": "deduplicated", "drop_missing": "complete", "cast": "typed"}


@dataclass(frozen=True, slots=True)
class RepairOffer:
    """A repair that would change something: what it does, to how many rows, and the columns it is about."""

    kind: RepairKind
    title: str
    text: str
    rows: int
    columns: dict[str, str]


def dataset_repairs(*, actor: User | None, dataset_id: object) -> list[RepairOffer]:
    """The repairs that would change something, each with the number of rows.

    All rows are read; of a large dataset (many rows, or few with much in them) the numbers are those of its checks —
    none before these are done, see :func:`repairs_awaited` —, and types are judged by the first rows (the repair itself
    reads every value, and is refused at one that does not fit). Raises NotFound, PermissionRefused, Conflict (no
    files).
    """
    dataset = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.view", obj=dataset)
    check = check_results(dataset)
    if _is_large(dataset):
        repairs = _by_checks(dataset, check)
    else:
        with rows_opened(dataset) as rows:
            repairs = repairs_for(rows, dataset.type)
    offers = [
        RepairOffer(one.kind, _TITLES[one.kind], _offered(one.kind, one.rows, one.columns), one.rows, one.columns)
        for one in repairs
    ]
    if dataset.pii_scan_status == PiiStatus.FAILED and check is not None:
        count = int(check.pii.get("rowsAffected", 0))
        columns = {str(entry["column"]): str(entry["type"]) for entry in check.pii.get("byColumn", [])}
        kind = RepairKind.REDACT
        text = _offered(kind, count, columns)
        if names := int(check.pii.get("namesAffected", 0)):
            text += (
                f" {names:,} column{' is' if names == 1 else 's are'} renamed, because the name holds personal data."
            )
        offers.insert(0, RepairOffer(kind, _TITLES[kind], text, count, columns))
    return offers


def repairs_awaited(dataset: Dataset) -> str:
    """Why nothing is offered though there may be something: of a large dataset only the checks tell. Empty when that is
    not so. The caller has checked that the dataset may be seen."""
    if not dataset.has_files or check_results(dataset) is not None or not _is_large(dataset):
        return ""
    return (
        "The dataset is large: a worker finds out with its checks what can be repaired. Look again when they are done."
    )


def _is_large(dataset: Dataset) -> bool:
    """Whether its rows are too much to be read within a request."""
    if (dataset.row_count or 0) > settings.DATASETS_DERIVE_INLINE_ROWS:
        return True
    with rows_ranged(dataset) as rows:
        return rows.weight() > INLINE_BYTES


def _by_checks(dataset: Dataset, check: DatasetCheck | None) -> list[Repair]:
    """What the checks have found out already, and types by a look at the first rows."""
    if check is None:
        return []
    affected = {part["key"]: int(part["affectedRows"]) for part in check.quality.get("components", [])}
    found = []
    if affected.get("duplicates"):
        found.append(Repair(RepairKind.DROP_DUPLICATES, affected["duplicates"]))
    with rows_ranged(dataset) as rows:
        if affected.get("missingValues"):
            required = dict.fromkeys(required_of(rows, dataset.type), "needs a value")
            found.append(Repair(RepairKind.DROP_MISSING, affected["missingValues"], required))
        if casts := castable_at_first(rows):
            found.append(Repair(RepairKind.CAST, dataset.row_count or 0, casts))
    return found


_TITLES: Mapping[str, str] = {
    RepairKind.DROP_DUPLICATES: "Remove repeated rows",
    RepairKind.DROP_MISSING: "Remove rows that lack a required value",
    RepairKind.CAST: "Give columns their type",
    RepairKind.REDACT: "Mask personal data",
}


def _offered(kind: str, rows: int, columns: Mapping[str, str]) -> str:
    counted = f"{rows:,} row{'' if rows == 1 else 's'}"
    if kind == RepairKind.DROP_DUPLICATES:
        return f"{counted} that repeat an earlier row in every column go; the first of each stays."
    if kind == RepairKind.DROP_MISSING:
        return f"{counted} without a value in {' or '.join(columns)} go."
    if kind == RepairKind.CAST:
        casts = ", ".join(f"{name} becomes {_way(way)}" for name, way in columns.items())
        return f"{counted} change: {casts}."
    return f"In {counted} everything that was found is replaced by its type in brackets."


def _way(way: str) -> str:
    return f"a date as 2026-12-31 (now {way})" if way.startswith("%") else way


def dataset_repair(
    *,
    actor: User | None,
    dataset_id: object,
    kind: str,
    columns: Mapping[str, str] | Sequence[str] = (),
    version: str = "",
) -> Derived:
    """Make a repaired copy as a new version of the same name, with lineage to its source.

    ``columns``: for ``cast`` what each becomes (without: all that can be), for ``drop_missing`` those that need a value
    (without: the required ones). Without ``version`` the next free patch version is taken. Raises NotFound,
    PermissionRefused, ValidationFailed, Conflict (no files; nothing to repair; the version exists).
    """
    source = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.create", team=source.team, context={"type": source.type})
    if kind not in set(RepairKind):
        raise ValidationFailed.field("kind", "invalid_choice", f"kind must be one of {', '.join(RepairKind)}.")
    if not source.has_files:
        raise Conflict(f"{source} has no files to repair. Upload some first.", code="no_files")
    if version and not versions.is_version(version):
        raise ValidationFailed.field("version", "invalid", f"{version[:64]!r} is not a version such as 1.0 or 2.1.0.")
    if version and free_version(source, [source.name], version) != version:
        text = f"“{source.name}” has version {version} already. Choose another, or leave it empty."
        raise Conflict(text, errors=[FieldError("version", "not_unique", text)], code="not_unique")
    known = {column.name for column in source.column_list}
    unknown = [str(name) for name in columns if name not in known]
    if unknown:
        raise ValidationFailed.field("columns", "unknown_column", f"There is no column {unknown[0][:60]!r}.")
    whole = kind in {RepairKind.DROP_DUPLICATES, RepairKind.REDACT}
    if columns and (whole or isinstance(columns, Mapping) != (kind == RepairKind.CAST)):
        shapes = {"cast": "an object of columns and types", "drop_missing": "a list of columns"}
        wanted = shapes.get(kind, "left out: it is about whole rows")
        raise ValidationFailed.field("columns", "invalid", f"For {kind} columns must be {wanted}.")
    chosen: Any = dict(columns) if isinstance(columns, Mapping) else list(columns)
    return derive(actor=actor, source=source, kind=KIND, asked={"kind": kind, "columns": chosen, "version": version})


def repair_work(actor: User | None, source: Dataset, asked: Mapping[str, Any], progress: Progress) -> Sequence[Dataset]:
    """Write the repaired rows and register them."""
    kind = RepairKind(asked["kind"])
    if kind == RepairKind.REDACT:
        total = max(1, source.row_count or 0)
        return [
            dataset_redact(
                actor=actor,
                dataset_id=source.pk,
                version=asked["version"],
                progress=lambda done: progress(80 * done // total),
            )
        ]
    version = asked["version"] or free_version(source, [source.name], versions.next_patch(source.version))
    with work_folder("repair-") as folder, rows_opened(source) as rows:
        try:
            path, changed, columns = _written(kind, source, rows, asked["columns"], folder, progress)
        except RepairRefused as refused:
            raise ValidationFailed.field(refused.field, refused.code, refused.message) from refused
        said = _done(kind, changed, columns)
        part = Part(
            source.name,
            version,
            path,
            f"{said} Made from version {source.version}.",
            {"kind": kind.value, "changedRows": changed, "columns": columns},
        )
        made = parts_take(actor=actor, source=source, parts=[part])
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="datasets.dataset.repaired",
            resource=source,
            metadata={"kind": kind.value, "version": version, "copy": str(made[0].pk), "rows": changed},
        )
    return made


def _written(
    kind: RepairKind, source: Dataset, rows: RowsFile, columns: Any, folder: Path, progress: Progress
) -> tuple[Path, int, dict[str, str]]:
    """The file of the repaired rows, how many rows changed or went, and the columns it was about."""
    total = rows.count()
    if kind == RepairKind.CAST:
        casts = dict(columns) or castable(rows)
        if not casts:
            raise _nothing(source, "no text column holds numbers, truth values or dates throughout")
        becoming, cast = cast_frames(rows, casts)
        # CSV has no types: what is given one must leave it, dates apart, which stay text.
        as_text = all(way.startswith("%") for way in casts.values())
        path = folder / file_name(source, _SUFFIX[kind], as_text=as_text)
        with RowsOut(path, becoming) as out:
            for offset, frame in rows.frames(_FRAME_ROWS):
                out.write(cast(frame))
                progress(60 * (offset + frame.height) // max(1, total))
        return path, total, casts
    needed = list(columns) or required_of(rows, source.type) if kind == RepairKind.DROP_MISSING else []
    keep = keep_first(rows) if kind == RepairKind.DROP_DUPLICATES else keep_complete(rows, needed)
    gone = int((~keep).sum())
    if not gone:
        what = "no row repeats another" if kind == RepairKind.DROP_DUPLICATES else "every row has these values"
        raise _nothing(source, what)
    if gone == total:
        raise Conflict(f"No row of {source} would be left. Correct the rows instead.", code="nothing_left")
    path = folder / file_name(source, _SUFFIX[kind], as_text=True)
    with RowsOut(path, rows.columns) as out:
        for done, frame in kept_frames(rows, keep):
            out.write(frame)
            progress(60 * done // max(1, total))
    return path, gone, dict.fromkeys(needed, "needs a value")


def _nothing(source: Dataset, why: str) -> Conflict:
    return Conflict(f"There is nothing to repair in {source}: {why}.", code="nothing_to_repair")


def _done(kind: RepairKind, changed: int, columns: Mapping[str, str]) -> str:
    counted = f"{changed:,} row{'' if changed == 1 else 's'}"
    if kind == RepairKind.DROP_DUPLICATES:
        return f"{counted} removed that repeated an earlier one."
    if kind == RepairKind.DROP_MISSING:
        return f"{counted} removed without a value in {' or '.join(columns)}."
    return f"Columns typed: {', '.join(f'{name} as {_way(way)}' for name, way in columns.items())}."


register_work(KIND, repair_work)
