"""A subject of approvals made from a plain team-owned table, and things to approve."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db.models import QuerySet

from apps.core.models import Operation
from apps.governance.registry import ApprovalSubject, subjects
from apps.governance.types import GateResult
from tests.support.cast import Cast


class ThingSubject(ApprovalSubject):
    """Approves `Operation` rows as if they were datasets. What its hooks were told is kept in `calls`."""

    kind = "thing"
    label = "Thing"
    submit_action = "dataset.submit"
    approve_action = "dataset.approve"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, GateResult] = {}
        self.extra_authors: set[UUID | int] = set()

    def queryset(self) -> QuerySet[Any]:
        return Operation.objects.all()

    def title(self, obj: Any) -> str:
        return f"Thing {obj.kind}"

    def url(self, obj: Any) -> str:
        return "/"

    def author_ids(self, obj: Any) -> set[UUID | int]:
        return super().author_ids(obj) | self.extra_authors

    def digest(self, obj: Any) -> str:
        return hashlib.sha256(obj.message.encode()).hexdigest()

    def gates(self, obj: Any, stage: str) -> list[GateResult]:
        passed = GateResult("card", "Card complete", True, "All fields are there.")
        return [passed, self.failing[stage]] if stage in self.failing else [passed]

    def _note(self, name: str, obj: Any) -> None:
        self.calls.append(name)
        obj.progress = min(100, obj.progress + 1)
        obj.save(update_fields=["progress"])

    def on_submitted(self, obj: Any, *, actor: Any, request: Any) -> None:
        self._note("submitted", obj)

    def on_approved(self, obj: Any, *, actor: Any, request: Any) -> None:
        self._note("approved", obj)

    def on_rejected(self, obj: Any, *, actor: Any, request: Any) -> None:
        self._note("rejected", obj)

    def on_changes_requested(self, obj: Any, *, actor: Any, request: Any) -> None:
        self._note("changes_requested", obj)

    def on_withdrawn(self, obj: Any, *, actor: Any, request: Any) -> None:
        self._note("withdrawn", obj)

    def on_lapsed(self, obj: Any, *, actor: Any, request: Any) -> None:
        self._note("lapsed", obj)


@pytest.fixture
def subject() -> Iterator[ThingSubject]:
    """The registered test subject."""
    made = ThingSubject()
    subjects.register(made)
    yield made
    subjects.unregister(made.kind)


@pytest.fixture
def make_thing(cast: Cast) -> Callable[..., Operation]:
    """Something that Ada made in team support (or as told)."""

    def make(**fields: Any) -> Operation:
        defaults = {"team": cast.support, "created_by": cast.ada, "kind": "report", "message": "content"}
        return Operation.objects.create(**{**defaults, **fields})

    return make


@pytest.fixture
def thing(make_thing: Callable[..., Operation]) -> Operation:
    """One thing of Ada's."""
    return make_thing()
