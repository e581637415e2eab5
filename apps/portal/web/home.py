"""Home and health."""

from __future__ import annotations

from typing import Any

from django.views.generic import TemplateView

from apps.core import health
from apps.core.web.views import FragmentMixin
from apps.governance.selectors.notices import notices_for
from apps.portal.activity import recent_activity
from apps.portal.demo import demo_for
from apps.portal.home import counts, going_on, waiting_for

NOTICES_SHOWN = 5


class HomeView(FragmentMixin, TemplateView):
    """What waits for me, what is going on, how far the demo is. Fragments refresh while something is
    active."""

    template_name = "portal/home.html"
    fragments = ("demo", "now")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Only what the asked part needs."""
        context = super().get_context_data(**kwargs)
        part = self.get_template_names()[0].rpartition("#")[2]
        whole = part not in self.fragments
        if whole or part == "demo":
            context["demo"] = demo_for(self.actor)
        if whole or part == "now":
            context["going_on"] = going_on(self.actor)
        if whole:
            context["waiting"] = waiting_for(self.actor)
            context["notices"] = list(notices_for(self.actor, unread=True)[:NOTICES_SHOWN])
            context["counts"] = counts(self.actor)
            context["activity"] = recent_activity(self.actor)
        return context


class HealthView(FragmentMixin, TemplateView):
    """The parts the portal stands on: up, down or not in use."""

    template_name = "portal/health.html"
    fragments = ("components",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Asks every part now."""
        context = super().get_context_data(**kwargs)
        components = health.all_components()
        context |= {
            "components": components,
            "down": [component for component in components if component.status == "down"],
        }
        return context
