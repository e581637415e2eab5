"""The rows file: what was uploaded, checked and brought into one columnar form that every later step reads.

It is a Parquet file whose columns are called ``c0``, ``c1``, … (uploaded names can be anything, regular
expressions included) and all hold text: text columns as sent, all others as JSON text. The order of rows is
that of the files.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from apps.datasets.reading.base import Batch, encode
from apps.datasets.reading.showing import Shown
from apps.datasets.types import Column

_WHOLE = r"^[+-]?(?:0|[1-9][0-9]{0,17})$"
_DECIMAL = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$"
_TRUTH = r"^(?i:true|false)$"
_GROUP_BYTES = 32 * 1024 * 1024
_GROUP_ROWS = 65_536
_READ_BYTES = 256 * 1024
_SHOWN_BYTES = 4 * 1024 * 1024


def physical(index: int) -> str:
    """The name of column ``index`` inside the rows file."""
    return f"c{index}"


class RowsWriter(AbstractContextManager["RowsWriter"]):
    """Writes the rows file in groups of bounded size."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.path, self.columns = path, list(columns)
        self.schema = pa.schema([pa.field(physical(index), pa.large_string()) for index in range(len(self.columns))])
        self.writer = pq.ParquetWriter(path, self.schema, compression="zstd", write_statistics=False)
        self.rows = 0
        self._parts: list[pa.RecordBatch] = []
        self._bytes = 0
        self._held = 0

    def __exit__(self, *exc: object) -> None:
        try:
            if exc[0] is None:
                self._flush()
        finally:
            self.writer.close()

    def write(self, batch: Batch) -> None:
        """Append a batch; columns that it lacks are missing values."""
        arrays = []
        for column in self.columns:
            cells = batch.columns.get(column.name)
            as_json = column.stored == "json"
            if cells is None:
                arrays.append(pa.nulls(batch.rows, pa.large_string()))
            else:
                arrays.append(pa.array([encode(cell, as_json=as_json) for cell in cells], pa.large_string()))
        part = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        self._parts.append(part)
        self._bytes += part.nbytes
        self._held += batch.rows
        self.rows += batch.rows
        if self._bytes >= _GROUP_BYTES or self._held >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._parts:
            self.writer.write_table(pa.Table.from_batches(self._parts, schema=self.schema), row_group_size=self._held)
        self._parts, self._bytes, self._held = [], 0, 0


