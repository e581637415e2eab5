"""Pages of the compute app: the log that other apps' pages show live."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.generic import View

from apps.compute.selectors import workload_get
from apps.compute.services import workload_log_read
from apps.core.errors import ValidationFailed
from apps.core.web.views import ActorMixin

LARGEST_OFFSET = 2**62


class WorkloadLogView(ActorMixin, View):
    """A piece of the log as JSON: `{"text", "offset", "nextOffset", "active"}`; negative offsets count from the end."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> JsonResponse:
        """Answer what is there from `?offset=` on. What one may not see is not there."""
        workload = workload_get(actor=self.actor, workload_id=self.kwargs["pk"])
        try:
            offset = int(request.GET.get("offset", "0"))
        except ValueError as error:
            raise ValidationFailed.field("offset", "invalid", "offset must be a whole number of bytes.") from error
        if abs(offset) > LARGEST_OFFSET:
            raise ValidationFailed.field("offset", "invalid", "offset is larger than any log.")
        chunk = workload_log_read(workload, offset)
        return JsonResponse(
            {
                "text": chunk.text,
                "offset": chunk.offset,
                "nextOffset": chunk.next_offset,
                "active": workload.is_active,
            },
            headers={"Cache-Control": "no-store"},
        )
