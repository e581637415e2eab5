"""One search over everything that a person may see."""

from __future__ import annotations

from typing import Any

from django.views.generic import TemplateView

from apps.core.web.views import FragmentMixin
from apps.portal.sources import SOURCES

SHOWN = 8
LONGEST = 200


class SearchView(FragmentMixin, TemplateView):
    """Datasets, models, jobs, evaluations and endpoints whose name, version, family, route or team holds
    every word."""

    template_name = "portal/search.html"
    fragments = ("results",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Groups of hits; a group tells how many more its list would show."""
        context = super().get_context_data(**kwargs)
        text = self.request.GET.get("q", "").replace("\x00", "").strip()[:LONGEST]
        groups: list[dict[str, Any]] = []
        for source in SOURCES if text else ():
            found = source.matching(self.actor, text)
            rows = list(found.select_related("team").order_by("-created_at")[: SHOWN + 1])
            if rows:
                hits = [{"obj": row, "url": source.url_of(row)} for row in rows[:SHOWN]]
                groups.append({"source": source, "hits": hits, "more": len(rows) > SHOWN})
        context |= {"search_query": text, "groups": groups}
        return context
