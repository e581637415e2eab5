"""FR-010: policies take away, never add; deny wins; every decision explains itself; hostile rules are refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.core import clock
from apps.core.errors import Conflict, NotFound, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent, Operation
from apps.core.permissions import ACTIONS
from apps.governance import services
from apps.governance.models import Policy
from apps.governance.policy.actions import PolicyAction, policy_action
from apps.governance.policy.conditions import MAX_LENGTH
from apps.governance.policy.engine import PolicyCache, policy_cache
from tests.support.cast import Cast


def make_policy(cast: Cast, rules: dict[str, Any], **fields: Any) -> Policy:
    defaults = {"name": "No uploads", "scope": "dataset", "status": "active"}
    return services.policy_create(actor=cast.dana, rules=rules, **{**defaults, **fields})


def refused(cast: Cast, action: str = "dataset.upload", **kwargs: Any) -> str:
    with pytest.raises(PermissionRefused) as error:
        services.authorize(actor=kwargs.pop("actor", cast.ada), action=action, **{"team": cast.support, **kwargs})
    assert error.value.code == "policy_denied"
    return error.value.message


def test_without_policies_roles_decide(cast: Cast) -> None:
    """FR-010: nothing active, nothing taken away."""
    services.authorize(actor=cast.ada, action="dataset.upload", team=cast.support)
    decision = services.policy_decision(actor=cast.ada, action="dataset.upload", team=cast.support)
    assert (decision.allowed, decision.explanation) == (True, "No active policy applies.")


def test_allowed_actions_deny_every_other_action_of_the_scope(cast: Cast) -> None:
    """FR-010: in the policy's scope only what is listed remains; other scopes are untouched."""
    make_policy(cast, {"allowed_actions": ["list", "get", "create"]})
    services.authorize(actor=cast.ada, action="dataset.create", team=cast.support)
    services.authorize(actor=cast.ada, action="model.upload", team=cast.support)
    message = refused(cast)
    assert message == (
        "The policy 'No uploads' denies this: 'upload' is not among the actions that it allows (create, get, list)."
    )


def test_a_policy_never_adds(cast: Cast) -> None:
    """P-3: what roles do not allow, no policy allows."""
    make_policy(cast, {"allowed_actions": ["upload"], "required_roles": ["viewer"]})
    with pytest.raises(PermissionRefused) as error:
        services.authorize(actor=cast.ben, action="dataset.upload", team=cast.support)
    assert error.value.code != "policy_denied"


def test_required_roles_need_one_of_them(cast: Cast) -> None:
    """FR-010: roles in the owning team or the organisation count."""
    make_policy(cast, {"required_roles": ["data_engineer", "admin"]})
    services.authorize(actor=cast.ada, action="dataset.upload", team=cast.support)
    services.authorize(actor=cast.dana, action="dataset.upload", team=cast.support)
    services.policy_change(actor=cast.dana, policy_id=Policy.objects.get().pk, rules={"required_roles": ["reviewer"]})
    assert "one of these roles: reviewer" in refused(cast)


def test_both_rules_must_hold_and_deny_wins(cast: Cast) -> None:
    """FR-010: one denial settles it, whatever other policies say."""
    make_policy(cast, {"allowed_actions": ["upload"], "required_roles": ["reviewer"]}, name="A")
    make_policy(cast, {"allowed_actions": ["upload"]}, name="B")
    assert "The policy 'A' denies" in refused(cast)


def test_drafts_and_retired_policies_do_not_count(cast: Cast) -> None:
    """FR-010: only active ones do, from the moment of activation, in the same transaction already."""
    policy = make_policy(cast, {"allowed_actions": []}, status="draft")
    services.authorize(actor=cast.ada, action="dataset.upload", team=cast.support)
    services.policy_change(actor=cast.dana, policy_id=policy.pk, status="active")
    assert "(nothing)" in refused(cast)
    services.policy_change(actor=cast.dana, policy_id=policy.pk, status="retired")
    services.authorize(actor=cast.ada, action="dataset.upload", team=cast.support)


@pytest.mark.parametrize(("scope", "hits"), [("global", True), ("user", True), ("project", True), ("model", False)])
def test_older_scope_names_are_understood(cast: Cast, scope: str, hits: bool) -> None:
    """FR-010a: model means catalog; user and project mean everywhere; stored as sent."""
    policy = make_policy(cast, {"allowed_actions": ["get"]}, scope=scope)
    assert policy.scope == scope
    if hits:
        refused(cast)
    else:
        services.authorize(actor=cast.ada, action="dataset.upload", team=cast.support)
        refused(cast, "model.upload")


