"""Repairs of rows: what each would change, and the rows after it. Nothing here knows the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from apps.datasets.reading.rows import RowsFile, physical
from apps.datasets.types import REQUIRED_COLUMNS, Column

_FRAME_ROWS = 65_536
_LOOK = 2_000
# Only what is JSON as it stands: 007 and +1 are codes to somebody, and stay text.
_WHOLE = r"^-?(?:0|[1-9][0-9]{0,17})$"
_DECIMAL = r"^-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?:[eE][+-]?[0-9]{1,2})?$"
_TRUTH = r"^(?i:true|false)$"
DATE_FORMATS = ("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
_DATE_SHAPES: Mapping[str, str] = {
    "%Y/%m/%d": r"^[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}$",
    "%d.%m.%Y": r"^[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}$",
    "%d/%m/%Y": r"^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}$",
    "%m/%d/%Y": r"^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}$",
}


class RepairKind(StrEnum):
    """What can be repaired with one click."""

    DROP_DUPLICATES = "drop_duplicates"
    DROP_MISSING = "drop_missing"
    CAST = "cast"
    REDACT = "redact"


class RepairRefused(ValueError):
    """The repair cannot be done; ``field`` names the parameter and the message the remedy."""

    def __init__(self, field_name: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message = field_name, code, message


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair: how many rows it changes or drops, and the columns it is about (with what they become)."""

    kind: RepairKind
    rows: int
    columns: dict[str, str] = field(default_factory=dict)


def blank(index: int) -> pl.Expr:
    """Whether a cell holds nothing: missing, or only white space."""
    cell = pl.col(physical(index))
    return cell.is_null() | (cell.str.strip_chars() == "")


def required_of(rows: RowsFile, dataset_type: str) -> list[str]:
    """Names of the required columns that these rows have."""
    names = set(rows.names)
    return next((list(way) for way in REQUIRED_COLUMNS[dataset_type] if names.issuperset(way)), [])


def keep_first(rows: RowsFile) -> npt.NDArray[np.bool_]:
    """Which rows to keep so that none repeats an earlier one in every column; eight bytes a row are held."""
    names = [physical(index) for index in range(len(rows.columns))]
    hashes = [
        frame.select(pl.struct(names).hash(17).alias("row"))["row"] for _offset, frame in rows.frames(_FRAME_ROWS)
    ]
    return pl.concat(hashes).is_first_distinct().to_numpy() if hashes else np.zeros(0, np.bool_)


