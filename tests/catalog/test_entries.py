"""FR-001, FR-001c, FR-001d: creating, changing and deleting entries, and who may."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Membership
from apps.catalog import registry, services
from apps.catalog.models import LineageEdge, ModelEntry
from apps.catalog.selectors import model_get
from apps.catalog.types import Blocker
from apps.core import clock
from apps.core.errors import Conflict, DomainError, NotFound, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent
from apps.core.storage import store
from tests.catalog.support import CARD, EXTERNAL, make_approved, make_model, make_ready, upload
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> list[registry.ModelGate]:
    """Gates of higher apps are tested there; here the list starts empty and tests add to it."""
    gates: list[registry.ModelGate] = []
    monkeypatch.setattr(registry, "_gates", gates)
    return gates


def test_same_semantic_version_conflicts_in_the_team_only(cast: Cast) -> None:
    """FR-001: 1.0 and v1.0.0 are one version; another team's model is neither in the way nor revealed."""
    make_model(cast.ada, cast.support, version="1.0")
    with pytest.raises(Conflict) as refusal:
        make_model(cast.ada, cast.support, version="v1.0.0")
    assert refusal.value.errors[0].field == "version"
    assert make_model(cast.eve, cast.research, version="1.0").team == cast.research
    assert make_model(cast.ada, cast.support, version="1.0", type="fine-tuned").version == "1.0"
    assert make_model(cast.ada, cast.support, version="1.1").version == "1.1"


def test_database_holds_the_version_constraint_itself(cast: Cast) -> None:
    """FR-001: two writers at once cannot both win."""
    model = make_model(cast.ada, cast.support)
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelEntry.objects.create(
            team=model.team, name=model.name, type=model.type, version="1.0.0", version_key=model.version_key
        )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"version": "one"}, "version"),
        ({"version": "1.0.0.0"}, "version"),
        ({"version": "1/../2"}, "version"),
        ({"type": "adapter"}, "type"),
        ({"model_family": "<script>"}, "modelFamily"),
        ({"visibility": "world"}, "visibility"),
        ({"metadata": {"a": "x\x00"}}, "metadata"),
        ({"metadata": {"a": float("nan")}}, "metadata"),
        ({"metadata": {"a": "x" * 300_000}}, "metadata"),
        ({"metadata": {"api_key": "sk"}}, "metadata.api_key"),
        ({"owner_team": "nobody"}, "owner_team"),
        ({"lineage_dataset_ids": [uuid4()]}, "lineageDatasetIds"),
        ({"base_model_id": uuid4()}, "baseModelId"),
        ({"status": "published"}, "status"),
    ],
)
def test_nonsense_is_refused_by_field(cast: Cast, change: dict[str, object], field: str) -> None:
    """P-1: the wrong field is named and nothing is half-written."""
    with pytest.raises(ValidationFailed) as refusal:
        make_model(cast.ada, cast.support, **change)
    assert [error.field for error in refusal.value.errors] == [field]
    assert not ModelEntry.objects.exists()


def test_deep_metadata_is_refused(cast: Cast) -> None:
    """P-1: nesting is bounded."""
    deep: dict[str, object] = {}
    for _ in range(30):
        deep = {"a": deep}
    with pytest.raises(ValidationFailed):
        make_model(cast.ada, cast.support, metadata=deep)


@pytest.mark.parametrize("status", ["approved", "pending_review", "deprecated"])
def test_creation_beyond_draft_says_which_step_is_missing(cast: Cast, status: str) -> None:
    """API contract: another status than draft only where the step is possible right away."""
    with pytest.raises(Conflict) as refusal:
        make_model(cast.ada, cast.support, status=status)
    assert "draft" in refusal.value.message
    assert not ModelEntry.objects.exists()


