"""A first price book, so that an empty portal shows costs; operators set their own prices from a day on."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.db import migrations
from django.db.migrations.state import StateApps

GIB = Decimal(1024**3)
FIRST = {
    "tokens_in": (Decimal("0.15"), Decimal(1_000_000)),
    "tokens_out": (Decimal("0.60"), Decimal(1_000_000)),
    "cpu_seconds": (Decimal("0.04"), Decimal(3600)),
    "gpu_seconds": (Decimal("2.50"), Decimal(3600)),
    "memory_byte_seconds": (Decimal("0.005"), GIB * 3600),
    "storage_byte_hours": (Decimal("0.023"), GIB * 730),
    "requests": (Decimal(0), Decimal(1000)),
}


def seed(apps: StateApps, schema_editor: object) -> None:
    """One general price per kind, valid since ever."""
    prices = apps.get_model("governance", "PriceEntry")
    for kind, (amount, per_quantity) in FIRST.items():
        prices.objects.get_or_create(
            id=uuid5(NAMESPACE_URL, f"llmops:first-price:{kind}"),
            defaults={
                "kind": kind,
                "amount": amount,
                "per_quantity": per_quantity,
                "currency": settings.COST_CURRENCY,
                "valid_from": datetime(2000, 1, 1, tzinfo=UTC),
                "note": "Delivered with the portal",
            },
        )


class Migration(migrations.Migration):
    dependencies = [("governance", "0002_audit_guards")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
