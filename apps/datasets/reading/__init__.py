"""Reading uploaded data: CSV, JSON Lines and Parquet in, one checked columnar rows file out.

Everything here is pure (no Django) and holds a bounded amount in memory, whatever the files claim to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from apps.datasets.reading.base import FileInfo, Reader
from apps.datasets.reading.csv_reader import CsvReader
from apps.datasets.reading.jsonl_reader import JsonlReader
from apps.datasets.reading.limits import Limits
from apps.datasets.reading.parquet_reader import ParquetReader
from apps.datasets.reading.problems import DataRefused, FileUnreadable, Problem, ProblemLog
from apps.datasets.reading.required import RowRules
from apps.datasets.reading.rows import RowsFile, RowsWriter, physical, refine_kinds
from apps.datasets.types import Column

__all__ = [
    "EXTENSIONS",
    "DataRefused",
    "FileInfo",
    "IncomingFile",
    "Limits",
    "Problem",
    "ReadResult",
    "RowsFile",
    "physical",
    "read_files",
]

_READERS: Mapping[str, Callable[[Path, str, RowRules, Limits, ProblemLog], Reader]] = {
    "csv": CsvReader,
    "jsonl": JsonlReader,
    "parquet": ParquetReader,
}
# By extension, because a name is what a person can see and correct.
EXTENSIONS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file to read: the name that people know it by and where it lies now."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What was read: columns in order of appearance, rows in all, and per file what was found."""

    columns: tuple[Column, ...]
    rows: int
    files: tuple[FileInfo, ...]
    required: tuple[str, ...]


def file_format(name: str) -> str | None:
    """The format that a file name stands for, or ``None``."""
    return EXTENSIONS.get(PurePosixPath(name.lower()).suffix)


def read_files(
    files: Sequence[IncomingFile],
    dataset_type: str,
    destination: Path,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReadResult:
    """Check ``files`` and write their rows to ``destination``.

    Reads every file twice: once to find all mistakes, the columns and their kinds, once to write. Raises
    :class:`DataRefused` with up to ``limits.max_errors`` problems and the count of the rest; then nothing is
    written.
    """
    limits = limits or Limits()
    log = ProblemLog(limits.max_errors)
    rules = RowRules(dataset_type)
    readers: list[Reader] = []
    for file in files:
        format_ = file_format(file.name)
        if format_ is None:
            log.add(
                Problem(
                    file.name,
                    "file_type",
                    "This kind of file is not taken. Upload .csv, .tsv, .jsonl, .ndjson or .parquet.",
                )
            )
            continue
        try:
            reader = _READERS[format_](file.path, file.name, rules, limits, log)
            for _batch in reader.batches():
                pass
            readers.append(reader)
        except FileUnreadable:
            continue
    if log:
        raise DataRefused(log.problems, log.more)
    columns = _columns(readers)
    if len(columns) > limits.max_columns:
        raise DataRefused(
            [
                Problem(
                    files[0].name,
                    "too_many_columns",
                    f"Together the files have {len(columns):,} columns; at most {limits.max_columns:,} are taken.",
                )
            ]
        )
    try:
        with RowsWriter(destination, columns) as writer:
            for reader in readers:
                for batch in reader.batches():
                    writer.write(batch)
    except FileUnreadable as error:
        raise DataRefused(log.problems, log.more) from error
    rows = RowsFile(destination, columns)
    typed = {name for reader in readers if reader.info.format != "csv" for name in reader.info.kinds}
    return ReadResult(
        refine_kinds(rows, set(rows.names) - typed),
        writer.rows,
        tuple(reader.info for reader in readers),
        rules.required or (),
    )


def _columns(readers: Sequence[Reader]) -> tuple[Column, ...]:
    """The union of all files' columns; a column that holds texts and other values keeps everything as
    JSON."""
    names: dict[str, None] = {}
    for reader in readers:
        names.update(dict.fromkeys(reader.info.kinds))
    columns = []
    for name in names:
        kinds: set[str] = set()
        nullable = False
        for reader in readers:
            kinds |= reader.info.kinds.get(name, set())
            nullable = nullable or reader.info.nulls.get(name, 1) > 0
        kind = _kind(kinds)
        columns.append(Column(name, kind, nullable, "text" if kinds <= {"string"} else "json"))
    return tuple(columns)


def _kind(kinds: set[str]) -> str:
    if not kinds or kinds == {"string"}:
        return "string"
    if kinds == {"integer", "number"}:
        return "number"
    return next(iter(kinds)) if len(kinds) == 1 else "mixed"
