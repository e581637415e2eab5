"""Which hub this installation asks; the only place that turns settings into the adapter."""

from __future__ import annotations

from django.conf import settings

from apps.integrations.huggingface.client import HuggingFaceHub
from apps.integrations.huggingface.guard import install_guard
from apps.integrations.huggingface.ports import Hub
from apps.integrations.outbound import OutboundPolicy


def _policy() -> OutboundPolicy:
    return OutboundPolicy.parse(settings.LLMOPS_OUTBOUND_ALLOW)


def model_hub(token: str = "") -> Hub:
    """Return the hub of ``HF_ENDPOINT``, asked with *token*, else with ``HF_TOKEN``, else anonymously."""
    return HuggingFaceHub(settings.HF_ENDPOINT, token or settings.HF_TOKEN)


install_guard(_policy)
