"""FR-002, FR-003d: texts are compared by their words, completely and in bounded time."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.text_diff import text_diff
from apps.core.differences import opcodes
from apps.datasets.web.present import word_diff

WORDS = st.lists(st.sampled_from(["a", "b", " ", "\n", ""]), max_size=40)


@given(WORDS, WORDS, st.integers(0, 200))
def test_opcodes_lead_from_one_text_to_the_other(left: list[str], right: list[str], steps: int) -> None:
    """FR-002: without gaps, whether the steps suffice or not; what is called equal is equal."""
    place = other = 0
    for kind, start, end, other_start, other_end in opcodes(left, right, steps=steps):
        assert (start, other_start) == (place, other)
        assert (left[start:end] == right[other_start:other_end]) == (kind == "equal")
        place, other = end, other_end
    assert (place, other) == (len(left), len(right))


def test_small_changes_are_found_between_many_equal_words() -> None:
    """FR-002: one word in the middle of two thousand."""
    words = ["so", "it", "is", "and", "so", "it", "goes", ""] * 250
    changed = [*words[:1_000], "other", *words[1_001:]]
    assert [code[0] for code in opcodes(words, changed)] == ["equal", "replace", "equal"]


def test_nobody_can_write_a_text_that_takes_hours_to_compare() -> None:
    """FR-002, FR-003d: two thousand of the same few words took twenty seconds, and a page shows hundreds of texts."""
    left, right = ("".join("." * length + mark for length in range(60)) for mark in (",", ";"))
    began = time.process_time()
    assert text_diff(left, right)
    assert word_diff(" ".join(left), " ".join(right))
    assert time.process_time() - began < 5
