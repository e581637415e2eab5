"""OpenAI's request shape, and what each kind of server makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.integrations.runtimes.ports import JsonObject, UnsupportedParameter

#: Fields of the portal's own request that never reach a server.
_PORTAL_FIELDS = frozenset({"template", "environment", "model", "stream", "stream_options"})

#: Values that say "nothing special", so that leaving the field out changes nothing.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "echo": (None, False),
    "response_format": (None, {"type": "text"}),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "logit_bias": (None, {}),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "prediction": (None,),
    "web_search_options": (None,),
    "suffix": (None, ""),
    "top_p": (None, 1),
    "seed": (None,),
    "stop": (None, []),
}

#: Fields about bookkeeping at the provider: they never change the answer.
_BOOKKEEPING = frozenset(
    {
        "user",
        "store",
        "metadata",
        "service_tier",
        "parallel_tool_calls",
        "reasoning_effort",
        "safety_identifier",
        "prompt_cache_key",
        "verbosity",
    }
)


@dataclass(frozen=True, slots=True)
class OpenAIDialect:
    """OpenAI's routes with a server's own limits.

    ``accepts`` lists the fields that the server honours; ``None`` passes everything on (the server checks by
    itself). A field outside the list is dropped when it says nothing, and refused when it says something:
    an answer that ignores what was asked for would be a lie. ``counts_unasked``: it tells token counts in a
    stream without being asked through ``stream_options``.
    """

    label: str
    accepts: frozenset[str] | None = None
    chat_path: str = "/v1/chat/completions"
    completion_path: str = "/v1/completions"
    health_path: str | None = "/health"
    counts_unasked: bool = False

    def chat_body(self, body: Mapping[str, Any], *, model: str, stream: bool) -> JsonObject:
        """The chat request for this server."""
        return self.prepare(body, model, stream)

    def completion_body(self, body: Mapping[str, Any], *, model: str, stream: bool) -> JsonObject:
        """The text completion request for this server."""
        return self.prepare(body, model, stream)

    def prepare(self, body: Mapping[str, Any], model: str, stream: bool) -> JsonObject:
        """Drop, refuse and complete fields; both requests need the same."""
        if self.accepts is None:
            out: JsonObject = {key: value for key, value in body.items() if key not in _PORTAL_FIELDS}
        else:
            out = {}
            for key, value in body.items():
                if key in self.accepts:
                    if value is not None:
                        out[key] = value
                elif key not in _PORTAL_FIELDS and key not in _BOOKKEEPING:
                    self._require_neutral(key, value)
        out["model"] = model
        if stream:
            out["stream"] = True
            if not self.counts_unasked:
                out["stream_options"] = {"include_usage": True}
        return out

    def _require_neutral(self, key: str, value: Any) -> None:
        if value is None or value in _NEUTRAL.get(key, ()):
            return
        raise UnsupportedParameter(key, f"{key} is not supported by this endpoint's runtime ({self.label}).")
