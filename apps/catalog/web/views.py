"""Pages of the catalog: list, detail, forms, comparison. They ask selectors and services and decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse

from apps.catalog import registry, selectors, services
from apps.catalog.approvals import ModelSubject
from apps.catalog.cards import PROSE_KEYS, as_text
from apps.catalog.comparison import Difference
from apps.catalog.filters import ModelFilter
from apps.catalog.forms import ModelCreateForm, ModelForm, initial_of
from apps.catalog.lineage import impact_of
from apps.catalog.models import ModelEntry
from apps.catalog.scanning import ALLOWED_SUFFIXES
from apps.catalog.services.access import APPROVAL_KIND, action_for
from apps.catalog.types import MODEL_TRANSITIONS, Impact, ModelStatus, PublicationStatus, SignatureStatus
from apps.catalog.web.lineage import lineage_context
from apps.core.models import OperationStatus
from apps.core.operations import operation_latest
from apps.core.permissions import can
from apps.core.uploads.finishing import uploads_taking
from apps.core.web import statuses
from apps.core.web.views import ServiceFormView, VisibleDetailView, VisibleListView
from apps.governance.selectors.approvals import approval_for, may_decide
from apps.governance.selectors.audit import audit_history

VERSIONS_SHOWN = 20


class ModelListView(VisibleListView):
    """All models that exist for the person."""

    template_name = "catalog/model_list.html"
    filterset_class = ModelFilter
    shown_filters = ("q", "type", "status", "model_family", "owner_team")

    def get_visible(self) -> QuerySet[ModelEntry]:
        """Newest first."""
        return selectors.models_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds evaluation summaries of the page and whether one may register models."""
        context = super().get_context_data(**kwargs)
        rows = context["object_list"]
        context["summaries"] = registry.evaluation_summaries([row.pk for row in rows]) if rows else {}
        context["may_import"] = can(self.actor, "model.import")
        context["may_create"] = can(self.actor, "model.create") or can(self.actor, "external_model.create")
        return context


class ModelDetailView(VisibleDetailView):
    """Everything about one model."""

    template_name = "catalog/model_detail.html"
    fragments = ("files", "review", "signature", "taking")
    context_object_name = "model"

    def get_object(self) -> ModelEntry:
        """Through the selector."""
        return selectors.model_get(actor=self.actor, model_id=self.kwargs["pk"])

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page; once the files are taken, the part that waited for it asks for the whole."""
        response = super().get(request, *args, **kwargs)
        waited = request.headers.get("HX-Target") == "taking"
        taking = uploads_taking(target_type="model", target_id=self.object.pk) if waited else None
        if waited and (taking is None or taking.finished_at is not None):
            response.headers["HX-Refresh"] = "true"
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Only what the asked part needs."""
        context = super().get_context_data(**kwargs)
        model: ModelEntry = self.object
        context |= self._actions(model)
        context["taking"] = uploads_taking(target_type="model", target_id=model.pk)
        context |= self._files(model)
        context |= self._review(model)
        if self.request.headers.get("HX-Target") not in self.fragments:
            context |= self._rest(model)
        return context

    def _actions(self, model: ModelEntry) -> dict[str, Any]:
        """Which buttons to show; the services decide again when one is pressed."""
        allowed = MODEL_TRANSITIONS[model.status]
        change = can(self.actor, action_for("change", model.type), model)
        return {
            "may_change": change and model.status in (ModelStatus.DRAFT, ModelStatus.APPROVED),
            "may_submit": ModelStatus.PENDING_REVIEW in allowed
            and can(self.actor, action_for("submit", model.type), model),
            "may_reopen": change and model.status in (ModelStatus.REJECTED, ModelStatus.APPROVED),
            "may_deprecate": change and ModelStatus.DEPRECATED in allowed,
            "may_delete": can(self.actor, action_for("delete", model.type), model),
            "may_upload": not model.is_external
            and model.status == ModelStatus.DRAFT
            and can(self.actor, action_for("upload", model.type), model),
        }

    def _files(self, model: ModelEntry) -> dict[str, Any]:
        files = list(selectors.model_files(model))
        return {
            "files": files,
            "total_size": sum(file.size for file in files),
            **_signature(model),
            "missing_files": selectors.model_missing_files(model),
            "scan": operation_latest(target_type="model", target_id=model.pk, kind="model_scan"),
            "accept": ",".join(ALLOWED_SUFFIXES),
        }

    def _review(self, model: ModelEntry) -> dict[str, Any]:
        pending = model.status == ModelStatus.PENDING_REVIEW
        request = approval_for(kind=APPROVAL_KIND, subject_id=model.pk)
        verdict = may_decide(self.actor, request) if pending and request is not None else None
        shows_gates = pending or model.status == ModelStatus.DRAFT
        mine = request is not None and request.created_by_id == self.actor.pk
        return {
            "approval": request,
            "decision": verdict,
            "gates": ModelSubject().gates(model, "approve" if pending else "submit") if shows_gates else [],
            "may_withdraw": pending and mine,
        }

    def _rest(self, model: ModelEntry) -> dict[str, Any]:
        card = selectors.model_card(model)
        publications = list(selectors.publications_visible_to(self.actor, model)[:VERSIONS_SHOWN])
        published = next((row.model for row in publications if row.status == PublicationStatus.CURRENT), None)
        versions = selectors.model_versions(actor=self.actor, model=model)[:VERSIONS_SHOWN]
        graph = selectors.lineage_graph(self.actor, model)
        prose = [(key.replace("_", " ").capitalize(), as_text(model.metadata.get(key))) for key in PROSE_KEYS]
        return {
            "card": card,
            "prose": [(title, text) for title, text in prose if text],
            "versions": list(versions),
            "publications": publications,
            "may_publish": model.status == ModelStatus.APPROVED
            and not getattr(model, "is_published", False)
            and not any(row.status == PublicationStatus.PENDING for row in publications)
            and can(self.actor, action_for("submit", model.type), model),
            "goes_back": published is not None and published.version_key > model.version_key,
            "published": published,
            **lineage_context(graph),
            **_questions(impact_of(graph)),
            "panels": [
                (panel.title, render_to_string(panel.template, {**panel.context, "model": model}, self.request))
                for panel in registry.model_panels(self.actor, model)
            ],
            "history": [history_item(event) for event in audit_history(self.actor, "model", model.pk)],
            "approved_models": selectors.models_visible_to(self.actor)
            .filter(status=ModelStatus.APPROVED, team_id=model.team_id)
            .exclude(pk=model.pk)[:100]
            if model.status == ModelStatus.APPROVED
            else [],
        }


