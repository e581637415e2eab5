"""The cast of demo, documentation and tests: who they are and what they hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from apps.core.permissions import Role

TEAMS = {"support": "Support", "research": "Research"}

BUILDER_ROLES = (
    Role.DATA_ENGINEER,
    Role.ML_ENGINEER,
    Role.RESEARCHER,
    Role.SERVICE_DEVELOPER,
    Role.PROMPT_DESIGNER,
)


@dataclass(frozen=True)
class CastMember:
    """One person: name, organisation-wide roles, and roles by team slug."""

    username: str
    first_name: str
    last_name: str
    organisation: tuple[Role, ...] = ()
    teams: dict[str, tuple[Role, ...]] = field(default_factory=dict)
    read_only: bool = False


CAST = (
    CastMember("ada", "Ada", "Okafor", teams={"support": BUILDER_ROLES}),
    CastMember("ben", "Ben", "Larsen", teams={"support": (Role.VIEWER, Role.REVIEWER)}),
    CastMember("chen", "Chen", "Wei", organisation=(Role.REVIEWER,)),
    CastMember("dana", "Dana", "Ruiz", organisation=(Role.OPERATOR, Role.ADMIN)),
    CastMember("eve", "Eve", "Novak", teams={"research": BUILDER_ROLES}),
    CastMember("finn", "Finn", "Moreau", organisation=(Role.AUDITOR,), read_only=True),
)
