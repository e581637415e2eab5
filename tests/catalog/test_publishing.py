"""FR-002: the published version of a name: forward at once, back only through approval, with its history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.catalog import registry, services
from apps.catalog.models import ModelEntry, Publication
from apps.catalog.selectors import model_get, model_published
from apps.core.errors import Conflict, GateRefused, NotFound, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent
from apps.governance.models import ApprovalRequest
from apps.governance.services import approval_decide
from tests.catalog.support import make_approved, make_ready
from tests.support.cast import ApiClient, Cast

pytestmark = pytest.mark.django_db

Api = Callable[..., ApiClient]


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


@pytest.fixture
def one(cast: Cast) -> ModelEntry:
    """Version 1.0, approved."""
    return make_approved(cast, version="1.0")


@pytest.fixture
def two(cast: Cast) -> ModelEntry:
    """Version 2.0, approved."""
    return make_approved(cast, version="2.0")


def published(cast: Cast, model: ModelEntry) -> str:
    """What Ada gets who names no version."""
    found = model_published(actor=cast.ada, model=model)
    return found.version if found is not None else ""


def test_ada_can_publish_a_newer_version(cast: Cast, one: ModelEntry, two: ModelEntry) -> None:
    """FR-002: the newest approved one counts until one is published; then that one, until another is."""
    assert published(cast, one) == "2.0"
    services.model_publish(actor=cast.ada, model_id=one.pk)
    assert published(cast, two) == "1.0"
    assert getattr(model_get(actor=cast.ada, model_id=one.pk), "is_published", False)
    services.model_publish(actor=cast.ada, model_id=two.pk)
    assert published(cast, one) == "2.0"
    states = Publication.objects.order_by("created_at").values_list("model__version", "status")
    assert list(states) == [("1.0", "superseded"), ("2.0", "current")]
    assert AuditEvent.objects.filter(action="catalog.model.published").count() == 2


def test_ada_cannot_go_back_alone(cast: Cast, api: Api, one: ModelEntry, two: ModelEntry) -> None:
    """FR-002: rollback is asked for with a reason and decided by a reviewer, never by who asked."""
    services.model_publish(actor=cast.ada, model_id=one.pk)
    services.model_publish(actor=cast.ada, model_id=two.pk)
    ada = api(cast.ada)
    refused = ada.post(f"/catalog/models/{two.pk}/rollback", {})
    assert refused.status_code == 400
    assert refused.payload["errors"][0]["field"] == "reason"
    asked = ada.post(f"/catalog/models/{two.pk}/rollback", {"reason": "2.0 invents refunds."}).payload
    assert (asked["status"], asked["version"], asked["replacesVersion"]) == ("pending", "1.0", "2.0")
    assert published(cast, one) == "2.0"
    decision = f"/governance/approvals/{asked['approvalId']}/decision"
    assert ada.post(decision, {"decision": "approve"}).status_code == 403
    assert api(cast.chen).post(decision, {"decision": "approve"}).status_code == 200
    assert published(cast, two) == "1.0"
    history = ada.get(f"/catalog/models/{one.pk}/publications").payload
    assert [(row["version"], row["status"]) for row in history] == [
        ("1.0", "current"), ("2.0", "superseded"), ("1.0", "superseded"),
    ]  # fmt: skip
    event = AuditEvent.objects.filter(action="catalog.model.unpublished", resource_id=str(two.pk)).get()
    assert event.metadata == {"replaced_by": "1.0", "reason": "2.0 invents refunds."}


def test_uploader_cannot_approve_the_rollback_to_own_files(cast: Cast, one: ModelEntry, two: ModelEntry) -> None:
    """FR-010: who filled a version is its author here as at its own review, whoever asks."""
    one.files.update(uploaded_by=cast.ben)
    services.model_publish(actor=cast.ada, model_id=two.pk)
    wish = services.model_publish(actor=cast.ada, model_id=one.pk, reason="2.0 invents refunds.")
    with pytest.raises(PermissionRefused, match="author"):
        approval_decide(actor=cast.ben, kind="model_publication", subject_id=wish.pk, decision="approve")
    assert published(cast, one) == "2.0"


@pytest.mark.parametrize("decision", ["reject", "request_changes"])
def test_refused_rollback_changes_nothing(cast: Cast, one: ModelEntry, two: ModelEntry, decision: str) -> None:
    """FR-002: a reviewer's no leaves the published version, and the way free for another wish."""
    services.model_publish(actor=cast.ada, model_id=one.pk)
    services.model_publish(actor=cast.ada, model_id=two.pk)
    wish = services.model_rollback(actor=cast.ada, model_id=one.pk, reason="Try.")
    with pytest.raises(Conflict) as refusal:
        services.model_publish(actor=cast.ada, model_id=one.pk, reason="Again.")
    assert refusal.value.code == "pending"
    approval_decide(actor=cast.chen, kind="model_publication", subject_id=wish.pk, decision=decision)
    assert ApprovalRequest.objects.get(subject_id=wish.pk).status != "open"
    wish.refresh_from_db()
    assert wish.status == "refused"
    assert published(cast, one) == "2.0"
    services.model_rollback(actor=cast.ada, model_id=one.pk, reason="Once more.")


