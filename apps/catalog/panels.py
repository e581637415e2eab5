"""Sections of a model's page that the catalog itself adds: export, and the provider of an external model."""

from __future__ import annotations

from django.conf import settings

from apps.accounts.models import User
from apps.catalog.hub.repositories import repository_id
from apps.catalog.models import ModelEntry
from apps.catalog.prices import price_lines
from apps.catalog.services import exports_of
from apps.catalog.services.access import action_for
from apps.catalog.services.connection import connection_last
from apps.catalog.types import ModelStatus, Panel
from apps.core.permissions import can

EXPORTS_SHOWN = 3


def export_panel(actor: User, model: ModelEntry) -> Panel | None:
    """Bundles of the model, and how programs pull it; for those who may do either."""
    may_export = can(actor, "model.export", model)
    served = model.status == ModelStatus.APPROVED and not model.is_external
    if not may_export and not served:
        return None
    command = ""
    if served:
        command = (
            f"export HF_ENDPOINT={settings.PUBLIC_URL}/hf HF_TOKEN=…\n"
            f"hf download {repository_id(model)} --revision {model.version}"
        )
    context = {
        "exports": list(exports_of(actor=actor, model=model)[:EXPORTS_SHOWN]) if may_export else [],
        "may_export": may_export,
        "exported_model": model,
        "hub_command": command,
    }
    return Panel("Export", "catalog/_export_panel.html", context, order=70)


def connection_panel(actor: User, model: ModelEntry) -> Panel | None:
    """Whether the provider of an external model answers, and what it costs."""
    if not model.is_external:
        return None
    context = {
        "test": connection_last(model),
        "price": price_lines(model.metadata),
        "may_test": can(actor, action_for("change", model.type), model),
        "tested_model": model,
    }
    return Panel("Connection", "catalog/_connection_panel.html", context, order=10)
