"""Reading uploaded data: CSV, JSON Lines and Parquet in, one checked columnar rows file out.

Everything here is pure (no Django) and holds a bounded amount in memory, whatever the files claim to be.
"""

from __future__ import annotations

import tempfile
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
from apps.datasets.reading.unpacking import COMPRESSIONS, compression_of, inner_name, unpack
from apps.datasets.types import Column

__all__ = [
    "ACCEPTED",
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
# What people are offered; compressed ones besides: .csv.gz, .jsonl.zst, .json.bz2, .zip with one file.
# By extension, because a name is what a person can see and correct.
EXTENSIONS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}


# For file pickers, which look at the last extension only.
ACCEPTED = (*EXTENSIONS, *COMPRESSIONS)


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
    """The format that a file name stands for (``zip`` where only the content tells), or ``None``."""
    inner = inner_name(name)
    found = EXTENSIONS.get(PurePosixPath(inner.lower()).suffix)
    return "zip" if found is None and compression_of(name) == "ZIP" and "." not in inner else found


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
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix="unpacked-") as folder:
        plain = [
            found for number, file in enumerate(files) if (found := _plain(file, Path(folder), number, limits, log))
        ]
        meter = _Meter(sum(file.path.stat().st_size for file, _format in plain), progress)
        for file, format_ in plain:
            try:
                reader = _READERS[format_](file.path, file.name, rules, limits, log)
                for _batch in reader.batches():
                    meter.show(reader.position)
                meter.next(file.path)
                readers.append(reader)
            except FileUnreadable:
                continue
        if log:
            raise DataRefused(log.problems, log.more)
        return _written(files, readers, destination, limits, log, rules, meter)


class _Meter:
    """Counts bytes over two readings of all files."""

    def __init__(self, whole: int, progress: Callable[[int, int], None] | None) -> None:
        self.whole, self.before, self.report = 2 * whole, 0, progress

    def show(self, position: int) -> None:
        """So far in the present file."""
        if self.report is not None:
            self.report(min(self.before + position, self.whole), self.whole)

    def next(self, path: Path) -> None:
        """The present file is read."""
        self.before += path.stat().st_size


def _plain(
    file: IncomingFile, folder: Path, number: int, limits: Limits, log: ProblemLog
) -> tuple[IncomingFile, str] | None:
    """The file as it can be read, unpacked if need be, with its format; ``None`` when the log says why not."""
    name, path = file.name, file.path
    if compression_of(name) and file_format(name) is not None:
        target = folder / str(number)
        try:
            name, path = unpack(path, name, target, limits, log), target
        except FileUnreadable:
            return None
    format_ = EXTENSIONS.get(PurePosixPath(name.lower()).suffix)
    if format_ is None:
        inside = "" if path == file.path else f" (“{name[:80]}” inside)"
        log.add(
            Problem(
                file.name,
                "file_type",
                f"This kind of file is not taken{inside}. Upload .csv, .tsv, .jsonl, .ndjson or .parquet, or one of "
                "them compressed (.gz, .zst, .bz2, .zip).",
            )
        )
        return None
    return IncomingFile(file.name, path), format_


def _written(
    files: Sequence[IncomingFile],
    readers: Sequence[Reader],
    destination: Path,
    limits: Limits,
    log: ProblemLog,
    rules: RowRules,
    meter: _Meter,
) -> ReadResult:
    """The second reading: everything is right, the rows are written."""
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
                    meter.show(reader.position)
                meter.before += reader.position
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
