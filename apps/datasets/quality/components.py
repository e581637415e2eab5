"""The five components of the quality score. Each returns 0 to 100 with the rows and columns that cost it
points.

Row numbers count from 1 over all files of the dataset, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from apps.datasets.quality.profile import blank, is_numeric, measure
from apps.datasets.reading.rows import RowsFile, physical
from apps.datasets.types import DatasetType

SHOWN_ROWS = 20
_OUTLIER = 6.0
_LEAST_ROWS = 20
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_BROKEN = r"\x{FFFD}|Ã[\x{80}-\x{BF}]|â€[\x{2122}\x{153}\x{9d}\x{a6}œ™“”]"
_MARKUP = r"(?i)</?(?:p|div|span|br|a|b|i|td|tr|table|script|style|html|body|li|ul|font)(?:\s[^<>]{0,500})?/?>"


@dataclass(slots=True)
class Component:
    """One part of the score: points, a sentence, and what caused the loss."""

    key: str
    label: str
    score: float
    explanation: str
    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    affected: int = 0

    def to_json(self) -> dict[str, Any]:
        """As kept with the check and shown in answers."""
        return {
            "key": self.key,
            "label": self.label,
            "score": self.score,
            "explanation": self.explanation,
            "columns": self.columns,
            "rows": self.rows,
            "affectedRows": self.affected,
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: the rows, how many, of which type, and its required columns (positions)."""

    rows: RowsFile
    total: int
    dataset_type: str
    required: tuple[int, ...]

    def name(self, index: int) -> str:
        """Uploaded name of a column."""
        return self.rows.columns[index].name


def some_rows(count: int, of: int = 0) -> str:
    """“1 row”, “3 rows”, “1 of 20 rows”."""
    if of:
        return f"{count:,} of {of:,} rows"
    return f"{count:,} row{'' if count == 1 else 's'}"


def _verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _score(share_lost: float) -> float:
    """Points left after losing this share; a loss is never rounded away."""
    points = round(100 * (1 - min(1.0, max(0.0, share_lost))), 1)
    return 99.9 if points == 100 and share_lost > 0 else points


def _where(subject: Subject, condition: pl.Expr) -> tuple[int, list[int]]:
    """How many rows meet a condition, and the numbers of the first ones."""
    frame = subject.rows.scan().select(condition.fill_null(False).alias("hit")).with_row_index("n", offset=1)
    count = frame.select(pl.col("hit").sum()).collect(engine="streaming").item()
    if not count:
        return 0, []
    return int(count), frame.filter("hit").head(SHOWN_ROWS).select("n").collect(engine="streaming")["n"].to_list()


def _by_column(subject: Subject, conditions: dict[int, pl.Expr]) -> dict[int, int]:
    """Hits per column."""
    if not conditions:
        return {}
    counted = subject.rows.scan().select(
        [condition.fill_null(False).sum().alias(str(index)) for index, condition in conditions.items()]
    )
    row = counted.collect(engine="streaming").row(0, named=True)
    return {index: int(row[str(index)]) for index in conditions if row[str(index)]}


