"""``/serving`` over HTTP: who may, who may not, and every wrong body. Nothing is started here."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.catalog.models import ModelEntry
from apps.core.models import AuditEvent
from apps.governance.models import ApprovalRequest
from apps.serving import services
from apps.serving.models import Endpoint, EndpointRevision
from tests.catalog.support import CARD, EXTERNAL, make_model
from tests.serving.support import answering_endpoint, approve, approved_model
from tests.support.cast import ApiClient, Cast

pytestmark = pytest.mark.django_db

LIST = "/serving/endpoints"
Api = Callable[..., ApiClient]


@pytest.fixture
def model(cast: Cast) -> ModelEntry:
    """Ada's approved model."""
    return approved_model(cast.ada, cast.support)


@pytest.fixture
def endpoint(model: ModelEntry) -> Endpoint:
    """Team support's endpoint in dev."""
    return answering_endpoint(model, url="http://127.0.0.1:9", upstream_model="/srv/m")


def body(model: ModelEntry, **changes: Any) -> dict[str, Any]:
    """A deployment to dev."""
    return {"modelId": str(model.pk), "environment": "dev", "route": "support-assistant", **changes}


def test_ada_can_deploy_through_the_api(cast: Cast, api: Api, model: ModelEntry) -> None:
    """FR-006g: the answer carries the contract's fields; the route is returned in full."""
    answer = api(cast.ada).post(
        LIST,
        body(
            model,
            minReplicas=1,
            maxReplicas=2,
            autoscalePolicy={"cpuUtilization": 70},
            rollbackPlan="Go back.",
            useGpu=False,
            cpuLimit="1500m",
        ),
    )
    assert answer.status_code == 200, answer.content
    data = answer.data
    assert data["route"] == "/llm-ops/v1/serve/support-assistant"
    assert data["status"] == "deploying"
    assert data["statusDetail"]
    assert (data["version"], data["rollbackPlan"], data["promptPolicyId"]) == ("1.0", "Go back.", None)
    assert data["lastHealthCheck"] is None
    assert (data["cpuLimit"], data["useGpu"], data["maxReplicas"]) == ("1500m", False, 2)
    assert data["autoscalePolicy"] == {"cpuUtilization": 70}
    assert [row["number"] for row in data["revisions"]] == [1]
    detail = api(cast.ben).get(f"{LIST}/{data['id']}")
    assert detail.data["ownerTeam"] == "support"
    deployment = api(cast.ben).get(f"{LIST}/{data['id']}/deployment").data
    assert deployment["resourceLimits"]["cpu"] == "1500m"
    assert deployment["replicaCount"] == 0


