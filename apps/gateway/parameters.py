"""What a caller may ask a model for. Every mistake is named with its field and the allowed values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from apps.core.errors import FieldError, ValidationFailed

ROLES = ("system", "developer", "user", "assistant", "tool")
_MAX_MESSAGES = 2_000
_MAX_STOPS = 4
#: The portal's surface also reads these spellings.
_CAMEL = {
    "maxTokens": "max_tokens",
    "topP": "top_p",
    "streamOptions": "stream_options",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
}


class _Errors(list[FieldError]):
    def add(self, field: str, code: str, message: str) -> None:
        self.append(FieldError(field, code, message))

    def check(self) -> None:
        if self:
            raise ValidationFailed(self[0].message, errors=tuple(self))


def chat_parameters(body: Mapping[str, Any], *, max_output_tokens: int, portal: bool) -> dict[str, Any]:
    """A checked copy of a chat request.

    ``portal`` selects the portal's defaults (temperature 0.7, 500 tokens) and spellings; without it OpenAI's
    rules hold and what is absent stays absent, except for the bound on the answer's length. Raises
    ``ValidationFailed`` with one entry per wrong field.
    """
    given = _respelled(body) if portal else dict(body)
    errors = _Errors()
    _messages(given.get("messages"), errors)
    _common(given, errors, max_output_tokens)
    template = given.get("template")
    if template not in (None, ""):
        errors.add("template", "unknown", f"template: no prompt template named {str(template)[:80]!r} is live.")
    errors.check()
    if portal:
        given.setdefault("temperature", 0.7)
    if given.get("max_completion_tokens") is None and given.get("max_tokens") is None:
        given["max_tokens"] = min(500, max_output_tokens)
    return given


def completion_parameters(body: Mapping[str, Any], *, max_output_tokens: int) -> dict[str, Any]:
    """A checked copy of a legacy text completion request. Raises ``ValidationFailed``."""
    given = dict(body)
    errors = _Errors()
    prompt = given.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        given["prompt"] = prompt = prompt[0]
    if prompt is None:
        errors.add("prompt", "required", "prompt is required.")
    elif not isinstance(prompt, str):
        errors.add("prompt", "invalid", "prompt must be one text; send several prompts as several requests.")
    elif not prompt:
        errors.add("prompt", "blank", "prompt must not be empty.")
    _common(given, errors, max_output_tokens)
    errors.check()
    if given.get("max_tokens") is None:
        given["max_tokens"] = 16
    return given


def _respelled(body: Mapping[str, Any]) -> dict[str, Any]:
    return {_CAMEL.get(key, key): value for key, value in body.items()}


def _messages(messages: Any, errors: _Errors) -> None:
    if messages is None:
        errors.add("messages", "required", 'messages is required: [{"role": "user", "content": "…"}].')
        return
    if not isinstance(messages, list) or not messages:
        errors.add("messages", "invalid", "messages must be a list with at least one message.")
        return
    if len(messages) > _MAX_MESSAGES:
        errors.add("messages", "too_long", f"messages holds more than {_MAX_MESSAGES} messages.")
        return
    for index, message in enumerate(messages):
        _message(f"messages[{index}]", message, errors)
        if len(errors) >= 20:
            return


def _message(field: str, message: Any, errors: _Errors) -> None:
    if not isinstance(message, dict):
        errors.add(field, "invalid", f"{field} must be an object with role and content.")
        return
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        errors.add(f"{field}.role", "invalid", f"{field}.role must be one of {', '.join(ROLES)}.")
    content = message.get("content")
    if isinstance(content, str):
        return
    if content is None:
        if not (role == "assistant" and message.get("tool_calls")):
            errors.add(f"{field}.content", "required", f"{field}.content is required.")
        return
    if not isinstance(content, list) or not content:
        errors.add(f"{field}.content", "invalid", f"{field}.content must be text or a list of text parts.")
        return
    for number, part in enumerate(content):
        where = f"{field}.content[{number}]"
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            errors.add(where, "invalid", f'{where} must be {{"type": "text", "text": "…"}}; only text is served.')
            return


def _common(given: dict[str, Any], errors: _Errors, max_output_tokens: int) -> None:
    _number(given, "temperature", 0, 2, errors)
    _number(given, "top_p", 0, 1, errors)
    _number(given, "frequency_penalty", -2, 2, errors)
    _number(given, "presence_penalty", -2, 2, errors)
    _whole(given, "max_tokens", 1, max_output_tokens, errors)
    _whole(given, "max_completion_tokens", 1, max_output_tokens, errors)
    _whole(given, "n", 1, 1, errors)
    _whole(given, "seed", -(2**63), 2**63 - 1, errors)
    stop = given.get("stop")
    if stop is not None:
        stops = [stop] if isinstance(stop, str) else stop
        if (
            not isinstance(stops, list)
            or len(stops) > _MAX_STOPS
            or any(not isinstance(item, str) or not item for item in stops)
        ):
            errors.add("stop", "invalid", f"stop must be a text or a list of at most {_MAX_STOPS} texts.")
    stream = given.get("stream")
    if stream is not None and not isinstance(stream, bool):
        errors.add("stream", "invalid", "stream must be true or false.")
    options = given.get("stream_options")
    if options is not None and (
        not isinstance(options, dict) or not isinstance(options.get("include_usage", False), bool)
    ):
        errors.add("stream_options", "invalid", 'stream_options must be {"include_usage": true or false}.')


def _number(given: dict[str, Any], name: str, low: float, high: float, errors: _Errors) -> None:
    value = given.get(name)
    if value is None:
        given.pop(name, None)
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        errors.add(name, "invalid", f"{name} must be a number between {low} and {high}.")
    elif not low <= value <= high:
        errors.add(name, "out_of_range", f"{name} must be between {low} and {high}, not {value}.")


def _whole(given: dict[str, Any], name: str, low: int, high: int, errors: _Errors) -> None:
    value = given.get(name)
    if value is None:
        given.pop(name, None)
        return
    limits = f"exactly {low}" if low == high else f"between {low} and {high}"
    if isinstance(value, bool) or not isinstance(value, int):
        errors.add(name, "invalid", f"{name} must be a whole number, {limits}.")
    elif not low <= value <= high:
        errors.add(name, "out_of_range", f"{name} must be {limits}, not {value}.")
