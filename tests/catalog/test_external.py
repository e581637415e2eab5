"""FR-001c: connection test, prices and secrets of external models, over API and pages."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.catalog import registry, services
from apps.catalog.models import ExternalSecret, ModelEntry
from apps.core.crypto import decrypt, encrypt, is_current
from apps.core.models import AuditEvent
from apps.governance.models import PriceEntry
from tests.catalog.support import CARD, EXTERNAL, make_model, make_ready
from tests.support.cast import Cast
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.django_db
Api = Callable[..., Any]
Page = Callable[..., Client]


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


@pytest.fixture
def provider(settings: Any) -> Iterator[ModelServer]:
    """A provider on loopback, allowed."""
    settings.LLMOPS_OUTBOUND_ALLOW = ["127.0.0.0/8"]
    server = ModelServer(model="small").start()
    yield server
    server.stop()


def external(cast: Cast, url: str = "", **metadata: Any) -> ModelEntry:
    """An external model."""
    fields = {**CARD, **EXTERNAL, **metadata}
    if url:
        fields |= {"provider": "openai_compatible", "base_url": url, "model_name": "small"}
    return make_model(cast.ada, cast.support, type="external", metadata=fields)


def test_connection_can_be_tested_over_the_api(provider: ModelServer, cast: Cast, api: Api) -> None:
    """FR-001c: outcome and latency; audited without the key; kept as an operation."""
    model = external(cast, provider.url)
    answer = api(cast.ada).post(f"/catalog/models/{model.pk}/test-connection")
    assert answer.status_code == 200
    assert (answer.data["ok"], answer.data["outcome"]) == (True, "ok")
    assert answer.data["latencyMs"] > 0
    assert api(cast.ada).get(f"/operations/{answer.data['operationId']}").data["result"]["ok"] is True
    event = AuditEvent.objects.get(action="catalog.external_model.connection_tested")
    assert event.metadata["outcome"] == "ok"
    assert "sk-secret-0001" not in answer.content.decode() + str(event.metadata)


def test_unreachable_provider_is_an_answer_not_an_error(cast: Cast, api: Api) -> None:
    """FR-001c: what stands in the way, in words."""
    model = external(cast, "http://127.0.0.1:9/v1")
    answer = api(cast.ada).post(f"/catalog/models/{model.pk}/test-connection")
    assert (answer.status_code, answer.data["ok"], answer.data["outcome"]) == (200, False, "address_refused")
    assert "LLMOPS_OUTBOUND_ALLOW" in answer.envelope["message"]


def test_connection_test_is_for_those_who_may_change_the_model(cast: Cast, api: Api) -> None:
    """P-3: by role; other teams' models do not exist; internal ones have no provider."""
    path = f"/catalog/models/{external(cast).pk}/test-connection"
    assert api(cast.ben).post(path).status_code == 403
    assert api(cast.finn).post(path).status_code == 403
    assert api(cast.eve).post(path).status_code == 404
    internal = make_ready(cast.ada, cast.support)
    assert api(cast.ada).post(f"/catalog/models/{internal.pk}/test-connection").status_code == 409


def test_connection_can_be_tested_by_button(provider: ModelServer, cast: Cast, page: Page) -> None:
    """FR-001c: the result stays on the page; who may not test sees no button."""
    model = external(cast, provider.url, price={"input_per_1k": "0.00015", "output_per_1m": 0.6})
    detail = reverse("catalog:model-detail", args=[model.pk])
    button = reverse("catalog:model-connection", args=[model.pk])
    shown = page(cast.ada).get(detail).content.decode()
    assert "Not tested yet" in shown
    assert "0.15 EUR per million tokens" in shown
    assert page(cast.ada).post(button).status_code == 302
    shown = page(cast.ada).get(detail).content.decode()
    assert "It answers and knows small." in shown
    assert button not in page(cast.ben).get(detail).content.decode()
    page(cast.dana).post(
        reverse("admin:catalog_modelentry_changelist"),
        {"action": "test_connection", "_selected_action": [str(model.pk)]},
    )
    assert AuditEvent.objects.filter(action="catalog.external_model.connection_tested").count() == 2


@pytest.mark.parametrize(
    ("price", "field"),
    [
        (5, "price"),
        ({}, "price"),
        ({"input": 1}, "price.input"),
        ({"input_per_1m": -1}, "price.input_per_1m"),
        ({"input_per_1m": "a lot"}, "price.input_per_1m"),
        ({"input_per_1m": "NaN"}, "price.input_per_1m"),
        ({"input_per_1m": "1e400"}, "price.input_per_1m"),
        ({"input_per_1m": True}, "price.input_per_1m"),
        ({"input_per_1m": "9" * 100}, "price.input_per_1m"),
        ({"input_per_1m": "0.000000001"}, "price.input_per_1m"),
        ({"input_per_1k": 1, "input_per_1m": 1}, "price.input_per_1m"),
        ({"input_per_1m": 1, "currency": "USD"}, "price.currency"),
    ],
)
def test_price_is_validated(cast: Cast, api: Api, price: Any, field: str) -> None:
    """FR-001c: what is wrong, and nothing stored."""
    body = {
        "name": "x", "version": "1", "type": "external", "ownerTeam": "support",
        "metadata": {**CARD, **EXTERNAL, "price": price},
    }  # fmt: skip
    refused = api(cast.ada).post("/catalog/models", body)
    assert refused.status_code == 400
    assert f"metadata.{field}" in [error["field"] for error in refused.data["errors"]]
    assert not ModelEntry.objects.exists()


