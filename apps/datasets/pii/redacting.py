"""Replacing what is found: in texts, in nested values with their keys, in names of columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from apps.datasets.pii.builtin import DEFAULT_RULES
from apps.datasets.pii.keys import FIXED_NAMES
from apps.datasets.pii.rules import PiiRule, replacement
from apps.datasets.pii.scan import Recogniser, spans


def redact(
    text: str, rules: Sequence[PiiRule] = DEFAULT_RULES, recogniser: Recogniser | None = None
) -> tuple[str, int]:
    """``text`` with every find replaced by its type in brackets, and how many there were.

    Replacing can bring digits together that were apart, so it goes on until nothing is found.
    """
    count = 0
    for _round in range(8):
        found = spans(text, rules, recogniser.spans([text])[0] if recogniser else ())
        if not found:
            break
        count += len(found)
        pieces: list[str] = []
        position = 0
        for span in found:
            pieces += (text[position : span.start], replacement(span.rule.type))
            position = span.end
        text = "".join((*pieces, text[position:]))
    return text, count


def redact_names(
    names: Sequence[str], rules: Sequence[PiiRule] = DEFAULT_RULES, recogniser: Recogniser | None = None
) -> tuple[list[str], int]:
    """Different names (keys of an object, columns) after redaction, still all different, in the same order, and how
    many finds were replaced. Names that we prescribe stay; those that become the same are numbered: ``[EMAIL]``,
    ``[EMAIL]_2``."""
    count = 0
    clean: list[str] = []
    for name in names:
        text, found = (name, 0) if name in FIXED_NAMES else redact(name, rules, recogniser)
        clean.append(text)
        count += found
    if not count:
        return list(names), 0
    # A name in which nothing was found keeps it; the others make room.
    taken = {new for old, new in zip(names, clean, strict=True) if old == new}
    used: Counter[str] = Counter()
    for place, (old, new) in enumerate(zip(names, clean, strict=True)):
        if old != new:
            clean[place] = _free(new, taken, used, rules, recogniser)
            taken.add(clean[place])
    return clean, count


def _free(
    name: str, taken: set[str], used: Counter[str], rules: Sequence[PiiRule], recogniser: Recogniser | None
) -> str:
    """``name``, or with the next number that is free and makes no new find; ``used`` remembers the last one."""
    if not used[name] and name not in taken:
        used[name] = 1
        return name
    used[name] = max(1, used[name])
    while True:
        used[name] += 1
        chosen = f"{name}_{used[name]}"
        if chosen in taken:
            continue
        if not redact(chosen, rules, recogniser)[1]:
            return chosen
        # A number is a find for rules that take any digit: letters are none for them.
        chosen = f"{name}_{_letters(used[name])}"
        if chosen not in taken:
            return chosen


def _letters(number: int) -> str:
    """1, 2, … 26, 27 as a, b, … z, aa."""
    text = ""
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def redact_value(
    value: Any, rules: Sequence[PiiRule] = DEFAULT_RULES, recogniser: Recogniser | None = None
) -> tuple[Any, int]:
    """A value with every find in it and in its keys replaced; numbers in which something was found become text."""
    if isinstance(value, str):
        return redact(value, rules, recogniser)
    if isinstance(value, bool) or value is None:
        return value, 0
    if isinstance(value, (int, float)):
        text, count = redact(str(value), rules, recogniser)
        return (text, count) if count else (value, 0)
    if isinstance(value, dict):
        names, count = redact_names(list(value), rules, recogniser)
        changed: dict[str, Any] = {}
        for name, inner in zip(names, value.values(), strict=True):
            changed[name], found = redact_value(inner, rules, recogniser)
            count += found
        return changed, count
    items = []
    count = 0
    for inner in value:
        item, found = redact_value(inner, rules, recogniser)
        items.append(item)
        count += found
    return items, count