def missing_values(subject: Subject) -> Component:
    """Share of empty cells; an empty required cell weighs as much as if its whole row were lost."""
    everything = range(len(subject.rows.columns))
    counts = _by_column(subject, {index: blank(index) for index in everything})
    cells = subject.total * len(subject.rows.columns)
    overall = sum(counts.values()) / cells if cells else 0.0
    needed = [index for index in subject.required if counts.get(index)]
    lost, shown = _where(subject, pl.any_horizontal([blank(index) for index in needed])) if needed else (0, [])
    if not shown and counts:
        _any, shown = _where(subject, pl.any_horizontal([blank(index) for index in counts]))
    # What nobody requires may be sparse on purpose: it costs half.
    share = max(overall / 2, lost / subject.total)
    columns = [
        {
            "column": subject.name(index),
            "count": count,
            "share": round(count / subject.total, 4),
            "required": index in subject.required,
        }
        for index, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    if not counts:
        text = "Every cell holds a value."
    elif lost:
        text = f"{some_rows(lost, subject.total)} {_verb(lost, 'lacks', 'lack')} a required value."
    else:
        text = f"{sum(counts.values()):,} of {cells:,} cells are empty; none of them is required."
    return Component("missingValues", "Missing values", _score(share), text, columns, shown, lost)


def duplicates(subject: Subject) -> Component:
    """Share of rows that repeat an earlier row in every column."""
    names = [physical(index) for index in range(len(subject.rows.columns))]
    # Only the hashes are held, eight bytes a row; the rows themselves stream past.
    hashes = subject.rows.scan().select(pl.struct(names).hash(seed=17).alias("row")).collect(engine="streaming")
    repeated = (~hashes["row"].is_first_distinct()).arg_true()
    count = repeated.len()
    text = (
        f"{some_rows(count, subject.total)} {_verb(count, 'repeats', 'repeat')} an earlier row."
        if count
        else "No row repeats another."
    )
    return Component(
        "duplicates",
        "Duplicates",
        _score(count / subject.total),
        text,
        rows=[number + 1 for number in repeated.head(SHOWN_ROWS).to_list()],
        affected=count,
    )


def distribution(subject: Subject) -> Component:
    """Outliers by median and median deviation (lengths of required texts, values of numbers), and columns of
    one value."""
    if subject.total < _LEAST_ROWS:
        return Component(
            "distribution",
            "Distribution",
            100.0,
            f"With {subject.total} rows a distribution cannot be judged; nothing is deducted.",
        )
    outside: dict[int, pl.Expr] = {}
    columns: list[dict[str, Any]] = []
    constant = 0
    for index, column in enumerate(subject.rows.columns):
        if index not in subject.required and not is_numeric(column):
            continue
        # Lengths spread over magnitudes; their logarithm is what has a middle and a width.
        value = measure(index, column) if is_numeric(column) else (measure(index, column) + 1).log()
        values = subject.rows.scan().select(value.alias("v")).drop_nulls().collect(engine="streaming")["v"]
        if values.len() < _LEAST_ROWS:
            continue
        middle = values.median()
        width = (values - middle).abs().median()
        if index in subject.required and _only_value(subject, index):
            constant += 1
            columns.append({"column": column.name, "problem": "constant", "count": subject.total})
        if not isinstance(middle, float) or not isinstance(width, float) or width == 0:
            continue
        outside[index] = ((value - middle).abs() / (1.4826 * width)) > _OUTLIER
    counts = _by_column(subject, outside)
    lost, shown = _where(subject, pl.any_horizontal([outside[index] for index in counts])) if counts else (0, [])
    for index, count in counts.items():
        what = "value" if is_numeric(subject.rows.columns[index]) else "length"
        columns.append({"column": subject.name(index), "problem": f"outlying {what}", "count": count})
    parts = []
    if lost:
        parts.append(
            f"{some_rows(lost, subject.total)} {_verb(lost, 'lies', 'lie')} far outside what is usual in a column."
        )
    if constant:
        parts.append(f"{constant} required column{'s hold' if constant > 1 else ' holds'} one value throughout.")
    # A few outliers are normal in real data; five in a hundred cost a quarter of the points.
    share = min(1.0, 5 * lost / subject.total) + 0.5 * constant
    return Component(
        "distribution",
        "Distribution",
        _score(share),
        " ".join(parts) or "Lengths and values are evenly spread.",
        columns,
        shown,
        lost,
    )


def _only_value(subject: Subject, index: int) -> bool:
    cell = pl.col(physical(index))
    low, high, empty = (
        subject.rows.scan()
        .select(cell.min().alias("low"), cell.max().alias("high"), cell.is_null().all().alias("empty"))
        .collect(engine="streaming")
        .row(0)
    )
    return not empty and low == high


def schema_compliance(subject: Subject) -> Component:
    """Share of rows that break what their dataset type asks for."""
    required = subject.required
    wrong: dict[str, pl.Expr] = {f"“{subject.name(index)}” is empty": blank(index) for index in required}
    names = {subject.name(index): pl.col(physical(index)).str.strip_chars() for index in required}
    if subject.dataset_type == DatasetType.RLHF_PAIR:
        wrong["“chosen” and “rejected” are the same"] = names["chosen"] == names["rejected"]
    pairs = [
        ("instruction", "response"),
        ("prompt", "completion"),
        ("question", "answer"),
        ("input", "reference"),
    ]
    for asked, answered in pairs:
        if asked in names and answered in names:
            wrong[f"“{answered}” repeats “{asked}”"] = names[asked] == names[answered]
    for index, column in enumerate(subject.rows.columns):
        if column.kind == "mixed":
            texts = pl.col(physical(index)).str.starts_with('"')
            mostly_text = subject.rows.scan().select(texts.mean()).collect(engine="streaming").item() or 0.0
            wrong[f"“{column.name}” holds texts and other values"] = ~texts if mostly_text >= 0.5 else texts
    counted = subject.rows.scan().select([c.fill_null(False).sum().alias(str(i)) for i, c in enumerate(wrong.values())])
    counts = counted.collect(engine="streaming").row(0)
    found = [(text, condition, count) for (text, condition), count in zip(wrong.items(), counts, strict=True) if count]
    lost, shown = _where(subject, pl.any_horizontal([item[1] for item in found])) if found else (0, [])
    columns = [{"problem": text, "count": int(count)} for text, _condition, count in found]
    text = (
        (
            f"{some_rows(lost, subject.total)} {_verb(lost, 'does', 'do')} not comply: "
            f"{found[0][0]}{' and more' if len(found) > 1 else ''}."
        )
        if found
        else "Every row has what its type asks for."
    )
    return Component("schemaCompliance", "Schema compliance", _score(lost / subject.total), text, columns, shown, lost)


def text_format(subject: Subject) -> Component:
    """Share of rows with broken characters, control characters, markup left over, or space around the
    text."""
    kinds = {"broken characters": _BROKEN, "control characters": _CONTROL, "markup": _MARKUP}
    hits: dict[str, list[pl.Expr]] = {kind: [] for kind in kinds}
    spaces: list[pl.Expr] = []
    for index, column in enumerate(subject.rows.columns):
        cell = pl.col(physical(index))
        if column.kind in {"integer", "number", "boolean", "null"}:
            continue
        for kind, pattern in kinds.items():
            hits[kind].append(cell.str.contains(pattern))
        if column.stored == "text":
            spaces.append(cell != cell.str.strip_chars())
    columns: list[dict[str, Any]] = []
    conditions: list[pl.Expr] = []
    for kind, expressions in hits.items():
        if expressions:
            condition = pl.any_horizontal(expressions)
            count, _shown = _where(subject, condition)
            if count:
                columns.append({"problem": kind, "count": count})
                conditions.append(condition)
    padded = _where(subject, pl.any_horizontal(spaces))[0] if spaces else 0
    if padded:
        columns.append({"problem": "white space around text", "count": padded})
    lost, shown = _where(subject, pl.any_horizontal(conditions)) if conditions else (0, [])
    if not shown and padded:
        shown = _where(subject, pl.any_horizontal(spaces))[1]
    # Space around a text is a blemish, not damage: a tenth of the weight.
    share = lost / subject.total + 0.1 * padded / subject.total
    text = ", ".join(f"{entry['problem']} in {some_rows(entry['count'])}" for entry in columns)
    return Component(
        "format",
        "Format",
        _score(share),
        f"{text[:1].upper()}{text[1:]}." if text else "The text is clean.",
        columns,
        shown,
        max(lost, padded),
    )