@pytest.mark.parametrize("spelling", ["chat-model", "/chat-model", "/serve/chat-model", "/llm-ops/v1/serve/chat-model"])
def test_routes_are_normalised(cast: Cast, api: Api, model: ModelEntry, spelling: str) -> None:
    """FR-006q: one route, four spellings; snake_case bodies work as well."""
    sent = {"model_id": str(model.pk), "environment": "dev", "route": spelling}
    assert api(cast.ada).post(LIST, sent).data["route"] == "/llm-ops/v1/serve/chat-model"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"modelId": "nonsense"}, "modelId"),
    ({"modelId": str(uuid.uuid4())}, "modelId"),
    ({"environment": "moon"}, "environment"),
    ({"route": "two words"}, "route"),
    ({"route": "../etc"}, "route"),
    ({"route": "x" * 101}, "route"),
    ({"route": ""}, "route"),
    ({"minReplicas": 0}, "minReplicas"),
    ({"minReplicas": 3, "maxReplicas": 2}, "minReplicas"),
    ({"maxReplicas": 10**6}, "maxReplicas"),
    ({"cpuLimit": "much"}, "cpuLimit"),
    ({"cpuRequest": "4", "cpuLimit": "2"}, "cpuRequest"),
    ({"memoryLimit": "1"}, "memoryLimit"),
    ({"servingFramework": "magic"}, "servingFramework"),
    ({"servingRuntimeImage": "vllm/vllm-openai:v1", "servingFramework": "tgi"}, "servingFramework"),
    ({"autoscalePolicy": [1]}, "autoscalePolicy"),
    ({"promptPolicyId": "x"}, "promptPolicyId"),
    ({"useGpu": "perhaps"}, "useGpu"),
    ({"deploymentSpec": {"serve_target": "RAG"}}, "deploymentSpec.serve_target"),
    ({"deploymentSpec": {"model_family": "gpt2"}}, "deploymentSpec.model_family"),
    ({"deploymentSpec": {"runtime": {"max_output_tokens": 0}}}, "deploymentSpec.runtime.max_output_tokens"),
    ({"deploymentSpec": {"rollout": {"strategy": "canary"}}}, "deploymentSpec.rollout"),
    (
        {"deploymentSpec": {"rollout": {"strategy": "blue-green", "traffic_split": {"old": 1, "new": 2}}}},
        "deploymentSpec.rollout.traffic_split",
    ),
    ({"useGpu": True, "deploymentSpec": {"use_gpu": False}}, "useGpu"),
    ({"visibility": "world"}, "visibility"),
    ({"ownerTeam": "research"}, "ownerTeam"),
]


def test_wrong_deployments_are_named(cast: Cast, api: Api, model: ModelEntry, subtests: pytest.Subtests) -> None:
    """FR-006: every mistake is a 400 that names its field; nothing is half-written."""
    ada = api(cast.ada)
    for number, (changes, field) in enumerate(WRONG):
        with subtests.test(field, number=number):
            answer = ada.post(LIST, body(model, **changes))
            assert answer.status_code == 400, answer.content
            assert field in [error["field"] for error in answer.data["errors"]]
    nothing: list[Any] = [{}, [], "x", {"modelId": None}]
    for wrong in nothing:
        assert ada.post(LIST, wrong).status_code == 400
    assert Endpoint.objects.count() == 0


def test_a_model_that_is_not_approved_is_a_422(cast: Cast, api: Api) -> None:
    """FR-006: the gate says what is missing."""
    draft = make_model(cast.ada, cast.support)
    answer = api(cast.ada).post(LIST, body(draft))
    assert answer.status_code == 422
    assert "approved" in answer.envelope["message"]
    assert Endpoint.objects.count() == 0


def test_prod_needs_a_rollback_plan_and_an_approval(cast: Cast, api: Api, model: ModelEntry) -> None:
    """FR-006g: prod without a rollback plan is a 422; with one it waits, and only somebody else can approve it."""
    without = api(cast.ada).post(LIST, body(model, environment="prod"))
    assert (without.status_code, without.data["errors"][0]["field"]) == (422, "rollbackPlan")
    planned = api(cast.ada).post(LIST, body(model, environment="prod", rollbackPlan="Go back to 1."))
    assert (planned.status_code, planned.data["status"]) == (200, "deploying")
    assert "approval" in planned.data["statusDetail"]
    revision = EndpointRevision.objects.get()
    assert revision.status == "waiting"
    request = ApprovalRequest.objects.get(subject_id=revision.pk)
    decision = f"/governance/approvals/{request.pk}/decision"
    assert api(cast.ada).post(decision, {"decision": "approve"}).status_code == 403
    assert api(cast.eve).post(decision, {"decision": "approve"}).status_code == 404
    assert api(cast.chen).post(decision, {"decision": "approve", "notes": "Go."}).status_code == 200
    revision.refresh_from_db()
    assert revision.status == "pending"