def _signature(model: ModelEntry) -> dict[str, Any]:
    """The signature with its last verification; busy while either is under way."""
    signature = None if model.is_external else selectors.model_signature(model)
    if signature is None:
        return {"signature": None}
    verification = operation_latest(target_type="model", target_id=model.pk, kind="model_verify")
    verifying = verification is not None and verification.status in (OperationStatus.QUEUED, OperationStatus.RUNNING)
    return {
        "signature": signature,
        "verification": verification,
        "verifying": verifying,
        "signature_busy": verifying or signature.status == SignatureStatus.PENDING,
    }


def _questions(impact: Impact) -> dict[str, Any]:
    """What the buttons ask before they end something, with what depends on it."""
    names = ", ".join(node.label for node in impact.nodes[:3])
    more = impact.total - min(3, len(impact.nodes))
    named = f"{names}{f' and {more} more' if names and more else ''}" if names else f"{more} that you cannot see"
    depends = f" {impact.total} thing{'s' * (impact.total > 1)} depend on it: {named}." if impact.total else ""
    return {
        "impact": impact,
        "deprecate_question": f"Deprecate this model?{depends} Approvals that rest on it lapse. This is final.",
        "delete_question": f"Delete this model and all its files?{depends} This cannot be undone.",
    }


def history_item(event: Any) -> dict[str, Any]:
    """One audit event as a row of the timeline."""
    denied = event.result == "denied"
    words = event.action.removeprefix("catalog.").removeprefix("governance.").replace(".", " ").replace("_", " ")
    return {
        "title": words.capitalize(),
        "at": event.occurred_at,
        "who": event.who,
        "tone": "danger" if denied else "neutral",
        "icon": "shield-x" if denied else "point",
        "text": event.metadata.get("reason", "") or event.metadata.get("notes", ""),
    }


class ModelCreateView(ServiceFormView):
    """Register a model; ``?from=`` starts from an existing one as its next version."""

    template_name = "catalog/model_form.html"
    form_class = ModelCreateForm

    def get_form_kwargs(self) -> dict[str, Any]:
        """With the person, for the pickers."""
        return {**super().get_form_kwargs(), "actor": self.actor}

    def get_initial(self) -> dict[str, Any]:
        """Empty, or the values of the model that this becomes a version of."""
        source = self.request.GET.get("from")
        if not source:
            return {"metadata": {}}
        model = selectors.model_get(actor=self.actor, model_id=source)
        return {**form_initial(self.actor, model), "type": model.type, "owner_team": model.team.slug}

    def perform(self, form: Any) -> Any:
        """Create."""
        return services.model_create(actor=self.actor, **form.service_fields())

    def get_success_url(self) -> str:
        """The new model."""
        return reverse("catalog:model-detail", args=[self.result.pk])

    def get_success_message(self) -> str:
        """What to do next."""
        follow = "" if self.result.is_external else " Upload its files next."
        return f"{self.result} is registered as a draft.{follow}"


