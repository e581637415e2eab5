"""Secrets of external models: written once, encrypted, used by the gateway, never shown."""

from __future__ import annotations

from apps.accounts.models import User
from apps.catalog.metadata import Unset, base_url_of
from apps.catalog.models import ExternalSecret, ModelEntry
from apps.catalog.types import ExternalTarget, Provider
from apps.core import audit
from apps.core.crypto import decrypt, encrypt


def secret_apply(*, actor: User | None, model: ModelEntry, secret: str | Unset | None) -> None:
    """Store, replace or remove the API key of the locked *model*; ``Unset`` keeps what is there."""
    if isinstance(secret, Unset):
        return
    if secret is None:
        deleted, _ = ExternalSecret.objects.filter(model=model).delete()
        if deleted:
            audit.record(actor=actor, action="catalog.external_secret.removed", resource=model)
    else:
        _, fresh = ExternalSecret.objects.update_or_create(
            model=model, defaults={"ciphertext": encrypt(secret), "set_by": actor}
        )
        audit.record(
            actor=actor, action="catalog.external_secret.set", resource=model, metadata={"replaced": not fresh}
        )


def model_external_target(*, model: ModelEntry) -> ExternalTarget:
    """Return how to reach the external *model*, with its key in the clear: for the caller's memory only."""
    stored = ExternalSecret.objects.filter(model=model).first()
    return ExternalTarget(
        provider=model.provider,
        model_name=str(model.metadata.get("model_name", "")),
        base_url=base_url_of(model.metadata),
        api_key=decrypt(stored.ciphertext) if stored is not None else "",
    )


def needs_key(model: ModelEntry) -> bool:
    """True when the provider never answers without a key."""
    return model.provider == Provider.OPENAI
