"""FR-002: two versions side by side: card by words, configuration, files by hash, metrics with their difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog import registry
from apps.catalog.text_diff import text_diff
from apps.core.storage import store
from tests.catalog.files import config, model_files, safetensors
from tests.catalog.support import CARD, make_model, make_ready, upload
from tests.support.cast import ApiClient, Cast

LONG = "Answers questions of customers about parcels, invoices and returns, in English only."


@given(st.text(max_size=200), st.text(max_size=200))
def test_segments_make_up_both_texts(left: str, right: str) -> None:
    """FR-002: nothing is lost or invented by the comparison of words."""
    parts = text_diff(left, right)
    assert "".join(part.text for part in parts if part.op != "added") == left
    assert "".join(part.text for part in parts if part.op != "removed") == right


def test_long_texts_are_compared_by_lines_and_longest_not() -> None:
    """FR-002: the work is bounded, whatever the texts."""
    lines = "one two three\n" * 1_500
    assert [part.op for part in text_diff(lines, lines + "more\n")] == ["same", "added"]
    assert text_diff("x\n" * 5_000, "y\n" * 5_000) == ()


@pytest.mark.django_db
def test_ada_can_see_what_changed_between_versions(
    cast: Cast, api: Callable[..., ApiClient], page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-002: card, config.json, weights and metrics of two versions, in API and page; same rows on request only."""
    first = make_ready(cast.ada, cast.support, version="1.0", metadata={**CARD, "purpose": LONG})
    second = make_model(
        cast.ada, cast.support, version="2.0", metadata={**CARD, "purpose": LONG.replace("English", "German")}
    )
    upload(
        cast.ada, second, model_files(**{
            "config.json": config(max_position_embeddings=128, rope={"theta": 5}),
            "model.safetensors": safetensors(data=b"\1" * 16),
        }),
    )  # fmt: skip
    scores = {first.pk: {"bleu": {"value": 20.0}}, second.pk: {"bleu": {"value": 26.5}}}
    monkeypatch.setattr(registry, "evaluation_summaries", lambda ids: {pk: scores[pk] for pk in ids if pk in scores})
    answer = api(cast.ada).get(f"/catalog/models/{first.pk}/compare/{second.pk}").payload
    (purpose,) = (row for row in answer["card"] if row["change"] == "changed")
    assert [part["text"] for part in purpose["segments"] if part["op"] != "same"] == ["English", "German"]
    changed = {row["key"]: row for row in answer["config"] if row["change"] != "same"}
    assert (changed["max_position_embeddings"]["left"], changed["max_position_embeddings"]["delta"]) == (64, 64)
    assert changed["rope.theta"]["change"] == "added"
    assert {row["key"] for row in answer["files"] if row["change"] == "changed"} == {"config.json", "model.safetensors"}
    (metric,) = answer["metrics"]
    assert metric["delta"] == 6.5
    client = page(cast.ada)
    text = client.get(f"/models/{first.pk}/compare/{second.pk}/").content.decode()
    assert "<del>English</del>" in text
    assert "<ins>German</ins>" in text
    assert "+6.5" in text
    assert "tokenizer.json" not in text
    assert "tokenizer.json" in client.get(f"/models/{first.pk}/compare/{second.pk}/?show=all").content.decode()


@pytest.mark.django_db
def test_comparison_survives_a_lost_configuration(cast: Cast, api: Callable[..., ApiClient]) -> None:
    """FR-002: bytes that are gone leave an empty section, not an error."""
    first = make_ready(cast.ada, cast.support, version="1.0")
    second = make_ready(cast.ada, cast.support, version="2.0")
    store().delete(f"{first.storage_prefix}config.json")
    store().put(f"{second.storage_prefix}config.json", [b"[" * 100_000])
    answer = api(cast.ada).get(f"/catalog/models/{first.pk}/compare/{second.pk}")
    assert answer.status_code == 200
    assert answer.payload["config"] == []
