"""CSV and TSV: delimiter found by trying, strict quoting, ragged rows named by line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from apps.datasets.reading.base import Batch, FileInfo
from apps.datasets.reading.limits import Limits
from apps.datasets.reading.problems import FileUnreadable, Problem, ProblemLog
from apps.datasets.reading.required import RowRules
from apps.datasets.reading.text import Lines, detect

DELIMITERS = (",", "\t", ";", "|")
_SNIFF_LINES = 50


class _Feed:
    """Gives decoded lines to the csv module and bounds what one record may join."""

    def __init__(self, lines: Lines, limits: Limits, log: ProblemLog) -> None:
        self.lines, self.limits, self.log = lines, limits, log
        self.pending = 0
        self.broken = False
        self.first_line = 0

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            if self.pending == 0:
                self.first_line = self.lines.number
            if line is None:
                # The problem is logged; an empty line keeps the numbering of the csv module in step.
                self.broken = True
                line = "\n"
            elif "\x00" in line:
                self.broken = True
                self.log.add(
                    Problem(
                        self.lines.name,
                        "nul_byte",
                        "The line holds a NUL byte. Remove it, or save the file as UTF-8 text.",
                        line=self.lines.number,
                    )
                )
                line = line.replace("\x00", "")
            self.pending += len(line)
            if self.pending > self.limits.max_line:
                raise self.log.stop(
                    Problem(
                        self.lines.name,
                        "row_too_long",
                        "A row that starts here does not end within "
                        f"{self.limits.max_line // (1024 * 1024)} MiB. Probably a quote is never closed.",
                        line=self.first_line,
                    )
                )
            yield line


class CsvReader:
    """Reads one CSV file twice: to check it, then to write it."""

    def __init__(self, path: Path, name: str, rules: RowRules, limits: Limits, log: ProblemLog) -> None:
        self.path, self.name, self.rules, self.limits, self.log = path, name, rules, limits, log
        self.form = detect(path, name, log, legacy=True)
        self._lines: Lines | None = None
        self.info = FileInfo("csv", self.form.encoding, self._delimiter())
        self.header: list[str] = []

    def _delimiter(self) -> str:
        quiet = ProblemLog(1)
        try:
            sample = [
                line
                for line in islice(Lines(self.path, self.name, self.form, self.limits, quiet), _SNIFF_LINES)
                if line
            ]
        except FileUnreadable:
            return ","
        best, best_score = ",", (0.0, 0)
        for delimiter in DELIMITERS:
            try:
                # No strictness: the sample may end inside a quoted field.
                widths = [len(record) for record in csv.reader(sample, delimiter=delimiter) if record]
            except csv.Error:
                continue
            if not widths or widths[0] < 2:
                continue
            score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            if score > best_score:
                best, best_score = delimiter, score
        return best

    def _header(self, record: list[str]) -> list[str]:
        names = [name.strip() for name in record]
        line = 1
        if len(names) > self.limits.max_columns:
            raise self.log.stop(
                Problem(
                    self.name,
                    "too_many_columns",
                    f"The header has {len(names):,} columns; at most {self.limits.max_columns:,} are taken.",
                    line=line,
                )
            )
        fault = header_fault(names, self.limits)
        if fault:
            raise self.log.stop(Problem(self.name, "bad_header", fault, line=line))
        if not self.rules.decide(names):
            raise self.log.stop(Problem(self.name, "missing_columns", self.rules.explain(names), line=line))
        if "messages" in (self.rules.required or ()):
            raise self.log.stop(
                Problem(
                    self.name,
                    "wrong_format",
                    "Chats in “messages” cannot be kept in CSV. Upload them as JSONL or Parquet.",
                    line=line,
                )
            )
        return names

    @property
    def position(self) -> int:
        """Bytes read."""
        return self._lines.position if self._lines else 0

    def batches(self) -> Iterator[Batch]:
        """Rows as columns of text; an empty field is a missing value."""
        self._lines = lines = Lines(self.path, self.name, self.form, self.limits, self.log)
        feed = _Feed(lines, self.limits, self.log)
        reader = csv.reader(iter(feed), delimiter=self.info.delimiter, strict=True)
        self.info.rows, self.info.kinds, self.info.nulls, self.info.largest_cell = 0, {}, {}, 0
        csv.field_size_limit(self.limits.max_line)
        records: list[list[str]] = []
        size = 0
        header: list[str] = []
        while True:
            feed.pending = 0
            feed.broken = False
            try:
                record = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                self.log.add(
                    Problem(
                        self.name,
                        "bad_quoting",
                        f"The quoting is broken ({error}). Double every quote inside a "
                        "quoted field and close each one.",
                        line=feed.first_line or lines.number,
                    )
                )
                continue
            if feed.broken or not record:
                continue
            if not header:
                header = self._header(record)
                continue
            if len(record) != len(header):
                self.log.add(
                    Problem(
                        self.name,
                        "ragged_row",
                        f"{len(record)} fields where the header has {len(header)}. "
                        "Quote fields that hold the delimiter or a line break.",
                        line=feed.first_line,
                    )
                )
                continue
            longest = max(map(len, record))
            if longest > self.limits.max_cell:
                column = header[[len(cell) for cell in record].index(longest)]
                self.log.add(
                    Problem(
                        self.name,
                        "cell_too_large",
                        f"“{column}” holds {longest:,} characters; at most "
                        f"{self.limits.max_cell:,} are taken. Split it into rows.",
                        line=feed.first_line,
                        column=column,
                    )
                )
                continue
            self.info.largest_cell = max(self.info.largest_cell, longest)
            records.append(record)
            size += feed.pending
            if len(records) >= self.limits.batch_rows or size >= self.limits.batch_bytes:
                yield self._batch(header, records)
                records, size = [], 0
        if not header:
            raise self.log.stop(Problem(self.name, "empty_file", "The file has no header row."))
        if records:
            yield self._batch(header, records)
        self.header = header
        if not self.info.rows and not self.log:
            raise self.log.stop(Problem(self.name, "no_rows", "The file has a header and no rows."))

    def _batch(self, header: list[str], records: list[list[str]]) -> Batch:
        columns: dict[str, list[str | None]] = {}
        for name, cells in zip(header, zip(*records, strict=True), strict=True):
            columns[name] = [cell or None for cell in cells]
            self.info.kinds.setdefault(name, set()).add("string")
            missing = sum(not cell for cell in cells)
            self.info.nulls[name] = self.info.nulls.get(name, 0) + missing
        self.info.rows += len(records)
        return Batch(columns, len(records))


def header_fault(names: list[str], limits: Limits) -> str:
    """What is wrong with the column names, or an empty string."""
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            return f"Column {position} has no name. Name every column in the first row."
        if len(name) > limits.max_name:
            return f"The name of column {position} has {len(name):,} characters; at most {limits.max_name} are taken."
        if any(ord(character) < 32 for character in name):
            return f"The name of column {position} holds a control character."
        if name in seen:
            return f"Two columns are named “{name}”. Rename one of them."
        seen.add(name)
    return ""
