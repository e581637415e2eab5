"""FR-003c: names of people and places: a language model when it is switched on, bounded, threshold, clear at start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.datasets import selectors_pii, services
from apps.datasets.pii import redact, scan_rows
from apps.datasets.pii.names import NameRecogniser
from apps.integrations import named_entities
from apps.integrations.named_entities import Entity, entity_finder_check, pieces
from tests.datasets.files import jsonl, rows_of
from tests.factories.datasets import clean_rows, last_check, make_dataset
from tests.support.cast import Cast, commit_now


class Known:
    """Finds every “Ann Lee”; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, texts: Sequence[str]) -> list[list[Entity]]:
        """All places of the one name it knows."""
        self.asked += texts
        return [
            [Entity("person", at, at + 7, 0.9) for at in range(len(text)) if text.startswith("Ann Lee", at)]
            for text in texts
        ]


def test_names_are_found_beside_the_rules_and_only_in_the_first_rows(tmp_path: Path) -> None:
    """FR-003c: rules win where both find; nested values count; the bound on rows holds to the row."""
    chat = [{"role": "user", "content": "I am Ann Lee, Ann Lee@example.com"}, {"role": "assistant", "content": "Hi"}]
    rows = rows_of(tmp_path, jsonl([{"messages": chat, "note": "Ann Lee", "n": n} for n in range(600)]))
    known = Known()
    result = scan_rows(rows, recogniser=NameRecogniser(known), named_rows=300)
    assert result.rows_named == 300
    assert result.by_type == {"email": 600, "person": 600}
    first = [(f.rule, f.type, f.row, f.column, f.path, f.start) for f in result.findings if f.row == 1]
    assert ("ner_person", "person", 1, "messages", "[0].content", 5) in first
    assert ("ner_person", "person", 1, "note", "", 0) in first
    assert (
        max(
            f.row
            for f in scan_rows(rows, recogniser=NameRecogniser(known), named_rows=300, keep=5_000).findings
            if f.type == "person"
        )
        == 300
    )
    assert scan_rows(rows, recogniser=NameRecogniser(known)).rows_named == 0


def test_redacted_names_are_no_names() -> None:
    """FR-003c: what stands in brackets is not found again."""
    recogniser = NameRecogniser(Known())
    assert redact("Ask Ann Lee.", recogniser=recogniser) == ("Ask [PERSON].", 1)
    assert recogniser.spans(["[Ann Lee]"]) == [[]]


def test_long_texts_go_to_the_model_in_pieces() -> None:
    """FR-003c: no text is too long for the model; nothing is lost, cuts are at white space where there is some."""
    text = "word " * 10_000 + "x" * 50_000
    parts = list(pieces(text, 1_000))
    assert "".join(part for _start, part in parts) == text
    assert all(text[start : start + len(part)] == part and len(part) <= 1_000 for start, part in parts)
    assert parts[0][1].endswith(" ")
    assert list(pieces("")) == [(0, "")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"DATASETS_PII_NER_MODEL": "no_such_model"}, "no_such_model is not installed"),
        ({"DATASETS_PII_NER_KINDS": ["person", "planet"]}, "planet"),
        ({"DATASETS_PII_NER_KINDS": []}, "nothing"),
    ],
)
def test_missing_means_stop_the_start_with_a_sentence(settings: Any, change: dict[str, Any], says: str) -> None:
    """FR-003c, P-4: switched on without its packages, the portal says what to install; switched off it starts."""
    for name, value in change.items():
        setattr(settings, name, value)
    entity_finder_check()
    settings.DATASETS_PII_NER = True
    with pytest.raises(ImproperlyConfigured, match=says):
        entity_finder_check()


@pytest.mark.django_db
def test_check_and_redaction_look_for_names_when_switched_on(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-003c: the gate closes for a name; the redacted copy has none and passes the same check."""
    monkeypatch.setattr(named_entities, "_built", lambda model, kinds, threshold: Known())
    rows = clean_rows(30)
    rows[3]["response"] += " Ask for Ann Lee."
    assert make_dataset(cast.ada, rows=rows).pii_scan_status == "clean"
    settings.DATASETS_PII_NER = True
    dataset = make_dataset(cast.ada, name="with-names", rows=rows)
    assert last_check(dataset).pii["byType"] == {"person": 1}
    assert last_check(dataset).pii["rowsNamed"] == 30
    copy = services.dataset_redact(actor=cast.ada, dataset_id=dataset.pk)
    commit_now()
    copy.refresh_from_db()
    assert (copy.pii_scan_status, copy.derivation["replaced"]) == ("clean", 1)
    texts = str(services.dataset_preview(actor=cast.ada, dataset_id=copy.pk).rows)
    assert "Ask for [PERSON]." in texts


def test_real_model_finds_people_and_places(settings: Any) -> None:
    """FR-003c: Presidio on the packaged spaCy model; below the threshold nothing counts."""
    settings.DATASETS_PII_NER = True
    recogniser = selectors_pii.name_recogniser()
    assert recogniser is not None
    texts = ["My name is John Smith and I live in Berlin.", "How do I reset device 3?", ""]
    found = recogniser.spans(texts)
    assert [(span.rule.type, span.text) for span in found[0]] == [("person", "John Smith"), ("location", "Berlin")]
    assert found[1:] == [[], []]
    finder = recogniser.finder
    assert isinstance(finder, named_entities.PresidioFinder)
    finder.threshold = 0.99
    try:
        assert recogniser.spans(texts) == [[], [], []]
    finally:
        finder.threshold = settings.DATASETS_PII_NER_THRESHOLD