class ModelUpdateView(ServiceFormView):
    """Change a model."""

    template_name = "catalog/model_form.html"
    form_class = ModelForm

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Remember nothing yet: the person is only known to be signed in after dispatch."""
        super().setup(request, *args, **kwargs)
        self._model: ModelEntry | None = None

    @property
    def model_entry(self) -> ModelEntry:
        """The model, through the selector, once."""
        if self._model is None:
            self._model = selectors.model_get(actor=self.actor, model_id=self.kwargs["pk"])
        return self._model

    def get_form_kwargs(self) -> dict[str, Any]:
        """With the person and the model."""
        return {**super().get_form_kwargs(), "actor": self.actor, "model": self.model_entry}

    def get_initial(self) -> dict[str, Any]:
        """What is stored."""
        return form_initial(self.actor, self.model_entry)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the model."""
        return {**super().get_context_data(**kwargs), "model": self.model_entry}

    def perform(self, form: Any) -> Any:
        """Change what differs; the name of an approved model is left alone."""
        return services.model_update(actor=self.actor, model_id=self.kwargs["pk"], **form.service_fields())

    def get_success_url(self) -> str:
        """Back to the model."""
        return reverse("catalog:model-detail", args=[self.kwargs["pk"]])

    def get_success_message(self) -> str:
        """Says when the approval lapsed."""
        lapsed = self.model_entry.status == ModelStatus.APPROVED != self.result.status
        return "Saved. The approval has lapsed; submit the model again." if lapsed else "Saved."


def form_initial(actor: Any, model: ModelEntry) -> dict[str, Any]:
    """The form's values for *model*, with the sources that *actor* sees."""
    sources = selectors.models_lineage(actor, [model])[model.pk]
    base = str(sources.base_model_id) if sources.base_model_id else ""
    return initial_of(model, dataset_ids=[str(pk) for pk in sources.dataset_ids], base_model_id=base)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the comparison: the rows to show, how many differ, how many there are."""

    title: str
    rows: Sequence[Difference]
    changed: int
    total: int


class ModelCompareView(VisibleDetailView):
    """Two models side by side."""

    template_name = "catalog/model_compare.html"
    context_object_name = "left"

    def get_object(self) -> ModelEntry:
        """The left one."""
        return selectors.model_get(actor=self.actor, model_id=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Both, and every difference."""
        context = super().get_context_data(**kwargs)
        right = selectors.model_get(actor=self.actor, model_id=self.kwargs["other"])
        comparison = selectors.model_comparison(actor=self.actor, left=self.object, right=right)
        shown = [(title, _readable(rows) if title == "Metrics" else rows) for title, rows in comparison.sections()]
        everything = self.request.GET.get("show") == "all"
        sections = [
            Section(
                title,
                [row for row in rows if everything or row.change != "same"],
                sum(row.change != "same" for row in rows),
                len(rows),
            )
            for title, rows in shown
            if rows
        ]
        return {**context, "right": right, "sections": sections, "everything": everything}


def _readable(rows: Sequence[Difference]) -> list[Difference]:
    """The figures of the evaluations by name; the program's answer holds their intervals and ids too."""
    names = {"automated": "Automated evaluations", "human": "Reviews by people", "latest.dataset": "Measured on"}
    found = []
    for row in rows:
        metric = row.key.removesuffix(".value")
        if row.key in names:
            found.append(replace(row, label=names[row.key]))
        elif metric != row.key:
            found.append(replace(row, label=statuses.label(metric.rpartition(".")[2])))
    return found


class ModelComparePickView(VisibleDetailView):
    """Choose what to compare with; goes on when ``?other=`` says so."""

    template_name = "catalog/model_compare_pick.html"
    context_object_name = "model"

    def get_object(self) -> ModelEntry:
        """The left one."""
        return selectors.model_get(actor=self.actor, model_id=self.kwargs["pk"])

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Pick, or go on."""
        other = request.GET.get("other")
        if other:
            right = selectors.model_get(actor=self.actor, model_id=other)
            return HttpResponseRedirect(reverse("catalog:model-compare", args=[self.kwargs["pk"], right.pk]))
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Versions of the same model first, then the rest."""
        context = super().get_context_data(**kwargs)
        same = list(selectors.model_versions(actor=self.actor, model=self.object).exclude(pk=self.object.pk)[:100])
        others = selectors.models_visible_to(self.actor).exclude(pk__in=[self.object.pk, *(row.pk for row in same)])
        return {**context, "same": same, "others": list(others[:200])}
