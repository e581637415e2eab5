"""FR-001: versions are stored as sent and compared as semantic versions."""

from __future__ import annotations

import pytest

from apps.core import versions


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.0",
        "1.0.0",
        "v1",
        "v2.3",
        "0.0.1",
        "1.2.3-rc.1",
        "1.2.3-redacted",
        "1.0rc1",
        "1.0+build.5",
        "v1.0.0-beta+exp",
    ],
)
def test_version_is_accepted(text: str) -> None:
    """FR-001: the documented forms are versions and keep their text."""
    assert versions.parse(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v",
        "latest",
        "1.2.3.4",
        "1..2",
        ".1",
        "1.",
        "-1",
        "1.0-",
        "1.0+",
        "1 0",
        "1.0\n",
        "1.0/../x",
        "1.0--a",
        "V1.0",
        "1234567890",
        "1" * 70,
        "١.٠",
        "1.0-ü",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    """FR-001: everything else is refused with a message that shows what is accepted."""
    with pytest.raises(versions.InvalidVersion, match=r"v1\.2\.0"):
        versions.parse(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.0", "1.0.0"),
        ("1", "v1.0.0"),
        ("01.0", "1.0"),
        ("1.0-rc.1", "1.0.0-rc.01"),
        ("1.0rc1", "1.0.0-rc1"),
    ],
)
def test_spellings_of_one_version_conflict(one: str, other: str) -> None:
    """FR-001: ``1.0`` and ``1.0.0`` are the same version."""
    assert versions.parse(one) == versions.parse(other)
    assert versions.version_key(one) == versions.version_key(other)


def test_versions_sort_as_semantic_versions() -> None:
    """FR-001: order by number, pre-releases before their release, builds after it."""
    ordered = [
        "0.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0+redacted",
        "1.0+redacted.2",
        "1.0.1",
        "1.2",
        "1.10",
        "2",
        "v10",
    ]
    assert [str(version) for version in sorted(map(versions.parse, reversed(ordered)))] == ordered


def test_derived_version_follows_its_source() -> None:
    """FR-003c: a redacted copy gets the next version after its source."""
    assert versions.next_patch("1.0") == "1.0.1"
    assert versions.next_patch("v2") == "v2.0.1"
    assert versions.next_patch("1.2.3-rc.1+build") == "1.2.4"
    assert versions.parse("1.0") < versions.parse(versions.next_patch("1.0"))
