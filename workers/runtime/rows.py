"""Dataset rows from JSONL: read, checked, and brought to one shape. No torch here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.contracts import COLUMN_CHOICES, DatasetRef
from workers.runtime.errors import DatasetInvalid

Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: either `text`, or `messages` that end with the assistant's answer."""

    index: int
    row_id: str
    text: str = ""
    messages: tuple[tuple[str, str], ...] = ()
    """(role, content) pairs."""

    @property
    def prompt(self) -> Messages:
        """Everything before the last answer."""
        return [{"role": role, "content": content} for role, content in self.messages[:-1]]

    @property
    def conversation(self) -> Messages:
        """The whole conversation."""
        return [{"role": role, "content": content} for role, content in self.messages]

    @property
    def question(self) -> str:
        """What the last user message says."""
        return self.messages[-2][1] if len(self.messages) > 1 else self.text

    @property
    def reference(self) -> str:
        """The last answer."""
        return self.messages[-1][1] if self.messages else ""


def read_rows(dataset: DatasetRef) -> list[Row]:
    """All rows of a dataset; raises `DatasetInvalid` naming line and column of the first bad one."""
    rows: list[Row] = []
    columns: dict[str, str] = dict(dataset.columns)
    for line, data in _objects(Path(dataset.path)):
        columns = columns or _detect(dataset, data, line)
        rows.append(_row(columns, data, index=len(rows), line=line))
    if not rows:
        raise DatasetInvalid("The dataset holds no rows.", field="dataset.path")
    return rows


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as handle:
            for line, raw in enumerate(handle, start=1):
                if raw.strip():
                    yield line, _parse(raw, line)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetInvalid(f"{path} cannot be read: {reason}.", field="dataset.path") from None


def _parse(raw: bytes, line: int) -> dict[str, Any]:
    try:
        data = json.loads(raw)
    except UnicodeDecodeError:
        raise DatasetInvalid(f"Line {line} is not UTF-8 text.", field="dataset.path") from None
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deeply nested"
        raise DatasetInvalid(f"Line {line} is not valid JSON: {reason}.", field="dataset.path") from None
    if not isinstance(data, dict):
        raise DatasetInvalid(f"Line {line} is not a JSON object.", field="dataset.path")
    return data


def _detect(dataset: DatasetRef, data: dict[str, Any], line: int) -> dict[str, str]:
    for choice in COLUMN_CHOICES[dataset.type]:
        if all(column in data for column in choice.values()):
            return dict(choice)
    wanted = " or ".join("+".join(choice.values()) for choice in COLUMN_CHOICES[dataset.type])
    found = ", ".join(sorted(str(key) for key in data)[:20]) or "none"
    message = f"Line {line} lacks the columns of {dataset.type.value} data: {wanted}. It has: {found}."
    raise DatasetInvalid(message, field="dataset.columns")


def _row(columns: dict[str, str], data: dict[str, Any], *, index: int, line: int) -> Row:
    row_id = data.get("id")
    known_id = str(row_id) if isinstance(row_id, (str, int)) else ""
    if "text" in columns:
        return Row(index=index, row_id=known_id, text=_text(data, columns["text"], line))
    if "messages" in columns:
        return Row(
            index=index,
            row_id=known_id,
            messages=_messages(data, columns["messages"], line),
        )
    missing = [role for role in ("prompt", "response") if role not in columns]
    if missing:
        raise DatasetInvalid(
            f"No column is named for {missing[0]}.",
            field=f"dataset.columns.{missing[0]}",
        )
    prompt = _text(data, columns["prompt"], line)
    if "context" in columns:
        prompt = f"{_text(data, columns['context'], line)}\n\n{prompt}"
    response = _text(data, columns["response"], line)
    return Row(
        index=index,
        row_id=known_id,
        messages=(("user", prompt), ("assistant", response)),
    )


def _text(data: dict[str, Any], column: str, line: int) -> str:
    if column not in data:
        raise DatasetInvalid(f"Line {line} has no column {column!r}.", field="dataset.columns")
    value = data[column]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        kind = "null" if value is None else type(value).__name__
        raise DatasetInvalid(
            f"Line {line}, column {column!r}: must be text, not {kind}.",
            field="dataset.path",
        )
    text = str(value).strip()
    if not text:
        raise DatasetInvalid(f"Line {line}, column {column!r} is empty.", field="dataset.path")
    return text


def _messages(data: dict[str, Any], column: str, line: int) -> tuple[tuple[str, str], ...]:
    value = data.get(column)
    where = f"Line {line}, column {column!r}"
    if not isinstance(value, list):
        raise DatasetInvalid(f"{where}: must be a list of messages.", field="dataset.path")
    messages: list[tuple[str, str]] = []
    for position, item in enumerate(value, start=1):
        role = item.get("role") if isinstance(item, dict) else None
        content = item.get("content") if isinstance(item, dict) else None
        if role not in ("system", "user", "assistant") or not isinstance(content, str):
            problem = f"{where}: message {position} needs a role (system, user, assistant) and a text content."
            raise DatasetInvalid(problem, field="dataset.path")
        messages.append((role, content))
    while messages and messages[-1][0] != "assistant":
        messages.pop()  # a question without an answer teaches nothing
    if not any(role == "user" for role, _ in messages):
        raise DatasetInvalid(
            f"{where}: needs a user message and an assistant's answer.",
            field="dataset.path",
        )
    return tuple(messages)
