"""All runtimes by key, and the one to take when nobody names one."""

from __future__ import annotations

from apps.integrations.runtimes.external import Ollama, OpenAICompatible
from apps.integrations.runtimes.ports import Runtime
from apps.integrations.runtimes.tgi import TGI
from apps.integrations.runtimes.transformers_serve import TransformersServe
from apps.integrations.runtimes.vllm import VLLM

_RUNTIMES: dict[str, Runtime] = {
    runtime.key: runtime for runtime in (TransformersServe(), VLLM(), TGI(), OpenAICompatible(), Ollama())
}

#: What an image's name says about the server inside, most specific first.
_IMAGE_MARKS = (
    ("text-generation-inference", "tgi"),
    ("tgi", "tgi"),
    ("vllm", "vllm"),
    ("transformers", "transformers"),
    ("huggingface", "transformers"),
)


def runtimes() -> tuple[Runtime, ...]:
    """Every runtime, in the order in which they are offered."""
    return tuple(_RUNTIMES.values())


def runtime_get(key: str) -> Runtime:
    """The runtime with that key. Raises ``KeyError``."""
    return _RUNTIMES[key]


def runtime_keys() -> tuple[str, ...]:
    """All keys, for validation messages."""
    return tuple(_RUNTIMES)


def runtime_for_image(image: str) -> str | None:
    """The runtime that an image's name points to, or ``None`` when it says nothing."""
    name = image.lower().rpartition("@")[0] or image.lower()
    return next((key for mark, key in _IMAGE_MARKS if mark in name), None)


def runtime_for_provider(provider: str) -> str:
    """The runtime that speaks to an external provider (catalog's ``metadata.provider``)."""
    return "ollama" if provider == "ollama" else "openai_compatible"
