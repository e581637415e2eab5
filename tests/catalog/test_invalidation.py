"""FR-001d: an approval lapses when what it rests on changes, its people are told, and settings end what runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog import registry, services
from apps.catalog.models import ApprovedSources, LineageEdge, ModelEntry
from apps.catalog.selectors import models_visible_to
from apps.core.errors import GateRefused
from apps.datasets.models import Dataset
from apps.datasets.registry import dataset_changed
from apps.governance.models import ApprovalRequest, Notice
from apps.governance.services import approvals_lapse
from tests.catalog.support import make_approved, make_ready
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


def make_dataset(cast: Cast, *, status: str = "approved", **changes: Any) -> Dataset:
    """A row that looks like a dataset of team support."""
    fields = {"name": "tickets", "version": "1.0", "type": "sft_pair", "rows_sha256": "a" * 64}
    return Dataset.objects.create(team=cast.support, created_by=cast.ada, status=status, **{**fields, **changes})


def latest(model: ModelEntry) -> ApprovalRequest:
    """The newest request about *model*."""
    return ApprovalRequest.objects.filter(subject_id=model.pk).latest("created_at")


def withdraw(dataset: Dataset) -> None:
    """What governance does when an approved dataset's approval lapses."""
    ApprovalRequest.objects.create(
        kind="dataset", subject_id=dataset.pk, team=dataset.team, status="approved", due_at=dataset.created_at
    )
    approvals_lapse(kind="dataset", subject_id=dataset.pk, reason="The consent was taken back.")


def reject(dataset: Dataset) -> None:
    """A later decision against it."""
    Dataset.objects.filter(pk=dataset.pk).update(status="rejected")
    dataset_changed(dataset.pk)


def change(dataset: Dataset) -> None:
    """Other rows under the same name."""
    Dataset.objects.filter(pk=dataset.pk).update(rows_sha256="b" * 64)
    dataset_changed(dataset.pk)


def delete(dataset: Dataset) -> None:
    """Gone; the services would refuse it, a database would not."""
    dataset_changed(dataset.pk)
    Dataset.objects.filter(pk=dataset.pk).delete()


CAUSES = [
    (withdraw, "The dataset tickets 1.0 is not approved any more (draft)"),
    (reject, "The dataset tickets 1.0 is not approved any more (rejected)"),
    (change, "The dataset tickets 1.0 has other content"),
    (delete, "The dataset tickets 1.0 was deleted"),
]


@pytest.mark.parametrize(("cause", "reason"), CAUSES)
def test_approval_cannot_outlive_its_dataset(cast: Cast, cause: Callable[[Dataset], None], reason: str) -> None:
    """FR-001d: each way in which a dataset ends ends the approval, with the reason, and the owner is told."""
    dataset = make_dataset(cast)
    model = make_approved(cast, lineage_dataset_ids=[dataset.pk])
    commit_now()
    cause(dataset)
    commit_now()
    model.refresh_from_db()
    assert model.status == "draft"
    assert latest(model).status == "lapsed"
    assert reason in latest(model).closed_reason
    assert reason in Notice.objects.get(recipient=cast.ada).text
    with pytest.raises(GateRefused):
        services.model_require_deployable(model=model)


@pytest.mark.parametrize(("cause", "_reason"), CAUSES)
def test_approval_cannot_outlive_the_dataset_of_its_base(
    cast: Cast, cause: Callable[[Dataset], None], _reason: str
) -> None:
    """FR-001d: transitive: dataset → base → tuned; what is further up is not named to who did not link it."""
    dataset = make_dataset(cast)
    base = make_approved(cast, lineage_dataset_ids=[dataset.pk])
    tuned = make_approved(cast, name="tuned", type="fine-tuned", base_model_id=base.pk)
    commit_now()
    cause(dataset)
    commit_now()
    tuned.refresh_from_db()
    assert tuned.status == "draft"
    assert "tickets" not in latest(tuned).closed_reason
    assert Notice.objects.filter(recipient=cast.ada).count() == 2


def test_approval_cannot_outlive_a_deprecated_base(cast: Cast) -> None:
    """FR-001d: a base that was deprecated, or lapsed by a change of its own, takes what was derived along."""
    base = make_approved(cast)
    tuned = make_approved(cast, name="tuned", type="fine-tuned", base_model_id=base.pk)
    grandchild = make_approved(cast, name="grandchild", type="fine-tuned", base_model_id=tuned.pk)
    commit_now()
    services.model_deprecate(actor=cast.ada, model_id=base.pk)
    commit_now()
    for model in (tuned, grandchild):
        model.refresh_from_db()
        assert model.status == "draft"
    assert "The model support-base 1.0 is not approved any more (deprecated)" in latest(tuned).closed_reason