def keep_complete(rows: RowsFile, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows hold a value in each of ``columns``."""
    if not columns:
        return np.ones(rows.count(), np.bool_)
    indexes = sorted({_position(rows, name) for name in columns})
    lacking = pl.any_horizontal([blank(index) for index in indexes]).alias("lacking")
    parts = [
        frame.select(lacking)["lacking"].to_numpy()
        for _offset, frame in rows.frames(_FRAME_ROWS, [physical(index) for index in indexes])
    ]
    return ~np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def _position(rows: RowsFile, name: str) -> int:
    if name not in rows.names:
        shown = ", ".join(column[:40] for column in rows.names[:12])
        raise RepairRefused("columns", "unknown_column", f"There is no column {name[:60]!r}. Use one of {shown}.")
    return rows.index(name)


def castable(rows: RowsFile) -> dict[str, str]:
    """Text columns whose every value is a number, a truth value or a date in one way of writing → what they become.

    Dates that could be read in two ways (03/04/2026) are left alone. Dates that are ISO 8601 already need nothing.
    """
    texts = [index for index, column in enumerate(rows.columns) if column.kind == "string" and column.stored == "text"]
    if not texts:
        return {}
    look = rows.scan().head(_LOOK).select([physical(index) for index in texts]).collect()
    open_ = [index for index in texts if _fitting(look[physical(index)])]
    result: dict[str, str] = {}
    for index in open_:
        ways: set[str] | None = None
        for _offset, frame in rows.frames(_FRAME_ROWS, [physical(index)]):
            found = _fitting(frame[physical(index)], ways)
            if found is not None:
                ways = found
            if ways is not None and not ways:
                break
        chosen = _chosen(ways or set())
        if chosen:
            result[rows.columns[index].name] = chosen
    return result


def castable_at_first(rows: RowsFile) -> dict[str, str]:
    """What :func:`castable` would say if the first rows were all."""
    result: dict[str, str] = {}
    first = next((frame.head(_LOOK) for _offset, frame in rows.frames(_LOOK)), None)
    for index, column in enumerate(rows.columns):
        if first is not None and column.kind == "string" and column.stored == "text":
            chosen = _chosen(_fitting(first[physical(index)]) or set())
            if chosen:
                result[column.name] = chosen
    return result


def _fitting(cells: pl.Series, among: set[str] | None = None) -> set[str] | None:
    """Ways in which every value of ``cells`` can be read; ``None`` when there is no value to tell by."""
    values = cells.str.strip_chars().replace("", None).drop_nulls()
    if not values.len():
        return among
    ways = {"integer", "number", "boolean", *DATE_FORMATS} if among is None else among
    return {way for way in ways if _reads(values, way)}


def _reads(values: pl.Series, way: str) -> bool:
    if way in {"integer", "number", "boolean"}:
        pattern = {"integer": _WHOLE, "number": _DECIMAL, "boolean": _TRUTH}[way]
        return bool(values.str.contains(pattern).all())
    return bool(values.str.contains(_DATE_SHAPES[way]).all()) and not values.str.to_date(way, strict=False).has_nulls()


def _chosen(ways: set[str]) -> str:
    for way in ("integer", "number", "boolean"):
        if way in ways:
            return way
    dates = [way for way in DATE_FORMATS if way in ways]
    return dates[0] if len(dates) == 1 else ""


def cast_frames(
    rows: RowsFile, casts: Mapping[str, str]
) -> tuple[tuple[Column, ...], Callable[[pl.DataFrame], pl.DataFrame]]:
    """The columns after the casts, and what makes a frame of the rows into one of them.

    ``casts`` maps columns to integer, number, boolean or a date format of :data:`DATE_FORMATS`. Dates become ISO 8601
    text; white space alone becomes a missing value. Raises :class:`RepairRefused` for unknown ones; the frame function
    raises it at a value that cannot be read.
    """
    columns = list(rows.columns)
    for name, way in casts.items():
        index = _position(rows, name)
        if way not in {"integer", "number", "boolean", *DATE_FORMATS}:
            ways = ", ".join(("integer", "number", "boolean", *DATE_FORMATS))
            raise RepairRefused("columns", "invalid", f"“{name}” cannot become {way[:40]!r}. Use one of {ways}.")
        column = columns[index]
        if column.stored != "text":
            raise RepairRefused("columns", "invalid", f"“{name}” holds no text: it is {column.kind} already.")
        stored = "text" if way in DATE_FORMATS else "json"
        columns[index] = Column(name, "string" if way in DATE_FORMATS else way, column.nullable, stored)

    def cast(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns([_cast(frame[physical(rows.index(name))], name, way) for name, way in casts.items()])

    return tuple(columns), cast


def _cast(cells: pl.Series, name: str, way: str) -> pl.Series:
    values = cells.str.strip_chars().replace("", None)
    present = values.drop_nulls()
    if present.len() and not _reads(present, way):
        raise RepairRefused(
            "columns", "unreadable", f"Not every value of “{name}” can be read as {way}. Correct these rows first."
        )
    if way in DATE_FORMATS:
        return values.str.to_date(way, strict=False).dt.to_string("%Y-%m-%d").alias(cells.name)
    return (values.str.to_lowercase() if way == "boolean" else values).alias(cells.name)


def kept_frames(rows: RowsFile, keep: npt.NDArray[np.bool_]) -> Iterator[tuple[int, pl.DataFrame]]:
    """The rows to keep, as frames with the number of rows read so far."""
    for offset, frame in rows.frames(_FRAME_ROWS):
        part = keep[offset : offset + frame.height]
        yield offset + frame.height, frame.filter(pl.Series(part))


def repairs_for(rows: RowsFile, dataset_type: str) -> list[Repair]:
    """What could be repaired (redaction apart, which the checks know about), each with the rows it changes."""
    found: list[Repair] = []
    repeated = int((~keep_first(rows)).sum())
    if repeated:
        found.append(Repair(RepairKind.DROP_DUPLICATES, repeated))
    required = required_of(rows, dataset_type)
    lacking = int((~keep_complete(rows, required)).sum())
    if lacking:
        found.append(Repair(RepairKind.DROP_MISSING, lacking, dict.fromkeys(required, "needs a value")))
    casts = castable(rows)
    if casts:
        found.append(Repair(RepairKind.CAST, _values(rows, casts), casts))
    return found


def _values(rows: RowsFile, casts: Mapping[str, Any]) -> int:
    """Rows that hold a value in one of these columns."""
    indexes = [rows.index(name) for name in casts]
    some = ~pl.all_horizontal([blank(index) for index in indexes])
    return int(rows.scan().select(some.sum()).collect(engine="streaming").item())
