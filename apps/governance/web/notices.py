"""The person's own notices."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from apps.core.web.views import ServiceActionView, VisibleListView
from apps.governance import services
from apps.governance.models import Notice
from apps.governance.selectors.notices import notices_for


class NoticeListView(VisibleListView):
    """All notices, read or not."""

    template_name = "governance/notice_list.html"

    def get_visible(self) -> QuerySet[Notice]:
        """Newest first."""
        return notices_for(self.actor)


class NoticeReadView(ServiceActionView):
    """Put one away."""

    def perform(self) -> Any:
        """Only the own."""
        return services.notice_read(actor=self.actor, notice_id=self.kwargs["pk"])


class NoticesReadAllView(ServiceActionView):
    """Put all away."""

    def perform(self) -> Any:
        """Only the own."""
        return services.notices_read_all(actor=self.actor)

    def get_success_message(self) -> str:
        """How many."""
        return f"{self.result} notice(s) put away."
