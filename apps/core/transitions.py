"""State changes: one table per entity, one function that moves along it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models

from apps.core.errors import Conflict, FieldError, NotFound

TransitionTable = Mapping[str, frozenset[str]]
M = TypeVar("M", bound=models.Model)


def get_locked(queryset: models.QuerySet[M], pk: Any, what: str = "") -> M:
    """The row with this key, locked until the transaction ends.

    Locking goes through a second query by key, so ``queryset`` may hold joins, subqueries or annotations.

    Raises:
        NotFound: absent, outside ``queryset``, or not a key at all.
    """
    name = what or str(queryset.model._meta.verbose_name)
    try:
        queryset.model._default_manager.select_for_update(of=("self",)).get(pk=pk)
        return queryset.get(pk=pk)
    except (ObjectDoesNotExist, ValidationError, ValueError, TypeError) as error:
        raise NotFound(f"There is no {name} {pk}.") from error


def get_or_not_found(queryset: models.QuerySet[M], pk: Any, what: str = "") -> M:
    """The row with this key in ``queryset``; :class:`NotFound` for absent, invisible and malformed alike."""
    try:
        return queryset.get(pk=pk)
    except (ObjectDoesNotExist, ValidationError, ValueError, TypeError) as error:
        raise NotFound(f"There is no {what or queryset.model._meta.verbose_name} {pk}.") from error


def transition(
    instance: models.Model, to: str, table: TransitionTable, *, field: str = "status", **updates: Any
) -> None:
    """Move a locked ``instance`` to state ``to`` and save it together with ``updates``.

    Raises:
        Conflict: the table has no such step; the message says where one can go from here.
    """
    current = str(getattr(instance, field))
    allowed = table.get(current, frozenset())
    if str(to) not in allowed:
        ways = ", ".join(sorted(allowed)) or "nowhere: it is final"
        message = (
            f"This {instance._meta.verbose_name} is {current}; it cannot become {to}. From here it can go to: {ways}."
        )
        raise Conflict(message, errors=[FieldError(field, "invalid_transition", message)], code="invalid_transition")
    setattr(instance, field, str(to))
    for name, value in updates.items():
        setattr(instance, name, value)
    instance.save(update_fields=[field, *updates])
