"""FR-001d: what becomes of endpoints whose model's approval lapses."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog import services as catalog
from apps.catalog.services.closure import sources_pin
from apps.core.models import AuditEvent
from apps.datasets.models import Dataset
from apps.datasets.registry import dataset_changed
from apps.governance.models import Notice
from apps.governance.selectors.audit import audit_history
from tests.catalog.support import share
from tests.serving.support import answering_endpoint, approve, approved_model
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("stops", "stopped"), [([], False), (["dev"], True), (["prod"], False)])
def test_owner_of_an_endpoint_is_told_when_its_model_lapses(
    cast: Cast, settings: Any, stops: list[str], stopped: bool
) -> None:
    """FR-001d: settings say in which environments a lapsed approval ends what runs; the owner is told either way."""
    settings.CATALOG_LAPSE_STOPS = stops
    model = approved_model(cast.ada, cast.support)
    endpoint = answering_endpoint(model, url="http://127.0.0.1:9", upstream_model="x", runtime="transformers")
    endpoint.created_by = cast.ben
    endpoint.save()
    catalog.model_reopen(actor=cast.ada, model_id=model.pk)
    commit_now()
    endpoint.refresh_from_db()
    assert endpoint.stop_requested is stopped
    notice = Notice.objects.get(recipient=cast.ben)
    assert ("It is being stopped." in notice.text) is stopped
    assert AuditEvent.objects.filter(action="serving.endpoint.model_lapsed", resource_id=str(endpoint.pk)).count() == 1


def test_owner_of_another_team_cannot_learn_the_name_of_a_source(cast: Cast) -> None:
    """P-3: Eve serves a shared model; that it lapsed is hers to know, the name of Ada's dataset is not: neither now
    nor in the model's history once it is approved again."""
    dataset = Dataset.objects.create(
        team=cast.support, created_by=cast.ada, name="layoffs", version="1.0", status="approved", rows_sha256="a" * 64
    )
    model = approved_model(cast.ada, cast.support, lineage_dataset_ids=[dataset.pk])
    share(model)
    sources_pin(model=model)
    endpoint = answering_endpoint(model, url="http://127.0.0.1:9", upstream_model="x", team=cast.research)
    endpoint.created_by = cast.eve
    endpoint.save()
    Dataset.objects.filter(pk=dataset.pk).update(rows_sha256="b" * 64)
    dataset_changed(dataset.pk)
    commit_now()
    event = AuditEvent.objects.get(action="serving.endpoint.model_lapsed", resource_id=str(endpoint.pk))
    for text in (Notice.objects.get(recipient=cast.eve).text, event.metadata["reason"]):
        assert "other content than at the approval" in text
        assert "layoffs" not in text
    approve(model)
    history = audit_history(cast.eve, "model", model.pk)
    assert "lapsed" in str([entry.action for entry in history])
    assert "layoffs" not in str([entry.metadata for entry in history])
    named = Notice.objects.filter(recipient=cast.ada, key__startswith="model_lapsed").get()
    assert "layoffs 1.0" in named.text