def test_deletion_lists_its_blockers(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-001d: child models and what other apps report; another team's child stays nameless."""
    base = make_approved(cast, name="base")
    services.model_update(actor=cast.ada, model_id=base.pk, visibility="organisation")
    make_model(cast.ada, cast.support, name="child", type="fine-tuned", base_model_id=base.pk)
    make_model(cast.eve, cast.research, name="secret-child", type="fine-tuned", base_model_id=base.pk)
    monkeypatch.setattr(
        registry, "_delete_blockers", [lambda model: [Blocker("serving_endpoint", "1", "endpoint chat")]]
    )
    with pytest.raises(Conflict) as refusal:
        services.model_delete(actor=cast.ada, model_id=base.pk)
    assert [error.code for error in refusal.value.errors] == [
        "blocked_by_serving_endpoint", "blocked_by_model", "blocked_by_model",
    ]  # fmt: skip
    assert "child 1.0" in refusal.value.message
    assert "secret" not in refusal.value.message


def test_deletion_takes_files_and_lineage_along(cast: Cast, media: object) -> None:
    """FR-001d: the bytes go too, and the deletion is audited."""
    model = make_ready(cast.ada, cast.support)
    child_of = make_model(cast.ada, cast.support, name="child", type="fine-tuned", base_model_id=model.pk)
    services.model_delete(actor=cast.ada, model_id=child_of.pk)
    services.model_delete(actor=cast.ada, model_id=model.pk)
    assert not ModelEntry.objects.exists()
    assert not LineageEdge.objects.exists()
    assert store().list("models") != []
    with clock.frozen(clock.now() + timedelta(seconds=1)):
        assert services.discarded_files_sweep() == 2
    assert store().list("models") == []
    assert AuditEvent.objects.filter(action="catalog.model.deleted").count() == 2


def test_eve_cannot_touch_what_she_cannot_see(cast: Cast) -> None:
    """P-3: every service answers as if the model did not exist."""
    model = make_ready(cast.ada, cast.support)
    calls = [
        lambda: model_get(actor=cast.eve, model_id=model.pk),
        lambda: services.model_update(actor=cast.eve, model_id=model.pk, model_family="x"),
        lambda: services.model_submit(actor=cast.eve, model_id=model.pk),
        lambda: services.model_delete(actor=cast.eve, model_id=model.pk),
        lambda: upload(cast.eve, model),
        lambda: services.model_set_status(actor=cast.eve, model_id=model.pk, status="deprecated"),
        lambda: services.model_decide(actor=cast.eve, model_id=model.pk, decision="approve"),
        lambda: services.model_rescan(actor=cast.eve, model_id=model.pk),
        lambda: services.model_file_delete(actor=cast.eve, model_id=model.pk, filename="config.json"),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize("name", ["ben", "finn"])
def test_readers_cannot_change(cast: Cast, name: str) -> None:
    """P-3: a viewer of the team and the auditor see the model and change nothing."""
    model = make_ready(cast.ada, cast.support)
    actor = cast.everyone()[name]
    assert model_get(actor=actor, model_id=model.pk) == model
    for call in (
        lambda: services.model_update(actor=actor, model_id=model.pk, model_family="x"),
        lambda: services.model_submit(actor=actor, model_id=model.pk),
        lambda: services.model_delete(actor=actor, model_id=model.pk),
        lambda: upload(actor, model),
    ):
        with pytest.raises(PermissionRefused):
            call()


def test_circle_of_bases_is_refused(cast: Cast) -> None:
    """FR-001: lineage has no circles."""
    first = make_model(cast.ada, cast.support, name="a")
    second = make_model(cast.ada, cast.support, name="b", base_model_id=first.pk)
    for base in (first.pk, second.pk):
        with pytest.raises(DomainError):
            services.model_update(actor=cast.ada, model_id=first.pk, base_model_id=base)


def test_service_developer_can_register_and_submit_external_models_only(cast: Cast) -> None:
    """FR-001c, P-3: external models belong to those who run services; weights do not."""
    Membership.objects.filter(user=cast.ada).exclude(role="service_developer").delete()
    cast.ada.forget_roles()
    external = make_model(cast.ada, cast.support, type="external", metadata={**CARD, **EXTERNAL})
    assert services.model_submit(actor=cast.ada, model_id=external.pk).status == "pending_review"
    with pytest.raises(PermissionRefused):
        make_model(cast.ada, cast.support, name="weights")


def test_researcher_cannot_touch_external_models(cast: Cast) -> None:
    """FR-001c, P-3: nor may a researcher set a provider's key."""
    external = make_model(cast.ada, cast.support, type="external", metadata={**CARD, **EXTERNAL})
    Membership.objects.filter(user=cast.ada).exclude(role="researcher").delete()
    cast.ada.forget_roles()
    for call in (
        lambda: services.model_update(actor=cast.ada, model_id=external.pk, metadata={**CARD, **EXTERNAL}),
        lambda: services.model_submit(actor=cast.ada, model_id=external.pk),
        lambda: make_model(cast.ada, cast.support, name="b", type="external", metadata={**CARD, **EXTERNAL}),
    ):
        with pytest.raises(PermissionRefused):
            call()
