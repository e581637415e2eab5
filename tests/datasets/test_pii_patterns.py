"""FR-003c: what is skipped holds no match, for any pattern that an administrator may write."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.datasets.pii import DEFAULT_RULES, PiiRule
from apps.datasets.pii.checking import PatternError, check_pattern
from apps.datasets.pii.necessary import FLAGS, necessary

ATOMS = ["a", "b", "K", "1", "-", "@", "é", " ", r"\d", r"\w", r"\s", r"\D", "[ab1]", "[^a]", "[^k-m]", "[A-F0-9]", "."]
LOOKS = ["(?=a)", "(?!1)", "(?<=b)", "(?<!a)", r"\b", "^", "$", ""]


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """Patterns with repeats, choices, groups, back-references, looking around, case flags."""
    inner = st.recursive(
        st.sampled_from(ATOMS),
        lambda part: st.one_of(
            st.tuples(part, st.sampled_from(["?", "*", "+", "{2}", "{0,3}", "{1,9}?", "{3,12}"])).map(
                lambda pair: f"(?:{pair[0]}){pair[1]}"
            ),
            st.tuples(part, part).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
            st.lists(part, min_size=1, max_size=4).map("".join),
            part.map(lambda text: f"(?i:{text})"),
        ),
        max_leaves=8,
    )
    body = draw(inner)
    look = st.sampled_from(LOOKS)
    shape = draw(st.sampled_from(["{0}{1}{2}", "(?P<g>{1}){0}(?P=g)", "(?i){0}{1}", "(?s){1}.{2}", "({1})?(?(1)a|b)"]))
    return shape.format(draw(look), body, draw(look))


TEXTS = st.lists(st.text("abkKmM1-9@é. _\n\u212a\u0130\u0660", max_size=14), min_size=1, max_size=6)


@given(patterns(), TEXTS, st.sampled_from([(3, 1e-3), (8, 1e-7), (24, 0.0)]))
@settings(max_examples=600, deadline=None)
def test_what_is_necessary_is_there_wherever_a_pattern_matches(
    pattern: str, texts: list[str], size: tuple[int, float]
) -> None:
    """FR-003c: for any pattern the derived one matches wherever the pattern itself does."""
    compiled = re.compile(pattern, FLAGS)
    derived = necessary(pattern, width=size[0], chance=size[1])
    passed = pl.Series(texts).str.contains(derived).to_list() if derived else [True] * len(texts)
    for text, kept in zip(texts, passed, strict=True):
        assert kept or not compiled.search(text), (pattern, derived, text)


@pytest.mark.parametrize("pattern", ["a{1,900}a{1,900}a{1,900}b", "foo(?:bar|[a-z]{1,200}){1,100}[0-9]{2}", "a\x00b"])
def test_patterns_that_run_away_are_refused(pattern: str) -> None:
    """FR-003c: repeats inside repeats, neighbouring repeats, also behind a needed beginning; and what no text holds."""
    with pytest.raises(PatternError, match=r"back-tracks|NUL"):
        check_pattern(pattern)


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=[rule.key for rule in DEFAULT_RULES])
def test_every_built_in_rule_passes_the_check(rule: PiiRule) -> None:
    """FR-003c: what the product brings along is held to the same: compiles, bounded, never runs away."""
    check_pattern(rule.pattern)


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=[rule.key for rule in DEFAULT_RULES])
def test_every_built_in_rule_has_something_to_hold_on_to(rule: object) -> None:
    """FR-003c: no built-in rule makes the scan look at everything, JSON included; prose passes none of them."""
    prose = pl.Series(["the quick brown fox jumps over the lazy dog, twice; and then (of course) it rests."])
    for screen in (getattr(rule, "screen", ""), getattr(rule, "json_screen", ""), getattr(rule, "closer", "")):
        assert screen
        assert not prose.str.contains(screen)[0], screen
