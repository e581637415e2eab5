"""Who may do what: the one table of roles and actions, and the three questions asked of it.

``can`` answers for one action, ``visible_to`` limits a queryset to what exists for the actor, ``teams_where`` feeds
pickers. Policies (``apps.governance``) may take away from these answers, never add. ``actor=None`` is the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar
from uuid import UUID

from django.apps import apps as django_apps
from django.db import models
from django.db.models import Q

from apps.core.models import TeamOwnedModel, Visibility


class Role(StrEnum):
    """Held in a team by membership, or in the whole organisation (membership without a team)."""

    VIEWER = "viewer"
    RESEARCHER = "researcher"
    DATA_ENGINEER = "data_engineer"
    ML_ENGINEER = "ml_engineer"
    SERVICE_DEVELOPER = "service_developer"
    PROMPT_DESIGNER = "prompt_designer"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Scope(StrEnum):
    """What an API token may be used for; it never exceeds its owner."""

    READ = "read"
    WRITE = "write"
    INFERENCE = "inference"
    METRICS = "metrics"
    ADMIN = "admin"


class Actor(Protocol):
    """What this module needs to know of a user."""

    pk: Any
    is_active: bool
    token_scopes: frozenset[str] | None
    token_team_id: UUID | None

    def role_map(self) -> Mapping[UUID | None, frozenset[str]]:
        """Roles by team id; the key None holds the organisation-wide ones."""


@dataclass(frozen=True)
class ActionRule:
    """Roles that allow an action in the owning team or organisation-wide, and the token scope it needs.

    ``shared``: also allowed to anyone signed in on a thing shared with the organisation.
    """

    team: frozenset[Role]
    organisation: frozenset[Role]
    scope: Scope = Scope.WRITE
    shared: bool = False


ANY_ROLE = frozenset(Role)
SEES_ALL_TEAMS = frozenset({Role.REVIEWER, Role.OPERATOR, Role.AUDITOR, Role.ADMIN})
_R = Role
_ADMIN = frozenset({_R.ADMIN})
_ADMIN_OPERATOR = frozenset({_R.ADMIN, _R.OPERATOR})
_DATA = frozenset({_R.DATA_ENGINEER, _R.RESEARCHER, _R.ML_ENGINEER})
_MODEL = frozenset({_R.RESEARCHER, _R.ML_ENGINEER})
_EVALUATE = frozenset({_R.RESEARCHER, _R.ML_ENGINEER, _R.DATA_ENGINEER, _R.PROMPT_DESIGNER})
_SERVE = frozenset({_R.SERVICE_DEVELOPER, _R.ML_ENGINEER})
_PROMPT = frozenset({_R.PROMPT_DESIGNER, _R.SERVICE_DEVELOPER})
_REVIEW = frozenset({_R.REVIEWER})
_COST = frozenset({_R.OPERATOR, _R.AUDITOR, _R.ADMIN})


def _view() -> ActionRule:
    return ActionRule(ANY_ROLE, SEES_ALL_TEAMS, Scope.READ, shared=True)


def _rules(
    prefix: str,
    verbs: str,
    team: frozenset[Role],
    organisation: frozenset[Role] = _ADMIN,
    scope: Scope = Scope.WRITE,
) -> dict[str, ActionRule]:
    return {f"{prefix}.{verb}": ActionRule(team, organisation, scope) for verb in verbs.split()}


_NOBODY: frozenset[Role] = frozenset()

ACTIONS: dict[str, ActionRule] = {
    "dataset.view": _view(),
    "dataset.export": _view(),
    **_rules("dataset", "create change upload submit delete", _DATA),
    **_rules("dataset", "approve", _REVIEW, frozenset({_R.REVIEWER, _R.ADMIN})),
    "model.view": _view(),
    # Pulling an approved model's files, as endpoints and other clients of the hub routes do: use, not change.
    "model.download": _view(),
    **_rules("model", "create change upload submit delete import export", _MODEL),
    **_rules("model", "approve", _REVIEW, frozenset({_R.REVIEWER, _R.ADMIN})),
    **_rules("external_model", "change create", _SERVE),
    "training_job.view": _view(),
    **_rules("training_job", "submit change record resubmit", _MODEL),
    **_rules("training_job", "cancel", _MODEL, _ADMIN_OPERATOR),
    "evaluation_run.view": _view(),
    "evaluation_run.export": _view(),
    **_rules("evaluation_run", "start cancel delete", _EVALUATE),
    **_rules("evaluation_run", "review", _REVIEW, _REVIEW),
    "prompt_template.view": _view(),
    **_rules("prompt_template", "create change submit delete", _PROMPT),
    **_rules("prompt_template", "approve", _REVIEW, frozenset({_R.REVIEWER, _R.ADMIN})),
    "prompt_experiment.view": _view(),
    **_rules("prompt_experiment", "create change", _PROMPT),
    **_rules("prompt_experiment", "stop", _PROMPT, _ADMIN_OPERATOR),
    "serving_endpoint.view": _view(),
    **_rules("serving_endpoint", "deploy change rollback delete", _SERVE),
    **_rules("serving_endpoint", "stop", _SERVE, _ADMIN_OPERATOR),
    # Looking writes down what was found; whoever may call it may ask for a look.
    "serving_endpoint.refresh": ActionRule(ANY_ROLE - {_R.AUDITOR}, _ADMIN_OPERATOR, Scope.WRITE),
    **_rules("serving_endpoint", "approve", _REVIEW, frozenset({_R.REVIEWER, _R.ADMIN})),
    "serving_endpoint.invoke": ActionRule(ANY_ROLE - {_R.AUDITOR}, _ADMIN, Scope.INFERENCE, shared=True),
    "workload.view": _view(),
    "operation.view": _view(),
    **_rules("upload", "cancel", _NOBODY, _ADMIN_OPERATOR),
    "approval.view": _view(),
    **_rules("approval", "decide", _REVIEW, frozenset({_R.REVIEWER, _R.ADMIN})),
    **_rules("policy", "view", _NOBODY, frozenset({_R.ADMIN, _R.AUDITOR, _R.OPERATOR}), Scope.READ),
    **_rules("policy", "change", _NOBODY, _ADMIN, Scope.ADMIN),
    **_rules("user", "manage", _NOBODY, _ADMIN, Scope.ADMIN),
    **_rules("team", "manage", _NOBODY, _ADMIN, Scope.ADMIN),
    **_rules("token", "manage", _NOBODY, _ADMIN, Scope.ADMIN),
    **_rules("pii_rule", "view", _NOBODY, frozenset({_R.ADMIN, _R.AUDITOR, _R.OPERATOR}), Scope.READ),
    **_rules("pii_rule", "change", _NOBODY, _ADMIN, Scope.ADMIN),
    **_rules("quota", "change", _NOBODY, _ADMIN_OPERATOR, Scope.ADMIN),
    **_rules("price", "view", _NOBODY, _COST, Scope.READ),
    **_rules("price", "change", _NOBODY, _ADMIN_OPERATOR, Scope.ADMIN),
    **_rules("budget", "view", ANY_ROLE, _COST, Scope.READ),
    **_rules("budget", "change", _NOBODY, _ADMIN_OPERATOR, Scope.ADMIN),
    **_rules("cost", "view", ANY_ROLE, _COST, Scope.READ),
    **_rules("cluster", "view", _NOBODY, _ADMIN_OPERATOR, Scope.READ),
    **_rules("alert", "view", _NOBODY, _ADMIN_OPERATOR, Scope.READ),
    **_rules("audit", "view", _NOBODY, frozenset({_R.AUDITOR, _R.ADMIN}), Scope.READ),
}

M = TypeVar("M", bound=models.Model)


def organisation_roles(actor: Actor) -> frozenset[str]:
    """Roles held in the whole organisation."""
    return actor.role_map().get(None, frozenset())


def team_ids(actor: Actor) -> set[UUID]:
    """Teams in which the actor holds any role."""
    return {team_id for team_id in actor.role_map() if team_id is not None}


def is_shared(obj: models.Model) -> bool:
    """Whether a thing is open to the whole organisation right now."""
    if getattr(obj, "visibility", "") != Visibility.ORGANISATION:
        return False
    statuses = getattr(obj, "SHARED_STATUSES", ())
    return not statuses or getattr(obj, "status", "") in statuses


def grant_model(model: type[models.Model]) -> type[models.Model] | None:
    """The guardian permission table of a model (``<Model>Grant`` in the same app), if it has one."""
    try:
        return django_apps.get_model(model._meta.app_label, f"{model.__name__}Grant")
    except LookupError:
        return None


def _granted(actor: Actor, obj: models.Model, codename: str) -> bool:
    table = grant_model(type(obj))
    if table is None:
        return False
    found = table._default_manager.filter(user_id=actor.pk, content_object_id=obj.pk, permission__codename=codename)
    return found.exists()


def _scope_allows(actor: Actor, scope: Scope) -> bool:
    return actor.token_scopes is None or scope in actor.token_scopes


def can(actor: Actor | None, action: str, obj: models.Model | None = None, *, team: models.Model | None = None) -> bool:
    """Whether ``actor`` may do ``action`` on ``obj``, or in ``team`` when there is no object yet.

    Without object and team: whether they may do it anywhere (for navigation). Visibility is a separate question:
    ask :func:`visible_to` first, so that invisible things answer 404.
    """
    if actor is None:
        return True
    rule = ACTIONS[action]
    if not actor.is_active or not _scope_allows(actor, rule.scope):
        return False
    roles = actor.role_map()
    organisation = roles.get(None, frozenset())
    if Role.AUDITOR in organisation and rule.scope is not Scope.READ:
        return False
    team_id = team.pk if team is not None else getattr(obj, "team_id", None)
    if actor.token_team_id is not None and team_id is not None and team_id != actor.token_team_id:
        return False
    if rule.organisation & organisation:
        return True
    if team_id is None and obj is None:
        return any(rule.team & held for key, held in roles.items() if key is not None)
    if rule.team & roles.get(team_id, frozenset()):
        return True
    if obj is None:
        return False
    if rule.shared and is_shared(obj):
        return True
    verb = action.rpartition(".")[2]
    return _granted(actor, obj, f"{verb}_{obj._meta.model_name}")


def visible_to(actor: Actor | None, queryset: models.QuerySet[M]) -> models.QuerySet[M]:
    """The part of a queryset of team-owned things that exists for ``actor``.

    A model may widen it by a class method ``extra_visible_q(actor) -> Q`` (e.g. reviews assigned to me).
    """
    if actor is None:
        return queryset
    if not actor.is_active:
        return queryset.none()
    limit = Q() if actor.token_team_id is None else Q(team_id=actor.token_team_id)
    if SEES_ALL_TEAMS & organisation_roles(actor):
        return queryset.filter(limit)
    model = queryset.model
    seen = Q(team_id__in=team_ids(actor))
    if issubclass(model, TeamOwnedModel):
        shared = Q(visibility=Visibility.ORGANISATION)
        if model.SHARED_STATUSES:
            # A model without a `status` column must set SHARED_STATUSES = ().
            shared &= Q(status__in=model.SHARED_STATUSES)
        seen |= shared
    table = grant_model(model)
    if table is not None:
        seen |= Q(pk__in=table._default_manager.filter(user_id=actor.pk).values("content_object_id"))
    extra = getattr(model, "extra_visible_q", None)
    if extra is not None:
        seen |= extra(actor)
    return queryset.filter(limit & seen)


def teams_where(actor: Actor | None, action: str) -> models.QuerySet[Any]:
    """Teams in which ``actor`` may do ``action``; for pickers and for resolving ``ownerTeam``."""
    teams = django_apps.get_model("accounts", "Team")._default_manager.all()
    if actor is None:
        return teams
    rule = ACTIONS[action]
    if not actor.is_active or not _scope_allows(actor, rule.scope):
        return teams.none()
    roles = actor.role_map()
    if actor.token_team_id is not None:
        teams = teams.filter(pk=actor.token_team_id)
    organisation = roles.get(None, frozenset())
    if Role.AUDITOR in organisation and rule.scope is not Scope.READ:
        return teams.none()
    if rule.organisation & organisation:
        return teams
    return teams.filter(pk__in=[key for key, held in roles.items() if key is not None and rule.team & held])
