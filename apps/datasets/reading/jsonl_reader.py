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


class JsonlReader:
    """Reads one JSONL file twice: to check it, then to write it."""

    def __init__(self, path: Path, name: str, rules: RowRules, limits: Limits, log: ProblemLog) -> None:
        self.path, self.name, self.rules, self.limits, self.log = path, name, rules, limits, log
        self.form = detect(path, name, log)
        self.info = FileInfo("jsonl", self.form.encoding)

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

    def _check(self, row: dict[str, Any], line: int) -> bool:
        before = self.log.total
        if not self.rules.decide(row):
            self._problem(line, "missing_columns", self.rules.explain(row))
        else:
            self.rules.check_values(row, self.name, self.log, line=line)
        for key, value in row.items():
            if type(value) is str and len(value) <= self.limits.max_cell and "\x00" not in value:
                self.info.largest_cell = max(self.info.largest_cell, len(value))
                continue
            fault, size = value_fault(value, self.limits)
            if fault:
                self._problem(line, "bad_value", f"“{key[:40]}” {fault}", key)
            self.info.largest_cell = max(self.info.largest_cell, size)
        return self.log.total == before

    def batches(self) -> Iterator[Batch]:
        """Rows as columns of values; an absent key in an otherwise known column is a missing value."""
        lines = Lines(self.path, self.name, self.form, self.limits, self.log)
        self.info.rows, self.info.kinds, self.info.nulls, self.info.largest_cell = 0, {}, {}, 0
        names: dict[str, None] = {}
        rows: list[dict[str, Any]] = []
        size = 0
        for text in lines:
            if text is None or not text.strip():
                continue
            row = self._object(text, lines.number)
            if row is None:
                continue
            fresh = [key for key in row if key not in names]
            if fresh:
                fault = header_fault(fresh, self.limits)
                if fault:
                    self._problem(lines.number, "bad_name", fault.replace("column", "key"))
                    continue
                names.update(dict.fromkeys(fresh))
                if len(names) > self.limits.max_columns:
                    raise self.log.stop(
                        Problem(
                            self.name,
                            "too_many_columns",
                            f"By this line the rows have more than "
                            f"{self.limits.max_columns:,} different keys. Put free-form keys into one "
                            "object.",
                            line=lines.number,
                        )
                    )
            if not self._check(row, lines.number):
                continue
            rows.append(row)
            size += len(text)
            if len(rows) >= self.limits.batch_rows or size >= self.limits.batch_bytes:
                yield self._batch(names, rows)
                rows, size = [], 0
        if rows:
            yield self._batch(names, rows)
        if not self.info.rows and not self.log:
            raise self.log.stop(Problem(self.name, "no_rows", "The file holds no rows."))

    def _batch(self, names: dict[str, None], rows: list[dict[str, Any]]) -> Batch:
        columns: dict[str, list[Any]] = {}
        for name in names:
            cells = [row.get(name) for row in rows]
            columns[name] = [cell if cell != "" else None for cell in cells]
            kinds = {KIND_OF[type(cell)] for cell in cells if cell is not None}
            self.info.kinds.setdefault(name, set()).update(kinds)
            missing = sum(cell is None or cell == "" for cell in cells)
            # A column that appears late was missing in every row before it.
            self.info.nulls[name] = self.info.nulls.get(name, self.info.rows) + missing
        self.info.rows += len(rows)
        return Batch(columns, len(rows))


def value_fault(value: Any, limits: Limits) -> tuple[str, int]:
    """What is wrong with a value (or an empty string), and about how many characters it takes. Iterative: no
    recursion."""
    size = 0
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > limits.max_depth:
            return f"is nested deeper than {limits.max_depth} levels.", size
        if isinstance(item, str):
            size += len(item)
            if "\x00" in item:
                return "holds a NUL character (\\u0000). Remove it.", size
        elif isinstance(item, dict):
            for key, inner in item.items():
                size += len(key)
                if "\x00" in key:
                    return "holds a NUL character (\\u0000). Remove it.", size
                stack.append((inner, depth + 1))
        elif isinstance(item, list):
            stack.extend((inner, depth + 1) for inner in item)
        size += 8
    if size > limits.max_cell + 8:
        return f"holds {size:,} characters; at most {limits.max_cell:,} are taken. Split it into rows.", size
    return "", size