def test_a_team_policy_counts_for_that_team_only(cast: Cast) -> None:
    """FR-010: team scoping."""
    make_policy(cast, {"allowed_actions": ["get"]}, team=cast.support)
    refused(cast)
    services.authorize(actor=cast.eve, action="dataset.upload", team=cast.research)


def test_a_global_policy_cannot_lock_the_administrators_out(cast: Cast) -> None:
    """FR-010: policies do not reach policies, users, tokens or the audit trail."""
    policy = make_policy(cast, {"allowed_actions": [], "required_roles": []}, scope="global")
    refused(cast, "model.create")
    services.policy_change(actor=cast.dana, policy_id=policy.pk, status="retired")
    services.authorize(actor=cast.ada, action="model.create", team=cast.support)


def test_policies_do_not_bind_the_system(cast: Cast) -> None:
    """P-8: background work goes on."""
    make_policy(cast, {"allowed_actions": []}, scope="global")
    services.authorize(actor=None, action="dataset.upload", team=cast.support)


def test_the_denial_can_be_audited_with_the_policy(cast: Cast, make_thing: Callable[..., Operation]) -> None:
    """FR-010: the error carries what the outer layer records."""
    policy = make_policy(cast, {"allowed_actions": ["get"]})
    thing = make_thing()
    with pytest.raises(PermissionRefused) as error:
        services.authorize(actor=cast.ada, action="dataset.upload", obj=thing)
    denial = error.value.denial
    assert denial is not None
    assert denial.metadata == {
        "action": "dataset.upload",
        "policy_id": str(policy.pk),
        "policy": "No uploads",
    }
    assert (denial.resource_id, denial.team_id) == (str(thing.pk), cast.support.pk)


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("actor.username == 'ada'", True),
        ("'reviewer' in actor.roles", False),
        ("actor.teams.exists(t, t == 'support')", True),
        ("'admin' in actor.organisation_roles", False),
        ("action.verb == 'upload' && action.id == 'dataset.upload' && action.scope == 'dataset'", True),
        ("action.parameters.size_bytes < 1000", False),
        ("has(action.parameters.nothing) || resource.team == 'support'", True),
        ("resource.type == 'operation' && resource.status == 'queued' && resource.kind == ''", True),
        ("resource.visibility == 'organisation'", False),
        ("environment.name == 'dev' && environment.weekday == 1 && environment.hour == 12", True),
        ("environment.now > timestamp('2026-01-05T12:30:00Z')", False),
        ("environment.now.getHours() == 12", True),
        ("resource.name.matches('^a+$')", False),
        ("resource.author_id == actor.id", True),
        ("action.parameters.list.size() == 2 && action.parameters.map.inner == 'x'", True),
    ],
)
def test_conditions_read_actor_action_resource_environment(
    cast: Cast, make_thing: Callable[..., Operation], expression: str, allowed: bool
) -> None:
    """FR-010: CEL over the four values."""
    make_policy(cast, {"conditions": [expression]})
    thing = make_thing()
    context = {"size_bytes": 4096, "list": [1, 2], "map": {"inner": "x"}}
    with clock.frozen(datetime(2026, 1, 5, 12, tzinfo=UTC)):
        decision = services.policy_decision(actor=cast.ada, action="dataset.upload", obj=thing, context=context)
    assert decision.allowed is allowed, decision.explanation
    if not allowed:
        assert expression in decision.explanation


def test_a_condition_may_bring_its_own_words(cast: Cast) -> None:
    """FR-010: the reason is for people."""
    make_policy(
        cast,
        {"conditions": [{"expression": "environment.hour > 24", "message": "uploads are closed for the fair"}]},
    )
    assert refused(cast).endswith("denies this: uploads are closed for the fair.")


def test_what_a_condition_cannot_answer_is_denied(cast: Cast) -> None:
    """FR-010: fail closed, and say so."""
    make_policy(cast, {"conditions": ["action.parameters.size_bytes < 10"]})
    assert "cannot be answered here" in refused(cast)


