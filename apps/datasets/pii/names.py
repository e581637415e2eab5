"""Names of people and places as finds: what a language model says, in the words of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.datasets.pii.scan import Span
from apps.integrations.named_entities import EntityFinder


@dataclass(frozen=True, slots=True)
class NamedKind:
    """What a named entity says about itself."""

    type: str
    confidence: float
    mask: str = "middle"

    @property
    def key(self) -> str:
        """In place of a rule's key."""
        return f"ner_{self.type}"


class NameRecogniser:
    """Asks an entity finder."""

    def __init__(self, finder: EntityFinder) -> None:
        self.finder = finder

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """The names in each text; what stands in brackets for something redacted is no name."""
        return [
            [
                Span(NamedKind(entity.kind, entity.score), entity.start, entity.end, text[entity.start : entity.end])
                for entity in found
                if not set("[]") & set(text[max(0, entity.start - 1) : entity.end + 1])
            ]
            for text, found in zip(texts, self.finder.find(texts), strict=True)
        ]
