"""The price book: entries are added, never changed, and never reach back into days that are closed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.core import audit, clock
from apps.core.errors import Conflict, ValidationFailed
from apps.governance.cost_sql import cost_day, day_start
from apps.governance.models import PriceEntry
from apps.governance.services.authorization import authorize
from apps.governance.types import PRICE_UNITS, UsageKind

MAX_AMOUNT = Decimal(1_000_000)


def price_set(
    *,
    actor: User | None,
    kind: str,
    amount: Decimal,
    valid_from: datetime | None = None,
    model_id: UUID | None = None,
    gpu_type: str = "",
    note: str = "",
) -> PriceEntry:
    """Set what one unit of `kind` costs from `valid_from` (default: now) on.

    Raises:
        PermissionRefused: only operators and administrators.
        ValidationFailed: unknown kind, an amount that is negative, absurd or too fine, or a moment in a closed day.
        Conflict: there is a price from exactly that moment on already.
    """
    authorize(actor=actor, action="price.change")
    if kind not in UsageKind.values:
        raise ValidationFailed.field("kind", "invalid_choice", f"kind must be one of {', '.join(UsageKind.values)}.")
    amount = _checked_amount(amount)
    moment = valid_from or clock.now()
    if moment.tzinfo is None:
        raise ValidationFailed.field("valid_from", "invalid", "valid_from must carry a time zone.")
    if moment < day_start(cost_day(clock.now())):
        raise ValidationFailed.field(
            "valid_from",
            "too_early",
            "The costs of closed days are final; valid_from must be today or later.",
        )
    if gpu_type and kind != UsageKind.GPU_SECONDS:
        raise ValidationFailed.field("gpu_type", "not_applicable", "gpu_type is only for the price of GPU hours.")
    try:
        with transaction.atomic():
            entry = PriceEntry.objects.create(
                kind=kind,
                amount=amount,
                per_quantity=PRICE_UNITS[kind].quantity,
                currency=settings.COST_CURRENCY,
                valid_from=moment,
                model_id=model_id,
                gpu_type=gpu_type.strip(),
                note=note.strip()[:300],
                created_by=actor,
            )
            audit.record(
                actor=actor,
                action="governance.price.set",
                resource=entry,
                metadata={
                    "kind": kind,
                    "amount": str(amount),
                    "unit": entry.unit_label,
                    "valid_from": moment.isoformat(),
                    "model_id": str(model_id or ""),
                    "gpu_type": gpu_type,
                },
            )
    except IntegrityError as error:
        raise Conflict(f"There is a price for {kind} from {moment.isoformat()} on already.") from error
    return entry


def _checked_amount(amount: Decimal) -> Decimal:
    try:
        value = Decimal(amount)
    except (InvalidOperation, TypeError, ValueError) as error:
        raise ValidationFailed.field("amount", "invalid", "amount must be a decimal number.") from error
    if not value.is_finite() or value < 0 or value > MAX_AMOUNT:
        raise ValidationFailed.field("amount", "out_of_range", f"amount must be between 0 and {MAX_AMOUNT}.")
    if value != round(value, 8):
        raise ValidationFailed.field("amount", "too_fine", "amount has more than eight decimal places.")
    return value
