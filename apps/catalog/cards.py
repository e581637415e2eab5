"""Model cards: which fields a card must hold, how complete one is, and its Markdown as safe HTML.

Pure functions over the free-form ``metadata`` of a model; nothing here touches the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nh3
from markdown_it import MarkdownIt

TEXT_LIMIT = 100_000  # characters of one rendered field


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


def _renderer() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")


_MARKDOWN = _renderer()
_TAGS = {
    "p", "br", "hr", "strong", "em", "code", "pre", "blockquote", "ul", "ol", "li", "a",
    "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
_HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6"}


def render_markdown(text: str) -> str:
    """Return *text* (CommonMark and tables) as HTML that can run nothing and load nothing.

    Raw HTML is shown as text, images become their source, links open only http, https and mailto, headings
    step down below the page's own.
    """
    tokens = _MARKDOWN.parse(text[:TEXT_LIMIT])
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = _HEADINGS.get(token.tag, token.tag)
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
