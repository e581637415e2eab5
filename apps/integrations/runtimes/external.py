"""Services that somebody else runs: anything with OpenAI's routes, OpenAI itself, Ollama."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

from apps.integrations.runtimes.openai_dialect import OpenAIDialect
from apps.integrations.runtimes.ports import Dialect, LaunchPlan, LaunchRequest, Upstream

_OPENAI_URL = "https://api.openai.com"
_OLLAMA_URL = "http://localhost:11434"


class _External:
    launched: ClassVar[bool] = False
    label: ClassVar[str] = ""

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        raise ValueError(f"{self.label} is run by somebody else; there is nothing to start")

    def upstream_model(self, *, model_dir: str, served_name: str) -> str:
        return served_name

    def available(self) -> tuple[bool, str]:
        return True, ""


class OpenAICompatible(_External):
    """A provider with OpenAI's routes and bearer keys."""

    key: ClassVar[str] = "openai_compatible"
    label: ClassVar[str] = "OpenAI-compatible service"
    dialect: Dialect = OpenAIDialect(label="OpenAI-compatible service", health_path="/v1/models")


class Ollama(_External):
    """Ollama through its OpenAI routes."""

    key: ClassVar[str] = "ollama"
    label: ClassVar[str] = "Ollama"
    dialect: Dialect = OpenAIDialect(label="Ollama", health_path="/api/version")


def external_upstream(*, provider: str, model_name: str, base_url: str, api_key: str) -> Upstream:
    """Address, model and headers for a catalog entry of type external.

    ``base_url`` may be given with or without ``/v1`` (both are common); the dialect's paths begin with it.
    """
    default = {"openai": _OPENAI_URL, "ollama": _OLLAMA_URL}.get(provider, "")
    base = (base_url or default).rstrip("/")
    if base.endswith("/v1") and urlsplit(base).path:
        base = base[: -len("/v1")]
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return Upstream(base_url=base, model=model_name, headers=headers)
