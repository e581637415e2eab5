"""``/governance/notices``: what the caller has to know."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.response import Response

from apps.core.api.schema import api_schema
from apps.core.api.serializers import ApiSerializer
from apps.core.api.views import ApiRequest, ApiView
from apps.governance.selectors.notices import notices_for
from apps.governance.services.notices import notice_read


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


class NoticeSerializer(ApiSerializer):
    """One notice to the caller."""

    id = serializers.UUIDField()
    tone = serializers.ChoiceField(choices=["info", "warning", "danger"])
    title = serializers.CharField()
    text = serializers.CharField(allow_blank=True)
    url = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)


class NoticeListView(ApiView):
    """The caller's notices."""

    query_params = frozenset({"unread"})

    @api_schema(summary="Notices to you", responses=NoticeSerializer, many=True, params=("unread",))
    def get(self, request: ApiRequest) -> Response:
        """Newest first; ``?unread=true`` leaves out what was read."""
        unread = self.param(request, "unread", _boolean, False)
        return self.page(request, notices_for(request.user, unread=unread), NoticeSerializer)


class NoticeReadView(ApiView):
    """Putting one away."""

    @api_schema(summary="Mark a notice as read", responses=NoticeSerializer)
    def post(self, request: ApiRequest, notice_id: str) -> Response:
        """Again changes nothing."""
        notice = notice_read(actor=request.user, notice_id=notice_id)
        return self.success(NoticeSerializer(notice).data, "Read.")
