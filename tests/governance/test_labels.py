"""P-3: names of things on the audit and cost pages, only for those who may see the things."""

from __future__ import annotations

from uuid import uuid4

import pytest

from apps.governance import services
from apps.governance.labels import ResourceLabel, ResourceLabels, resource_labels
from apps.governance.types import CostResource
from tests.support.cast import Cast

NAMED = ["model", "dataset", "training_job", "evaluation_run", "serving_endpoint", "policy", "approval", "user", "team"]


def test_what_one_may_not_see_keeps_its_id(cast: Cast) -> None:
    """P-3: a resolver answers for what exists for the actor; the rest stays anonymous."""
    policy = services.policy_create(actor=cast.dana, name="Quiet", scope="global", rules={})
    ids = [str(policy.pk), "not-a-uuid", str(uuid4())]
    labels = resource_labels.resolve(cast.dana, "policy", ids)
    assert labels[str(policy.pk)] == ResourceLabel("Quiet", policy.get_absolute_url())
    assert labels["not-a-uuid"].title == "policy not-a-uu"
    assert resource_labels.resolve(cast.ada, "policy", ids)[str(policy.pk)].title == f"policy {str(policy.pk)[:8]}"
    assert ResourceLabels().resolve(cast.ada, "spaceship", ["x"]) == {"x": ResourceLabel("spaceship x")}


@pytest.mark.parametrize("kind", [*NAMED, *(kind for kind in CostResource.values if kind != "storage")])
def test_every_kind_has_somebody_who_knows_its_names(cast: Cast, kind: str) -> None:
    """FR-010, FR-011: nothing on the evidence pages is only an id; unknown ids are survived."""
    assert kind in resource_labels._resolvers
    identity = str(uuid4())
    assert resource_labels.resolve(cast.dana, kind, [identity])[identity].url == ""
