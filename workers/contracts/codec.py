"""Dataclasses to and from JSON, strictly.

A job spec crosses a process boundary (and in a cluster a version boundary), so reading it is a check, not a
cast: an unknown key, a missing one or a wrong type is a `SpecError` that names the field with its full path.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")


class SpecError(ValueError):
    """A document that breaks its contract.

    `field` is the dotted path of the offending field (`hyperparameters.learning_rate`), `problem` says
    what is wrong with it and what would be right.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}" if field else problem)

    def under(self, parent: str) -> SpecError:
        """The same error seen from the document that holds this one under `parent`."""
        return SpecError(_join(parent, self.field), self.problem)


def to_plain(value: Any) -> Any:
    """Dataclasses, enums and tuples as JSON-ready dicts, strings and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON knows no NaN; a reader that sees null asks, one that sees NaN breaks
    return value


def from_plain(cls: type[T], data: Any, path: str = "") -> T:
    """Build `cls` from parsed JSON; raises `SpecError` naming the first field that does not fit."""
    if not isinstance(data, dict):
        raise SpecError(path, f"must be an object, not {_name_of(data)}.")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(typing.cast("Any", cls)) if field.init}
    for key in data:
        if key not in fields:
            known = ", ".join(sorted(fields))
            raise SpecError(_join(path, str(key)), f"is not known here. Known fields: {known}.")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        where = _join(path, name)
        if name in data:
            values[name] = _convert(hints[name], data[name], where)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SpecError(where, "is required.")
    try:
        return cls(**values)
    except SpecError as error:
        raise error.under(path) from None


def parse_json(text: str | bytes) -> Any:
    """Parse JSON text; a syntax error becomes a `SpecError` with line and column."""
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise SpecError("", f"is not UTF-8 text ({error.reason} at byte {error.start}).") from None
    except json.JSONDecodeError as error:
        problem = f"is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise SpecError("", problem) from None


def _join(parent: str, child: str) -> str:
    if not parent or not child:
        return parent or child
    return f"{parent}{child}" if child.startswith("[") else f"{parent}.{child}"


def _name_of(value: Any) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "text",
    }
    names |= {list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _convert_optional(typing.get_args(hint), value, path)
    if origin in (tuple, list):
        if not isinstance(value, list):
            raise SpecError(path, f"must be a list, not {_name_of(value)}.")
        item = typing.get_args(hint)[0]
        items = [_convert(item, entry, f"{path}[{index}]") for index, entry in enumerate(value)]
        return tuple(items) if origin is tuple else items
    if origin is dict:
        if not isinstance(value, dict):
            raise SpecError(path, f"must be an object, not {_name_of(value)}.")
        inner = typing.get_args(hint)[1]
        return {key: _convert(inner, entry, _join(path, str(key))) for key, entry in value.items()}
    if hint is Any:
        return value
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _convert_enum(hint, value, path)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast("type", hint), value, path)
    return _convert_scalar(hint, value, path)


def _convert_optional(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in choices:
        return None
    rest = [choice for choice in choices if choice is not type(None)]
    return _convert(rest[0], value, path)


def _convert_enum(hint: type[StrEnum], value: Any, path: str) -> StrEnum:
    allowed = ", ".join(member.value for member in hint)
    if not isinstance(value, str):
        raise SpecError(path, f"must be one of {allowed}, not {_name_of(value)}.")
    try:
        return hint(value)
    except ValueError:
        raise SpecError(path, f"must be one of {allowed}, not {value[:80]!r}.") from None


def _convert_scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    # bool is an int to Python, never to a person who wrote `"seed": true`
    if type(value) is not hint:
        wanted = {
            str: "text",
            int: "a whole number",
            float: "a number",
            bool: "true or false",
        }
        raise SpecError(path, f"must be {wanted.get(hint, str(hint))}, not {_name_of(value)}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(path, "must be a finite number.")
    if isinstance(value, str) and "\x00" in value:
        raise SpecError(path, "must not hold a null character.")
    return value
