"""FR-001a: families from a whitelist held against the files, and facts that are read from them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from apps.catalog import registry, services
from apps.catalog.families import family_gate
from apps.catalog.models import ModelFile
from apps.catalog.scanning.facts import cache_per_token
from apps.core.errors import GateRefused
from tests.catalog.files import config, gguf, gguf_string, model_files
from tests.catalog.support import make_model, make_ready, upload
from tests.support.cast import ApiClient, Cast, commit_now

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


def test_ada_cannot_submit_files_of_another_family(cast: Cast) -> None:
    """FR-001a: the refusal names what was declared, what was read and what to do."""
    model = make_model(cast.ada, cast.support, model_family="mistral")
    upload(cast.ada, model)
    with pytest.raises(GateRefused) as refusal:
        services.model_submit(actor=cast.ada, model_id=model.pk)
    (error,) = refusal.value.errors
    assert error.field == "family"
    assert "The entry says mistral, but config.json says model_type llama (LlamaForCausalLM)" in error.message
    assert "Set the family to llama" in error.message
    services.model_update(actor=cast.ada, model_id=model.pk, model_family="Llama")
    assert services.model_submit(actor=cast.ada, model_id=model.pk).status == "pending_review"


@pytest.mark.parametrize(
    ("families", "declared", "model_type", "passes"),
    [
        (["llama"], "llama", "llama", True),
        (["llama"], "", "llama", True),
        (["llama"], "", "mistral", False),
        (["llama"], "mistral", "mistral", False),
        (["llama"], "ours", "llama", False),
        (["*"], "", "never_heard_of", True),
        (["*"], "mistral", "llama", False),
        (["ours=llama|own_type"], "ours", "own_type", True),
        (["ours=llama|own_type"], "ours", "gpt2", False),
        (["gpt-neox"], "gpt_neox", "gpt_neox", True),
        (["qwen"], "qwen", "qwen3_moe", True),
        ([], "llama", "llama", False),
    ],
)
def test_whitelist_is_held(
    cast: Cast, settings: Any, families: list[str], declared: str, model_type: str, passes: bool
) -> None:
    """FR-001a: the setting says which families there are, and which model types count as each."""
    settings.CATALOG_FAMILIES = families
    model = make_model(cast.ada, cast.support, model_family=declared)
    upload(cast.ada, model, model_files(**{"config.json": config(model_type=model_type)}))
    model.model_family = declared
    gate = family_gate(model)
    assert gate.passed is passes, gate.reason
    assert passes or gate.remedy


def test_files_without_a_family_keep_the_declared_one(cast: Cast, settings: Any) -> None:
    """FR-001a: what the files don't say can't contradict; the whitelist still counts."""
    settings.CATALOG_FAMILIES = ["llama"]
    model = make_model(cast.ada, cast.support, model_family="llama")
    assert family_gate(model).passed
    model.model_family = "exotic"
    assert not family_gate(model).passed


def test_facts_are_read_from_the_files(cast: Cast, api: Callable[..., ApiClient], page: Any) -> None:
    """FR-001a: parameters, precision, context, weights, cache per token and memory, in API and page; never typed in."""
    model = make_ready(cast.ada, cast.support, metadata={"parameter_count": 7_000_000_000, "purpose": "x"})
    facts = api(cast.ada).get(f"/catalog/models/{model.pk}").payload["facts"]
    # 2 layers, 1 key-value head of 8 / 2 values, key and value of 2 bytes each
    assert facts == {
        "architecture": "LlamaForCausalLM", "family": "llama", "dtype": "float32", "parameterCount": 4,
        "contextLength": 64, "weightBytes": 16, "kvBytesPerToken": 32, "memoryBytes": int((16 + 64 * 32) * 1.2),
    }  # fmt: skip
    assert "Cache per token" in page(cast.ada).get(f"/models/{model.pk}/").content.decode()
    ignored = api(cast.ada).patch(f"/catalog/models/{model.pk}", {"facts": {"parameterCount": 1}})
    assert ignored.status_code in (200, 400)
    model.refresh_from_db()
    assert model.parameter_count == 4


def test_cache_formula_gives_the_published_figure() -> None:
    """FR-001a: OPT-13B keeps 800 KB a token (Kwon et al. 2023, section 3)."""
    assert cache_per_token({"layers": 40, "kv_heads": 40, "head_dim": 128}) == 800 * 1024
    assert cache_per_token({"layers": 40, "kv_heads": None, "head_dim": 128}) is None


def test_gguf_head_gives_the_same_facts(cast: Cast) -> None:
    """FR-001a: a GGUF file carries its own numbers: layers, heads, width."""

    def number(key: str, value: int) -> tuple[str, int, bytes]:
        return key, 4, struct.pack("<I", value)

    pairs = [
        ("general.architecture", 8, gguf_string("llama")), number("llama.context_length", 128),
        number("llama.block_count", 2), number("llama.attention.head_count", 4),
        number("llama.attention.head_count_kv", 2), number("llama.embedding_length", 32),
    ]  # fmt: skip
    model = make_model(cast.ada, cast.support)
    upload(cast.ada, model, {"model.gguf": gguf(pairs=pairs)})
    model.refresh_from_db()
    assert (model.scan_status, model.detected_family, model.context_length) == ("safe", "llama", 128)
    assert model.kv_bytes_per_token == 2 * 2 * 2 * 8 * 2


def test_scan_that_was_stopped_can_be_repeated(cast: Cast, page: Any, settings: Any) -> None:
    """FR-001a: a scanner ended by its limits says "could not be scanned", blocks submission, may be repeated."""
    settings.CATALOG_SCAN_SECONDS = 0
    model = make_model(cast.ada, cast.support)
    upload(cast.ada, model)
    assert model.scan_status == "failed"
    assert set(ModelFile.objects.filter(model=model).values_list("scan_status", flat=True)) == {"failed"}
    ada = page(cast.ada)
    text = ada.get(f"/models/{model.pk}/").content.decode()
    assert "Could not be scanned" in text
    assert f'action="/models/{model.pk}/scan/"' in text
    with pytest.raises(GateRefused) as refusal:
        services.model_submit(actor=cast.ada, model_id=model.pk)
    assert "Could not be scanned: config.json" in " ".join(error.message for error in refusal.value.errors)
    settings.CATALOG_SCAN_SECONDS = 60
    ada.post(f"/models/{model.pk}/scan/")
    commit_now()
    model.refresh_from_db()
    assert model.scan_status == "safe"
