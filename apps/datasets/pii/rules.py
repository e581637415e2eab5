"""A rule: an exact pattern, a named validator, a confidence. The rules themselves are rows of the database; those that
the product brings along are in ``builtin``.

A group named ``value`` narrows the find to what matters. Rules are ordered: where two finds overlap, the earlier rule
keeps the text. Patterns are compiled for ASCII: digits are 0–9, letters A–Z.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from apps.datasets.pii.necessary import FLAGS, necessary
from apps.datasets.pii.validators import validator_named

# What the encoder of JSON cells writes differently from what is meant: quotes, backslashes, control characters.
_ESCAPED = ((0, 31), (34, 34), (92, 92))


@dataclass(frozen=True)
class PiiRule:
    """One kind of personal or secret data and how it is recognised.

    ``regions`` (country codes, comma-separated) is read by the validators of telephone numbers.
    """

    key: str
    type: str
    label: str
    pattern: str
    confidence: float
    validator: str = ""
    mask: str = "middle"
    regions: str = ""
    version: int = 1
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)
    check: Callable[[str], bool] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(self.pattern, FLAGS))
        object.__setattr__(self, "check", validator_named(self.validator, self.regions) if self.validator else None)

    def valid(self, text: str) -> bool:
        """Whether a match of the pattern counts."""
        return self.check is None or self.check(text)

    @cached_property
    def group(self) -> str | int:
        """Which part of a match is the find."""
        return "value" if "value" in self.compiled.groupindex else 0

    @cached_property
    def screen(self) -> str:
        """Short and cheap: what a text must hold; for looking at everything."""
        return necessary(self.pattern, width=8, chance=1e-7)

    @cached_property
    def json_screen(self) -> str:
        """The same for JSON text, whatever of it is escaped there."""
        return necessary(self.pattern, width=8, chance=1e-7, unsafe=_ESCAPED)

    @cached_property
    def closer(self) -> str:
        """Longer: for looking at what the screen let through."""
        return necessary(self.pattern, width=24, chance=0.0)


@lru_cache(maxsize=64)
def rules_digest(rules: Sequence[PiiRule]) -> str:
    """Identifies a set of rules with their order, so that a check says which rules it used."""
    rows = [[r.key, r.type, r.pattern, r.validator, r.regions, r.confidence, r.mask] for r in rules]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def replacement(pii_type: str) -> str:
    """What stands in a redacted copy where something was found."""
    return f"[{pii_type.upper()}]"
