"""P-3 over every address there is: what a stranger may not see does not exist, and an auditor changes nothing.

The addresses are read from the URL configuration, so a new one is held to this without being listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.apps import apps as django_apps
from django.db import models
from django.test import Client
from django.urls import URLResolver, get_resolver

from apps.accounts.services import token_issue
from apps.compute.models import Workload
from apps.core import clock
from apps.core.models import AuditEvent, Operation
from apps.governance.models import ApprovalRequest, Notice, Policy
from tests.e2e.world import make_world
from tests.support.cast import ApiClient, Cast

Page = Callable[..., Client]
Api = Callable[..., ApiClient]
VERBS = ("get", "post", "put", "patch", "delete")
#: Which thing the parameters below a prefix name: key of `things`. Longest prefix first.
PREFIXES = (
    ("llm-ops/v1/operations/", "operation"),
    ("llm-ops/v1/tokens/", "token"),
    ("account/tokens/", "token"),
    ("llm-ops/v1/governance/policies/", "policy"),
    ("governance/policies/", "policy"),
    ("llm-ops/v1/governance/approvals/", "approval"),
    ("governance/approvals/", "approval"),
    ("approvals/", "approval"),
    ("llm-ops/v1/governance/notices/", "notice"),
    ("governance/notices/", "notice"),
    ("llm-ops/v1/catalog/datasets/", "dataset"),
    ("datasets/", "dataset"),
    ("llm-ops/v1/catalog/models/", "model"),
    ("models/", "model"),
    ("compute/workloads/", "workload"),
    ("llm-ops/v1/training/", "job"),
    ("training/", "job"),
    ("llm-ops/v1/evaluation/", "run"),
    ("evaluations/", "run"),
    ("llm-ops/v1/serving/", "endpoint"),
    ("endpoints/", "endpoint"),
)
#: Everybody sees these: the organisation's rules, and files by name instead of id.
SHARED = ("llm-ops/v1/catalog/pii-rules/", "governance/policies/", "llm-ops/v1/governance/policies/", "datasets/pii")
#: Texts in place of an id, which name nothing of anybody.
PLAIN = {"filename": "config.json", "version": "1.0", "revision": "main", "path": "config.json"}
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")


@dataclass
class Address:
    """One pattern of the URL configuration, with the thing that its parameters name."""

    pattern: str
    thing: str

    def url(self, ids: dict[str, str]) -> str:
        """The address of real things."""
        return "/" + PARAMETER.sub(lambda found: PLAIN.get(found[2]) or ids[self.thing], self.pattern)


def addresses(resolver: Any = None, prefix: str = "") -> Iterator[Address]:
    """Every address outside the admin; those without parameters have no thing."""
    for entry in (resolver or get_resolver()).url_patterns:
        text = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if not text.startswith("admin/"):
                yield from addresses(entry, text)
        elif not text.endswith("^.*$"):
            thing = next((name for start, name in PREFIXES if text.startswith(start)), "")
            yield Address(text, thing if PARAMETER.search(text) else "")


def world(cast: Cast, run_commits: Any) -> dict[str, str]:
    """One real thing of team support (of Ada, for what belongs to a person) of every kind."""
    with run_commits():
        made = make_world(cast)
    operation = Operation.objects.create(team=cast.support, created_by=cast.ada, kind="test", message="secret")
    token = token_issue(user=cast.ada, name="secret", scopes=["read"], expires_at=clock.now() + timedelta(days=1)).token
    notice = Notice.objects.create(recipient=cast.ada, key="secret", tone="info", title="secret")
    workload = Workload.objects.filter(team=cast.support).first()
    policy = Policy.objects.first()
    approval = ApprovalRequest.objects.filter(team=cast.support).first()
    return {
        "operation": str(operation.pk),
        "token": str(token.pk),
        "notice": str(notice.pk),
        "policy": str(policy.pk if policy else uuid4()),
        "approval": str(approval.pk if approval else ""),
        "dataset": made["leaky_dataset"],
        "model": made["ready_model"],
        "workload": str(workload.pk if workload else uuid4()),
        "job": made["running_job"],
        "run": made["waiting_run"],
        "endpoint": made["endpoint"],
    }


def call(client: Any, verb: str, url: str) -> Any:
    """One request with an empty body, as API or as page."""
    if isinstance(client, ApiClient):
        return getattr(client, verb)(url)
    return client.generic(verb.upper(), url)


def anonymous(text: str, ids: Any) -> str:
    """The answer without the ids that were asked for, and without what differs from request to request."""
    for value in ids:
        text = text.replace(value, "ID").replace(value[:8], "ID")
    return re.sub(r'(?i)"requestId":"[^"]*"|csrf\w*" value="[^"]*"|content="[A-Za-z0-9]{64}"|nonce="[^"]*"', "", text)


def test_every_parameter_names_a_known_thing() -> None:
    """P-3: a new kind of address has to be added to this file's list, or to what everybody sees."""
    unknown = [
        entry.pattern
        for entry in addresses()
        if PARAMETER.search(entry.pattern) and not entry.thing and not entry.pattern.startswith((*SHARED, "hf/"))
    ]
    assert unknown == []


