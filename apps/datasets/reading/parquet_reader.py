"""Parquet, nested types and many row groups included, taken in steps whose size follows the largest cell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apps.datasets.reading.base import KIND_OF, Batch, FileInfo
from apps.datasets.reading.csv_reader import header_fault
from apps.datasets.reading.jsonl_reader import value_fault
from apps.datasets.reading.limits import MIB, Limits
from apps.datasets.reading.problems import Problem, ProblemLog
from apps.datasets.reading.required import RowRules

_SHARED_ROWS = 512


class ParquetReader:
    """Reads one Parquet file twice: to check it, then to write it."""

    def __init__(self, path: Path, name: str, rules: RowRules, limits: Limits, log: ProblemLog) -> None:
        self.path, self.name, self.rules, self.limits, self.log = path, name, rules, limits, log
        self.info = FileInfo("parquet")
        self.size = path.stat().st_size
        self.promised = 0
        self._check_footer()

    def _stop(self, code: str, message: str) -> Exception:
        return self.log.stop(Problem(self.name, code, message))

    def _check_footer(self) -> None:
        with self.path.open("rb") as handle:
            if handle.read(4) != b"PAR1":
                raise self._stop("wrong_format", "This is not a Parquet file (its first bytes are not “PAR1”).")
        try:
            with pq.ParquetFile(self.path) as file:
                meta, schema = file.metadata, file.schema_arrow
        except MemoryError as error:
            raise self._stop("too_expensive", "The Parquet footer needs more memory than reading may take.") from error
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._stop(
                "corrupt",
                "The Parquet footer cannot be read: the file is cut off or damaged. Export it again.",
            ) from error
        if meta.num_columns > self.limits.max_columns * 4 or len(schema.names) > self.limits.max_columns:
            raise self._stop(
                "too_many_columns",
                f"The file has {len(schema.names):,} columns; at most {self.limits.max_columns:,} are taken.",
            )
        fault = header_fault(list(schema.names), self.limits)
        if fault:
            raise self._stop("bad_header", fault)
        for field in schema:
            if _holds_binary(field.type):
                raise self._stop(
                    "binary_column",
                    f"“{field.name}” holds binary data. Store text, numbers or lists, or leave the column out.",
                )
        if not self.rules.decide(schema.names):
            raise self._stop("missing_columns", self.rules.explain(schema.names))
        for group in range(meta.num_row_groups):
            if meta.row_group(group).total_byte_size > self.limits.max_row_group:
                raise self._stop(
                    "row_group_too_large",
                    f"Row group {group + 1} unpacks to more than "
                    f"{self.limits.max_row_group // MIB} MiB. Write the file with smaller row groups.",
                )
        cells = meta.num_rows * max(1, meta.num_columns)
        if cells > max(self.limits.cells_from, self.size * self.limits.max_cells_per_byte):
            raise self._stop(
                "unpacks_too_large",
                f"The file promises {cells:,} values in {self.size:,} bytes, as decompression bombs do. If it is real "
                "data, upload it as JSONL.",
            )
        self.promised = meta.num_rows
        if meta.num_rows == 0:
            raise self._stop("no_rows", "The file holds no rows.")

    @property
    def position(self) -> int:
        """Bytes read, going by rows."""
        return self.size * self.info.rows // max(1, self.promised)

    def batches(self) -> Iterator[Batch]:
        """Rows as columns of Python values."""
        self.info.rows, self.info.kinds, self.info.nulls = 0, {}, {}
        try:
            with pq.ParquetFile(self.path) as file:
                dictionaries, rows = self._layout(file)
            with pq.ParquetFile(self.path, read_dictionary=dictionaries) as file:
                decoded = 0
                for record in file.iter_batches(batch_size=rows):
                    decoded += record.nbytes
                    if decoded > self.limits.max_unpacked:
                        raise self._stop(
                            "unpacks_too_large",
                            f"The file unpacks to more than {self.limits.max_unpacked // MIB:,} MiB. Split it.",
                        )
                    step = self._step(record)
                    for start in range(0, record.num_rows, step):
                        yield self._batch(record.slice(start, step))
        except MemoryError as error:
            raise self._stop(
                "too_expensive",
                f"The data after row {self.info.rows:,} needs more memory than reading may take. Write the file with "
                "smaller row groups, pages and values.",
            ) from error
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._stop(
                "corrupt",
                f"The data after row {self.info.rows:,} cannot be read: the file is damaged. Export it again.",
            ) from error

    def _step(self, record: pa.RecordBatch) -> int:
        """How many rows may be turned into Python values at once."""
        longest = 1
        for name, array in zip(record.schema.names, record.columns, strict=True):
            kind = array.type
            if pa.types.is_dictionary(kind):
                size = _longest(pc.binary_length(array.dictionary)) if len(array.dictionary) else 0
            elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
                size = _longest(pc.binary_length(array))
            elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
                size = 8 * _longest(pc.list_value_length(array))
            else:
                continue
            if size > self.limits.max_cell * 4:
                raise self._stop(
                    "cell_too_large",
                    f"“{name}” holds a value of {size:,} bytes; at most "
                    f"{self.limits.max_cell:,} characters are taken. Split it into rows.",
                )
            longest = max(longest, size)
        return max(1, min(self.limits.batch_rows, self.limits.batch_bytes // longest))

    def _layout(self, file: pq.ParquetFile) -> tuple[list[str], int]:
        """Columns to be kept as dictionaries, and rows to decode at a time.

        A dictionary page can blow one long value up a million times; kept as a dictionary it stays small. Arrow cannot
        do so for delta encodings, which share beginnings instead: few of those rows are decoded at a time.
        """
        meta = file.metadata
        delta: set[str] = set()
        shared = False
        for group in range(meta.num_row_groups):
            for index in range(meta.num_columns):
                chunk = meta.row_group(group).column(index)
                if any(encoding.startswith("DELTA") for encoding in chunk.encodings):
                    delta.add(chunk.path_in_schema.split(".")[0])
                    shared = shared or "DELTA_BYTE_ARRAY" in chunk.encodings
        names = [
            field.name
            for field in file.schema_arrow
            if (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)) and field.name not in delta
        ]
        return names, min(self.limits.batch_rows, _SHARED_ROWS) if shared else self.limits.batch_rows

    def _batch(self, record: pa.RecordBatch) -> Batch:
        rows = record.num_rows
        columns: dict[str, list[Any]] = {}
        for name, array in zip(record.schema.names, record.columns, strict=True):
            cells = [_plain(value) for value in array.to_pylist()]
            kinds: set[str] = set()
            missing = 0
            for position, cell in enumerate(cells):
                if cell is None or cell == "":
                    cells[position] = None
                    missing += 1
                    continue
                kinds.add(KIND_OF[type(cell)])
                if isinstance(cell, str) and len(cell) <= self.limits.max_cell and "\x00" not in cell:
                    self.info.largest_cell = max(self.info.largest_cell, len(cell))
                elif not isinstance(cell, (int, float)):
                    fault, size = value_fault(cell, self.limits)
                    self.info.largest_cell = max(self.info.largest_cell, size)
                    if fault:
                        self.log.add(
                            Problem(
                                self.name,
                                "bad_value",
                                f"“{name}” {fault}",
                                row=self.info.rows + position + 1,
                                column=name,
                            )
                        )
            columns[name] = cells
            self.info.kinds.setdefault(name, set()).update(kinds)
            self.info.nulls[name] = self.info.nulls.get(name, 0) + missing
        for name in self.rules.required or ():
            for place, code, message in self.rules.wrong_values(name, columns[name]):
                number = self.info.rows + place + 1
                self.log.add(Problem(self.name, code, message, row=number, column=name))
        self.info.rows += rows
        return Batch(columns, rows)


def _longest(lengths: pa.Array) -> int:
    return int(pc.max(lengths).as_py() or 0)


def _holds_binary(kind: pa.DataType) -> bool:
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return True
    return any(_holds_binary(kind.field(index).type) for index in range(kind.num_fields))


def _plain(value: Any) -> Any:
    """Arrow's Python value as JSON would have it: times as ISO text, decimals as text, not-a-number as
    missing."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else None
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, timedelta)):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        # A map column arrives as a list of pairs.
        return [_plain(inner) for inner in value]
    return str(value)
