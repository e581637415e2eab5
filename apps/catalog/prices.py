"""What an external model's provider asks for: checked in the metadata, booked when the model is approved.

The reviewer approves the price with everything else in the metadata, so that nobody sets what their own team pays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings

from apps.catalog.models import ModelEntry
from apps.core import clock
from apps.core.errors import Conflict, FieldError
from apps.governance.services import price_set
from apps.governance.types import UsageKind

KEY = "price"
LIMIT = Decimal(1_000_000)
THOUSAND, MILLION = Decimal(1_000), Decimal(1_000_000)
#: metadata key → (what is priced, tokens that the amount stands for)
AMOUNTS = {
    "input_per_1k": (UsageKind.TOKENS_IN, THOUSAND),
    "input_per_1m": (UsageKind.TOKENS_IN, MILLION),
    "output_per_1k": (UsageKind.TOKENS_OUT, THOUSAND),
    "output_per_1m": (UsageKind.TOKENS_OUT, MILLION),
}
_EXAMPLE = '{"input_per_1m": 0.15, "output_per_1m": 0.60}'


@dataclass(frozen=True, slots=True)
class Price:
    """One price: what for, and the amount per million tokens."""

    kind: str
    per_million: Decimal


def price_errors(metadata: Mapping[str, Any]) -> list[FieldError]:
    """Return what is wrong with ``metadata.price``; nothing where there is none."""
    sent = metadata.get(KEY)
    if sent is None:
        return []
    if not isinstance(sent, Mapping) or not sent:
        return [FieldError("metadata.price", "invalid", f"price must be an object such as {_EXAMPLE}.")]
    errors = []
    for key, value in sent.items():
        field = f"metadata.price.{str(key)[:40]}"
        if key == "currency":
            if value != settings.COST_CURRENCY:
                message = f"Prices are kept in {settings.COST_CURRENCY}; convert the amounts."
                errors.append(FieldError(field, "currency", message))
        elif key not in AMOUNTS:
            errors.append(FieldError(field, "unknown", f"A price has {', '.join(AMOUNTS)} and currency."))
        elif _amount(value) is None:
            message = f"{key} must be a number from 0 to {LIMIT:,}, with at most eight decimals per million tokens."
            errors.append(FieldError(field, "invalid", message))
    for side in ("input", "output"):
        if f"{side}_per_1k" in sent and f"{side}_per_1m" in sent:
            message = f"Give {side}_per_1k or {side}_per_1m, not both."
            errors.append(FieldError(f"metadata.price.{side}_per_1m", "ambiguous", message))
    return errors


def _amount(value: object) -> Decimal | None:
    """A number, or text that is one; exact, so that 0.15 stays 0.15."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    fits = amount.is_finite() and 0 <= amount <= LIMIT
    return amount if fits and amount == round(amount, 8) else None


def prices_of(metadata: Mapping[str, Any]) -> list[Price]:
    """Return the prices in *metadata* per million tokens; nothing where they cannot be read."""
    sent = metadata.get(KEY)
    if not isinstance(sent, Mapping) or price_errors(metadata):
        return []
    found = []
    for key, (kind, tokens) in AMOUNTS.items():
        amount = _amount(sent[key]) if key in sent else None
        if amount is not None:
            found.append(Price(kind, amount * (MILLION / tokens)))
    return found


def price_lines(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The prices for people."""
    return [
        (UsageKind(price.kind).label, f"{price.per_million.normalize():f} {settings.COST_CURRENCY} per million tokens")
        for price in prices_of(metadata)
    ]


def prices_book(model: ModelEntry) -> int:
    """Enter the approved *model*'s prices into the price book, from now on; returns how many. Called on approval."""
    booked = 0
    for price in prices_of(model.metadata) if model.is_external else ():
        try:
            price_set(
                actor=None,
                kind=price.kind,
                amount=price.per_million,
                valid_from=clock.now(),
                model_id=model.pk,
                note=f"From the metadata of {model}, as approved."[:300],
            )
        except Conflict:
            continue  # an operator set one at this very moment; theirs counts
        booked += 1
    return booked
