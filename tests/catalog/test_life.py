"""FR-001, FR-001d: the governed life of a model, by its services."""

from __future__ import annotations

from uuid import uuid4

import pytest

from apps.catalog import registry, services
from apps.catalog.models import ModelEntry, ModelFile
from apps.catalog.selectors import model_digest
from apps.core.errors import Conflict, GateRefused, PermissionRefused
from apps.core.models import AuditEvent
from apps.governance.types import GateResult
from tests.catalog.files import config, model_files
from tests.catalog.support import CARD, make_approved, make_model, make_ready, upload
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> list[registry.ModelGate]:
    """Gates of higher apps are tested there; here the list starts empty and tests add to it."""
    gates: list[registry.ModelGate] = []
    monkeypatch.setattr(registry, "_gates", gates)
    return gates


def test_ada_can_walk_a_model_through_its_life(cast: Cast) -> None:
    """FR-001d: draft → pending_review → approved → deprecated, each step audited."""
    model = make_ready(cast.ada, cast.support)
    assert (model.status, model.scan_status, model.parameter_count) == ("draft", "safe", 4)
    assert model.model_family == "llama"
    services.model_submit(actor=cast.ada, model_id=model.pk)
    services.model_decide(actor=cast.chen, model_id=model.pk, decision="approve", notes="Good.")
    model.refresh_from_db()
    assert model.status == "approved"
    assert model.digest == model_digest(model)
    services.model_require_deployable(model=model)
    services.model_deprecate(actor=cast.ada, model_id=model.pk)
    model.refresh_from_db()
    assert model.status == "deprecated"
    actions = list(
        AuditEvent.objects.filter(resource_id=str(model.pk), resource_type="model")
        .order_by("sequence")
        .values_list("action", flat=True)
    )
    assert actions == [
        "catalog.model.created",
        "catalog.model.uploaded",
        "catalog.model.scanned",
        "catalog.model.submitted",
        "catalog.model.approved",
        "catalog.model.deprecated",
    ]


def test_ada_cannot_approve_her_own_model(cast: Cast) -> None:
    """FR-010: four eyes; the role would not even let her."""
    model = make_ready(cast.ada, cast.support)
    services.model_submit(actor=cast.ada, model_id=model.pk)
    with pytest.raises(PermissionRefused):
        services.model_decide(actor=cast.ada, model_id=model.pk, decision="approve")
    model.refresh_from_db()
    assert model.status == "pending_review"


def test_reviewer_who_uploaded_cannot_approve(cast: Cast) -> None:
    """FR-010: whoever put in a file is an author, whatever the roles."""
    model = make_ready(cast.ada, cast.support)
    ModelFile.objects.filter(model=model, filename="config.json").update(uploaded_by=cast.chen)
    services.model_submit(actor=cast.ada, model_id=model.pk)
    with pytest.raises(PermissionRefused) as refusal:
        services.model_decide(actor=cast.chen, model_id=model.pk, decision="approve")
    assert refusal.value.code == "four_eyes"


def test_submission_says_everything_that_is_missing(cast: Cast) -> None:
    """FR-001, FR-001d: card, files and scan gate the submission, each with its remedy."""
    model = make_model(cast.ada, cast.support, metadata={"purpose": "x", "scope": "  "})
    with pytest.raises(GateRefused) as refusal:
        services.model_submit(actor=cast.ada, model_id=model.pk)
    by_field = {error.field: error.message for error in refusal.value.errors}
    assert set(by_field) == {"card_complete", "files_present", "files_safe"}
    assert "scope, contact, licence" in by_field["card_complete"]
    assert "config.json" in by_field["files_present"]
    model.refresh_from_db()
    assert model.status == "draft"


@pytest.mark.parametrize("key", ["license", "licence"])
def test_both_spellings_of_licence_fill_the_card(cast: Cast, key: str) -> None:
    """FR-001: ``licence`` is read too."""
    card = {name: value for name, value in CARD.items() if name != "license"}
    model = make_ready(cast.ada, cast.support, metadata={**card, key: "MIT"})
    assert services.model_submit(actor=cast.ada, model_id=model.pk).status == "pending_review"


def test_unsafe_file_blocks_submission_and_running(cast: Cast) -> None:
    """FR-001a: an unsafe file blocks approval and deployment."""
    model = make_model(cast.ada, cast.support)
    upload(cast.ada, model, model_files(**{"config.json": config(auto_map={"AutoModel": "x--y.Z"})}))
    assert model.scan_status == "unsafe"
    with pytest.raises(GateRefused) as refusal:
        services.model_submit(actor=cast.ada, model_id=model.pk)
    assert "config.json (unsafe)" in refusal.value.errors[0].message
    with pytest.raises(GateRefused):
        services.model_require_runnable(model=model)


def test_registered_gate_holds_the_approval(cast: Cast, only_own_gates: list[registry.ModelGate]) -> None:
    """FR-001d: evaluation adds its gate through the registry."""
    only_own_gates.append(
        lambda model, stage: [GateResult("evaluated", "Evaluated", stage == "submit", "No evaluation.", "Run one.")]
    )
    model = make_ready(cast.ada, cast.support)
    services.model_submit(actor=cast.ada, model_id=model.pk)
    with pytest.raises(GateRefused) as refusal:
        services.model_decide(actor=cast.chen, model_id=model.pk, decision="approve")
    assert [error.field for error in refusal.value.errors] == ["evaluated"]
    model.refresh_from_db()
    assert model.status == "pending_review"


