"""FR-001b, FR-001d: the model pages and the admin, for the whole cast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.catalog import registry, services
from apps.catalog.models import ModelEntry
from apps.catalog.types import Panel
from apps.core.models import AuditEvent
from tests.catalog.files import model_files
from tests.catalog.support import CARD, EXTERNAL, make_approved, make_model, make_ready, share
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db
Page = Callable[..., Client]


@pytest.fixture(autouse=True)
def only_own_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates of higher apps are tested there."""
    monkeypatch.setattr(registry, "_gates", [])


def url(name: str, model: ModelEntry) -> str:
    return reverse(f"catalog:{name}", args=[model.pk])


def form(**changes: Any) -> dict[str, Any]:
    """What a browser sends from the creation form."""
    fields = {
        "name": "base", "version": "1.0", "type": "base", "owner_team": "support", "visibility": "team",
        "metadata": "{}", **CARD,
    }  # fmt: skip
    return {**fields, **changes}


def test_ada_can_register_upload_submit_by_page_and_chen_approves(cast: Cast, page: Page) -> None:
    """FR-001b, FR-001d: the whole walk in the browser, without scripts."""
    ada = page(cast.ada)
    made = ada.post(reverse("catalog:model-create"), form(metadata='{"note": [1]}'))
    assert made.status_code == 302, made.content
    model = ModelEntry.objects.get()
    assert made.headers["Location"] == url("model-detail", model)
    assert model.metadata == {**CARD, "note": [1]}
    files = [SimpleUploadedFile(name, raw) for name, raw in model_files().items()]
    assert ada.post(url("model-upload", model), {"files": files}).status_code == 302
    commit_now()
    shown = ada.get(url("model-detail", model)).content.decode()
    assert "model.safetensors" in shown
    assert "Submit for review" in shown
    ada.post(url("model-submit", model), {"notes": "Please look."})
    model.refresh_from_db()
    assert model.status == "pending_review"
    assert "Approve</button>" not in ada.get(url("model-detail", model)).content.decode()
    chen = page(cast.chen)
    waiting = chen.get(url("model-detail", model)).content.decode()
    assert "Please look." in waiting
    assert 'value="approve"' in waiting
    chen.post(url("model-decide", model), {"decision": "approve", "notes": "Good."})
    model.refresh_from_db()
    assert model.status == "approved"


def test_ada_cannot_approve_her_own_model_by_page(cast: Cast, page: Page) -> None:
    """FR-010: a forged press of the button changes nothing and is recorded."""
    model = make_ready(cast.ada, cast.support)
    services.model_submit(actor=cast.ada, model_id=model.pk)
    answer = page(cast.ada).post(url("model-decide", model), {"decision": "approve"})
    assert answer.status_code == 403
    model.refresh_from_db()
    assert model.status == "pending_review"
    assert AuditEvent.objects.filter(result="denied", actor=cast.ada).exists()


def act(client: Client, model: ModelEntry, action: str) -> Any:
    return client.post(
        reverse("admin:catalog_modelentry_changelist"),
        {"action": action, "_selected_action": [str(model.pk)]},
        follow=True,
    )


def test_nobody_can_approve_their_own_model_in_the_admin(cast: Cast, page: Page) -> None:
    """FR-010: the admin goes through the same service; Chen can, Dana cannot for a model of her own."""
    model = make_ready(cast.ada, cast.support)
    services.model_submit(actor=cast.ada, model_id=model.pk)
    cast.ada.is_staff = True
    cast.ada.save()
    act(page(cast.ada), model, "approve")
    model.refresh_from_db()
    assert model.status == "pending_review"
    own = make_ready(cast.dana, cast.support, name="danas")
    services.model_submit(actor=cast.dana, model_id=own.pk)
    shown = act(page(cast.dana), own, "approve")
    own.refresh_from_db()
    assert own.status == "pending_review"
    assert "danas" in shown.content.decode()
    act(page(cast.chen), model, "approve")
    model.refresh_from_db()
    assert model.status == "approved"


def test_admin_shows_visible_models_only_and_no_secret(cast: Cast, page: Page) -> None:
    """P-3, FR-001c: rows by visibility; the key appears nowhere, not even encrypted."""
    model = make_model(cast.ada, cast.support, type="external", name="provider-side", metadata={**CARD, **EXTERNAL})
    cast.eve.is_staff = True
    cast.eve.save()
    ciphertext = model.external_secret.ciphertext
    for name in ("modelentry", "modelfile", "externalsecret"):
        listing = reverse(f"admin:catalog_{name}_changelist")
        assert "provider-side" not in page(cast.eve).get(listing).content.decode()
        shown = page(cast.dana).get(listing).content.decode()
        assert ciphertext not in shown
    assert "provider-side" in page(cast.dana).get(reverse("admin:catalog_modelentry_changelist")).content.decode()
    for name, pk in (("modelentry", model.pk), ("externalsecret", model.external_secret.pk)):
        change = page(cast.dana).get(reverse(f"admin:catalog_{name}_change", args=[pk]))
        assert change.status_code == 200
        assert ciphertext not in change.content.decode()
        assert EXTERNAL["api_key"] not in change.content.decode()
    assert page(cast.eve).get(reverse("admin:catalog_modelentry_change", args=[model.pk])).status_code in (302, 404)


