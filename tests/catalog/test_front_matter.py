"""FR-001: cards as the Hub writes them, in and out; hostile ones refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import ModelCard

from apps.catalog.cards import card_status
from apps.catalog.front_matter import CardUnreadable, card_from_metadata, metadata_from_card, split_card

FULL: dict[str, Any] = {
    "purpose": "Answers support questions.\n\n- politely\n- briefly",
    "scope": "Support: yes. Law: no.",
    "contact": "ada@example.org",
    "license": "apache-2.0",
    "language": ["en", "de"],
    "tags": ["support", "---", "a: b"],
    "base_model": "acme/base",
    "description": "Text with --- lines\n---\nand # headings",
    "limitations": "Knows nothing of law.",
}


def test_card_survives_the_round() -> None:
    """FR-001: what is written is what is read, whatever the texts hold."""
    text = card_from_metadata(title="support 1.0", metadata={**FULL, "private_note": "stays"}, family="llama")
    assert metadata_from_card(text) == FULL
    assert "private_note" not in text
    assert card_status(metadata_from_card(text)).complete


def test_hubs_own_library_reads_our_card() -> None:
    """FR-001: the front matter is what huggingface_hub expects."""
    card = ModelCard(card_from_metadata(title="support 1.0", metadata=FULL, family="llama"))
    read = card.data.to_dict()
    assert (read["license"], read["language"], read["base_model"]) == ("apache-2.0", ["en", "de"], "acme/base")
    assert "Answers support questions." in card.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# Just text", {"description": "# Just text"}),
        ("---\n---\nBody", {"description": "Body"}),
        ("---\nlicense: mit\n---", {"license": "mit"}),
        ("\ufeff---\r\nlicense: mit\r\n---\r\nBody\r\n", {"license": "mit", "description": "Body"}),
        ("---\nlicense: other\nlicense_name: own\n---\n", {"license": "own", "license_name": "own"}),
        ("---\nlicense: null\ntags: []\n---\n", {}),
        ("---\ndatasets:\n- a/b\n2024: x\n---\n", {"datasets": ["a/b"]}),
        ("---\nmetrics: [.inf, 2024-01-01, 1.5]\n---\n", {"metrics": [None, "2024-01-01", 1.5]}),
        ("---\npurpose: P\nscope: [a, b]\n---\n", {"purpose": "P", "scope": ["a", "b"]}),
        ("---\nllm_ops: text\n---\nBody", {"description": "Body"}),
        ("----\nnot front matter", {"description": "----\nnot front matter"}),
    ],
)
def test_cards_of_others_are_read(text: str, expected: dict[str, Any]) -> None:
    """FR-001: with and without front matter, with byte order marks, dates, numbers as names."""
    assert metadata_from_card(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("---\nlicense: mit\nno end", "does not end"),
        ("---\nlicense: [mit\n---\n", "line"),
        ("---\n- a\n- b\n---\n", "name: value"),
        ("---\njust text\n---\n", "name: value"),
        ("---\na: &x 1\nb: *x\n---\n", "YAML references"),
        ("---\na: !!python/object/apply:os.system ['id']\n---\n", "not valid YAML"),
        ("---\na: !!timestamp zzz\n---\n", "not valid YAML"),
        ("---\na: !!bool zzz\n---\n", "not valid YAML"),
        ("---\na: !!int zzz\n---\n", "not valid YAML"),
        ("---\na: " + "9" * 10_000 + "\n---\n", "not valid YAML"),
        ("---\ntags: " + "[" * 50 + "]" * 50 + "\n---\n", "nested deeper"),
        ("---\ntags: " + "[" * 20_000 + "\n---\n", "not valid YAML"),
        ("---\n" + "a: b\n" * 20_000 + "---\n", "more than"),
        ("---\nlicense: 0x" + "f" * 5_000 + "\n---\n", "too large"),
        ("---\n? 0x" + "f" * 5_000 + "\n: a\n---\n", "too large"),
        ("---\na: 99999-99-99\n2001-99-99: x\n---\n", "not valid YAML"),
    ],
)
def test_hostile_cards_are_refused(text: str, words: str) -> None:
    """FR-001: bombs, programs, nonsense: one sentence each, at once."""
    with pytest.raises(CardUnreadable, match=words):
        metadata_from_card(text)


def test_long_texts_are_cut() -> None:
    """FR-001: a description fits into the metadata."""
    _, body = split_card("---\na: b\n---\n" + "é" * 200_000)
    assert len(body) == 200_000
    assert len(metadata_from_card("é" * 200_000)["description"]) == 40_000
