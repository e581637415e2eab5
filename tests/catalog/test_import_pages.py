"""FR-001e: imports and exports in the browser and in the admin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.catalog import registry
from apps.catalog.import_models import ModelImport
from apps.catalog.models import ModelEntry
from tests.catalog.files import model_files
from tests.catalog.support import make_approved, make_ready
from tests.support.cast import Cast, commit_now
from tests.support.fake_hub import FakeHub, Repository

pytestmark = pytest.mark.django_db
Page = Callable[..., Client]
FORM = {"repo_id": "acme/small", "owner_team": "support", "type": "base", "visibility": "team"}


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


@pytest.fixture
def hub(settings: Any) -> Iterator[FakeHub]:
    """A hub with one model."""
    server = FakeHub().start()
    server.repositories["acme/small"] = Repository(model_files())
    settings.HF_ENDPOINT = server.url
    settings.LLMOPS_OUTBOUND_ALLOW = ["127.0.0.0/8"]
    yield server
    server.stop()


def test_ml_engineer_can_import_and_follow_it_in_the_browser(hub: FakeHub, cast: Cast, page: Page) -> None:
    """FR-001e: form, progress in the list, the model at its end; also without scripts."""
    ada = page(cast.ada)
    assert "No imports yet" in ada.get(reverse("catalog:import-list")).content.decode()
    assert reverse("catalog:import-list") in ada.get(reverse("catalog:model-list")).content.decode()
    sent = ada.post(reverse("catalog:import-create"), {**FORM, "include": "*.json\n*.safetensors"})
    assert sent.headers["Location"] == reverse("catalog:import-list")
    row = ModelImport.objects.get()
    assert row.include == ["*.json", "*.safetensors"]
    waiting = ada.get(reverse("catalog:import-list"), headers={"HX-Request": "true", "HX-Target": "table"})
    assert b"every 2s" in waiting.content
    assert b"<html" not in waiting.content
    commit_now()
    done = ada.get(reverse("catalog:import-list")).content.decode()
    model = ModelEntry.objects.get()
    assert reverse("catalog:model-detail", args=[model.pk]) in done
    assert "every 2s" not in done


def test_wrong_input_stays_in_the_form(cast: Cast, page: Page) -> None:
    """FR-001e: each at its field, the token not echoed."""
    refused = page(cast.ada).post(
        reverse("catalog:import-create"), {**FORM, "repo_id": "../x", "version": "one", "token": "hf_secret"}
    )
    assert refused.status_code == 422
    assert b"organisation/model" in refused.content
    assert b"numbers with dots" in refused.content
    assert b"hf_secret" not in refused.content
    assert not ModelImport.objects.exists()


def test_failed_import_can_be_repeated_and_a_running_one_cancelled(hub: FakeHub, cast: Cast, page: Page) -> None:
    """FR-001e: buttons for who may; others get none."""
    ada = page(cast.ada)
    hub.repositories["acme/small"].gated = True
    hub.repositories["acme/small"].tokens = ("hf_good",)
    hub.known_tokens = {"hf_good"}
    ada.post(reverse("catalog:import-create"), FORM)
    commit_now()
    row = ModelImport.objects.get()
    retry = reverse("catalog:import-retry", args=[row.pk])
    assert retry in ada.get(reverse("catalog:import-list")).content.decode()
    assert retry not in page(cast.ben).get(reverse("catalog:import-list")).content.decode()
    assert page(cast.eve).post(retry).status_code == 404
    ada.post(retry, {"token": "hf_good"})
    ada.post(reverse("catalog:import-cancel", args=[row.pk]))
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_bundle_can_be_exported_and_imported_in_the_browser(cast: Cast, page: Page) -> None:
    """FR-001e: export, download, and the way back in as another team's draft."""
    model = make_approved(cast)
    ada = page(cast.ada)
    detail = reverse("catalog:model-detail", args=[model.pk])
    shown = ada.get(detail).content.decode()
    assert "hf download support/support-base --revision 1.0" in shown
    assert ada.post(reverse("catalog:model-export", args=[model.pk])).status_code == 302
    commit_now()
    shown = ada.get(detail).content.decode()
    link = next(part for part in shown.split('"') if "/exports/" in part)
    fetched = ada.get(link)
    assert fetched.headers["Content-Disposition"] == 'attachment; filename="support-base-1.0.llmops.tar"'
    bundle = fetched.getvalue()
    assert page(cast.ben).get(link).status_code == 403, "seeing is not exporting"
    assert page(cast.eve).get(link).status_code == 404
    eve = page(cast.eve)
    file = SimpleUploadedFile("x.llmops.tar", bundle)
    sent = eve.post(reverse("catalog:import-bundle"), {"bundle": file, "owner_team": "research", "visibility": "team"})
    assert sent.status_code == 302, sent.content
    commit_now()
    copy = ModelEntry.objects.get(team=cast.research)
    assert (copy.name, copy.version, copy.status, copy.scan_status) == ("support-base", "1.0", "draft", "safe")


def test_imports_are_in_the_admin_without_tokens(hub: FakeHub, cast: Cast, page: Page) -> None:
    """FR-001e: to look at, cancel and repeat; the ciphertext is not there."""
    page(cast.ada).post(reverse("catalog:import-create"), {**FORM, "token": "hf_secret"})
    row = ModelImport.objects.get()
    dana = page(cast.dana)
    listed = reverse("admin:catalog_modelimport_changelist")
    assert b"acme/small" in dana.get(listed).content
    shown = dana.get(reverse("admin:catalog_modelimport_change", args=[row.pk])).content.decode()
    assert row.token_ciphertext not in shown
    dana.post(listed, {"action": "cancel_import", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_export_action_of_the_admin_writes_a_bundle(cast: Cast, page: Page) -> None:
    """FR-001e: the same service."""
    model = make_ready(cast.ada, cast.support)
    page(cast.dana).post(
        reverse("admin:catalog_modelentry_changelist"), {"action": "export", "_selected_action": [str(model.pk)]}
    )
    commit_now()
    assert "Write a bundle" in page(cast.dana).get(reverse("catalog:model-detail", args=[model.pk])).content.decode()
