"""FR-003, FR-001d: an approved dataset can be recalled, by its team or a reviewer, with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import Membership
from apps.catalog import registry
from apps.core.errors import GateRefused
from apps.core.models import AuditEvent
from apps.datasets.services import dataset_require_usable
from apps.governance.models import Notice
from tests.catalog.support import make_approved
from tests.factories.datasets import make_approved_dataset
from tests.support.cast import ApiClient, Cast, commit_now

pytestmark = pytest.mark.django_db

Api = Callable[..., ApiClient]


def test_chen_can_recall_a_dataset_and_its_models_lapse(
    cast: Cast, api: Api, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FR-001d: no job starts from it, the model made of it is a draft, both owners' notices say why."""
    monkeypatch.setattr(registry, "_gates", [])
    dataset = make_approved_dataset(cast)
    model = make_approved(cast, lineage_dataset_ids=[dataset.pk])
    commit_now()
    assert "Recall" in page(cast.chen).get(dataset.get_absolute_url()).content.decode()
    answer = api(cast.chen).post(f"/catalog/datasets/{dataset.pk}/recall", {"reason": "Consent was withdrawn."})
    assert (answer.status_code, answer.payload["status"]) == (200, "draft")
    commit_now()
    model.refresh_from_db()
    dataset.refresh_from_db()
    assert model.status == "draft"
    with pytest.raises(GateRefused):
        dataset_require_usable(dataset=dataset)
    assert AuditEvent.objects.get(action="datasets.dataset.recalled").metadata == {"reason": "Consent was withdrawn."}
    texts = " ".join(Notice.objects.filter(recipient=cast.ada).values_list("text", flat=True))
    assert "Consent was withdrawn." in texts
    assert f"The dataset {dataset} is not approved any more" in texts


def test_person_who_left_the_team_is_not_told(cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-3: a notice names what it is about, so it goes only to who still sees that."""
    monkeypatch.setattr(registry, "_gates", [])
    dataset = make_approved_dataset(cast)
    make_approved(cast, lineage_dataset_ids=[dataset.pk])
    commit_now()
    Membership.objects.filter(user=cast.ada, team=cast.support).delete()
    before = Notice.objects.filter(recipient=cast.ada).count()
    answer = api(cast.chen).post(f"/catalog/datasets/{dataset.pk}/recall", {"reason": "Consent was withdrawn."})
    assert answer.status_code == 200
    commit_now()
    assert Notice.objects.filter(recipient=cast.ada).count() == before


def test_recall_needs_a_reason_and_an_approval(cast: Cast, api: Api, page: Any) -> None:
    """FR-003: each refusal names what is missing."""
    dataset = make_approved_dataset(cast)
    path = f"/catalog/datasets/{dataset.pk}/recall"
    for body in ({}, {"reason": ""}, {"reason": "x" * 1001}):
        assert api(cast.ada).post(path, body).payload["errors"][0]["field"] == "reason"
    assert page(cast.ada).post(f"/datasets/{dataset.pk}/recall/", {"reason": "Wrong rows."}).status_code == 302
    dataset.refresh_from_db()
    assert dataset.status == "draft"
    again = api(cast.ada).post(path, {"reason": "Again."})
    assert again.status_code == 409


def test_others_cannot_recall(cast: Cast, api: Api) -> None:
    """P-3: what Eve may not see does not exist; Finn never changes data."""
    dataset = make_approved_dataset(cast)
    path = f"/catalog/datasets/{dataset.pk}/recall"
    assert api(cast.eve).post(path, {"reason": "x"}).status_code == 404
    assert api(cast.finn).post(path, {"reason": "x"}).status_code == 403
    assert api(cast.dana, scopes=("read",)).post(path, {"reason": "x"}).status_code == 403
    dataset.refresh_from_db()
    assert dataset.status == "approved"
