"""The rule that nobody decides about their own: one place for services, selectors and pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def four_eyes_reason(*, actor_id: Any, requester_id: Any, author_ids: Iterable[Any], title: str) -> str:
    """Why this person may not decide; empty when the four-eyes rule has nothing against it."""
    if requester_id is not None and str(actor_id) == str(requester_id):
        return f"You submitted {title}; somebody else must decide about it."
    if str(actor_id) in {str(key) for key in author_ids}:
        return f"You are an author of {title}; somebody else must decide about it."
    return ""
