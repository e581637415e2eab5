"""Two texts, word by word: what stayed, what went, what came. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from apps.core.differences import opcodes

# Longer texts are compared by lines, and the longest not at all.
WORD_LIMIT = 2_000
LINE_LIMIT = 2_000
_WORDS = re.compile(r"\s+|[^\s\w]|\w+")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text with ``op`` = ``same``, ``removed`` (only left) or ``added`` (only right)."""

    op: str
    text: str


def text_diff(left: str, right: str) -> tuple[Segment, ...]:
    """Return the pieces that turn *left* into *right*, in reading order; empty when they are too long to compare.

    The pieces that are not ``added`` make up *left*, those that are not ``removed`` make up *right*.
    """
    for pattern, limit in ((_WORDS, WORD_LIMIT), (_LINES, LINE_LIMIT)):
        parts = pattern.findall(left), pattern.findall(right)
        if max(map(len, parts)) <= limit:
            return tuple(_segments(*parts))
    return ()


def _segments(left: list[str], right: list[str]) -> Iterator[Segment]:
    for op, start, end, other_start, other_end in opcodes(left, right):
        if op == "equal":
            yield Segment("same", "".join(left[start:end]))
            continue
        if end > start:
            yield Segment("removed", "".join(left[start:end]))
        if other_end > other_start:
            yield Segment("added", "".join(right[other_start:other_end]))
