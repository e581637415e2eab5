"""Telling people: notices wait on their home page and in the API until they are read."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import NotFound
from apps.core.models import TeamOwnedModel
from apps.core.permissions import can
from apps.core.transitions import get_or_not_found
from apps.governance.models import Notice

logger = logging.getLogger(__name__)


def notices_send(
    *,
    recipients: Iterable[Any],
    about: TeamOwnedModel,
    key: str,
    title: str,
    text: str = "",
    url: str = "",
    tone: str = "info",
) -> int:
    """Tell active people, by user id; None and doubled ids are skipped, and the same `key` is told once.

    Who does not see *about* (any more: people leave teams) is not told of it. Called inside the transaction of what
    happened. Returns how many people there are to tell.
    """
    wanted = {recipient for recipient in recipients if recipient is not None}
    active = User.objects.filter(pk__in=wanted, is_active=True)
    people = [person.pk for person in active if can(person, f"{about.AUDIT_TYPE}.view", about)]
    rows = [
        Notice(recipient_id=pk, key=key[:200], tone=tone, title=title[:300], text=text[:4000], url=url[:300])
        for pk in people
    ]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    logger.info("notices_sent", extra={"notice": key, "tone": tone, "people": len(people)})
    return len(people)


def notice_read(*, actor: User, notice_id: UUID | str) -> Notice:
    """Put away one of the own notices; again changes nothing. NotFound for anybody else's."""
    notice = get_or_not_found(Notice.objects.filter(recipient=actor), notice_id, "notice")
    if notice.read_at is None:
        notice.read_at = clock.now()
        notice.save(update_fields=["read_at"])
    return notice


def notices_read_all(*, actor: User | None) -> int:
    """Put away all own notices; returns how many there were."""
    if actor is None:
        raise NotFound("The system has no notices.")
    return Notice.objects.filter(recipient=actor, read_at=None).update(read_at=clock.now(), updated_at=clock.now())
