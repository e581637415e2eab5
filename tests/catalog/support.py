"""Making models for tests, by the services that people use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from apps.accounts.models import User
from apps.catalog import services
from apps.catalog.models import ModelEntry
from apps.core.models import Visibility
from tests.catalog.files import model_files
from tests.support.cast import Cast, commit_now

CARD = {
    "purpose": "Answers support questions.",
    "scope": "Support of our own products only.",
    "contact": "ada@example.org",
    "license": "Apache-2.0",
}
EXTERNAL = {"provider": "openai", "model_name": "gpt-4o-mini", "api_key": "sk-secret-0001"}


def make_model(actor: User, team: Any, **changes: Any) -> ModelEntry:
    """A draft with a complete card and no files."""
    fields: dict[str, Any] = {
        "name": "support-base", "version": "1.0", "type": "base", "owner_team": team, "metadata": dict(CARD),
    }  # fmt: skip
    return services.model_create(actor=actor, **{**fields, **changes})


def upload(actor: User, model: ModelEntry, files: Mapping[str, bytes] | None = None) -> None:
    """Upload and scan."""
    content = model_files() if files is None else files
    services.model_upload(
        actor=actor, model_id=model.pk, files=[SimpleUploadedFile(name, raw) for name, raw in content.items()]
    )
    commit_now()
    model.refresh_from_db()


def make_ready(actor: User, team: Any, *, files: Mapping[str, bytes] | None = None, **changes: Any) -> ModelEntry:
    """A draft that may be submitted."""
    model = make_model(actor, team, **changes)
    upload(actor, model, files)
    return model


def make_approved(cast: Cast, **changes: Any) -> ModelEntry:
    """Ada's model, approved by Chen."""
    model = make_ready(changes.pop("actor", cast.ada), changes.pop("team", cast.support), **changes)
    services.model_submit(actor=model.created_by, model_id=model.pk)
    services.model_decide(actor=cast.chen, model_id=model.pk, decision="approve")
    model.refresh_from_db()
    return model


def share(model: ModelEntry) -> None:
    """Open it to the organisation (visible to others once approved)."""
    model.visibility = Visibility.ORGANISATION
    model.save(update_fields=["visibility"])