@pytest.mark.parametrize(
    ("rules", "field", "words"),
    [
        ({"allowed_actions": "list"}, "rules.allowed_actions", "list of words"),
        ({"allowed_actions": [1]}, "rules.allowed_actions", "list of words"),
        ({"allowed_actions": ["fly"]}, "rules.allowed_actions", "fly; known are"),
        ({"required_roles": ["king"]}, "rules.required_roles", "king"),
        ({"allowed_action": ["list"]}, "rules", "unknown keys: allowed_action"),
        ({"conditions": "true"}, "rules.conditions", "list of expressions"),
        ({"conditions": ["true"] * 21}, "rules.conditions", "at most 20"),
        ({"conditions": [5]}, "rules.conditions[0]", "must be a CEL expression"),
        ({"conditions": ["true", "1 +"]}, "rules.conditions[1]", "line 1, column 4"),
        (
            {"conditions": [{"expression": "true", "effect": "allow"}]},
            "rules.conditions[0]",
            "unknown keys: effect",
        ),
        (
            {"conditions": [{"expression": "true", "message": "x" * 301}]},
            "rules.conditions[0]",
            "at most 300",
        ),
        ({"conditions": [""]}, "rules.conditions[0]", "empty"),
        ({"conditions": ["actor.\n password == ''"]}, "rules.conditions[0]", "line 2, column 2"),
        ({"conditions": ["user.id == 1"]}, "rules.conditions[0]", "unknown name 'user'"),
        ({"conditions": ["__import__('os')"]}, "rules.conditions[0]", "__import__"),
        ({"conditions": ["'yes'"]}, "rules.conditions[0]", "true or false"),
        ({"conditions": ["actor.username < 3"]}, "rules.conditions[0]", "fails when evaluated"),
        ({"conditions": ["1 / 0 == 1"]}, "rules.conditions[0]", "fails when evaluated"),
        ({"conditions": ["true\x00"]}, "rules.conditions[0]", "NUL"),
        ({"conditions": ["true" + " " * MAX_LENGTH]}, "rules.conditions[0]", "at most 1000"),
        ({"conditions": ["(" * 400 + "true" + ")" * 400]}, "rules.conditions[0]", ""),
        ({"conditions": ["[1].all(a, [1].all(b, true))"]}, "rules.conditions[0]", "cannot be nested"),
        ({"conditions": ["[1].all(actor, true)"]}, "rules.conditions[0]", "actor"),
        ({"conditions": [" && ".join(["[1].all(a, true)"] * 9)]}, "rules.conditions[0]", "at most 8"),
        ([], "rules", "object"),
    ],
)
def test_hostile_rules_are_refused_with_their_place(cast: Cast, rules: Any, field: str, words: str) -> None:
    """FR-010: invalid rules are refused at save; nothing is written."""
    with pytest.raises(ValidationFailed) as failed:
        make_policy(cast, rules, status="draft")
    assert failed.value.errors[0].field == field
    assert words in failed.value.errors[0].message
    assert not Policy.objects.exists()


def test_all_faults_are_told_at_once(cast: Cast) -> None:
    """P-1: a list of errors, not the first one only."""
    with pytest.raises(ValidationFailed) as failed:
        make_policy(cast, {"allowed_actions": ["fly"], "required_roles": "x", "conditions": ["1 +", "true", "2 +"]})
    assert [error.field for error in failed.value.errors] == [
        "rules.allowed_actions",
        "rules.required_roles",
        "rules.conditions[0]",
        "rules.conditions[2]",
    ]


def test_only_administrators_write_policies(cast: Cast) -> None:
    """roles.md: policies belong to admin; operator and auditor read."""
    policy = make_policy(cast, {})
    for name in ("ada", "ben", "chen", "eve", "finn"):
        user = getattr(cast, name)
        for attempt in (
            lambda user=user: services.policy_create(actor=user, name="x", scope="global", rules={}),
            lambda user=user: services.policy_change(actor=user, policy_id=policy.pk, status="retired"),
            lambda user=user: services.policy_review(actor=user, policy_id=policy.pk),
            lambda user=user: services.policy_delete(actor=user, policy_id=policy.pk),
        ):
            with pytest.raises(PermissionRefused):
                attempt()
    assert Policy.objects.get().status == "active"


def test_the_life_of_a_policy_is_audited(cast: Cast) -> None:
    """FR-010: draft, active, retired; versions; review every ninety days; content kept in the trail."""
    policy = make_policy(cast, {"allowed_actions": ["get"]}, status="draft")
    assert policy.review_due - policy.created_at > timedelta(days=89)
    policy = services.policy_change(actor=cast.dana, policy_id=policy.pk, rules={"allowed_actions": ["get", "list"]})
    assert policy.version == 2
    policy = services.policy_change(actor=cast.dana, policy_id=policy.pk, description="why", status="active")
    assert (policy.version, policy.status) == (2, "active")
    policy.review_due = clock.now() - timedelta(days=1)
    policy.save()
    assert policy.review_overdue
    assert not services.policy_review(actor=cast.dana, policy_id=policy.pk).review_overdue
    services.policy_delete(actor=cast.dana, policy_id=policy.pk)
    assert list(AuditEvent.objects.order_by("sequence").values_list("action", flat=True)) == [
        "governance.policy.created",
        "governance.policy.changed",
        "governance.policy.changed",
        "governance.policy.activated",
        "governance.policy.reviewed",
        "governance.policy.deleted",
    ]
    changed = AuditEvent.objects.filter(action="governance.policy.changed").order_by("sequence")[0]
    assert changed.metadata["before"] == {"rules": {"allowed_actions": ["get"]}}


