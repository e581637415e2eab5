"""FR-003c: what the PII rules find and leave alone, and that the fast way finds what the slow way finds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.datasets.pii import (
    DEFAULT_RULES,
    PiiRule,
    column_spans,
    mask,
    redact,
    redact_value,
    scan,
    scan_rows,
    spans,
    validators,
)
from apps.datasets.pii.keys import leaves, written
from apps.datasets.reading.base import encode
from tests.datasets.files import jsonl, rows_of

FOUND: Sequence[tuple[str, str, str]] = (
    ("email", "Write to ann.lee+test@mail.example.co.uk, please.", "ann.lee+test@mail.example.co.uk"),
    ("email", "<bob@example.com>", "bob@example.com"),
    ("phone", "Call +44 20 7946 0958.", "+44 20 7946 0958"),
    ("phone", "+1 (555) 010-1234", "+1 (555) 010-1234"),
    ("phone", "+4930123456", "+4930123456"),
    ("phone", "my number is (415) 555-0132", "(415) 555-0132"),
    ("phone", "415-555-0132", "415-555-0132"),
    ("phone", "415.555.0132", "415.555.0132"),
    ("phone", "010-1234-5678", "010-1234-5678"),
    ("phone", "call me at 555-0123 tonight", "555-0123"),
    ("phone", "Phone: 4155550132", "4155550132"),
    ("credit_card", "4111 1111 1111 1111", "4111 1111 1111 1111"),
    ("credit_card", "4111-1111-1111-1111", "4111-1111-1111-1111"),
    ("credit_card", "amex 378282246310005.", "378282246310005"),
    ("credit_card", '{"card": 5555555555554444}', "5555555555554444"),
    ("iban", "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB29NWBK60161331926819", "GB29NWBK60161331926819"),
    ("ip_address", "from 203.0.113.7 port 22", "203.0.113.7"),
    ("ip_address", "2001:db8::ff00:42:8329", "2001:db8::ff00:42:8329"),
    ("us_ssn", "ssn 123-45-6789", "123-45-6789"),
    ("api_key", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("api_key", "ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9),
    ("api_key", "hf_" + "aB3d" * 8, "hf_" + "aB3d" * 8),
    ("api_key", "sk-proj-" + "aB3d" * 8, "sk-proj-" + "aB3d" * 8),
    ("api_key", "api_key = 'abc123def456ghi789jkl'", "abc123def456ghi789jkl"),
    ("api_key", "npm_" + "aB3d" * 9, "npm_" + "aB3d" * 9),
    ("api_key", "SG." + "aB3d" * 5 + "ab." + "aB3d" * 10 + "abc", ""),
    ("national_id", "AB 12 34 56 C", "AB 12 34 56 C"),
    ("national_id", "Steuer-ID: 86 095 742 719", "86 095 742 719"),
    ("national_id", "2 55 08 14 168 025 38", "2 55 08 14 168 025 38"),
    ("national_id", "12345678Z", "12345678Z"),
    ("national_id", "X1234567L", "X1234567L"),
    ("national_id", "RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    ("national_id", "BSN 111222333", "111222333"),
    ("national_id", "93.05.18-223.61", "93.05.18-223.61"),
    ("national_id", "PESEL: 44051401359", "44051401359"),
    ("national_id", "811228-9874", "811228-9874"),
    ("national_id", "131052-308T", "131052-308T"),
    ("national_id", "529.982.247-25", "529.982.247-25"),
    ("national_id", "2341 2341 2346", "2341 2341 2346"),
    ("national_id", "SIN: 130-692-544", "130-692-544"),
    ("national_id", "TFN 123 456 782", "123 456 782"),
    ("phone", "030-901820", "030-901820"),
    ("phone", "ring 01632-960-001", ""),
    ("api_key", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", ""),
)
LEFT_ALONE = (
    "4111 1111 1111 1112",
    "order 1234567890123456",
    "0000 0000 0000 0000",
    "DE89 3704 0044 0532 0130 02",
    "000-12-3456",
    "666-12-3456",
    "127.0.0.1 and 0.0.0.0",
    "999.1.1.1",
    "version 1.2.3",
    "12:30:45",
    "std::vector face::add",
    "2024-01-15",
    "2024-1234-5678",
    "550e8400-e29b-41d4-a716-446655440000",
    "3.14159265358979323846",
    "not an address: a@b",
    "@mention and user@",
    "password: correct-horse-battery",
    "1,234,567.89",
    "ISBN 978-3-16-148410-0",
    "GB 12 34 56 C",
    "Steuer-ID: 86095742718",
    "12345678A",
    "RSSMRA85T10A562T",
    "BSN 111222334",
    "93.05.18-223.62",
    "811228-9875",
    "131052-308U",
    "529.982.247-26",
    "2341 2341 2347",
    "SIN: 130-692-545",
    "02-03-2023 and 02.03.2023",
    "[EMAIL] [PHONE] [CREDIT_CARD] [API_KEY]",
)


@pytest.mark.parametrize(("kind", "text", "what"), FOUND, ids=[row[1][:30] for row in FOUND])
def test_rule_finds(kind: str, text: str, what: str) -> None:
    """FR-003c: each kind with its exact span, also in the middle of a sentence."""
    for sentence in (text, f"Before it {text} after it", f"({text})"):
        found = spans(sentence)
        assert [span.rule.type for span in found] == [kind], sentence
        assert sentence[found[0].start : found[0].end] == found[0].text
        if what:
            assert found[0].text == what


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_rule_leaves_alone(text: str) -> None:
    """FR-003c: checksums and ranges tell real numbers from others."""
    assert spans(text) == []


@pytest.mark.parametrize(("kind", "text", "what"), FOUND, ids=[row[1][:30] for row in FOUND])
def test_examples_are_masked(kind: str, text: str, what: str) -> None:
    """FR-003c: an example never shows what was found."""
    for span in spans(text):
        shown = mask(span.text, span.rule.mask)
        assert span.text not in shown
        assert sum(character.isalnum() for character in shown) <= 8
        assert len(shown) <= 64


def json_values(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of values."""
    keys = st.text('ab"@\\', max_size=3) | MIXED | st.sampled_from(["role", "content"])
    return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)


