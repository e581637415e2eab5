"""P-3: one place decides; the whole cast, every way of asking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.core.errors import NotFound, PermissionRefused
from apps.core.models import Operation
from apps.governance import services
from tests.support.cast import Cast


def answers(cast: Cast, action: str, **kwargs: Any) -> dict[str, str]:
    found = {}
    for name, user in cast.everyone().items():
        try:
            services.authorize(actor=user, action=action, **kwargs)
            found[name] = "yes"
        except PermissionRefused:
            found[name] = "403"
        except NotFound:
            found[name] = "404"
    return found


def only(yes: str, refused: str, hidden: str = "") -> dict[str, str]:
    groups = ((yes, "yes"), (refused, "403"), (hidden, "404"))
    return {name: answer for names, answer in groups for name in names.split()}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("dataset.view", only("ada ben chen dana finn", "", "eve")),
        ("dataset.upload", only("ada dana", "ben chen finn", "eve")),
        ("dataset.approve", only("ben chen dana", "ada finn", "eve")),
        ("training_job.cancel", only("ada dana", "ben chen finn", "eve")),
        ("serving_endpoint.invoke", only("ada ben dana", "chen finn", "eve")),
    ],
)
def test_the_cast_on_a_thing_of_team_support(
    cast: Cast, make_thing: Callable[..., Operation], action: str, expected: dict[str, str]
) -> None:
    """P-3: allowed, refused or not there."""
    assert answers(cast, action, obj=make_thing()) == expected


def test_the_cast_in_a_team(cast: Cast) -> None:
    """P-3: creating has no object yet; a foreign team is refused."""
    assert answers(cast, "dataset.create", team=cast.support) == only("ada dana", "ben chen eve finn")


def test_policies_belong_to_admins(cast: Cast) -> None:
    """roles.md: things without a team are guarded by the action alone."""
    assert answers(cast, "policy.change") == only("dana", "ada ben chen eve finn")
    assert answers(cast, "policy.view") == only("dana finn", "ada ben chen eve")


def test_a_shared_thing_is_visible_to_eve_but_not_hers_to_change(
    cast: Cast, make_thing: Callable[..., Operation]
) -> None:
    """P-3: organisation visibility lets see, not change."""
    shared = make_thing(visibility="organisation")
    services.authorize(actor=cast.eve, action="dataset.view", obj=shared)
    with pytest.raises(PermissionRefused):
        services.authorize(actor=cast.eve, action="dataset.change", obj=shared)


def test_the_refusal_names_action_and_remedy_and_can_be_audited(
    cast: Cast, make_thing: Callable[..., Operation]
) -> None:
    """P-1, FR-010: clear words; the denial is on the error."""
    with pytest.raises(PermissionRefused, match=r"Ask an administrator .* \(dataset.upload\)") as error:
        services.authorize(actor=cast.ben, action="dataset.upload", obj=make_thing())
    assert error.value.denial is not None
    assert error.value.denial.actor == cast.ben
    assert error.value.denial.team_id == cast.support.pk


def test_a_token_limited_to_another_team_sees_nothing(cast: Cast, make_thing: Callable[..., Operation]) -> None:
    """P-2: token limits ride on the actor."""
    cast.ada.token_team_id = cast.research.pk
    with pytest.raises(NotFound):
        services.authorize(actor=cast.ada, action="dataset.view", obj=make_thing())


def test_the_system_may(cast: Cast, make_thing: Callable[..., Operation]) -> None:
    """P-8: tasks act as the system."""
    services.authorize(actor=None, action="dataset.delete", obj=make_thing())


def test_a_member_is_authorised_without_a_query(
    cast: Cast, make_thing: Callable[..., Operation], django_assert_num_queries: Callable[[int], Any]
) -> None:
    """Performance: roles are read once per request; nothing more for the own team's things."""
    thing = make_thing()
    services.authorize(actor=cast.ada, action="dataset.upload", obj=thing)
    with django_assert_num_queries(0):
        services.authorize(actor=cast.ada, action="dataset.upload", obj=thing)