def test_a_rejected_prod_deployment_fails_and_the_next_one_may_be_stopped(
    cast: Cast, api: Api, model: ModelEntry
) -> None:
    """FR-006g: rejected: failed with the reason; a request that nobody needs any more lapses."""
    sent = body(model, environment="prod", rollbackPlan="Go back to 1.")
    made = api(cast.ada).post(LIST, sent).data
    first = EndpointRevision.objects.get()
    request = ApprovalRequest.objects.get(subject_id=first.pk)
    api(cast.chen).post(f"/governance/approvals/{request.pk}/decision", {"decision": "reject", "notes": "No."})
    services.endpoint_follow(made["id"])
    rejected = api(cast.ada).get(f"{LIST}/{made['id']}").data
    assert rejected["status"] == "failed"
    assert "rejected" in rejected["statusDetail"]
    assert api(cast.ada).post(f"{LIST}/{made['id']}/redeploy", {}).data["status"] == "deploying"
    assert api(cast.ada).patch(f"{LIST}/{made['id']}", {"status": "stopped"}).data["status"] == "stopped"
    assert [one.status for one in ApprovalRequest.objects.order_by("created_at")] == ["rejected", "lapsed"]


def test_a_taken_route_is_a_409_that_does_not_say_by_whom(cast: Cast, api: Api, endpoint: Endpoint) -> None:
    """FR-006q, P-3: unique per environment across teams; Eve learns that it is taken, and no more."""
    theirs = approve(make_model(cast.eve, cast.research, name="other", type="external", metadata=_external()))
    answer = api(cast.eve).post(LIST, body(theirs))
    assert answer.status_code == 409
    assert answer.data["errors"][0]["field"] == "route"
    text = answer.content.decode().lower()
    assert not any(word in text for word in ("support-base", "ada", str(endpoint.pk), str(cast.support.pk)))
    assert api(cast.eve).post(LIST, body(theirs, environment="stg")).status_code == 200


def _external() -> dict[str, Any]:
    return {**CARD, **EXTERNAL}


def test_what_each_of_the_cast_sees(cast: Cast, api: Api, endpoint: Endpoint, subtests: pytest.Subtests) -> None:
    """P-3: the exact visible set, in list, count and detail."""
    visible = {"ada": True, "ben": True, "chen": True, "dana": True, "eve": False, "finn": True}
    for name, user in cast.everyone().items():
        with subtests.test(name):
            listed = api(user).get(LIST)
            assert [row["id"] for row in listed.data] == ([str(endpoint.pk)] if visible[name] else [])
            assert listed.headers["X-Total-Count"] == str(int(visible[name]))
            assert api(user).get(f"{LIST}/{endpoint.pk}").status_code == (200 if visible[name] else 404)
    assert api(None).get(LIST).status_code == 401


CHANGES: list[tuple[str, str, Any]] = [
    ("patch", "", {"rollbackPlan": "x"}),
    ("post", "/redeploy", {}),
    ("post", "/rollback", {}),
    ("patch", "/deployment", {"minReplicas": 1}),
    ("delete", "", None),
]


def test_who_may_change(cast: Cast, api: Api, endpoint: Endpoint, subtests: pytest.Subtests) -> None:
    """P-3: viewers, reviewers, auditors and operators' readers are refused with 403; Eve meets a 404."""
    for name, user, expected in (
        ("ben", cast.ben, 403),
        ("chen", cast.chen, 403),
        ("finn", cast.finn, 403),
        ("eve", cast.eve, 404),
    ):
        client = api(user)
        for verb, path, sent in CHANGES:
            with subtests.test(f"{name} {verb} {path}"):
                call = getattr(client, verb)
                url = f"{LIST}/{endpoint.pk}{path}"
                answer = call(url) if verb == "delete" else call(url, sent)
                assert answer.status_code == expected
    assert AuditEvent.objects.filter(result="denied").count() == 3 * len(CHANGES)
    endpoint.refresh_from_db()
    assert (endpoint.rollback_plan, endpoint.delete_requested_at) == ("", None)


def test_a_read_only_token_cannot_change(cast: Cast, api: Api, endpoint: Endpoint) -> None:
    """P-2: scopes limit their owner."""
    assert api(cast.ada, scopes=["read"]).delete(f"{LIST}/{endpoint.pk}").status_code == 403
    assert api(cast.ada, scopes=["inference"]).get(LIST).status_code == 403


