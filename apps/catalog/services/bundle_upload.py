"""Receiving a bundle: streamed into the store, then handed to a worker."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings

from apps.accounts.models import User
from apps.catalog.import_models import ModelImport
from apps.catalog.services.cleanup import files_discard
from apps.catalog.services.imports import STAGING_LIFE, import_from_bundle, import_team
from apps.catalog.services.uploads import IncomingFile
from apps.core.errors import ValidationFailed
from apps.core.storage import store


def bundle_receive(
    *, actor: User | None, file: IncomingFile | None, owner_team: Any = None, **fields: Any
) -> ModelImport:
    """Store an uploaded bundle and have it imported. Raises as ``import_from_bundle``, ``TooLarge`` (413)."""
    team = import_team(actor=actor, owner_team=owner_team)
    if file is None or not file.size:
        raise ValidationFailed.field("bundle", "required", "Send one bundle, as exported by a portal.")
    prefix = f"incoming/bundles/{uuid.uuid4()}/"
    files_discard(prefix=prefix, after=STAGING_LIFE)
    key = f"{prefix}bundle.tar"
    store().put(key, file.chunks(), max_bytes=settings.LLMOPS_HUB_MAX_BYTES)
    try:
        return import_from_bundle(actor=actor, bundle_key=key, owner_team=team, **fields)
    except BaseException:
        files_discard(prefix=prefix)
        raise