def test_version_that_lapsed_cannot_be_published(cast: Cast, one: ModelEntry, two: ModelEntry) -> None:
    """FR-002: only what is approved now; a published version that lapses gives way to the newest approved one."""
    services.model_publish(actor=cast.ada, model_id=two.pk)
    services.model_reopen(actor=cast.ada, model_id=two.pk)
    assert published(cast, one) == "1.0"
    with pytest.raises(GateRefused):
        services.model_publish(actor=cast.ada, model_id=two.pk)
    draft = make_ready(cast.ada, cast.support, version="3.0")
    with pytest.raises(GateRefused):
        services.model_publish(actor=cast.ada, model_id=draft.pk)


def test_ada_cannot_publish_twice_or_roll_back_from_nothing(cast: Cast, one: ModelEntry) -> None:
    """FR-002: each refusal says why."""
    with pytest.raises(Conflict) as nothing:
        services.model_rollback(actor=cast.ada, model_id=one.pk, reason="x")
    assert nothing.value.code == "nothing_published"
    services.model_publish(actor=cast.ada, model_id=one.pk)
    with pytest.raises(Conflict) as again:
        services.model_publish(actor=cast.ada, model_id=one.pk)
    assert again.value.code == "published"
    with pytest.raises(Conflict) as earlier:
        services.model_rollback(actor=cast.ada, model_id=one.pk, reason="x")
    assert earlier.value.code == "nothing_earlier"
    with pytest.raises(ValidationFailed):
        services.model_publish(actor=cast.ada, model_id=one.pk, reason="x" * 1001)


def test_others_cannot_publish(cast: Cast, one: ModelEntry) -> None:
    """P-3: Ben may look, Eve may not know, Finn never changes data."""
    for person, error in ((cast.ben, PermissionRefused), (cast.eve, NotFound), (cast.finn, PermissionRefused)):
        with pytest.raises(error):
            services.model_publish(actor=person, model_id=one.pk)
    assert not Publication.objects.exists()


def test_ada_can_publish_and_verify_on_the_page(cast: Cast, page: Any, one: ModelEntry, two: ModelEntry) -> None:
    """FR-002, FR-001a: the buttons, the badge, the history, and the reason that going back needs."""
    ada = page(cast.ada)
    assert ada.post(f"/models/{two.pk}/publish/").status_code == 302
    assert "This is the published version" in ada.get(f"/models/{two.pk}/").content.decode()
    text = ada.get(f"/models/{one.pk}/").content.decode()
    assert "Ask to publish this version again" in text
    ada.post(f"/models/{one.pk}/publish/", {"reason": ""})
    assert Publication.objects.filter(status="pending").count() == 0
    ada.post(f"/models/{one.pk}/publish/", {"reason": "Too slow."})
    assert "Waiting for approval" in ada.get(f"/models/{one.pk}/").content.decode()
    assert "Published" in ada.get("/models/").content.decode()
    assert ada.post(f"/models/{one.pk}/verify/").status_code == 302
    assert page(cast.chen).get("/approvals/").status_code == 200
