"""Scanning for PII: whole columns through a cheap screen, exact spans only where something can be.

The slow way (every rule on every text) and the fast way find the same; a property test holds them together. The fast
way takes three steps: one joined screen of all rules over a column, a closer look of each rule at what came through,
and the exact patterns with their validators on the pairs of text and rule that are left.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import orjson
import polars as pl

from apps.datasets.pii.builtin import DEFAULT_RULES
from apps.datasets.pii.keys import COLUMN_NAME, FIXED_NAMES, Leaf, leaves, written
from apps.datasets.pii.masking import mask
from apps.datasets.pii.rules import PiiRule
from apps.datasets.reading.rows import RowsFile, physical

# Kinds whose JSON text is the value itself.
_NUMBERS = frozenset({"integer", "number"})
# Numbers that are written differently when read (1e20), and escapes that our own encoder does not use.
_JSON_DOUBTS = r"[0-9][eE][+\-]?[0-9]|\\[u/]"
# Rules that are looked at together: few enough that their automaton stays small.
_BUNDLE = 4
# Rows at a time; a group of the rows file holds no more, and is bounded in bytes.
_FRAME_ROWS = 65_536
_NAMED_ROWS = 256


class Recognised(Protocol):
    """What a find says about itself: a rule, or a kind of named entity."""

    @property
    def key(self) -> str:
        """Which rule."""

    @property
    def type(self) -> str:
        """Which kind of data."""

    @property
    def confidence(self) -> float:
        """0 to 1."""

    @property
    def mask(self) -> str:
        """How an example is masked."""


class Span(NamedTuple):
    """A find inside one text: characters ``start`` to ``end`` (half-open). A tuple, because many are made."""

    rule: Recognised
    start: int
    end: int
    text: str


class Recogniser(Protocol):
    """Finds what no pattern can (names); slow, so it is asked in batches."""

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """The finds in each text, in order of place."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """A find with its place. ``row`` counts from 1, 0 is the name of the column; ``path`` is empty, or leads into a
    nested value (``[0].content``, ``.(key 1)``). ``digest`` recognises the same text again without holding it."""

    rule: str
    type: str
    row: int
    column: str
    path: str
    start: int
    end: int
    example: str
    confidence: float
    digest: str


def spans(text: str, rules: Sequence[PiiRule] = DEFAULT_RULES, names: Sequence[Span] = ()) -> list[Span]:
    """All finds in ``text`` in order of place; where they overlap, the earlier rule wins, and rules win over
    ``names`` (what a recogniser found)."""
    found: list[Span] = []
    for rule in rules:
        group, check = rule.group, rule.check
        for match in rule.compiled.finditer(text):
            start, end = match.span(group)
            # A group that took no part, or holds nothing, is no find.
            if start < end and (check is None or check(match[group])):
                found.append(Span(rule, start, end, match[group]))
    found.extend(names)
    if len(found) > 1:
        found = _apart(found, len(text))
    return found


def _apart(found: Sequence[Span], length: int) -> list[Span]:
    """Without those that overlap an earlier one of the sequence, by place."""
    # One byte a character: a cell full of finds must not cost the square of their number.
    taken = bytearray(length)
    kept = []
    for span in found:
        if not any(taken[span.start : span.end]):
            taken[span.start : span.end] = b"\x01" * (span.end - span.start)
            kept.append(span)
    kept.sort(key=lambda span: span.start)
    return kept


@lru_cache(maxsize=64)
def _joined(screens: tuple[str, ...]) -> str:
    """All screens as one pattern, which the engine runs together; empty when one of them cannot tell."""
    return "" if "" in screens else "|".join(f"(?:{screen})" for screen in dict.fromkeys(screens))


def _matching(texts: pl.Series, pattern: str) -> pl.Series:
    """Positions of the texts in which the pattern matches; an empty pattern matches every text."""
    if not pattern:
        return texts.is_not_null().arg_true()
    return texts.str.contains(pattern).fill_null(False).arg_true()


def candidates(texts: pl.Series, rules: Sequence[PiiRule] = DEFAULT_RULES) -> pl.Series:
    """Positions of the texts in which some rule may find something (a superset of those in which one
    does)."""
    if not rules:
        return pl.Series(texts.name, [], dtype=pl.UInt32)
    return _matching(texts, _joined(tuple(rule.screen for rule in rules)))


def _hits(texts: pl.Series, patterns: Sequence[str]) -> list[pl.Series]:
    """For each pattern the positions of the texts in which it matches; the engine works on them side by side."""
    cell = pl.col("text")
    asked = [
        (cell.str.contains(pattern) if pattern else cell.is_not_null()).alias(str(place))
        for place, pattern in enumerate(patterns)
    ]
    answers = pl.DataFrame({"text": texts}).select(asked)
    return [answers[str(place)].arg_true() for place in range(len(patterns))]


def _closer(texts: pl.Series, rules: Sequence[PiiRule]) -> dict[int, list[PiiRule]]:
    """Which rules are worth trying on which of the texts, in order of the rules."""
    if not texts.len():
        return {}
    bundles = [tuple(rules[start : start + _BUNDLE]) for start in range(0, len(rules), _BUNDLE)]
    todo: dict[int, list[PiiRule]] = {}
    joined = [_joined(tuple(rule.closer for rule in bundle)) for bundle in bundles]
    for bundle, positions in zip(bundles, _hits(texts, joined), strict=True):
        if not positions.len():
            continue
        places = positions.to_list()
        for rule, found in zip(bundle, _hits(texts.gather(positions), [rule.closer for rule in bundle]), strict=True):
            for place in found.to_list():
                todo.setdefault(places[place], []).append(rule)
    return todo


def column_spans(
    texts: pl.Series, rules: Sequence[PiiRule] = DEFAULT_RULES, recogniser: Recogniser | None = None
) -> Iterator[tuple[int, list[Span]]]:
    """The texts in which something is found, as (position, finds), in order."""
    positions = candidates(texts, rules)
    near = texts.gather(positions)
    todo = _closer(near, rules)
    close = sorted(todo)
    exact = {
        position: (text, todo[place])
        for place, position, text in zip(
            close, positions.gather(close).to_list(), near.gather(close).to_list(), strict=True
        )
    }
    if recogniser is None:
        for position, (text, some) in exact.items():
            if found := spans(text, some):
                yield position, found
        return
    every = [(position, text) for position, text in enumerate(texts.to_list()) if text]
    for (position, text), names in zip(every, recogniser.spans([text for _place, text in every]), strict=True):
        if found := spans(text, exact[position][1] if position in exact else (), names):
            yield position, found


@dataclass(slots=True)
class ScanResult:
    """What a scan found: findings up to the cap, and exact counts beyond it.

    ``column_digests`` recognise all finds of a type in a column again: same texts in the same places.
    """

    findings: list[Finding] = field(default_factory=list)
    total: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    by_column: Counter[tuple[str, str]] = field(default_factory=Counter)
    column_digests: dict[tuple[str, str], Any] = field(default_factory=dict)
    rows: int = 0
    rows_affected: int = 0
    # Columns in whose names something was found.
    names_affected: int = 0
    # Rows in which names were looked for as well; 0 when that is off.
    rows_named: int = 0

    def column_digest(self, column: str, pii_type: str) -> str:
        """Over all finds of this type in this column; empty when there are none."""
        digest = self.column_digests.get((column, pii_type))
        return "" if digest is None else str(digest.hexdigest())


def scan_rows(
    rows: RowsFile,
    rules: Sequence[PiiRule] = DEFAULT_RULES,
    *,
    keep: int = 1_000,
    threshold: float = 0.5,
    key: bytes = b"",
    recogniser: Recogniser | None = None,
    named_rows: int = 0,
    progress: Callable[[int], None] | None = None,
) -> ScanResult:
    """Scan the names of the columns and all rows. Rules below ``threshold`` confidence are left out; at most ``keep``
    findings are kept with their place. A column in whose name something is found goes by its number and a masked name.

    Args:
        key: keys the digests of found texts, so that nobody can try out numbers against them.
        recogniser: looks for names in the first ``named_rows`` rows as well.
        progress: called with the number of rows done.
    """
    active = tuple(rule for rule in rules if rule.confidence >= threshold)
    result = ScanResult()
    labels = _scan_names(result, rows.names, active, keep, key, recogniser if named_rows else None)
    for offset, frame, named in _pieces(rows, named_rows if recogniser is not None else 0):
        names = recogniser if named else None
        affected: set[int] = set()
        for index, column in enumerate(rows.columns):
            plain = column.stored == "text" or column.kind in _NUMBERS
            for row, path, found in _finds(frame[physical(index)], plain, active, names):
                affected.add(row)
                _note(result, keep, key, labels[index], offset + row + 1, path, found)
        result.rows += frame.height
        result.rows_named += frame.height if names is not None else 0
        result.rows_affected += len(affected)
        if progress:
            progress(result.rows)
    return result


def _scan_names(
    result: ScanResult,
    names: Sequence[str],
    rules: Sequence[PiiRule],
    keep: int,
    key: bytes,
    recogniser: Recogniser | None,
) -> list[str]:
    """Note the finds in names of columns; returns what each column is called in findings: found texts are kept nowhere,
    in no mark and no audit trail either."""
    labels = list(names)
    asked = pl.Series("name", [None if name in FIXED_NAMES else name for name in names], dtype=pl.String)
    for index, found in column_spans(asked, rules, recogniser):
        pieces, position = [f"column {index + 1}: "], 0
        for span in found:
            pieces += (names[index][position : span.start], mask(span.text, span.rule.mask))
            position = span.end
        labels[index] = "".join((*pieces, names[index][position:]))
        result.names_affected += 1
        _note(result, keep, key, labels[index], 0, COLUMN_NAME, found)
    return labels


def _pieces(rows: RowsFile, named: int) -> Iterator[tuple[int, pl.DataFrame, bool]]:
    """Frames with the number of their first row, and whether names are looked for in them: the first ``named`` rows
    come in small ones, so that progress is seen."""
    for offset, frame in rows.frames(_FRAME_ROWS):
        head = max(0, min(named - offset, frame.height))
        for start in range(0, head, _NAMED_ROWS):
            piece = frame.slice(start, min(_NAMED_ROWS, head - start))
            yield offset + start, piece, True
        if head < frame.height:
            yield offset + head, frame.slice(head), False


def _note(result: ScanResult, keep: int, key: bytes, column: str, row: int, path: str, found: Iterable[Span]) -> None:
    """Count the finds of one text, and keep the first ones."""
    for span in found:
        pii_type = span.rule.type
        digest = hashlib.blake2b(span.text.encode(), key=key, digest_size=16, person=b"pii finding").hexdigest()
        place = (column, pii_type)
        result.total += 1
        result.by_type[pii_type] += 1
        result.by_column[place] += 1
        whole = result.column_digests.get(place)
        if whole is None:
            whole = result.column_digests[place] = hashlib.blake2b(digest_size=16)
        whole.update(f"{row}\t{path}\t{span.start}\t{digest}\n".encode())
        if len(result.findings) < keep:
            result.findings.append(
                Finding(
                    span.rule.key,
                    pii_type,
                    row,
                    column,
                    path,
                    span.start,
                    span.end,
                    mask(span.text, span.rule.mask),
                    span.rule.confidence,
                    digest,
                )
            )


def _finds(
    cells: pl.Series, plain: bool, rules: Sequence[PiiRule], recogniser: Recogniser | None
) -> Iterator[tuple[int, str, list[Span]]]:
    """(row in the frame, path, finds) of the texts and keys of a column in which something is found."""
    if plain:
        for row, found in column_spans(cells, rules, recogniser):
            yield row, "", found
        return
    rows: list[int] = []
    texts: list[Leaf] = []
    positions = json_candidates(cells, rules) if recogniser is None else cells.is_not_null().arg_true()
    for row, cell in zip(positions.to_list(), cells.gather(positions).to_list(), strict=True):
        for leaf in leaves(orjson.loads(cell)):
            rows.append(row)
            texts.append(leaf)
    hidden: set[str] = set()
    series = pl.Series("leaf", [leaf.text for leaf in texts], dtype=pl.String)
    for position, found in column_spans(series, rules, recogniser):
        leaf = texts[position]
        # A key comes before what is below it, so that no path there shows it.
        if leaf.is_key:
            hidden.add(leaf.text)
        yield rows[position], written(leaf, hidden), found


def json_candidates(cells: pl.Series, rules: Sequence[PiiRule]) -> pl.Series:
    """Positions of the JSON texts that must be taken apart; the others hold nothing, however it is escaped."""
    if not rules:
        return pl.Series(cells.name, [], dtype=pl.UInt32)
    joined = _joined(tuple(rule.json_screen for rule in rules))
    return _matching(cells, f"{joined}|{_JSON_DOUBTS}" if joined else "")
