"""The table of roles, read back for the whole cast."""

from __future__ import annotations

import pytest

from apps.core.models import Operation
from apps.core.permissions import ACTIONS, Scope, can, teams_where, visible_to
from tests.support.cast import Cast

EXPECTED = {
    # action: who may do it on a thing of team support
    "dataset.view": "ada ben chen dana finn",
    "dataset.create": "ada dana",
    "dataset.approve": "ben chen dana",
    "model.change": "ada dana",
    "model.approve": "ben chen dana",
    "training_job.submit": "ada dana",
    "training_job.cancel": "ada dana",
    "evaluation_run.start": "ada dana",
    "evaluation_run.review": "ben chen",
    "serving_endpoint.deploy": "ada dana",
    "serving_endpoint.stop": "ada dana",
    "serving_endpoint.invoke": "ada ben dana",
    "policy.change": "dana",
    "user.manage": "dana",
    "cost.view": "ada ben dana finn",
    "audit.view": "dana finn",
    "quota.change": "dana",
}


@pytest.mark.parametrize(("action", "people"), EXPECTED.items())
def test_cast_can_exactly_what_the_table_says(cast: Cast, action: str, people: str) -> None:
    """P-3: who may do what on team support's things, for everybody."""
    thing = Operation.objects.create(team=cast.support, kind="x")
    allowed = {name for name, person in cast.everyone().items() if can(person, action, thing)}
    assert allowed == set(people.split())


def test_auditor_cannot_change_anything(cast: Cast) -> None:
    """P-3: auditors never change data, whatever else they hold."""
    thing = Operation.objects.create(team=cast.support, kind="x")
    for action, rule in ACTIONS.items():
        if rule.scope is not Scope.READ:
            assert not can(cast.finn, action, thing), action


def test_cast_sees_exact_sets(cast: Cast) -> None:
    """P-3: exact visible sets; a stranger sees nothing of another team."""
    ours = Operation.objects.create(team=cast.support, kind="ours")
    theirs = Operation.objects.create(team=cast.research, kind="theirs")
    expected = {
        "ada": {ours},
        "ben": {ours},
        "chen": {ours, theirs},
        "dana": {ours, theirs},
        "eve": {theirs},
        "finn": {ours, theirs},
    }
    seen = {name: set(visible_to(person, Operation.objects.all())) for name, person in cast.everyone().items()}
    assert seen == expected


def test_token_team_limits_what_is_seen_and_done(cast: Cast) -> None:
    """P-2: a team-bound token sees and does nothing elsewhere."""
    ours = Operation.objects.create(team=cast.support, kind="ours")
    Operation.objects.create(team=cast.research, kind="theirs")
    cast.dana.token_team_id = cast.support.pk
    assert set(visible_to(cast.dana, Operation.objects.all())) == {ours}
    assert not can(cast.dana, "dataset.create", team=cast.research)
    assert list(teams_where(cast.dana, "dataset.create")) == [cast.support]


def test_token_scope_limits_what_is_done(cast: Cast) -> None:
    """P-2: a read token changes nothing."""
    cast.ada.token_scopes = frozenset({"read"})
    assert not can(cast.ada, "dataset.create", team=cast.support)
    assert can(cast.ada, "dataset.view", team=cast.support)
    assert not teams_where(cast.ada, "dataset.create")