PIECES = [text for _kind, text, _what in FOUND] + list(LEFT_ALONE)
LETTERS = "ab1 2@.-+:()/_=E4\n\t•é٣"
MIXED = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(LETTERS, max_size=20), st.text(max_size=10)), max_size=6
).map("".join)


@given(st.lists(MIXED, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_fast_way_finds_what_the_slow_way_finds(texts: list[str]) -> None:
    """FR-003c: the screens pass over nothing: the same finds at the same places as every rule on every text."""
    fast = dict(column_spans(pl.Series("text", texts, dtype=pl.String)))
    slow = {position: found for position, text in enumerate(texts) if (found := spans(text))}
    assert fast == slow


@given(
    st.lists(
        st.recursive(
            MIXED | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False), json_values
        ),
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_fast_way_finds_the_same_inside_nested_values(values: list[Any]) -> None:
    """FR-003c: however JSON escapes a text or writes a number, what is in it (keys too) is found at its path."""
    cells = pl.Series("cell", [encode(value, as_json=True) for value in values], dtype=pl.String)
    fast = [(row, path, found) for row, path, found in scan._finds(cells, False, DEFAULT_RULES, None)]
    every = [(row, leaf, spans(leaf.text)) for row, value in enumerate(values) for leaf in leaves(value)]
    hidden = {leaf.text for _row, leaf, found in every if leaf.is_key and found}
    assert fast == [(row, written(leaf, hidden), found) for row, leaf, found in every if found]


@given(MIXED)
@settings(max_examples=300, deadline=None)
def test_redacted_text_is_clean(text: str) -> None:
    """FR-003c: after redaction nothing is found any more, and doing it again changes nothing."""
    clean, count = redact(text)
    assert spans(clean) == []
    assert redact(clean) == (clean, 0)
    assert bool(count) == bool(spans(text))


@given(st.from_regex(r"[0-9]{13,19}", fullmatch=True))
@settings(max_examples=200)
def test_luhn_catches_every_changed_digit(number: str) -> None:
    """FR-003c: of the ten numbers that differ in one digit exactly one is valid."""
    valid = [digit for digit in "0123456789" if validators.luhn(number[:-1] + digit)]
    assert len(valid) == 1


def test_scan_places_findings_in_rows_columns_and_nested_values(tmp_path: Path) -> None:
    """FR-003c: row, column, path and span, also inside chats and numbers; text after an escape is not
    missed."""
    chat = [{"role": "user", "content": "hi\nann@example.com"}, {"role": "assistant", "content": "hello"}]
    rows = rows_of(tmp_path, jsonl([{"messages": chat, "card": 4111111111111111}, {"messages": chat[1:], "card": 1}]))
    result = scan_rows(rows)
    places = [(finding.type, finding.row, finding.column, finding.path) for finding in result.findings]
    assert sorted(places) == [("credit_card", 1, "card", ""), ("email", 1, "messages", "[0].content")]
    email = next(finding for finding in result.findings if finding.type == "email")
    assert chat[0]["content"][email.start : email.end] == "ann@example.com"
    assert (result.total, result.rows, result.rows_affected) == (2, 2, 1)


def test_scan_counts_beyond_what_it_keeps(tmp_path: Path) -> None:
    """FR-003c: places are kept up to a bound, counts are exact."""
    rows = rows_of(tmp_path, jsonl({"text": f"mail p{n}@example.com"} for n in range(300)), kind="pretrain_corpus")
    result = scan_rows(rows, keep=20)
    assert (len(result.findings), result.total, result.rows_affected) == (20, 300, 300)
    assert result.by_column["text", "email"] == 300
    assert scan_rows(rows, threshold=0.99).total == 0


def test_redaction_keeps_the_shape_of_values() -> None:
    """FR-003c: nested values keep their structure; only what was found is replaced."""
    value = {"a": ["x@example.com", 1, None, True], "b": {"c": 4111111111111111, "d": "fine"}}
    changed, count = redact_value(value)
    assert changed == {"a": ["[EMAIL]", 1, None, True], "b": {"c": "[CREDIT_CARD]", "d": "fine"}}
    assert count == 2
    assert json.dumps(changed)


def test_a_cell_full_of_finds_is_no_trap() -> None:
    """FR-003c: time grows with the text, not with the square of its finds (this would take minutes)."""
    text = " ".join(f"p{n}@example.com" for n in range(20_000))
    clean, count = redact(text)
    assert count == 20_000
    assert "@" not in clean


@pytest.mark.parametrize("text", ["a" * 200_000, "1 " * 100_000, "a@" * 100_000, "1.1." * 50_000, "A" * 100_000])
def test_endless_text_is_no_trap(text: str) -> None:
    """FR-003c: no pattern runs away on long monotonous text."""
    spans(text)


def test_rules_name_known_validators() -> None:
    """FR-003c: rules are data; a rule with an unknown validator is refused when it is made."""
    assert len({rule.key for rule in DEFAULT_RULES}) == len(DEFAULT_RULES)
    with pytest.raises(ValueError, match="no validator “nobody”"):
        PiiRule("x", "x", "x", "x", 1.0, validator="nobody")
