"""Data sheets: what a dataset is, where it comes from, on what ground it is held, and for how long.

Pure functions over the free-form ``metadata`` of a dataset; nothing here touches the database. The sheet lies in
``metadata.datasheet``; what is missing there is looked for at the top of ``metadata``, where older datasets keep it.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

SHEET_KEY = "datasheet"
MAX_TEXT = 4_000


@dataclass(frozen=True, slots=True)
class SheetField:
    """One field of the sheet; any of ``keys`` fills it, with or without camel case."""

    name: str
    label: str
    keys: tuple[str, ...]
    remedy: str


SHEET_FIELDS = (
    SheetField("what", "What it is", ("what", "description", "purpose"), "Say what the rows are and what for."),
    SheetField("source", "Source", ("source", "origin"), "Say where the data comes from and who collected it."),
    SheetField(
        "consent",
        "Consent or legal basis",
        ("consent", "legal_basis", "legalBasis"),
        "Say on what ground it is held: consent, contract, published under a licence, no personal data …",
    ),
    SheetField("licence", "Licence", ("licence", "license"), "Name the licence, for example CC-BY-4.0 or internal."),
    SheetField(
        "retention",
        "Retention",
        ("retention", "retention_until", "retentionUntil", "retention_period", "retentionPeriod"),
        "Give a date (2028-12-31), a period (24 months) or “unlimited”.",
    ),
    SheetField("contact", "Contact", ("contact",), "Name a person or team that answers questions."),
)
_DATE = re.compile(r"(?<![0-9])([0-9]{4})-([0-9]{2})-([0-9]{2})(?![0-9])")
# Few blanks, so that a text of nothing else costs nothing.
_PERIOD = re.compile(r"(?<![0-9.,])([0-9]{1,5})\s{0,3}-?\s{0,3}(day|week|month|year)s?\b", re.IGNORECASE)
_ISO_PERIOD = re.compile(r"\bP(?=[0-9])(?:([0-9]{1,4})Y)?(?:([0-9]{1,5})M)?(?:([0-9]{1,5})W)?(?:([0-9]{1,5})D)?\b")
_UNLIMITED = re.compile(r"\b(unlimited|indefinite(ly)?|permanent(ly)?|no limit|forever|none)\b", re.IGNORECASE)
_LAST_YEAR = 9_999


@dataclass(frozen=True, slots=True)
class Retention:
    """What a retention text means: an end (``until``), a period (``months`` and ``days``) or ``unlimited``.

    All empty: nothing can be read from the text, so nothing will ever expire by it.
    """

    until: date | None = None
    months: int = 0
    days: int = 0
    unlimited: bool = False

    @property
    def readable(self) -> bool:
        """Whether the text could be read."""
        return self.unlimited or self.until is not None or bool(self.months or self.days)

    def end(self, start: date) -> date | None:
        """The last day on which the data may be kept, counting a period from ``start``; ``None`` without an end."""
        if self.until is not None or not (self.months or self.days):
            return self.until
        month = start.year * 12 + start.month - 1 + self.months
        year = month // 12
        if year > _LAST_YEAR:
            return None
        # The 31st of a shorter month is its last day, as people count.
        day = min(start.day, monthrange(year, month % 12 + 1)[1])
        try:
            return date(year, month % 12 + 1, day) + timedelta(days=self.days)
        except OverflowError:
            return None


def read_retention(text: str) -> Retention:
    """Read a retention: an ISO date, a period in words (``24 months``) or ISO 8601 (``P2Y``), or ``unlimited``."""
    if found := _DATE.search(text):
        try:
            return Retention(until=date(int(found[1]), int(found[2]), int(found[3])))
        except ValueError:
            return Retention()
    if found := _PERIOD.search(text):
        count, unit = int(found[1]), found[2].lower()
        if unit in {"month", "year"}:
            return Retention(months=count * (12 if unit == "year" else 1))
        return Retention(days=count * (7 if unit == "week" else 1))
    if found := _ISO_PERIOD.search(text):
        years, months, weeks, days = (int(part or 0) for part in found.groups())
        return Retention(months=years * 12 + months, days=weeks * 7 + days)
    return Retention(unlimited=bool(_UNLIMITED.search(text)))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A data sheet as far as it is filled in."""

    values: dict[str, str]
    missing: tuple[SheetField, ...]

    @property
    def complete(self) -> bool:
        """True when every field is filled."""
        return not self.missing

    @property
    def percent(self) -> int:
        """Filled share of the fields, 0 to 100."""
        return round(100 * (len(SHEET_FIELDS) - len(self.missing)) / len(SHEET_FIELDS))

    @property
    def retention(self) -> Retention:
        """What the retention means."""
        return read_retention(self.values.get("retention", ""))

    @property
    def filled(self) -> list[tuple[str, str]]:
        """(label, text) of the filled fields, in order."""
        return [(field.label, self.values[field.name]) for field in SHEET_FIELDS if field.name in self.values]


def sheet_of(metadata: Mapping[str, Any]) -> Sheet:
    """The data sheet in ``metadata``; text that is not blank (or a list or object of such) fills a field."""
    own = metadata.get(SHEET_KEY)
    places = [own, metadata] if isinstance(own, Mapping) else [metadata]
    values: dict[str, str] = {}
    missing = []
    for field in SHEET_FIELDS:
        found = (as_text(place.get(key)) for place in places for key in field.keys)
        text = next((text for text in found if text), "")
        if text:
            values[field.name] = text
        else:
            missing.append(field)
    return Sheet(values, tuple(missing))


def as_text(value: object) -> str:
    """A value as one line of text: a string, a number of something, a list or object of strings; else empty."""
    return ", ".join(text for item in _texts(value) if (text := item.strip()))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))
    elif isinstance(value, Mapping):
        yield from (item for item in value.values() if isinstance(item, str))


def with_sheet(metadata: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """``metadata`` with these fields of the sheet set; blank ones are taken out of it, unknown ones stay."""
    own = metadata.get(SHEET_KEY)
    sheet = dict(own) if isinstance(own, Mapping) else {}
    for field in SHEET_FIELDS:
        if field.name not in values:
            continue
        for key in field.keys:
            sheet.pop(key, None)
        if text := values[field.name].strip():
            sheet[field.name] = text
    result = {key: value for key, value in metadata.items() if key != SHEET_KEY}
    return {**result, SHEET_KEY: sheet} if sheet else result


def sheet_fault(metadata: Mapping[str, Any]) -> str:
    """Why the sheet in ``metadata`` cannot be taken (its shape, not its completeness), or an empty string."""
    own = metadata.get(SHEET_KEY)
    if own is None:
        return ""
    if not isinstance(own, Mapping):
        names = ", ".join(field.name for field in SHEET_FIELDS)
        return f"metadata.{SHEET_KEY} must be an object with the fields {names}."
    for field in SHEET_FIELDS:
        for key in field.keys:
            if len(as_text(own.get(key))) > MAX_TEXT:
                return f"metadata.{SHEET_KEY}.{key} is longer than {MAX_TEXT:,} characters."
    return ""