PAGES = ("model-detail", "model-update", "model-compare-pick")
ACTIONS = (
    "model-upload", "model-file-delete", "model-scan", "model-submit", "model-withdraw", "model-decide", "model-reopen",
    "model-deprecate", "model-delete",
)  # fmt: skip


@pytest.mark.parametrize("htmx", [False, True])
def test_eve_finds_nothing_of_team_support_on_any_page(cast: Cast, page: Page, htmx: bool) -> None:
    """P-3: 404 on every page and button, with and without HTMX; absent from list and pickers."""
    model = make_ready(cast.ada, cast.support, name="hidden-base")
    headers = {"HX-Request": "true"} if htmx else {}
    eve = page(cast.eve)
    for name in PAGES:
        assert eve.get(url(name, model), headers=headers).status_code == 404, name
    for name in ACTIONS:
        assert eve.post(url(name, model), {"decision": "approve"}, headers=headers).status_code == 404, name
    for path in (reverse("catalog:model-list"), reverse("catalog:model-create")):
        assert "hidden-base" not in eve.get(path, headers=headers).content.decode()
    own = make_model(cast.eve, cast.research, name="own")
    pick = eve.get(url("model-compare-pick", own)).content.decode()
    assert "hidden-base" not in pick
    assert eve.get(reverse("catalog:model-compare", args=[own.pk, model.pk])).status_code == 404
    assert eve.get(reverse("catalog:model-create") + f"?from={model.pk}").status_code == 404


def test_strangers_are_sent_to_the_sign_in(cast: Cast, page: Page) -> None:
    """P-2: no page of the catalog answers without a session."""
    model = make_ready(cast.ada, cast.support)
    paths = [reverse("catalog:model-list"), reverse("catalog:model-create"), *(url(name, model) for name in PAGES)]
    for path in paths:
        assert page(None).get(path).status_code == 302
    for name in ACTIONS:
        assert page(None).post(url(name, model)).status_code == 302
    assert ModelEntry.objects.get().status == "draft"


def test_list_shows_exactly_what_exists_for_each_of_the_cast(cast: Cast, page: Page) -> None:
    """FR-001b, P-3: exact sets on the page too."""
    make_ready(cast.ada, cast.support, name="support-draft")
    share(make_approved(cast, name="support-shared"))
    make_model(cast.eve, cast.research, name="research-draft")
    everything = {"support-draft", "support-shared", "research-draft"}
    expected = {
        "ada": everything - {"research-draft"}, "ben": everything - {"research-draft"}, "chen": everything,
        "dana": everything, "eve": everything - {"support-draft"}, "finn": everything,
    }  # fmt: skip
    for name, user in cast.everyone().items():
        shown = page(user).get(reverse("catalog:model-list")).content.decode()
        assert {word for word in everything if word in shown} == expected[name], name


@pytest.mark.parametrize("name", ["ben", "chen", "dana", "finn"])
def test_readers_see_the_page_without_buttons_they_may_not_press(cast: Cast, page: Page, name: str) -> None:
    """FR-001b: no dead buttons."""
    model = make_ready(cast.ada, cast.support)
    shown = page(cast.everyone()[name]).get(url("model-detail", model)).content.decode()
    may = name == "dana"
    assert ("Submit for review" in shown) is may
    assert (url("model-delete", model) in shown) is may
    assert (url("model-upload", model) in shown) is may


def test_form_keeps_input_and_names_the_field(cast: Cast, page: Page) -> None:
    """FR-001b: 422 with the error at the field and everything typed still there."""
    make_model(cast.ada, cast.support, name="base", version="1.0")
    ada = page(cast.ada)
    for changes, words in (
        ({"version": "newest"}, "is not a version"),
        ({"version": "v1.0.0"}, "already"),
        ({"metadata": "{broken"}, "valid JSON"),
        ({"metadata": "[1]"}, "JSON object"),
        ({"type": "external"}, "metadata.provider"),
        ({"owner_team": "research"}, "Select a valid choice"),
    ):
        refused = ada.post(reverse("catalog:model-create"), form(**changes))
        assert refused.status_code == 422, changes
        shown = refused.content.decode()
        assert words in shown, changes
        assert CARD["purpose"] in shown
    assert ModelEntry.objects.count() == 1


