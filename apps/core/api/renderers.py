"""Every JSON answer leaves in the envelope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework.renderers import BaseRenderer

ENVELOPE_KEYS = {"status", "message", "data"}


def _default(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


class EnvelopeRenderer(BaseRenderer):
    """``{"status", "message", "data"}``; views may hand over the whole envelope or only its data."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Serialise; an enveloped body passes unchanged."""
        if not (isinstance(data, dict) and data.keys() == ENVELOPE_KEYS):
            response = (renderer_context or {}).get("response")
            failed = response is not None and response.status_code >= 400
            data = {"status": "fail" if failed else "success", "message": "", "data": data}
        return orjson.dumps(data, default=_default, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
