"""What a scan says: a verdict per file, the reasons for it, and the facts read on the way.

Standard library only: the scanner runs in its own process, without Django.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """Outcome for one file, or for a whole model (the worst of its files)."""

    SAFE = "safe"  # read completely as far as the format allows, nothing wrong
    CORRUPT = "corrupt"  # cannot be what its name says: truncated, lying header, nonsense values
    FAILED = "failed"  # the scanner's limits or a crash ended it: nothing is known, it may be tried again
    UNSAFE = "unsafe"  # would run code, or needs code, when loaded


_RANK = {Verdict.SAFE: 0, Verdict.CORRUPT: 1, Verdict.UNSAFE: 2, Verdict.FAILED: 3}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of *verdicts*; nothing at all counts as safe."""
    return max(verdicts, key=lambda verdict: _RANK[verdict], default=Verdict.SAFE)


@dataclass(frozen=True, slots=True)
class Reason:
    """One finding: a stable key, one sentence of what is wrong and one of what to do."""

    code: str
    message: str
    remedy: str = ""


@dataclass(slots=True)
class FileReport:
    """What was found in one file. ``facts`` holds only numbers and names read from the file."""

    filename: str
    format: str
    verdict: Verdict = Verdict.SAFE
    reasons: list[Reason] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FileReport:
        """Build a report from :meth:`to_json` output."""
        return cls(
            filename=str(data["filename"]),
            format=str(data["format"]),
            verdict=Verdict(data["verdict"]),
            reasons=[Reason(**reason) for reason in data["reasons"]],
            facts=dict(data["facts"]),
        )


@dataclass(slots=True)
class ModelFacts:
    """What the files say about the model as a whole. Sizes in bytes, lengths in tokens."""

    parameter_count: int | None = None
    dtype: str = ""
    context_length: int | None = None
    weight_bytes: int | None = None
    memory_bytes: int | None = None  # to answer one full-length request; see facts.memory_estimate
    kv_bytes_per_token: int | None = None  # see facts.cache_per_token
    architecture: str = ""
    family: str = ""
    vocab_size: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelFacts:
        """Build facts from :meth:`to_json` output; keys of a newer version are dropped."""
        known = set(cls.__dataclass_fields__)
        return cls(**{key: value for key, value in data.items() if key in known})


@dataclass(slots=True)
class ModelReport:
    """The whole scan: every file, and what they say together."""

    files: list[FileReport] = field(default_factory=list)
    facts: ModelFacts = field(default_factory=ModelFacts)

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of all files."""
        return worst(report.verdict for report in self.files)


class FileRefused(Exception):
    """Raised by a reader at the first thing that makes the file unusable."""

    def __init__(self, verdict: Verdict, code: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.verdict = verdict
        self.reason = Reason(code, message, remedy)


def corrupt(code: str, message: str, remedy: str = "Upload an intact copy of the file.") -> FileRefused:
    """Shortcut for a file that is not what its name says."""
    return FileRefused(Verdict.CORRUPT, code, message, remedy)


def unsafe(code: str, message: str, remedy: str) -> FileRefused:
    """Shortcut for a file that would run code when loaded."""
    return FileRefused(Verdict.UNSAFE, code, message, remedy)
