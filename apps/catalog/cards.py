"""Model cards: which fields a card must hold, and how complete one is.

Pure functions over the free-form ``metadata`` of a model; nothing here touches the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CardField:
    """One required field; any of ``keys`` in the metadata fills it."""

    name: str
    label: str
    keys: tuple[str, ...]
    remedy: str


CARD_FIELDS = (
    CardField("purpose", "Purpose", ("purpose",), "Say what the model is for."),
    CardField("scope", "Scope", ("scope",), "Say where the model may be used, and where not."),
    CardField("contact", "Contact", ("contact",), "Name a person or team that answers questions."),
    CardField("license", "Licence", ("license", "licence"), "Name the licence, for example Apache-2.0."),
)
# Shown as prose on the card besides the required fields, in this order.
PROSE_KEYS = ("description", "limitations", "training_data", "ethical_considerations")


@dataclass(frozen=True, slots=True)
class CardStatus:
    """How complete a card is. ``percent`` counts required fields only."""

    values: dict[str, str]
    missing: tuple[CardField, ...]

    @property
    def complete(self) -> bool:
        """True when every required field is filled."""
        return not self.missing

    @property
    def percent(self) -> int:
        """Filled share of the required fields, 0 to 100."""
        return round(100 * (len(CARD_FIELDS) - len(self.missing)) / len(CARD_FIELDS))


def card_status(metadata: Mapping[str, Any]) -> CardStatus:
    """Read the card fields out of *metadata*; text that is not blank (or a list of it) fills a field."""
    values: dict[str, str] = {}
    missing = []
    for field in CARD_FIELDS:
        text = next((found for key in field.keys if (found := as_text(metadata.get(key)))), "")
        if text:
            values[field.name] = text
        else:
            missing.append(field)
    return CardStatus(values, tuple(missing))


def as_text(value: object) -> str:
    """Return *value* as stripped text: a string, a list of strings, or the texts of a contact object."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return ", ".join(item.strip() for item in value if isinstance(item, str) and item.strip())
    if isinstance(value, Mapping):
        return ", ".join(item.strip() for item in value.values() if isinstance(item, str) and item.strip())
    return ""