def test_change_of_the_card_lapses_the_approval(cast: Cast) -> None:
    """FR-001d: approved → draft when what was approved changes, and it cannot be deployed any more."""
    model = make_approved(cast)
    services.model_update(actor=cast.ada, model_id=model.pk, metadata={**CARD, "purpose": "Something else."})
    model.refresh_from_db()
    assert (model.status, model.digest) == ("draft", "")
    with pytest.raises(GateRefused):
        services.model_require_deployable(model=model)
    assert AuditEvent.objects.filter(resource_id=str(model.pk), action="catalog.model.lapsed").exists()


def test_change_of_visibility_keeps_the_approval(cast: Cast) -> None:
    """FR-001d: only what the approval vouches for counts."""
    model = make_approved(cast)
    services.model_update(actor=cast.ada, model_id=model.pk, visibility="organisation")
    model.refresh_from_db()
    assert model.status == "approved"


def test_tampered_row_is_not_deployable_and_lapses_in_the_sweep(cast: Cast) -> None:
    """FR-001d, P-8: a change behind the services' back is found."""
    model = make_approved(cast)
    ModelEntry.objects.filter(pk=model.pk).update(metadata={**CARD, "scope": "Everything."})
    model.refresh_from_db()
    with pytest.raises(GateRefused) as refusal:
        services.model_require_deployable(model=model)
    assert refusal.value.errors[0].code == "changed"
    assert services.approvals_check(chunk=1) == 1
    model.refresh_from_db()
    assert model.status == "draft"
    assert services.approvals_check() == 0


def test_digest_covers_card_files_and_sources_only(cast: Cast) -> None:
    """FR-001d: what comes after the model does not change it."""
    model = make_ready(cast.ada, cast.support)
    before = model_digest(model)
    services.lineage_add(
        source_kind="model",
        source_id=model.pk,
        target_kind="evaluation_run",
        target_id=uuid4(),
        relation="evaluated_by",
    )
    assert model_digest(model) == before
    services.lineage_add(
        source_kind="dataset", source_id=uuid4(), target_kind="model", target_id=model.pk, relation="trained_on"
    )
    changed = model_digest(model)
    assert changed != before
    ModelFile.objects.filter(model=model, filename="config.json").update(sha256="0" * 64)
    assert model_digest(model) != changed


def test_pending_model_is_frozen_until_withdrawn(cast: Cast) -> None:
    """FR-001d: nothing changes under a reviewer's eyes."""
    model = make_ready(cast.ada, cast.support)
    services.model_submit(actor=cast.ada, model_id=model.pk)
    with pytest.raises(Conflict):
        services.model_update(actor=cast.ada, model_id=model.pk, metadata=CARD)
    with pytest.raises(Conflict):
        upload(cast.ada, model)
    with pytest.raises(Conflict):
        services.model_delete(actor=cast.ada, model_id=model.pk)
    services.model_withdraw(actor=cast.ada, model_id=model.pk)
    model.refresh_from_db()
    assert model.status == "draft"


def test_rejected_model_can_be_reopened(cast: Cast) -> None:
    """FR-001d: rejected → draft."""
    model = make_ready(cast.ada, cast.support)
    services.model_submit(actor=cast.ada, model_id=model.pk)
    services.model_decide(actor=cast.chen, model_id=model.pk, decision="reject", notes="No.")
    model.refresh_from_db()
    assert model.status == "rejected"
    assert services.model_reopen(actor=cast.ada, model_id=model.pk).status == "draft"


TRANSITIONS = {
    "draft": {"pending_review"},
    "pending_review": {"approved", "rejected", "draft"},
    "approved": {"draft", "deprecated"},
    "rejected": {"draft"},
    "deprecated": set(),
}


@pytest.mark.parametrize("start", TRANSITIONS)
@pytest.mark.parametrize("goal", TRANSITIONS)
def test_status_changes_only_along_the_table(cast: Cast, start: str, goal: str) -> None:
    """FR-001d: every pair of states, as the person who may make the step."""
    model = make_ready(cast.ada, cast.support)
    if start != "draft":
        services.model_submit(actor=cast.ada, model_id=model.pk)
    if start in ("approved", "deprecated", "rejected"):
        decision = "reject" if start == "rejected" else "approve"
        services.model_decide(actor=cast.chen, model_id=model.pk, decision=decision)
    if start == "deprecated":
        services.model_deprecate(actor=cast.ada, model_id=model.pk)
    actor = cast.chen if goal in ("approved", "rejected") else cast.ada
    if goal in TRANSITIONS[start]:
        assert services.model_set_status(actor=actor, model_id=model.pk, status=goal).status == goal
    else:
        with pytest.raises(Conflict) as refusal:
            services.model_set_status(actor=actor, model_id=model.pk, status=goal)
        assert refusal.value.code == "invalid_transition"
        model.refresh_from_db()
        assert model.status == start


def test_reviewer_sends_back_and_author_withdraws_by_the_same_status(cast: Cast) -> None:
    """FR-001d: ``draft`` on a pending model is a request for changes or a withdrawal."""
    model = make_ready(cast.ada, cast.support)
    for actor, action in ((cast.chen, "changes_requested"), (cast.ada, "withdrawn")):
        services.model_submit(actor=cast.ada, model_id=model.pk)
        services.model_set_status(actor=actor, model_id=model.pk, status="draft")
        assert AuditEvent.objects.filter(resource_id=str(model.pk), action=f"catalog.model.{action}").count() == 1
