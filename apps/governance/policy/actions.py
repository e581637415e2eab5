"""Which policy scope and verbs an action id falls under. The one table between permissions and policies."""

from __future__ import annotations

from dataclasses import dataclass

VIEW = "view"


@dataclass(frozen=True, slots=True)
class PolicyAction:
    """`verbs[0]` is what conditions see as `action.verb`; an allow-list that names any of `verbs` allows the action."""

    scope: str
    verbs: tuple[str, ...]


_ENTITIES: dict[str, str] = {
    "dataset": "dataset",
    "model": "catalog",
    "external_model": "catalog",
    "training_job": "training",
    "evaluation_run": "evaluation",
    "serving_endpoint": "serving",
}

_VERBS: dict[str, tuple[str, ...]] = {
    "create": ("create",),
    "change": ("update",),
    "upload": ("upload",),
    "submit": ("submit",),
    "approve": ("approve",),
    "delete": ("delete",),
    "export": ("export",),
    "download": ("export", "get"),
    "import": ("create",),
    "cancel": ("update",),
    "record": ("update",),
    "review": ("update",),
    "rollback": ("deploy", "update"),
    "stop": ("update",),
    "deploy": ("deploy", "create"),
}

_SPECIAL: dict[str, PolicyAction] = {
    "training_job.submit": PolicyAction("training", ("submit", "create")),
    "training_job.resubmit": PolicyAction("training", ("submit", "create")),
    "evaluation_run.start": PolicyAction("evaluation", ("submit", "create")),
    "serving_endpoint.invoke": PolicyAction("inference", ("invoke",)),
}


def policy_action(action: str, *, on_object: bool) -> PolicyAction | None:
    """Scope and verbs of an action id, None when no policy can touch it.

    Policies, users, teams, tokens, costs and the audit trail stay out of their reach: a policy must never lock out
    the people who can repair it.
    """
    special = _SPECIAL.get(action)
    if special is not None:
        return special
    entity, _, verb = action.partition(".")
    scope = _ENTITIES.get(entity)
    if scope is None:
        return None
    if verb == VIEW:
        return PolicyAction(scope, ("get",) if on_object else ("list",))
    # A verb that is new to this table counts as a change: no action of a governed scope slips past its policies.
    return PolicyAction(scope, _VERBS.get(verb, ("update",)))