def test_price_counts_once_the_model_is_approved(cast: Cast) -> None:
    """FR-001c, FR-011: a reviewer approves it with the rest; the price book says where it comes from."""
    model = external(cast, price={"input_per_1k": 0.001, "output_per_1m": "2.5", "currency": "EUR"})
    assert not PriceEntry.objects.filter(model_id=model.pk).exists()
    services.model_submit(actor=cast.ada, model_id=model.pk)
    services.model_decide(actor=cast.chen, model_id=model.pk, decision="approve")
    rows = {row.kind: row for row in PriceEntry.objects.filter(model_id=model.pk)}
    assert {kind: row.amount for kind, row in rows.items()} == {"tokens_in": Decimal(1), "tokens_out": Decimal("2.5")}
    assert rows["tokens_in"].per_quantity == 1_000_000
    assert "as approved" in rows["tokens_in"].note
    assert AuditEvent.objects.filter(action="governance.price.set").count() == 2


def test_replacing_a_secret_is_audited_without_it(cast: Cast, api: Api) -> None:
    """FR-001c: that and by whom, never which."""
    model = external(cast)
    path = f"/catalog/models/{model.pk}"
    api(cast.ada).patch(path, {"metadata": {**CARD, **EXTERNAL, "api_key": "sk-secret-0002"}})
    events = AuditEvent.objects.filter(action="catalog.external_secret.set").order_by("sequence")
    assert [event.metadata["replaced"] for event in events] == [False, True]
    assert events[1].actor == cast.ada
    assert not AuditEvent.objects.filter(metadata__icontains="sk-secret").exists()
    assert services.model_external_target(model=ModelEntry.objects.get()).api_key == "sk-secret-0002"


def rotated(*arguments: str) -> str:
    """What the command writes."""
    out = io.StringIO()
    call_command("rotate_secrets", *arguments, stdout=out)
    return out.getvalue()


def test_operator_can_rotate_all_secrets(cast: Cast, settings: Any) -> None:
    """FR-001c: from the derived key to a first one, from that to a second; old keys read until then."""
    model = external(cast)
    first, second = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [first]
    assert services.model_external_target(model=model).api_key == "sk-secret-0001", "written under the derived key"
    before = ExternalSecret.objects.get()
    assert "catalog.ExternalSecret.ciphertext: 1 to rotate, 0 current" in rotated("--check")
    assert ExternalSecret.objects.get().ciphertext == before.ciphertext
    assert "catalog.ExternalSecret.ciphertext: 1 rotated, 0 current" in rotated()
    settings.ENCRYPTION_KEYS = [second, first]
    rotated()
    settings.ENCRYPTION_KEYS = [second]
    row = ExternalSecret.objects.get()
    assert is_current(row.ciphertext)
    assert (decrypt(row.ciphertext), row.set_by, row.updated_at) == ("sk-secret-0001", cast.ada, before.updated_at)
    assert "0 rotated, 1 current" in rotated(), "again changes nothing"
    assert AuditEvent.objects.filter(action="core.secrets.rotated").count() == 2


def test_secret_key_can_be_rotated_by_its_fallback(settings: Any) -> None:
    """FR-001c: without keys of their own, secrets hang on SECRET_KEY; Django's fallbacks read them."""
    text = encrypt("kept")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-" + "1" * 50
    assert not is_current(text)
    assert decrypt(text) == "kept"


def test_lost_key_is_named_and_nothing_is_damaged(cast: Cast, settings: Any) -> None:
    """FR-001c: the rows that cannot be read are listed; the readable ones are rotated nevertheless."""
    lost, kept = external(cast), make_model(
        cast.ada, cast.support, name="other", type="external", metadata={**CARD, **EXTERNAL}
    )  # fmt: skip
    foreign = Fernet(Fernet.generate_key()).encrypt(b"x").decode()
    ExternalSecret.objects.filter(model=lost).update(ciphertext=foreign)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="1 secrets cannot be read"):
        rotated()
    assert ExternalSecret.objects.get(model=lost).ciphertext == foreign
    assert services.model_external_target(model=kept).api_key == "sk-secret-0001"
    assert is_current(ExternalSecret.objects.get(model=kept).ciphertext)
