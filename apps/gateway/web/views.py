"""The chat page: which endpoints a person may talk to; talking itself is the browser's and the gateway's."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.views.generic import TemplateView

from apps.core.permissions import can
from apps.core.web.views import ActorMixin
from apps.serving.selectors import endpoints_visible_to
from apps.serving.services.targets import INVOKE

_LIMIT = 200


class ChatView(ActorMixin, TemplateView):
    """Pick an endpoint and talk to it."""

    template_name = "gateway/chat.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The endpoints that this person may call; ``?endpoint=`` chooses one."""
        context = super().get_context_data(**kwargs)
        endpoints = [
            endpoint
            for endpoint in endpoints_visible_to(self.actor).order_by("route", "environment")[:_LIMIT]
            if can(self.actor, INVOKE, endpoint)
        ]
        asked = self.request.GET.get("endpoint", "")
        chosen = next((one for one in endpoints if str(one.pk) == asked), None)
        context["endpoints"] = endpoints
        context["chosen"] = chosen or next((one for one in endpoints if one.serving), None)
        context["max_tokens"] = settings.LLMOPS_GATEWAY_MAX_OUTPUT_TOKENS
        context["may_deploy"] = can(self.actor, "serving_endpoint.deploy")
        return context
