"""Hugging Face Text Generation Inference (TGI).

Spoken through its OpenAI routes like everything else; its own routes (``/info``, ``/generate``) are in
``tgi_client``, apart from here because ``huggingface_hub``'s client takes half a second to import.
TGI runs from its image only: in a cluster, not on the local backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from apps.integrations.runtimes.openai_dialect import OpenAIDialect
from apps.integrations.runtimes.ports import Dialect, LaunchPlan, LaunchRequest

_ACCEPTS = frozenset(
    {
        "messages",
        "prompt",
        "suffix",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "max_tokens",
        "frequency_penalty",
        "presence_penalty",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "response_format",
    }
)


@dataclass(frozen=True, slots=True)
class TGIDialect(OpenAIDialect):
    """TGI refuses a temperature of 0 (it must be above): greedy decoding is asked for by leaving it out."""

    def prepare(self, body: Mapping[str, Any], model: str, stream: bool) -> dict[str, Any]:
        """As every dialect, with TGI's own limits minded."""
        given = dict(body)
        if given.get("temperature") == 0:
            del given["temperature"]
        top_p = given.get("top_p")
        if top_p is not None and top_p >= 1:
            del given["top_p"]
        if "max_completion_tokens" in given:
            given.setdefault("max_tokens", given.pop("max_completion_tokens"))
            given.pop("max_completion_tokens", None)
        return OpenAIDialect.prepare(self, given, model, stream)


class TGI:
    """Text Generation Inference."""

    key: ClassVar[str] = "tgi"
    label: ClassVar[str] = "Text Generation Inference"
    launched: ClassVar[bool] = True
    dialect: Dialect = TGIDialect(label="Text Generation Inference", accepts=_ACCEPTS)

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        """Arguments of the image's launcher."""
        command = [
            "text-generation-launcher",
            "--model-id",
            request.model_dir,
            "--hostname",
            request.host,
            "--port",
            request.port,
            "--dtype",
            request.dtype,
        ]
        if request.max_model_tokens:
            command += ["--max-total-tokens", str(request.max_model_tokens)]
        env = {"HF_HUB_OFFLINE": "1", "USAGE_STATS": "off"}
        return LaunchPlan(command=(*command, *request.extra_args), env=env, start_seconds=900)

    def upstream_model(self, *, model_dir: str, served_name: str) -> str:
        """TGI serves one model and takes any name; ``tgi`` is the one its documentation uses."""
        return "tgi"

    def available(self) -> tuple[bool, str]:
        """Never on the local backend."""
        return False, "TGI runs from its container image; use the Kubernetes backend."