def test_stranger_cannot_tell_a_hidden_thing_from_none(cast: Cast, api: Api, page: Page, run_commits: Any) -> None:
    """P-3: to Eve, a thing of team support answers like an id that nothing has, by every address and verb."""
    ids = world(cast, run_commits)
    nothing = {name: str(uuid4()) for name in ids}
    caller, browser = api(cast.eve), page(cast.eve)
    different = []
    asked = 0
    for entry in addresses():
        if not entry.thing or entry.pattern.startswith(SHARED):
            continue
        client = caller if entry.pattern.startswith("llm-ops/") else browser
        for verb in VERBS:
            real, none = (call(client, verb, entry.url(names)) for names in (ids, nothing))
            asked += 1
            if real.status_code != none.status_code:
                different.append((verb, entry.pattern, real.status_code, none.status_code))
            elif isinstance(client, ApiClient) and anonymous(real.content.decode(), ids.values()) != anonymous(
                none.content.decode(), nothing.values()
            ):
                different.append((verb, entry.pattern, real.content[:200], none.content[:200]))
            elif real.status_code == 200 and verb == "get":
                different.append((verb, entry.pattern, 200, "shown"))
    assert different == []
    assert asked > 300


def test_auditor_changes_nothing_by_any_address(cast: Cast, api: Api, page: Page, run_commits: Any) -> None:
    """P-3: Finn sees everything and leaves no trace in any table but his own session, tokens and the audit trail."""
    ids = world(cast, run_commits)
    caller, browser = api(cast.finn), page(cast.finn)
    before = contents()
    done = []
    for entry in addresses():
        client = caller if entry.pattern.startswith("llm-ops/") else browser
        if entry.pattern.startswith(("account/", "hf/", "llm-ops/v1/tokens")) or (
            PARAMETER.search(entry.pattern) and not entry.thing
        ):
            continue
        for verb in VERBS[1:]:
            answer = call(client, verb, entry.url(ids))
            if answer.status_code >= 500:
                done.append((verb, entry.pattern, answer.status_code))
    assert done == []
    after = contents()
    assert {name: (before.get(name), rows) for name, rows in after.items() if before.get(name) != rows} == {}
    mine = AuditEvent.objects.filter(actor=cast.finn, result="allowed").exclude(action__startswith="accounts.")
    assert sorted({event.action for event in mine}) in ([], ["governance.audit.verified"])


def contents() -> dict[str, int]:
    """Per table of ours: how many rows, and how they hash; without what reading may write."""
    free = {"AuditEvent", "AuditSeal", "ApiToken", "User", "SignInAttempt", "ReconcilerBeat"}
    found = {}
    for model in django_apps.get_models():
        if model.__module__.startswith("apps.") and model.__name__ not in free:
            rows = model._default_manager.order_by("pk").values_list(*(field.attname for field in columns(model)))
            found[model.__name__] = hash(tuple(map(str, rows)))
    return found


def columns(model: type[models.Model]) -> list[Any]:
    """The stored columns."""
    return [field for field in model._meta.concrete_fields if not isinstance(field, models.BinaryField)]