def test_patch_keeps_the_rest(cast: Cast, api: Api, endpoint: Endpoint) -> None:
    """FR-006g: PATCH changes what it names; a status that cannot be set is a 409 with the way."""
    ada = api(cast.ada)
    url = f"{LIST}/{endpoint.pk}"
    changed = ada.patch(url, {"autoscalePolicy": {"targetLatencyMs": 500}, "maxReplicas": 3})
    assert changed.data["autoscalePolicy"] == {"targetLatencyMs": 500}
    assert (changed.data["minReplicas"], changed.data["maxReplicas"]) == (1, 3)
    assert changed.data["revision"] == 1
    healthy = Endpoint.objects.get().status
    assert ada.patch(url, {"status": "failed"}).status_code == 409
    assert ada.patch(url, {"status": "wonderful"}).status_code == 400
    assert Endpoint.objects.get().status == healthy
    stopped = ada.patch(url, {"status": "stopped"})
    assert (stopped.status_code, stopped.data["status"]) == (200, "stopped")


def test_an_operator_can_stop_but_not_deploy(cast: Cast, api: Api, endpoint: Endpoint) -> None:
    """P-3: operators stop; deploying is for the team (Dana may as an admin, so an operator alone is made here)."""
    membership = cast.dana.memberships.get(role="admin")
    membership.delete()
    cast.dana.forget_roles()
    dana = api(cast.dana)
    assert dana.post(f"{LIST}/{endpoint.pk}/redeploy", {}).status_code == 403
    assert dana.patch(f"{LIST}/{endpoint.pk}", {"status": "stopped"}).status_code == 403
    page = Client()
    page.force_login(cast.dana, backend="django.contrib.auth.backends.ModelBackend")
    assert page.post(reverse("serving:endpoint-stop", args=[endpoint.pk])).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.status == "stopped"


def test_delete_makes_it_gone(cast: Cast, api: Api, endpoint: Endpoint) -> None:
    """FR-006i: gone for everybody, the model is free again."""
    ada = api(cast.ada)
    blockers = ada.delete(f"/catalog/models/{endpoint.model_id}")
    assert blockers.status_code == 409
    assert "support-assistant" in blockers.content.decode()
    assert ada.delete(f"{LIST}/{endpoint.pk}").status_code == 200
    assert ada.get(f"{LIST}/{endpoint.pk}").status_code == 404
    assert ada.delete(f"{LIST}/{endpoint.pk}").status_code == 404
    assert ada.get(LIST).data == []
    assert not Endpoint.objects.filter(pk=endpoint.pk).exists()


@pytest.mark.parametrize(
    ("query", "status", "count"),
    [
        ("?environment=dev", 200, 1),
        ("?environment=prod", 200, 0),
        ("?environment=moon", 400, 0),
        ("?status=healthy", 200, 1),
        ("?status=great", 400, 0),
        ("?modelId=nonsense", 400, 0),
        ("?model_id=00000000-0000-0000-0000-000000000000", 200, 0),
        ("?route=/llm-ops/v1/serve/support-assistant", 200, 1),
        ("?ownerTeam=support&q=assist", 200, 1),
        ("?colour=red", 400, 0),
        ("?orderBy=-route", 200, 1),
        ("?limit=x", 400, 0),
    ],
)
def test_filters(cast: Cast, api: Api, endpoint: Endpoint, query: str, status: int, count: int) -> None:
    """FR-006a: the documented filters, in both spellings; nonsense is a 400."""
    answer = api(cast.ada).get(LIST + query)
    assert answer.status_code == status
    if status == 200:
        assert len(answer.data) == count


def test_ids_that_do_not_exist(cast: Cast, api: Api) -> None:
    """P-1: malformed and unknown ids are 404 in the envelope."""
    for wrong in ("nonsense", str(uuid.uuid4()), "0"):
        assert api(cast.ada).get(f"{LIST}/{wrong}").status_code == 404