def test_edit_replaces_card_and_keeps_the_rest(cast: Cast, page: Page) -> None:
    """FR-001b: what the form does not show survives; an approved model's approval lapses."""
    model = make_approved(cast, metadata={**CARD, "training": {"epochs": 3}})
    ada = page(cast.ada)
    shown = ada.get(url("model-update", model)).content.decode()
    assert "approval lapses" in shown
    assert "epochs" in shown
    fields = {
        "name": model.name,
        "model_family": "llama",
        "visibility": "team",
        "metadata": '{"training": {"epochs": 3}}',
        **CARD,
    }
    fields["purpose"] = "Something *new*."
    assert ada.post(url("model-update", model), fields).status_code == 302
    model.refresh_from_db()
    assert model.metadata == {**CARD, "purpose": "Something *new*.", "training": {"epochs": 3}}
    assert model.status == "draft"
    assert "<em>new</em>" in ada.get(url("model-detail", model)).content.decode()


def test_external_form_hides_the_key_and_keeps_it(cast: Cast, page: Page) -> None:
    """FR-001c: an empty key field keeps the stored key; the key is in no page."""
    ada = page(cast.ada)
    ada.post(reverse("catalog:model-create"), form(type="external", **EXTERNAL))
    model = ModelEntry.objects.get()
    for name in ("model-detail", "model-update"):
        assert EXTERNAL["api_key"] not in ada.get(url(name, model)).content.decode()
    fields = {
        "name": "base",
        "visibility": "team",
        "metadata": "{}",
        **CARD,
        **EXTERNAL,
        "api_key": "",
        "model_name": "gpt-4o",
    }
    assert ada.post(url("model-update", model), fields).status_code == 302
    model.refresh_from_db()
    assert model.metadata["model_name"] == "gpt-4o"
    assert services.model_external_target(model=model).api_key == EXTERNAL["api_key"]


def test_card_markdown_cannot_run_anything(cast: Cast, page: Page) -> None:
    """FR-001: cards are rendered sanitised."""
    evil = "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) **bold**"
    model = make_model(cast.ada, cast.support, metadata={**CARD, "purpose": evil, "description": evil})
    shown = page(cast.ada).get(url("model-detail", model)).content.decode()
    assert "<script>alert" not in shown
    assert "<img src=x" not in shown
    assert 'href="javascript' not in shown
    assert "<strong>bold</strong>" in shown


def test_pending_files_refresh_themselves_until_scanned(cast: Cast, page: Page) -> None:
    """FR-001a: the files part polls while the scan runs, and only then."""
    model = make_ready(cast.ada, cast.support)
    ada = page(cast.ada)
    headers = {"HX-Request": "true", "HX-Target": "files"}
    done = ada.get(url("model-detail", model), headers=headers).content.decode()
    assert "every 2s" not in done
    assert "<html" not in done
    ModelEntry.objects.filter(pk=model.pk).update(scan_status="pending")
    assert "every 2s" in ada.get(url("model-detail", model), headers=headers).content.decode()


def test_panels_of_other_apps_appear(cast: Cast, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-001b: evaluations, deployments and cost join by the registry."""
    panel = Panel("Deployments", "components/json.html", {"value": {"routes": 2}})
    monkeypatch.setattr(registry, "_panels", [*registry._panels, lambda actor, model: panel])
    model = make_ready(cast.ada, cast.support)
    shown = page(cast.ada).get(url("model-detail", model)).content.decode()
    assert "Deployments" in shown
    assert "Cost" in shown


def test_comparison_and_history_are_shown(cast: Cast, page: Page) -> None:
    """FR-002: two versions side by side, and what happened to a model."""
    first = make_ready(cast.ada, cast.support, version="1.0")
    second = make_ready(cast.ada, cast.support, version="2.0", metadata={**CARD, "scope": "Elsewhere."})
    ada = page(cast.ada)
    assert ada.get(url("model-compare-pick", first) + f"?other={second.pk}").status_code == 302
    shown = ada.get(reverse("catalog:model-compare", args=[first.pk, second.pk])).content.decode()
    assert "Elsewhere." in shown
    assert "Model scanned" in ada.get(url("model-detail", first)).content.decode()


def test_refused_deletion_tells_the_blockers(cast: Cast, page: Page) -> None:
    """FR-001d: a toast with the reasons, nothing deleted."""
    base = make_ready(cast.ada, cast.support, name="base")
    make_model(cast.ada, cast.support, name="child", base_model_id=base.pk)
    refused = page(cast.ada).post(url("model-delete", base), headers={"HX-Request": "true"})
    assert refused.status_code == 409
    assert "child" in refused.headers["HX-Trigger"]
    assert page(cast.ada).post(url("model-delete", base), follow=True).status_code == 200
    assert ModelEntry.objects.count() == 2


def test_list_page_needs_a_constant_number_of_queries(cast: Cast, page: Page) -> None:
    """FR-001b: the same at 2 and at 25 models."""

    def count() -> int:
        ada = page(cast.ada)
        with CaptureQueriesContext(connection) as queries:
            assert ada.get(reverse("catalog:model-list")).status_code == 200
        return len(queries)

    make_ready(cast.ada, cast.support, name="a")
    make_ready(cast.ada, cast.support, name="b")
    few = count()
    for number in range(23):
        make_model(cast.ada, cast.support, name=f"model-{number}")
    assert count() == few
    assert few <= 10