@dataclass(frozen=True, slots=True)
class RowsFile:
    """A rows file on this machine together with its columns; or, with ``source``, one that is read in pieces from
    where it lies (then it has no local path to :meth:`scan`)."""

    path: Path
    columns: tuple[Column, ...]
    source: BinaryIO | None = None

    @property
    def names(self) -> list[str]:
        """Column names as uploaded."""
        return [column.name for column in self.columns]

    def index(self, name: str) -> int:
        """Position of a column; raises ``KeyError``."""
        for position, column in enumerate(self.columns):
            if column.name == name:
                return position
        raise KeyError(name)

    def scan(self) -> pl.LazyFrame:
        """The rows, lazily, under their physical names."""
        return pl.scan_parquet(self.path, glob=False)

    def opened(self) -> pq.ParquetFile:
        """The file for reading by groups; a context manager."""
        if self.source is not None:
            return pq.ParquetFile(self.source, buffer_size=_READ_BYTES, pre_buffer=False)
        return pq.ParquetFile(self.path)

    def count(self) -> int:
        """Number of rows, from the footer."""
        with self.opened() as file:
            return int(file.metadata.num_rows)

    def frames(self, rows: int = 16_384, columns: Sequence[str] | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
        """The rows in order as (number of the first row from 0, frame), holding one frame at a time; ``columns`` are
        physical names, all without."""
        offset = 0
        with self.opened() as file:
            # Group by group: a batch across groups would join what was kept apart to stay small.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=columns):
                    # Without columns a frame would forget how many rows it stands for.
                    frame = (
                        pl.DataFrame(batch) if batch.num_columns else pl.DataFrame({"none": [None] * batch.num_rows})
                    )
                    yield offset, frame
                    offset += batch.num_rows

    def weight(self) -> int:
        """Bytes of the cells as the file spells them before compression, from the footer: what reading all takes."""
        with self.opened() as file:
            return sum(int(file.metadata.row_group(group).total_byte_size) for group in range(file.num_row_groups))

    def page(self, limit: int, offset: int) -> list[dict[str, Any]]:
        """Some rows as they were uploaded, long cells cut as :class:`Shown` does; reads only the groups they are in,
        and of the last only the beginning."""
        shown = Shown(self.columns)
        wanted = limit
        with self.opened() as file:
            first = 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if wanted <= 0:
                    break
                if first + size > offset:
                    skip = max(0, offset - first)
                    for batch in file.iter_batches(batch_size=_few(file, group, skip + wanted), row_groups=[group]):
                        if batch.num_rows > skip:
                            part = batch.slice(skip, wanted)
                            shown.add(part)
                            wanted -= part.num_rows
                        skip = max(0, skip - batch.num_rows)
                        if wanted <= 0:
                            break
                first += size
        return shown.rows()

    def take(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows with these numbers (from 0) as :meth:`page` shows them, in the order asked for."""
        wanted = sorted(set(numbers))
        shown = Shown(self.columns)
        place = 0
        with self.opened() as file:
            first = 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if bisect_left(wanted, first + size) > place:
                    start = first
                    for batch in file.iter_batches(batch_size=_few(file, group, size), row_groups=[group]):
                        stop = bisect_left(wanted, start + batch.num_rows)
                        if stop > place:
                            shown.add(batch.take(pa.array([number - start for number in wanted[place:stop]])))
                        start, place = start + batch.num_rows, stop
                first += size
        rows = dict(zip(wanted, shown.rows(), strict=False))
        return [rows[number] for number in numbers if number in rows]

    def json_lines(self) -> Iterator[bytes]:
        """All rows as JSON Lines with their uploaded names, a chunk of many lines at a time."""
        keys = [json.dumps(column.name, ensure_ascii=False) + ": " for column in self.columns]
        for _offset, frame in self.frames(4_096):
            cells = []
            for index, (column, key) in enumerate(zip(self.columns, keys, strict=True)):
                raw = frame[physical(index)].to_list()
                if column.stored == "json":
                    cells.append([f"{key}{'null' if cell is None else cell}" for cell in raw])
                else:
                    cells.append(
                        [f"{key}{'null' if cell is None else json.dumps(cell, ensure_ascii=False)}" for cell in raw]
                    )
            yield "".join("{" + ", ".join(row) + "}\n" for row in zip(*cells, strict=True)).encode()


def _few(file: pq.ParquetFile, group: int, wanted: int) -> int:
    """How many of ``wanted`` rows of a group to read at once."""
    facts = file.metadata.row_group(group)
    row = max(1, facts.total_byte_size // max(1, facts.num_rows))
    return max(1, min(wanted, facts.num_rows, _SHOWN_BYTES // row))


def refine_kinds(rows: RowsFile, untyped: set[str]) -> tuple[Column, ...]:
    """Columns with the kinds that their text shows: an ``untyped`` (CSV) column of whole numbers is called
    integer."""
    texts = [index for index, column in enumerate(rows.columns) if column.kind == "string" and column.name in untyped]
    if not texts:
        return rows.columns
    asked: list[pl.Expr] = []
    for index in texts:
        cell = pl.col(physical(index))
        asked += [
            cell.str.contains(_WHOLE).all().alias(f"i{index}"),
            cell.str.contains(_DECIMAL).all().alias(f"n{index}"),
            cell.str.contains(_TRUTH).all().alias(f"b{index}"),
            cell.count().alias(f"k{index}"),
        ]
    # A look at the first rows rules out nearly every text column cheaply.
    answer = rows.scan().head(2_000).select(asked).collect().row(0, named=True)
    open_ = [i for i in texts if answer[f"k{i}"] == 0 or answer[f"n{i}"] or answer[f"i{i}"] or answer[f"b{i}"]]
    if open_:
        keep = [expression for expression in asked if int(expression.meta.output_name()[1:]) in set(open_)]
        answer |= rows.scan().select(keep).collect(engine="streaming").row(0, named=True)
    columns = list(rows.columns)
    for index in texts:
        column = columns[index]
        kind = "string"
        if not answer[f"k{index}"]:
            kind = "null"
        elif answer[f"i{index}"]:
            kind = "integer"
        elif answer[f"n{index}"]:
            kind = "number"
        elif answer[f"b{index}"]:
            kind = "boolean"
        columns[index] = Column(column.name, kind, column.nullable, column.stored)
    return tuple(columns)
