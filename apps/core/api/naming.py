"""camelCase for programs, snake_case inside."""

from __future__ import annotations

import re
from functools import lru_cache

_CAMEL_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4096)
def camel(name: str) -> str:
    """``owner_team`` → ``ownerTeam``."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


@lru_cache(maxsize=4096)
def snake(name: str) -> str:
    """``ownerTeam`` → ``owner_team``; snake_case stays as it is."""
    return _CAMEL_BREAK.sub("_", name).lower()
