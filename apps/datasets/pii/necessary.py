"""What a text must hold so that a pattern can match in it, as a pattern of the linear-time engine that columns run on.

A rule's pattern is written for Python's engine and may look around and refer back. From its parse tree we keep what is
consumed, drop what only looks, and cut out the rarest short stretch. Every step can only make the result match more
(repeats lose their ends, a back-reference becomes what its group may hold), so a text in which the result finds
nothing holds no match of the rule. That is what lets the fast way skip texts; a property test holds both together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from itertools import groupby
from typing import Any

# The standard library has no public parser; by name, because type checkers do not know these two.
sre: Any = import_module("re._constants")
_parser: Any = import_module("re._parser")

FLAGS = re.ASCII
_LAST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)
# Beyond this a repeat is written without an upper end: it narrows nothing and makes the automaton large.
_LOOSE = 8

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of these ranges (sorted, apart)."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Seq:
    """One after the other; empty: nothing."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """One of them."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Rep:
    """``low`` to ``high`` times (None: any number)."""

    item: Node
    low: int
    high: int | None


Node = Chars | Seq | Alt | Rep
NOTHING = Seq(())

_CATEGORIES: dict[Any, tuple[Range, ...]] = {
    sre.CATEGORY_DIGIT: ((48, 57),),
    sre.CATEGORY_SPACE: ((9, 13), (32, 32)),
    sre.CATEGORY_WORD: ((48, 57), (65, 90), (95, 95), (97, 122)),
}
_NOT_CATEGORIES = {
    sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT,
    sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE,
    sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD,
}