def test_names_are_taken_once_and_bad_steps_are_told(cast: Cast) -> None:
    """P-1: 409 for duplicates and wrong steps, 404 for nothing, 400 for nonsense."""
    policy = make_policy(cast, {}, name="One")
    with pytest.raises(Conflict, match="called 'ONE' already"):
        make_policy(cast, {}, name="ONE")
    make_policy(cast, {}, name="one", team=cast.support)
    with pytest.raises(Conflict, match="cannot begin as retired"):
        make_policy(cast, {}, name="Two", status="retired")
    services.policy_change(actor=cast.dana, policy_id=policy.pk, status="retired")
    with pytest.raises(Conflict, match="retired; it cannot become active"):
        services.policy_change(actor=cast.dana, policy_id=policy.pk, status="active")
    with pytest.raises(NotFound):
        services.policy_change(actor=cast.dana, policy_id="nonsense", status="active")
    for fields in (
        {"name": " "},
        {"scope": "moon"},
        {"status": "gone"},
        {"colour": "red"},
        {"name": "a\x00"},
    ):
        with pytest.raises(ValidationFailed):
            services.policy_change(actor=cast.dana, policy_id=policy.pk, **fields)


def test_every_action_of_a_domain_has_a_scope_and_known_verbs() -> None:
    """FR-010: the one table covers what the portal can do."""
    free = {
        "policy",
        "user",
        "team",
        "token",
        "pii_rule",
        "quota",
        "price",
        "budget",
        "cost",
        "cluster",
        "alert",
    }
    free |= {"audit", "approval", "operation", "upload", "workload", "prompt_template", "prompt_experiment"}
    for action in ACTIONS:
        under = policy_action(action, on_object=True)
        assert (under is None) == (action.partition(".")[0] in free), action
    assert policy_action("dataset.view", on_object=False) == PolicyAction("dataset", ("list",))
    assert policy_action("serving_endpoint.invoke", on_object=True) == PolicyAction("inference", ("invoke",))
    assert policy_action("training_job.submit", on_object=False) == PolicyAction("training", ("submit", "create"))


def test_a_decision_makes_no_query_with_two_hundred_policies(
    cast: Cast, make_thing: Callable[..., Operation], django_assert_num_queries: Callable[[int], Any]
) -> None:
    """Performance: compiled once, then nothing but the process's memory."""
    for index in range(200):
        make_policy(
            cast,
            {"allowed_actions": ["upload", "get"], "conditions": [f"actor.username != 'user-{index}'"]},
            name=f"policy {index}",
            scope=("dataset", "catalog", "training", "global")[index % 4],
        )
    policy_cache._committed()
    thing = make_thing()
    services.authorize(actor=cast.ada, action="dataset.upload", obj=thing)
    with django_assert_num_queries(0):
        decision = services.policy_decision(actor=cast.ada, action="dataset.upload", obj=thing)
    assert decision.considered == 100
    assert decision.explanation == "100 active policies apply; none denies."


def test_a_rolled_back_policy_leaves_nothing_behind(cast: Cast) -> None:
    """P-8: the process's copy follows the database."""
    with transaction.atomic():
        make_policy(cast, {"allowed_actions": []})
        refused(cast)
        transaction.set_rollback(True)
    services.authorize(actor=cast.ada, action="dataset.upload", team=cast.support)


def test_another_process_notices_within_the_set_time(cast: Cast, settings: Any) -> None:
    """FR-010: a second process compares the version after the set number of seconds."""
    settings.POLICY_CHECK_SECONDS = 1.0
    time = [100.0]
    other = PolicyCache(clock=lambda: time[0])
    assert other.current().policies == ()
    make_policy(cast, {"allowed_actions": []})
    time[0] += 0.5
    assert other.current().policies == ()
    time[0] += 0.6
    assert [policy.name for policy in other.current().policies] == ["No uploads"]


def test_an_unreadable_stored_policy_denies_and_says_so(cast: Cast) -> None:
    """FR-010: what cannot be compiled any more fails closed."""
    policy = make_policy(cast, {})
    Policy.objects.filter(pk=policy.pk).update(rules={"conditions": ["gone("]})
    policy_cache.forget()
    assert "cannot be read any more" in refused(cast)
