"""The price book for those who may read it."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core import clock
from apps.governance.models import PriceEntry
from apps.governance.services.authorization import authorize


def prices_visible_to(actor: User | None) -> QuerySet[PriceEntry]:
    """All entries with their history, newest first per kind; PermissionRefused for others."""
    authorize(actor=actor, action="price.view")
    return PriceEntry.objects.select_related("created_by").order_by("kind", "-valid_from", "id")


def prices_current_ids() -> set[UUID]:
    """The entries that count at this moment, one per kind, model and GPU type."""
    entries = PriceEntry.objects.filter(valid_from__lte=clock.now())
    newest = entries.order_by("kind", "model_id", "gpu_type", "-valid_from").distinct("kind", "model_id", "gpu_type")
    return set(newest.values_list("pk", flat=True))
