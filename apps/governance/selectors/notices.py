"""Reading notices: everyone their own, nobody else's."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.governance.models import Notice


def notices_for(actor: User, *, unread: bool = False) -> QuerySet[Notice]:
    """The person's notices, newest first."""
    found = Notice.objects.filter(recipient=actor).order_by("-created_at", "id")
    return found.filter(read_at=None) if unread else found
