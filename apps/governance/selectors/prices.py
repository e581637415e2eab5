"""The price book for those who may read it."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.governance.models import PriceEntry
from apps.governance.services.authorization import authorize


def prices_visible_to(actor: User | None) -> QuerySet[PriceEntry]:
    """All entries with their history, newest first per kind; PermissionRefused for others."""
    authorize(actor=actor, action="price.view")
    return PriceEntry.objects.select_related("created_by").order_by("kind", "-valid_from", "id")