def test_the_list_costs_the_same_for_one_and_for_many(
    cast: Cast, api: Api, endpoint: Endpoint, django_assert_max_num_queries: Any
) -> None:
    """Lists: a constant number of queries."""
    for number in range(5):
        answering_endpoint(endpoint.model, url="http://127.0.0.1:9", upstream_model="/m", route=f"more-{number}")
    client = api(cast.ada)
    with django_assert_max_num_queries(6):
        assert len(client.get(LIST).data) == 6


def test_frameworks_and_images(cast: Cast, api: Api, settings: Any) -> None:
    """FR-006m: what endpoints can run on, and what is missing for the others."""
    settings.SERVING_RUNTIME_IMAGES = ["vllm=vllm/vllm-openai:v0.11"]
    frameworks = {row["name"]: row for row in api(cast.ben).get("/serving/frameworks").data}
    assert set(frameworks) == {"transformers", "vllm", "tgi", "openai_compatible", "ollama"}
    assert frameworks["transformers"]["default"] is True
    assert frameworks["tgi"]["available"] is False
    assert "Kubernetes" in frameworks["tgi"]["reason"]
    assert api(cast.ben).get("/serving/images").data == [{"framework": "vllm", "image": "vllm/vllm-openai:v0.11"}]


def test_pages_follow_the_same_rule(cast: Cast, page: Any, endpoint: Endpoint, subtests: pytest.Subtests) -> None:
    """P-3: pages and their buttons: Ben sees and cannot change, Eve meets nothing, nobody is sent to sign in."""
    detail = endpoint.get_absolute_url()
    assert page(cast.ada).get(detail).status_code == 200
    seen = page(cast.ben).get(detail).content.decode()
    assert "Delete" not in seen
    assert page(cast.eve).get(detail).status_code == 404
    assert page(None).get(detail).status_code == 302
    for name in ("redeploy", "rollback", "stop", "start", "delete"):
        with subtests.test(name):
            url = reverse(f"serving:endpoint-{name}", args=[endpoint.pk])
            assert page(cast.ben).post(url).status_code in (403, 302 if name == "redeploy" else 403)
            assert page(cast.eve).post(url).status_code == 404
    endpoint.refresh_from_db()
    assert endpoint.status == "healthy"
    assert endpoint.revisions.count() == 1


def test_the_form_shows_what_was_refused(cast: Cast, page: Any, model: ModelEntry, endpoint: Endpoint) -> None:
    """FR-006: a taken route and a bad quantity stay in the form with their reason."""
    sent = {
        "model_id": str(model.pk),
        "route": "support-assistant",
        "environment": "dev",
        "visibility": "team",
        "use_gpu": "unknown",
    }
    taken = page(cast.ada).post(reverse("serving:endpoint-create"), sent)
    assert taken.status_code == 422
    assert "is taken in dev" in taken.content.decode()
    wrong = page(cast.ada).post(reverse("serving:endpoint-create"), {**sent, "cpu_limit": "lots"})
    assert wrong.status_code == 422
    assert "Kubernetes quantity" in wrong.content.decode()


def test_admin_stops_through_the_service(cast: Cast, page: Any, endpoint: Endpoint) -> None:
    """Admin: the action goes through the service, is audited, and the form is read-only."""
    answer = page(cast.dana).post(
        "/admin/serving/endpoint/", {"action": "endpoint_stop", "_selected_action": [str(endpoint.pk)]}
    )
    assert answer.status_code == 302
    assert AuditEvent.objects.filter(action="serving.endpoint.stopped", actor=cast.dana).exists()
    assert page(cast.dana).get(f"/admin/serving/endpoint/{endpoint.pk}/change/").status_code == 200
    assert page(cast.dana).get("/admin/serving/endpointrevision/").status_code == 200