def _union(ranges: Iterable[Range]) -> tuple[Range, ...]:
    merged: list[list[int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return tuple((low, high) for low, high in merged)


def _complement(ranges: Iterable[Range]) -> tuple[Range, ...]:
    found, start = [], 0
    for low, high in _union(ranges):
        if low > start:
            found.append((start, low - 1))
        start = high + 1
    if start <= _LAST:
        found.append((start, _LAST))
    return tuple(found)


def _both_cases(ranges: Sequence[Range]) -> tuple[Range, ...]:
    """With the other case of ASCII letters; rules are compiled for ASCII, so no other letters have one."""
    more = list(ranges)
    for low, high in ranges:
        for first, last, step in ((65, 90, 32), (97, 122, -32)):
            if low <= last and high >= first:
                more.append((max(low, first) + step, min(high, last) + step))
    return _union(more)


class _Reader:
    """Turns a parse tree into nodes; with ``looks`` what is only looked at counts as if it might be consumed."""

    def __init__(self, *, looks: bool = False) -> None:
        self.looks = looks
        self.groups: dict[int, Node] = {}

    def sequence(self, tree: Any, flags: int) -> Node:
        items: list[Node] = []
        for kind, value in tree:
            node = self.one(kind, value, flags)
            items.extend(node.items if isinstance(node, Seq) else (node,))
        return items[0] if len(items) == 1 else Seq(tuple(items))

    def one(self, kind: Any, value: Any, flags: int) -> Node:
        if kind in (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY):
            return self.characters(kind, value, flags)
        if kind is sre.BRANCH:
            return Alt(tuple(self.sequence(branch, flags) for branch in value[1]))
        if kind is sre.SUBPATTERN:
            group, added, removed, inner = value
            node = self.sequence(inner, (flags | added) & ~removed)
            if group is not None:
                self.groups[group] = node
            return node
        if kind is sre.ATOMIC_GROUP:
            return self.sequence(value, flags)
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            low, high, inner = value
            return Rep(self.sequence(inner, flags), low, None if high is sre.MAXREPEAT else high)
        if kind is sre.GROUPREF:
            return self.groups.get(value, Rep(Chars(((0, _LAST),)), 0, None))
        if kind is sre.GROUPREF_EXISTS:
            _group, yes, no = value
            return Alt((self.sequence(yes, flags), self.sequence(no, flags) if no else NOTHING))
        if self.looks and kind in (sre.ASSERT, sre.ASSERT_NOT):
            return Alt((self.sequence(value[1], flags), NOTHING))
        # Places (^, \b) and looking around consume nothing.
        return NOTHING

    @staticmethod
    def characters(kind: Any, value: Any, flags: int) -> Chars:
        if kind is sre.ANY:
            return Chars(((0, _LAST),))
        negated = kind is sre.NOT_LITERAL
        ranges: list[Range] = []
        for part, detail in value if kind is sre.IN else [(sre.LITERAL, value)]:
            if part is sre.NEGATE:
                negated = True
            elif part is sre.LITERAL:
                ranges.append((detail, detail))
            elif part is sre.RANGE:
                ranges.append(detail)
            elif detail in _CATEGORIES:
                ranges.extend(_CATEGORIES[detail])
            else:
                ranges.extend(_complement(_CATEGORIES[_NOT_CATEGORIES[detail]]))
        if negated:
            # Without the other case, the complement is at most too large.
            return Chars(_complement(ranges))
        return Chars(_both_cases(ranges) if flags & re.IGNORECASE else _union(ranges))


def _width(node: Node) -> int:
    """The least number of characters."""
    if isinstance(node, Chars):
        return 1
    if isinstance(node, Seq):
        return sum(_width(item) for item in node.items)
    if isinstance(node, Alt):
        return min(_width(item) for item in node.items)
    return node.low * _width(node.item)


# How often a character stands at a place of ordinary text, roughly; only the order of magnitude matters, and only
# for speed.
_OFTEN = ((0, 31, 1e-3), (32, 32, 0.16), (48, 57, 2e-3), (65, 90, 1.5e-3), (97, 122, 0.03))
_MARKS = {".": 0.012, ",": 0.012, "-": 3e-3, '"': 3e-3, "'": 3e-3, ":": 2e-3, "(": 2e-3, ")": 2e-3, "/": 1e-3}


def _chance_of_chars(ranges: Sequence[Range]) -> float:
    total = 0.0
    for low, high in ranges:
        for code in range(low, min(high, 127) + 1):
            place = next((often for first, last, often in _OFTEN if first <= code <= last), None)
            total += place if place is not None else _MARKS.get(chr(code), 3e-4)
        if high > 127:
            total += min(0.02, (high - max(low, 128) + 1) * 1e-5)
    return min(1.0, total)


def _chance(node: Node) -> float:
    """How likely a match begins at a place of ordinary text."""
    if isinstance(node, Chars):
        return _chance_of_chars(node.ranges)
    if isinstance(node, Seq):
        return math.prod(_chance(item) for item in node.items)
    if isinstance(node, Alt):
        return min(1.0, sum(_chance(item) for item in node.items))
    return float(_chance(node.item) ** node.low)


def _head(items: Sequence[Node], width: int, chance: float) -> tuple[Node, ...]:
    """The beginning of a sequence: enough for ``width`` characters or for a match as rare as ``chance``; what may
    be absent at its end is left out."""
    kept: list[Node] = []
    solid, wide, rare = 0, 0, 1.0
    queue = list(items)
    while queue and wide < width and rare > chance:
        item = queue.pop(0)
        if isinstance(item, Seq):
            queue[:0] = item.items
            continue
        if isinstance(item, Rep) and item.low:
            # Once more and the rest: a long repeat is cut like any other stretch.
            high = None if item.high is None else item.high - 1
            rest = [] if high == 0 else [Rep(item.item, item.low - 1, high)]
            queue[:0] = [item.item, *rest]
            continue
        if isinstance(item, Alt) and all(_width(branch) >= width - wide for branch in item.items):
            item = Alt(tuple(Seq(_head([branch], width - wide, 0.0)) for branch in item.items))
            queue = []
        kept.append(item)
        least = _width(item)
        if least:
            wide += least
            rare *= _chance(item)
            solid = len(kept)
    return tuple(kept[:solid])


def _safe(node: Node, unsafe: Sequence[Range]) -> bool:
    """Whether no character of ``unsafe`` can be part of it."""
    if isinstance(node, Chars):
        return not any(low <= last and high >= first for low, high in node.ranges for first, last in unsafe)
    if isinstance(node, Rep):
        return _safe(node.item, unsafe)
    return all(_safe(item, unsafe) for item in node.items)


def _rarest(node: Node, width: int, chance: float, unsafe: Sequence[Range]) -> Node | None:
    """The stretch of ``node`` that ordinary text holds least often; None when none is free of ``unsafe``."""
    if isinstance(node, Alt):
        branches = [_rarest(branch, width, chance, unsafe) for branch in node.items]
        return None if None in branches else Alt(tuple(branch for branch in branches if branch is not None))
    if isinstance(node, Rep):
        return _rarest(node.item, width, chance, unsafe) if node.low else None
    items = (node,) if isinstance(node, Chars) else node.items
    found: list[Node] = []
    for place, item in enumerate(items):
        head = _head(items[place:], width, chance)
        if head and _safe(Seq(head), unsafe):
            found.append(Seq(head))
        if not isinstance(item, Chars) and (inner := _rarest(item, width, chance, unsafe)) is not None:
            found.append(inner)
    return min(found, key=_chance, default=None)


def _escaped(code: int) -> str:
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\x{{{code:X}}}"


def _written(node: Node) -> str:
    """In the words of the engine for columns."""
    if isinstance(node, Chars):
        if len(node.ranges) == 1 and node.ranges[0][0] == node.ranges[0][1]:
            return _escaped(node.ranges[0][0])
        parts = []
        for low, high in node.ranges:
            # Half a surrogate pair is no character there, and never in a text.
            low = _SURROGATES[1] + 1 if _SURROGATES[0] <= low <= _SURROGATES[1] else low
            high = _SURROGATES[0] - 1 if _SURROGATES[0] <= high <= _SURROGATES[1] else high
            if low <= high:
                parts.append(_escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}")
        return f"[{''.join(parts)}]" if parts else r"[^\x{0}-\x{10FFFF}]"
    if isinstance(node, Seq):
        runs = [(item, len(list(same))) for item, same in groupby(node.items)]
        return "".join(_written(item) if count == 1 else f"{_unit(item)}{{{count}}}" for item, count in runs)
    if isinstance(node, Alt):
        return f"(?:{'|'.join(_written(item) for item in node.items)})"
    inner = _unit(node.item)
    if node.high is None or node.high > _LOOSE:
        return f"{inner}{{{min(node.low, _LOOSE)},}}"
    return f"{inner}{{{node.low},{node.high}}}"


def _unit(node: Node) -> str:
    """So that a repeat behind it counts for all of it."""
    return _written(node) if isinstance(node, Chars) else f"(?:{_written(node)})"


def tree_of(pattern: str, *, looks: bool = False) -> tuple[Node, dict[int, Node]]:
    """What a pattern consumes, and the same of each of its groups by number."""
    tree = _parser.parse(pattern, FLAGS)
    reader = _Reader(looks=looks)
    return reader.sequence(tree, tree.state.flags), reader.groups


def pattern_width(pattern: str) -> tuple[int, int]:
    """The least and the greatest number of characters of a match."""
    least, most = _parser.parse(pattern, FLAGS).getwidth()
    return int(least), int(most)


@lru_cache(maxsize=1024)
def necessary(pattern: str, *, width: int, chance: float, unsafe: tuple[Range, ...] = ()) -> str:
    """A pattern for the columns' engine that matches in every text in which ``pattern`` matches.

    Args:
        pattern: for Python's engine, compiled for ASCII (digits are 0–9, letters A–Z).
        width: about how many characters it may look at.
        chance: it may stop growing when a match at a place of ordinary text is rarer than this.
        unsafe: characters that must not be part of it.

    Returns an empty text when there is nothing to hold on to: then every text must be looked at.
    """
    found = _rarest(tree_of(pattern)[0], width, chance, unsafe)
    return "" if found is None else _written(found)
