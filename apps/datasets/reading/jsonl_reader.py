"""JSON Lines: one object a line; bad lines are named by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from apps.datasets.reading.base import KIND_OF, Batch, FileInfo
from apps.datasets.reading.csv_reader import header_fault
from apps.datasets.reading.limits import Limits
from apps.datasets.reading.problems import Problem, ProblemLog
from apps.datasets.reading.required import RowRules
from apps.datasets.reading.text import Lines, detect

_PLAIN = {int, float, bool, type(None)}
_TEXTS = {str, type(None)}
_END = object()


class JsonlReader:
    """Reads one JSONL file twice: to check it, then to write it."""

    def __init__(self, path: Path, name: str, rules: RowRules, limits: Limits, log: ProblemLog) -> None:
        self.path, self.name, self.rules, self.limits, self.log = path, name, rules, limits, log
        self.form = detect(path, name, log)
        self._lines: Lines | None = None
        self.info = FileInfo("jsonl", self.form.encoding)
        self._checked = False

    def _problem(self, line: int, code: str, message: str, column: str = "") -> None:
        self.log.add(Problem(self.name, code, message, line=line, column=column))

    def _object(self, text: str, line: int) -> dict[str, Any] | None:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            if line == 1 and text.lstrip().startswith("["):
                raise self.log.stop(
                    Problem(
                        self.name,
                        "json_array",
                        "The file begins a JSON list. Write one object per line instead (JSON Lines).",
                        line=line,
                    )
                ) from error
            place = f" near character {error.colno}" if error.colno else ""
            self._problem(
                line,
                "bad_json",
                f"This is not valid JSON{place}. Each line must be one complete JSON object.",
            )
            return None
        if isinstance(value, list) and line == 1:
            raise self.log.stop(
                Problem(
                    self.name,
                    "json_array",
                    "The line is a JSON list. Write one object per line instead (JSON Lines).",
                    line=line,
                )
            )
        if not isinstance(value, dict):
            self._problem(line, "not_an_object", 'The line is not a JSON object, such as {"text": "…"}.')
            return None
        return value

    @property
    def position(self) -> int:
        """Bytes read."""
        return self._lines.position if self._lines else 0

    def batches(self) -> Iterator[Batch]:
        """Rows as columns of values; an absent key in an otherwise known column is a missing value.

        The first time through every value is checked, a column of a batch at once; only a column that has
        something wrong is gone through value by value, to name the lines.
        """
        self._lines = lines = Lines(self.path, self.name, self.form, self.limits, self.log)
        self.info.rows, self.info.kinds, self.info.nulls = 0, {}, {}
        names: dict[str, None] = {}
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []
        size = 0
        for text in lines:
            if text is None or not text.strip():
                continue
            row = self._object(text, lines.number)
            if row is None:
                continue
            if not names.keys() >= row.keys() and not self._known(names, row, lines.number):
                continue
            rows.append(row)
            numbers.append(lines.number)
            size += len(text)
            if len(rows) >= self.limits.batch_rows or size >= self.limits.batch_bytes:
                yield self._batch(names, rows, numbers)
                rows, numbers, size = [], [], 0
        if rows:
            yield self._batch(names, rows, numbers)
        if not self.info.rows and not self.log:
            raise self.log.stop(Problem(self.name, "no_rows", "The file holds no rows."))
        self._checked = True

    def _known(self, names: dict[str, None], row: dict[str, Any], line: int) -> bool:
        """Take new keys into ``names``; whether the row can be kept."""
        fresh = [key for key in row if key not in names]
        fault = header_fault(fresh, self.limits)
        if fault:
            self._problem(line, "bad_name", fault.replace("column", "key"))
            return False
        names.update(dict.fromkeys(fresh))
        if len(names) > self.limits.max_columns:
            raise self.log.stop(
                Problem(
                    self.name,
                    "too_many_columns",
                    f"By this line the rows have more than {self.limits.max_columns:,} different keys. "
                    "Put free-form keys into one object.",
                    line=line,
                )
            )
        return True

    def _batch(self, names: dict[str, None], rows: list[dict[str, Any]], numbers: list[int]) -> Batch:
        columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in names}
        if not self._checked:
            self._check(columns, rows, numbers)
        for name, cells in columns.items():
            missing = cells.count(None)
            if "" in cells:
                missing += cells.count("")
                columns[name] = cells = [None if cell == "" else cell for cell in cells]
            kinds = {KIND_OF[kind] for kind in set(map(type, cells)) if kind in KIND_OF}
            self.info.kinds.setdefault(name, set()).update(kinds)
            # A column that appears late was missing in every row before it.
            self.info.nulls[name] = self.info.nulls.get(name, self.info.rows) + missing
        self.info.rows += len(rows)
        return Batch(columns, len(rows))

    def _check(self, columns: dict[str, list[Any]], rows: list[dict[str, Any]], numbers: list[int]) -> None:
        found: list[Problem] = []
        complete = [self.rules.decide(row) for row in rows]
        found += [
            Problem(self.name, "missing_columns", self.rules.explain(row), line=line)
            for row, line, good in zip(rows, numbers, complete, strict=True)
            if not good
        ]
        for name in self.rules.required or ():
            for place, code, message in self.rules.wrong_values(name, columns.get(name, [])):
                if complete[place]:
                    found.append(Problem(self.name, code, message, line=numbers[place], column=name))
        for name, cells in columns.items():
            for row_place, fault in self._faults(cells):
                found.append(
                    Problem(self.name, "bad_value", f"“{name[:40]}” {fault}", line=numbers[row_place], column=name)
                )
        for problem in sorted(found, key=lambda item: item.line):
            self.log.add(problem)

    def _faults(self, cells: list[Any]) -> Iterator[tuple[int, str]]:
        """(place, fault) of values that are too large, too deep, or hold a NUL."""
        kinds = set(map(type, cells))
        if kinds <= _PLAIN:
            return
        if kinds <= _TEXTS:
            longest = max(map(len, filter(None, cells)), default=0)
            self.info.largest_cell = max(self.info.largest_cell, longest)
            if longest <= self.limits.max_cell and not any("\x00" in cell for cell in cells if cell):
                return
        for place, cell in enumerate(cells):
            fault, size = value_fault(cell, self.limits)
            self.info.largest_cell = max(self.info.largest_cell, size)
            if fault:
                yield place, fault


def value_fault(value: Any, limits: Limits) -> tuple[str, int]:
    """What is wrong with a value (or an empty string), and about how many characters it takes. Iterative: no
    recursion."""
    size = 0
    # Iterators, not items: a line can hold millions of empty lists.
    stack: list[Iterator[Any]] = [iter((value,))]
    while stack:
        item = next(stack[-1], _END)
        if item is _END:
            stack.pop()
            continue
        if len(stack) > limits.max_depth:
            return f"is nested deeper than {limits.max_depth} levels.", size
        if isinstance(item, str):
            size += len(item)
            if "\x00" in item:
                return "holds a NUL character (\\u0000). Remove it.", size
        elif isinstance(item, dict):
            for key in item:
                size += len(key)
                if "\x00" in key:
                    return "holds a NUL character (\\u0000). Remove it.", size
            stack.append(iter(item.values()))
        elif isinstance(item, list):
            stack.append(iter(item))
        size += 8
    if size > limits.max_cell + 8:
        return f"holds {size:,} characters; at most {limits.max_cell:,} are taken. Split it into rows.", size
    return "", size