def test_approval_cannot_outlive_a_changed_base(cast: Cast) -> None:
    """FR-001d: editing the base's card lapses the base and then what was derived from it."""
    base = make_approved(cast)
    tuned = make_approved(cast, name="tuned", type="fine-tuned", base_model_id=base.pk)
    commit_now()
    services.model_update(actor=cast.ada, model_id=base.pk, metadata={**base.metadata, "purpose": "Another."})
    commit_now()
    tuned.refresh_from_db()
    assert tuned.status == "draft"


def test_unrelated_model_keeps_its_approval(cast: Cast) -> None:
    """FR-001d: only what rests on the changed thing lapses; a source that gets better changes nothing."""
    dataset = make_dataset(cast)
    waiting = make_dataset(cast, name="other", status="draft")
    model = make_approved(cast, lineage_dataset_ids=[waiting.pk])
    commit_now()
    reject(dataset)
    Dataset.objects.filter(pk=waiting.pk).update(status="approved")
    dataset_changed(waiting.pk)
    commit_now()
    model.refresh_from_db()
    assert model.status == "approved"
    assert services.approvals_check() == 0


def test_sweep_finds_what_nobody_sent_word_of(cast: Cast) -> None:
    """FR-001d: a lost message costs minutes, not the rule."""
    dataset = make_dataset(cast)
    model = make_approved(cast, lineage_dataset_ids=[dataset.pk])
    Dataset.objects.filter(pk=dataset.pk).update(status="rejected")
    assert services.approvals_check() == 1
    model.refresh_from_db()
    assert model.status == "draft"


def test_older_approvals_get_their_sources_pinned(cast: Cast) -> None:
    """FR-001d: what was approved before sources were pinned is pinned by the sweep as it is."""
    dataset = make_dataset(cast)
    model = make_approved(cast, lineage_dataset_ids=[dataset.pk])
    ApprovedSources.objects.all().delete()
    assert services.approvals_check() == 0
    assert ApprovedSources.objects.get(model=model).pins[0]["id"] == str(dataset.pk)


def test_sweep_asks_a_fixed_number_of_questions(cast: Cast) -> None:
    """FR-001d: the sweep over many approvals asks as many queries as over one."""
    dataset = make_dataset(cast)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            services.approvals_check()
        return len(captured)

    make_approved(cast, lineage_dataset_ids=[dataset.pk])
    one = queries()
    for number in range(3):
        make_approved(cast, name=f"model-{number}", lineage_dataset_ids=[dataset.pk])
    assert queries() == one


def test_model_of_a_rejected_source_cannot_be_submitted(cast: Cast) -> None:
    """FR-001d: nothing is approved that was made of something refused; the gate says of what."""
    dataset = make_dataset(cast, status="rejected")
    model = make_ready(cast.ada, cast.support, lineage_dataset_ids=[dataset.pk])
    with pytest.raises(GateRefused) as refusal:
        services.model_submit(actor=cast.ada, model_id=model.pk)
    (error,) = refusal.value.errors
    assert error.field == "sources"
    assert "tickets 1.0 is rejected" in error.message
    LineageEdge.objects.all().delete()
    assert services.model_submit(actor=cast.ada, model_id=model.pk).status == "pending_review"


def test_who_may_not_see_the_model_is_not_told(cast: Cast) -> None:
    """FR-001d, P-3: notices go to the model's people; Eve, of another team, reads none, by page or API."""
    dataset = make_dataset(cast)
    make_approved(cast, lineage_dataset_ids=[dataset.pk])
    reject(dataset)
    commit_now()
    assert not models_visible_to(cast.eve).exists()
    assert not Notice.objects.filter(recipient=cast.eve).exists()


def test_notice_can_be_read_by_its_recipient_only(cast: Cast, api: Any, page: Any) -> None:
    """FR-001d: on the home page and in the API until it is put away; not anybody else's."""
    dataset = make_dataset(cast)
    model = make_approved(cast, lineage_dataset_ids=[dataset.pk])
    reject(dataset)
    commit_now()
    assert f"The approval of {model} has lapsed" in page(cast.ada).get("/").content.decode()
    (notice,) = api(cast.ada).get("/governance/notices?unread=true").payload
    assert api(cast.eve).post(f"/governance/notices/{notice['id']}/read").status_code == 404
    assert api(cast.eve).get("/governance/notices").payload == []
    assert page(cast.eve).post(f"/governance/notices/{notice['id']}/read/").status_code == 404
    assert api(cast.ada).post(f"/governance/notices/{notice['id']}/read").payload["readAt"]
    assert api(cast.ada).get("/governance/notices?unread=true").payload == []
    assert len(api(cast.ada).get("/governance/notices").payload) == 1
    assert page(cast.ada).get("/governance/notices/").status_code == 200
    assert api(cast.ada).get("/governance/notices?unread=maybe").status_code == 400
