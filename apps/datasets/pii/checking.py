"""Whether a pattern may be kept: it compiles in both engines, has a bounded width, and never runs away."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from apps.datasets.pii import probe
from apps.datasets.pii.necessary import FLAGS, Alt, Chars, Node, Rep, Seq, pattern_width, tree_of
from apps.datasets.pii.rules import PiiRule

MAX_LENGTH = 2_000
# The widest find: a private key in full.
MAX_WIDTH = 25_000
_LONG = 20_000
_TEXTS = 80
_CPU_SECONDS = 2
_SAMPLE = 200


class PatternError(ValueError):
    """Why a pattern cannot be kept, and what to do."""


def check_pattern(pattern: str) -> None:
    """Raise PatternError unless the pattern can be used on any text of any size."""
    if not pattern.strip() or "\x00" in pattern:
        raise PatternError("The pattern is empty or holds a NUL character; write a regular expression.")
    if len(pattern) > MAX_LENGTH:
        raise PatternError(f"The pattern has {len(pattern):,} characters; at most {MAX_LENGTH:,} are allowed.")
    compiled = _compiled(pattern)
    least, most = pattern_width(pattern)
    if least == 0:
        raise PatternError(
            "The pattern can match nothing at all (everything in it is optional); make a part of it needed."
        )
    if most > MAX_WIDTH:
        raise PatternError(
            f"The pattern has no bounded width (at most {MAX_WIDTH:,} characters); write {{1,64}} instead of + or *."
        )
    if "value" in compiled.groupindex and _empty_value(pattern):
        raise PatternError("The group “value” can be empty or left out; it must hold at least one character.")
    _check_columns(pattern)
    _probe(pattern)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(pattern, FLAGS)
    except re.error as error:
        place = f" at character {error.pos + 1}" if error.pos is not None else ""
        raise PatternError(f"The pattern is no regular expression: {error.msg}{place}.") from error
    except (Warning, OverflowError, RecursionError, ValueError) as error:
        raise PatternError(f"The pattern cannot be used: {error}.") from error


def _empty_value(pattern: str) -> bool:
    """Whether the group ``value`` may take part in a match without holding anything."""
    node, groups = tree_of(pattern)
    number = re.compile(pattern, FLAGS).groupindex["value"]
    value = groups[number]
    return _least(value) == 0 or not _always(node, value)


def _least(node: Node) -> int:
    if isinstance(node, Chars):
        return 1
    if isinstance(node, Rep):
        return node.low * _least(node.item)
    widths = [_least(item) for item in node.items]
    return min(widths) if isinstance(node, Alt) else sum(widths)


def _always(node: Node, wanted: Node) -> bool:
    """Whether every match goes through ``wanted``. Groups are told apart by what they are, not by where: two equal
    ones count as one, which at worst lets a choice of equal halves pass that the scan then skips."""
    if node == wanted:
        return True
    if isinstance(node, Chars):
        return False
    if isinstance(node, Rep):
        return node.low > 0 and _always(node.item, wanted)
    if isinstance(node, Alt):
        return all(_always(item, wanted) for item in node.items)
    inside = wanted.items if isinstance(wanted, Seq) else (wanted,)
    size = len(inside)
    spread = any(node.items[start : start + size] == inside for start in range(len(node.items) - size + 1))
    return spread or any(_always(item, wanted) for item in node.items)


def _check_columns(pattern: str) -> None:
    rule = PiiRule("check", "check", "check", pattern, 1.0)
    for derived in (rule.screen, rule.json_screen, rule.closer):
        try:
            pl.Series(["a"]).str.contains(derived or "a", strict=True)
        except pl.exceptions.PolarsError as error:
            raise PatternError(f"The pattern is too large for scanning whole columns: {str(error)[:200]}") from error


def _probe(pattern: str) -> None:
    texts = list(dict.fromkeys(_hostile_texts(pattern)))[:_TEXTS]
    asked = {"pattern": pattern, "flags": int(FLAGS), "texts": texts, "seconds": _CPU_SECONDS}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(Path(probe.__file__))],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        lines = done.stdout.split()
    except subprocess.TimeoutExpired as error:
        lines = (error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or "").split()
    if lines and lines[-1] == "done":
        return
    shown = texts[int(lines[-1])][:40] if lines else ""
    raise PatternError(
        f"The pattern back-tracks without end on long texts such as “{_printable(shown)}…”. Avoid repeats inside "
        "repeats and neighbouring repeats of the same characters; bound each with {1,64}."
    )


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "·" for character in text)


def _hostile_texts(pattern: str) -> Iterator[str]:
    """For every repeat: what leads to it, its body over and over, and an end that fits nothing."""
    node, _groups = tree_of(pattern, looks=True)
    whole = _sample(node) or "a"
    yield (whole * (_LONG // len(whole) + 1))[:_LONG]
    yield from _pumped(node, "")


def _pumped(node: Node, before: str) -> Iterator[str]:
    if isinstance(node, Chars):
        yield before + _sample(node) * _LONG + "\x01"
    elif isinstance(node, Seq):
        for item in node.items:
            yield from _pumped(item, before)
            before += _sample(item)
    elif isinstance(node, Alt):
        for item in node.items:
            yield from _pumped(item, before)
    else:
        body = _sample(node.item) or "a"
        yield before + (body * (_LONG // len(body) + 1))[:_LONG] + "\x01"
        yield from _pumped(node.item, before)


def _sample(node: Node) -> str:
    """A short text that fits."""
    if isinstance(node, Chars):
        for wanted in "a1A ":
            if any(low <= ord(wanted) <= high for low, high in node.ranges):
                return wanted
        return chr(next((max(low, 33) for low, high in node.ranges if high >= 33), 32)) if node.ranges else ""
    if isinstance(node, Seq):
        return "".join(_sample(item) for item in node.items)[:_SAMPLE]
    if isinstance(node, Alt):
        return next((text for text in (_sample(item) for item in node.items) if text), "")
    return (_sample(node.item) * max(1, min(node.low, _SAMPLE)))[:_SAMPLE] if node.high != 0 else ""
