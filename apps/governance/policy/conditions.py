"""Conditions of policies: CEL expressions that are checked before they are kept and cheap to evaluate afterwards.

CEL cannot loop forever, write, or reach anything but the four values it is given. What it could still do is take long,
so the text is bounded and list macros may not be nested: the work stays linear in the length of the expression.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cel

MAX_LENGTH = 1000
MAX_CONDITIONS = 20
MAX_MACROS = 8

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "actor": frozenset({"id", "username", "roles", "organisation_roles", "teams"}),
    "action": frozenset({"id", "scope", "verb", "parameters"}),
    "resource": frozenset(
        {
            "id",
            "type",
            "name",
            "version",
            "status",
            "kind",
            "team",
            "visibility",
            "environment",
            "author_id",
            "created_at",
            "quality_score",
            "pii_scan_status",
        }
    ),
    "environment": frozenset({"name", "hour", "weekday", "now"}),
}

FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string", "bool"}
    | {
        "timestamp",
        "duration",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
    }
    | {"getHours", "getMinutes", "getSeconds", "min", "max"}
)

_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_TOKEN = re.compile(
    r"""(?P<string>[bBrR]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))"""
    r"""|(?P<comment>//[^\n]*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>\d[\w.]*)|(?P<space>\s+)|(?P<mark>.)""",
    re.DOTALL,
)
_PARSER_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")

SAMPLE: Mapping[str, Mapping[str, Any]] = {
    "actor": {
        "id": "00000000-0000-0000-0000-000000000000",
        "username": "ada",
        "roles": ["viewer"],
        "organisation_roles": ["auditor"],
        "teams": ["support"],
    },
    "action": {"id": "dataset.view", "scope": "dataset", "verb": "get", "parameters": {}},
    "resource": {
        "id": "00000000-0000-0000-0000-000000000000",
        "type": "dataset",
        "name": "name",
        "version": "v1",
        "status": "draft",
        "kind": "sft_pair",
        "team": "support",
        "visibility": "team",
        "environment": "dev",
        "author_id": "",
        "created_at": "",
        "quality_score": 100.0,
        "pii_scan_status": "clean",
    },
    "environment": {"name": "dev", "hour": 12, "weekday": 1},
}


class ConditionError(ValueError):
    """An expression that cannot be kept; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression with the attributes that it reads, as (root, attribute) pairs."""

    source: str
    message: str
    program: cel.Program
    reads: frozenset[tuple[str, str]]


def _place(source: str, offset: int) -> str:
    line = source.count("\n", 0, offset) + 1
    column = offset - (source.rfind("\n", 0, offset) + 1) + 1
    return f"line {line}, column {column}"


def _tokens(source: str) -> list[tuple[str, str, int]]:
    found = []
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or "mark"
        if kind not in {"space", "comment"}:
            found.append((kind, match.group(), match.start()))
    return found


def _inspect(source: str) -> frozenset[tuple[str, str]]:
    """Check names and macro nesting; return the attributes that are read."""
    tokens = [*_tokens(source), ("mark", "", len(source)), ("mark", "", len(source))]
    reads: set[tuple[str, str]] = set()
    bound: set[str] = set()
    macros = 0
    open_macros: list[bool] = []
    for index, (kind, text, offset) in enumerate(tokens[:-2]):
        after, then = tokens[index + 1], tokens[index + 2]
        previous = tokens[index - 1][1] if index else ""
        if text == "(" and kind == "mark":
            before = tokens[index - 1] if index else ("", "", 0)
            is_macro = before[0] == "name" and before[1] in _MACROS and index >= 2 and tokens[index - 2][1] == "."
            if is_macro and any(open_macros):
                raise ConditionError(f"{_place(source, offset)}: list macros such as exists() cannot be nested.")
            macros += is_macro
            if macros > MAX_MACROS:
                raise ConditionError(f"{_place(source, offset)}: at most {MAX_MACROS} list macros in one condition.")
            if is_macro and after[0] == "name":
                bound.add(after[1])
            open_macros.append(is_macro)
        elif text == ")" and kind == "mark" and open_macros:
            open_macros.pop()
        elif kind == "name" and text in ATTRIBUTES and previous != ".":
            if after[1] != "." or then[0] != "name":
                raise ConditionError(
                    f"{_place(source, offset)}: '{text}' is read by attribute; "
                    f"write {text}.<one of {', '.join(sorted(ATTRIBUTES[text]))}>."
                )
            if then[1] not in ATTRIBUTES[text]:
                raise ConditionError(
                    f"{_place(source, then[2])}: '{text}' has no '{then[1]}'; "
                    f"known are: {', '.join(sorted(ATTRIBUTES[text]))}."
                )
            reads.add((text, then[1]))
    clash = bound & ATTRIBUTES.keys()
    if clash:
        raise ConditionError(f"'{min(clash)}' cannot be the variable of a list macro; call it something else.")
    return frozenset(reads)


def _bound_names(source: str) -> set[str]:
    tokens = _tokens(source)
    return {
        tokens[index + 2][1]
        for index, (kind, text, _) in enumerate(tokens[:-2])
        if kind == "name" and text in _MACROS and tokens[index + 1][1] == "("
    }


def _parse(source: str) -> cel.Program:
    try:
        return cel.compile(source)
    except ValueError as error:
        found = _PARSER_ERROR.search(str(error))
        if found is None:
            raise ConditionError("the expression is too deeply nested or not CEL at all.") from error
        line, column, text = found.groups()
        raise ConditionError(f"line {line}, column {column}: {text.split(' expecting ')[0]}.") from error


def compile_condition(source: str, message: str = "") -> Condition:
    """Compile one expression for keeps.

    Raises:
        ConditionError: too long, not CEL, unknown names or functions, nested macros, or not a yes-or-no question.
    """
    if not source.strip():
        raise ConditionError("the expression is empty.")
    if len(source) > MAX_LENGTH:
        raise ConditionError(f"the expression has {len(source)} characters; at most {MAX_LENGTH} are allowed.")
    if "\x00" in source:
        raise ConditionError("the expression holds a NUL character.")
    program = _parse(source)
    reads = _inspect(source)
    references = program.references()
    unknown = set(references["variables"]) - ATTRIBUTES.keys() - _bound_names(source)
    if unknown:
        raise ConditionError(f"unknown name '{min(unknown)}'; known are: {', '.join(sorted(ATTRIBUTES))}.")
    foreign = {name for name in references["functions"] if name.isidentifier() and name not in FUNCTIONS}
    if foreign:
        raise ConditionError(f"unknown function '{min(foreign)}'; known are: {', '.join(sorted(FUNCTIONS))}.")
    condition = Condition(source=source, message=message, program=program, reads=reads)
    _try_out(condition)
    return condition


def _try_out(condition: Condition) -> None:
    """Run it once on a sample, so that a sum or a comparison of text with numbers is refused when it is written."""
    try:
        answer = condition.program.execute(cel.Context(variables=sample()))
    except KeyError:
        return
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        reason = str(error).split(". Check", 1)[0].split(" CEL does not", 1)[0]
        raise ConditionError(f"it fails when evaluated: {reason}") from error
    if not isinstance(answer, bool):
        raise ConditionError(f"it must answer true or false, but answers {type(answer).__name__}.")


def sample() -> dict[str, Any]:
    """Values of every attribute, for trying expressions out."""
    values = {root: dict(attributes) for root, attributes in SAMPLE.items()}
    values["environment"]["now"] = cel.evaluate("timestamp('2026-01-05T12:00:00Z')")
    return values
