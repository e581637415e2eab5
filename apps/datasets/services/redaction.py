"""Redacted copies: a new version in which everything the PII rules find is replaced by its type."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, versions
from apps.core.errors import Conflict
from apps.core.storage import file_chunks
from apps.datasets.models import Dataset
from apps.datasets.pii import (
    PiiRule,
    Recogniser,
    candidates,
    json_candidates,
    redact,
    redact_names,
    redact_value,
    rules_digest,
)
from apps.datasets.reading import RowsFile, physical
from apps.datasets.selectors import dataset_get
from apps.datasets.selectors_pii import name_recogniser, pii_rules_for
from apps.datasets.services.content import rows_opened
from apps.datasets.services.entries import dataset_create
from apps.datasets.services.upload import content_take
from apps.governance.services import authorize

_FRAME_ROWS = 4_096


def dataset_redact(
    *,
    actor: User | None,
    dataset_id: object,
    version: str = "",
    change_log: str = "",
    progress: Callable[[int], None] | None = None,
) -> Dataset:
    """Make a redacted copy of a dataset as a new version of the same name, linked to its source. Finds are replaced in
    values, in keys of nested values and in names of columns.

    Without ``version`` the next free patch version is taken. ``progress`` is called with the rows done. Raises
    NotFound, PermissionRefused, ValidationFailed (version), Conflict (no files; the version exists).
    """
    source = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.create", team=source.team, context={"type": source.type})
    rules = tuple(rule for rule in pii_rules_for(source.team_id) if rule.confidence >= settings.DATASETS_PII_CONFIDENCE)
    version = version or _free_version(source)
    with tempfile.TemporaryDirectory(dir=settings.VAR_DIR / "tmp", prefix="redact-") as folder:
        target = Path(folder) / _filename(source)
        with rows_opened(source) as rows:
            replaced = _write(rows, target, rules, name_recogniser(), progress)
        copy = dataset_create(
            actor=actor,
            name=source.name,
            version=version,
            dataset_type=source.type,
            team=source.team,
            change_log=change_log or f"Redacted copy of version {source.version}: {replaced:,} places replaced.",
            metadata=source.metadata,
            visibility=source.visibility,
            source_dataset=source,
            derivation={
                "kind": "redaction",
                "sourceId": str(source.pk),
                "sourceVersion": source.version,
                "sourceDigest": source.digest,
                "replaced": replaced,
                "rules": rules_digest(rules),
            },
        )
        try:
            with target.open("rb") as handle:
                result = content_take(actor=actor, dataset=copy, names=[target.name], contents=[file_chunks(handle)])
        except BaseException:
            # Without its content the copy is nothing; the person has not seen it yet.
            with transaction.atomic():
                Dataset.objects.filter(pk=copy.pk, rows_key="").delete()
            raise
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="datasets.dataset.redacted",
            resource=source,
            metadata={"version": version, "copy": str(copy.pk), "replaced": replaced},
        )
    return result.dataset


def _free_version(source: Dataset) -> str:
    """The first patch version after the source that the team has not used."""
    used = set(Dataset.objects.filter(team_id=source.team_id, name=source.name).values_list("version_key", flat=True))
    version = source.version
    for _attempt in range(1_000):
        version = versions.next_patch(version)
        if versions.version_key(version) not in used:
            return version
    raise Conflict(f"No version is free after {source.version}. Name one in “version”.", code="no_free_version")


def _filename(source: Dataset) -> str:
    first = source.files.order_by("position").values_list("filename", flat=True).first() or source.name
    stem = PurePosixPath(first).stem.removesuffix("-redacted")[:200]
    return f"{stem}-redacted.{'csv' if source.format == 'csv' else 'jsonl'}"


def _write(
    rows: RowsFile,
    target: Path,
    rules: tuple[PiiRule, ...],
    recogniser: Recogniser | None,
    progress: Callable[[int], None] | None,
) -> int:
    """Write the redacted rows; returns how many places were replaced. CSV stays CSV, so that types stay as
    they are. Names are replaced in the rows in which a check looks for them."""
    named = settings.DATASETS_PII_NER_ROWS
    headings, replaced = redact_names(rows.names, rules, recogniser if named else None)
    with target.open("wb") as handle:
        if target.suffix == ".csv":
            handle.write(_csv_lines([headings]))
        for offset, frame in rows.frames(_FRAME_ROWS):
            if progress:
                progress(offset)
            names = recogniser if offset < named else None
            columns: list[list[Any]] = []
            for index, column in enumerate(rows.columns):
                cells, count = _redacted(frame[physical(index)], column.stored, rules, names)
                replaced += count
                columns.append(cells)
            records = zip(*columns, strict=True)
            if target.suffix == ".csv":
                handle.write(_csv_lines(records))
            else:
                handle.writelines(_json_lines(headings, records))
    return replaced


def _redacted(
    cells: Any, stored: str, rules: tuple[PiiRule, ...], recogniser: Recogniser | None
) -> tuple[list[Any], int]:
    """Values of one column after redaction, and how many places were replaced."""
    values = cells.to_list()
    count = 0
    if stored == "text":
        some = candidates(cells, rules) if recogniser is None else cells.is_not_null().arg_true()
        for position in some.to_list():
            values[position], found = redact(values[position], rules, recogniser)
            count += found
        return values, count
    values = [None if cell is None else orjson.loads(cell) for cell in values]
    some = json_candidates(cells, rules) if recogniser is None else cells.is_not_null().arg_true()
    for position in some.to_list():
        values[position], found = redact_value(values[position], rules, recogniser)
        count += found
    return values, count


def _csv_lines(records: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(["" if cell is None else cell for cell in row] for row in records)
    return text.getvalue().encode()


def _json_lines(names: Sequence[str], records: Any) -> Iterator[bytes]:
    for record in records:
        yield orjson.dumps(dict(zip(names, record, strict=True))) + b"\n"
