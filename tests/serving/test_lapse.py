"""FR-001d: what becomes of endpoints whose model's approval lapses."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog import services as catalog
from apps.core.models import AuditEvent
from apps.governance.models import Notice
from tests.serving.support import answering_endpoint, approved_model
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
