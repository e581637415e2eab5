"""Pages of the audit trail and of costs."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.generic import TemplateView, View

from apps.core.models import AuditEvent
from apps.core.permissions import can
from apps.core.web.views import ActorMixin, FragmentMixin, VisibleListView
from apps.governance import exports, selectors, services
from apps.governance.filters import AuditLogFilter, AuditPageFilter
from apps.governance.forms import GROUPS, CostFilterForm
from apps.governance.labels import resource_labels
from apps.governance.services import AuditReport
from apps.governance.windows import Window, window_of

SHOWN_GROUPS = 100


class AuditListView(VisibleListView):
    """The trail: everything for auditors, for others what concerns teams they see and themselves."""

    template_name = "governance/audit_list.html"
    filterset_class = AuditPageFilter
    page_size = 50

    def get_visible(self) -> QuerySet[AuditEvent]:
        """Through the selector."""
        return selectors.audit_events_visible_to(self.actor)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds names and pages of the things, and whether one sees everything."""
        context = super().get_context_data(**kwargs)
        events = list(context["object_list"])
        wanted: dict[str, set[str]] = {}
        for event in events:
            if event.resource_id:
                wanted.setdefault(event.resource_type, set()).add(event.resource_id)
        labels = {kind: resource_labels.resolve(self.actor, kind, ids) for kind, ids in wanted.items()}
        context |= {
            "rows": [
                {"event": event, "thing": labels.get(event.resource_type, {}).get(event.resource_id)}
                for event in events
            ],
            "sees_all": can(self.actor, "audit.view"),
        }
        return context


class AuditExportView(ActorMixin, View):
    """The filtered trail as a file, for auditors and administrators."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """`format=csv` or `json`; the list's filters apply."""
        events = selectors.audit_events_exportable_by(self.actor)
        known = set(AuditLogFilter.base_filters)
        data = {key: value for key, value in request.GET.items() if key in known and value != ""}
        filterset = AuditLogFilter(data=data or None, queryset=events, request=request)
        rows = filterset.qs if not data or filterset.is_valid() else events.none()
        kind = request.GET.get("format", "csv")
        return exports.audit_file(actor=self.actor, events=rows, kind=kind if kind in exports.FORMATS else "csv")


class AuditVerifyView(FragmentMixin, TemplateView):
    """The state of the chain, and checking it."""

    template_name = "governance/audit_verify.html"
    fragments = ("report",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Only for those who may read the whole trail."""
        context = super().get_context_data(**kwargs)
        context["chain"] = selectors.audit_chain_state(self.actor)
        return context

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Verify now."""
        report: AuditReport = services.audit_verify_for(actor=self.actor)
        return self.render_to_response(self.get_context_data(report=report))


class CostMixin(ActorMixin):
    """The chosen window, grouping and kind of resource; nonsense falls back to the defaults."""

    def choice(self) -> tuple[CostFilterForm, Window, str, str]:
        """The form for the page, the window, `by`, and the resource type."""
        asked = {
            name: self.request.GET.get(name) or field.initial for name, field in CostFilterForm.base_fields.items()
        }
        form = CostFilterForm(data=asked)
        good = form.cleaned_data if form.is_valid() else {}
        window, by = good.get("window") or "30d", good.get("by") or "team"
        return form, window_of("" if window == "all" else window), by, good.get("resource_type") or ""


class CostListView(CostMixin, FragmentMixin, TemplateView):
    """What everything costs that one may see."""

    template_name = "governance/cost_list.html"
    fragments = ("costs",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Totals and groups."""
        context = super().get_context_data(**kwargs)
        form, window, by, resource_type = self.choice()
        groups = selectors.cost_groups(
            by, actor=self.actor, since=window.since, until=window.until, resource_type=resource_type
        )
        summary = selectors.cost_summary(
            actor=self.actor, since=window.since, until=window.until, resource_type=resource_type
        )
        context |= {
            "filter_form": form,
            "by": dict(GROUPS)[by],
            "groups": groups[:SHOWN_GROUPS],
            "more": max(0, len(groups) - SHOWN_GROUPS),
            "summary": summary,
            "sees_costs": selectors.may_see_costs(self.actor),
            "sees_prices": can(self.actor, "price.view"),
        }
        return context


class CostChartView(CostMixin, View):
    """Costs per day for the chart."""

    def get(self, request: HttpRequest) -> JsonResponse:
        """One bar per cost day."""
        _, window, _, resource_type = self.choice()
        days = selectors.cost_groups(
            "day", actor=self.actor, since=window.since, until=window.until, resource_type=resource_type
        )
        return JsonResponse(
            {
                "categories": [day.key for day in days],
                "series": [{"name": "Cost", "values": [round(float(day.cost), 6) for day in days]}] if days else [],
                "yLabel": selectors.cost_currency(),
            }
        )
