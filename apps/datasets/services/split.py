"""Train, validation and test parts of a dataset as datasets of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import polars as pl
from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, versions
from apps.core.errors import Conflict, FieldError, ValidationFailed
from apps.datasets.models import Dataset
from apps.datasets.selectors import dataset_get
from apps.datasets.services.content import rows_opened
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
from apps.datasets.splitting import SplitPlan, SplitRefused, assign_parts
from apps.datasets.writing import RowsOut
from apps.governance.services import authorize

KIND = "split"
_FRAME_ROWS = 16_384
_NAME_LENGTH = 185


def dataset_split(
    *,
    actor: User | None,
    dataset_id: object,
    ratios: Mapping[str, float],
    seed: int = 0,
    stratify_by: str = "",
    group_by: str = "",
    version: str = "",
) -> Derived:
    """Divide a dataset into parts, each a draft named ``<name>-train`` (validation, test) with lineage to it.

    The same rows, seed and ratios give the same parts. ``stratify_by`` balances a column over the parts, ``group_by``
    keeps rows of one value together. Without ``version`` the parts take the source's, or the next one that is free for
    all of them. Raises NotFound, PermissionRefused, Conflict (no files; the version exists), ValidationFailed.
    """
    source = dataset_get(actor=actor, dataset_id=dataset_id)
    authorize(actor=actor, action="dataset.create", team=source.team, context={"type": source.type})
    if not source.has_files:
        raise Conflict(f"{source} has no files to split. Upload some first.", code="no_files")
    names = [column.name for column in source.column_list]
    with _refusals():
        plan = SplitPlan(dict(ratios), seed, stratify_by, group_by).checked(names)
    if version and not versions.is_version(version):
        raise ValidationFailed.field("version", "invalid", f"{version[:64]!r} is not a version such as 1.0 or 2.1.0.")
    if version:
        _require_free(source, plan, version)
    asked = {
        "ratios": dict(plan.shares),
        "seed": plan.seed,
        "stratifyBy": plan.stratify_by,
        "groupBy": plan.group_by,
        "version": version,
    }
    return derive(actor=actor, source=source, kind=KIND, asked=asked)


def part_name(source: Dataset, part: str) -> str:
    """What a part of ``source`` is called."""
    return f"{source.name[:_NAME_LENGTH]}-{part}"


def _require_free(source: Dataset, plan: SplitPlan, version: str) -> None:
    names = [part_name(source, part) for part in plan.shares]
    if free_version(source, names, version) != version:
        text = f"One of {', '.join(names)} has version {version} already. Choose another, or leave it empty."
        raise Conflict(text, errors=[FieldError("version", "not_unique", text)], code="not_unique")


@contextmanager
def _refusals() -> Iterator[None]:
    """What the pure part refuses becomes the error that API and pages show."""
    try:
        yield
    except SplitRefused as refused:
        raise ValidationFailed.field(refused.field, refused.code, refused.message) from refused


def split_work(actor: User | None, source: Dataset, asked: Mapping[str, Any], progress: Progress) -> Sequence[Dataset]:
    """Assign every row to its part, write the parts in one pass, register them."""
    with _refusals():
        # Checked again, because what was kept for the worker comes back with the parts in another order.
        plan = SplitPlan(asked["ratios"], asked["seed"], asked["stratifyBy"], asked["groupBy"]).checked(
            [column.name for column in source.column_list]
        )
    parts = list(plan.shares)
    names = [part_name(source, part) for part in parts]
    version = asked["version"] or free_version(source, names, source.version)
    with work_folder("split-") as folder, rows_opened(source) as rows:
        with _refusals():
            assigned = assign_parts(rows, plan)
        paths = [folder / file_name(source, part, as_text=True) for part in parts]
        with ExitStack() as stack:
            writers = [stack.enter_context(RowsOut(path, rows.columns)) for path in paths]
            for offset, frame in rows.frames(_FRAME_ROWS):
                here = assigned[offset : offset + frame.height]
                for place, writer in enumerate(writers):
                    writer.write(frame.filter(pl.Series(here == place)))
                progress(60 * (offset + frame.height) // max(1, assigned.size))
        counts = np.bincount(assigned, minlength=len(parts)).tolist()
        how = _described(plan)
        made = parts_take(
            actor=actor,
            source=source,
            parts=[
                Part(
                    name,
                    version,
                    path,
                    f"The {part} part ({count:,} of {assigned.size:,} rows) of {source}, {how}.",
                    {
                        "kind": "split",
                        "part": part,
                        "ratio": plan.shares[part],
                        "seed": plan.seed,
                        "stratifyBy": plan.stratify_by,
                        "groupBy": plan.group_by,
                        "rows": count,
                    },
                )
                for part, name, path, count in zip(parts, names, paths, counts, strict=True)
            ],
        )
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="datasets.dataset.split",
            resource=source,
            metadata={
                "seed": plan.seed,
                "stratifyBy": plan.stratify_by,
                "groupBy": plan.group_by,
                "parts": [
                    {"part": part, "dataset": str(one.pk), "version": version, "rows": count}
                    for part, one, count in zip(parts, made, counts, strict=True)
                ],
            },
        )
    return made


def _described(plan: SplitPlan) -> str:
    text = f"drawn with seed {plan.seed}"
    if plan.stratify_by:
        text += f", balanced by “{plan.stratify_by}”"
    if plan.group_by:
        text += f", rows of one “{plan.group_by}” kept together"
    return text


register_work(KIND, split_work)
