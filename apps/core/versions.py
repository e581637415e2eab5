"""Versions of catalog things: ``v?N(.N){0,2}`` with an optional suffix.

A version is stored as it was sent and compared as a semantic version. The comparison key is a plain string,
so that the database can hold a unique constraint on it and sort by it (with collation ``C``): ``1.0``,
``v1.0`` and ``1.0.0`` share one key and therefore conflict; ``1.0.0-rc.2`` sorts before ``1.0.0-rc.10``,
which sorts before ``1.0.0``. A suffix with ``+`` (build) sorts after the version it belongs to and is a
version of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

MAX_LENGTH = 64
KEY_MAX_LENGTH = 255

_NUMBER = r"[0-9]{1,9}"
_IDENTIFIERS = r"[0-9A-Za-z]+(?:[.\-_][0-9A-Za-z]+)*"
_PATTERN = re.compile(
    rf"v?(?P<major>{_NUMBER})(?:\.(?P<minor>{_NUMBER}))?(?:\.(?P<patch>{_NUMBER}))?"
    rf"(?:-(?P<dashed>{_IDENTIFIERS})|(?P<joined>[A-Za-z][0-9A-Za-z]*(?:[.\-_][0-9A-Za-z]+)*))?"
    rf"(?:\+(?P<build>{_IDENTIFIERS}))?"
)
_SEPARATORS = re.compile(r"[.\-_]")

HELP = "Use one to three numbers with dots and an optional suffix, for example 1, 1.2, v1.2.0 or 1.2.0-rc.1."


class InvalidVersion(ValueError):
    """The text is not a version; the message says what is accepted."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A parsed version. Equality and order follow the semantic key, not the text."""

    text: str
    major: int
    minor: int
    patch: int
    suffix: tuple[str, ...]
    build: tuple[str, ...]
    key: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.key == other.key

    def __lt__(self, other: Version) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.text


def _identifier_key(identifier: str) -> str:
    """Numbers compare as numbers and sort before words, as semantic versions want it."""
    if identifier.isdigit():
        digits = identifier.lstrip("0") or "0"
        return f"0{len(digits):02d}{digits}"
    return f"1{identifier}"


def _suffix_key(identifiers: tuple[str, ...]) -> str:
    # A space sorts below every character of an identifier, so the shorter of two equal beginnings comes
    # first.
    return " ".join(_identifier_key(part) for part in identifiers)


def parse(text: str) -> Version:
    """Parse ``text``; raises :class:`InvalidVersion` with a message for the person who sent it."""
    if not isinstance(text, str) or not text:
        raise InvalidVersion(f"A version is required. {HELP}")
    if len(text) > MAX_LENGTH:
        raise InvalidVersion(f"The version is longer than {MAX_LENGTH} characters. {HELP}")
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise InvalidVersion(f"“{text}” is not a version. {HELP}")
    major, minor, patch = (int(match[name] or 0) for name in ("major", "minor", "patch"))
    raw_suffix = match["dashed"] or match["joined"] or ""
    suffix = tuple(_SEPARATORS.split(raw_suffix)) if raw_suffix else ()
    build = tuple(_SEPARATORS.split(match["build"])) if match["build"] else ()
    # "~" is above, " " below everything that can follow: a pre-release sorts before its release.
    key = f"{major:09d}.{minor:09d}.{patch:09d}" + (f" {_suffix_key(suffix)}" if suffix else "~")
    if build:
        key += f"+{_suffix_key(build)}"
    return Version(text, major, minor, patch, suffix, build, key)


def version_key(text: str) -> str:
    """The comparison key of ``text`` (unique per semantic version, sortable with collation C)."""
    return parse(text).key


def is_version(text: str) -> bool:
    """Whether ``text`` can be stored as a version."""
    try:
        parse(text)
    except InvalidVersion:
        return False
    return True


def next_patch(text: str) -> str:
    """The next patch version after ``text``, for something derived from it: ``1.0`` → ``1.0.1``, ``v2-rc.1``
    → ``v2.0.1``."""
    version = parse(text)
    prefix = "v" if text.startswith("v") else ""
    return f"{prefix}{version.major}.{version.minor}.{version.patch + 1}"
