"""Streams: bytes are passed on, and only what metering needs is parsed.

A model server sends server-sent events. ``StreamMeter`` takes the bytes as they arrive, hands out whole events
ready to be sent on, and looks inside an event only when a byte search says that it holds token counts or an
error. Everything else is never decoded.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from apps.core.errors import InfrastructureError

#: One event of a model server is a few hundred bytes. A line without end must not fill the memory.
MAX_EVENT_BYTES = 1024 * 1024
_DONE = b"data: [DONE]\n\n"
_MODEL = re.compile(rb'"model":\s?"(?:[^"\\]|\\.)*"')
#: What makes an event worth decoding. Inside JSON texts the quotes would be escaped, so these rarely lie; and
#: when they do, an event is decoded for nothing.
_MARKS = (
    b'"usage":{',
    b'"usage": {',
    b"[DONE]",
    b'"error"',
    b'"finish_reason":"',
    b'"finish_reason": "',
)


class StreamBroken(InfrastructureError):
    """The model server said something that is not a stream of chat chunks, or stopped in the middle.

    ``partial`` holds the whole events before the break: the client still gets them.
    """

    partial: bytes = b""


class StreamMeter:
    """Follows one stream.

    ``route`` is what the client called the model: it replaces whatever name the server gives it (with some, a
    path of the serving machine). ``want_usage`` adds the chunk with token counts before ``[DONE]``.
    """

    __slots__ = (
        "_carry",
        "_error",
        "_finished",
        "_last",
        "_name",
        "_reported",
        "_want_usage",
        "completion_tokens",
        "events",
        "prompt_tokens",
    )

    def __init__(self, *, route: str, want_usage: bool) -> None:
        self._name = b'"model":' + orjson.dumps(route)
        #: How the server spells its own, learnt from its first event.
        self._reported: bytes | None = None
        self._carry = b""
        self._want_usage = want_usage
        self._finished = False
        self._error = ""
        self._last: dict[str, Any] = {}
        #: Events passed on; one token each with every server that we know.
        self.events = 0
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    @property
    def counted(self) -> bool:
        """The server told its token counts."""
        return self.completion_tokens is not None

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived, return what may be sent. Raises ``StreamBroken`` on an endless or failed event."""
        data = self._carry + chunk if self._carry else chunk
        end = data.rfind(b"\n\n")
        width = 2
        crlf = data.rfind(b"\r\n\r\n")
        if crlf > end:
            end, width = crlf, 4
        if end < 0:
            if len(data) > MAX_EVENT_BYTES:
                raise StreamBroken("The model server sent an event without end; the stream was cut.")
            self._carry = data
            return b""
        ready, self._carry = data[: end + width], data[end + width :]
        if len(self._carry) > MAX_EVENT_BYTES:
            raise StreamBroken("The model server sent an event without end; the stream was cut.")
        if self._reported is None:
            found = _MODEL.search(ready)
            self._reported = found[0] if found else None
        if self._reported is not None:
            ready = ready.replace(self._reported, self._name)
        if any(mark in ready for mark in _MARKS):
            return self._inspect(ready)
        self.events += ready.count(b"data:")
        return ready

    def end(self) -> bytes:
        """What follows the last event. Raises ``StreamBroken`` when the server stopped in the middle."""
        if self._carry.strip():
            rest, self._carry = self._carry, b""
            tail = self.feed(rest.rstrip(b"\r\n") + b"\n\n")
        else:
            tail = b""
        if not self._finished:
            raise StreamBroken("The model server ended the stream before the answer was complete.")
        if self._want_usage and self.counted:
            tail += b"data: " + orjson.dumps(self._usage_chunk()) + b"\n\n"
        return tail + _DONE

    def usage(self) -> dict[str, int]:
        """OpenAI's usage object of what was counted."""
        prompt, completion = self.prompt_tokens or 0, self.completion_tokens or 0
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def _usage_chunk(self) -> dict[str, Any]:
        return {**self._last, "choices": [], "usage": self.usage()}

    def _inspect(self, ready: bytes) -> bytes:
        out = bytearray()
        for event in ready.replace(b"\r\n", b"\n").split(b"\n\n"):
            if not event.strip():
                continue
            try:
                kept = self._event(event)
            except StreamBroken as broken:
                broken.partial = bytes(out)
                raise
            if kept:
                out += kept + b"\n\n"
        return bytes(out)

    def _event(self, event: bytes) -> bytes:
        """One event: unchanged, rewritten, or empty when the client is not to see it."""
        if not any(mark in event for mark in _MARKS):
            self.events += 1
            return event
        text = b"".join(line[5:].lstrip() for line in event.split(b"\n") if line.startswith(b"data:")).strip()
        if not text:
            return event
        if text == b"[DONE]":
            self._finished = True
            return b""
        try:
            parsed = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise StreamBroken(_first_words(text)) from None
        if not isinstance(parsed, dict):
            return event
        if parsed.get("error"):
            raise StreamBroken(_error_text(parsed["error"]))
        return self._chunk(event, parsed)

    def _chunk(self, event: bytes, parsed: dict[str, Any]) -> bytes:
        choices = parsed.get("choices")
        if isinstance(choices, list) and any(
            isinstance(choice, dict) and choice.get("finish_reason") for choice in choices
        ):
            self._finished = True
        usage = parsed.get("usage")
        self._last = {key: value for key, value in parsed.items() if key not in ("usage", "choices")}
        if not isinstance(usage, dict):
            self.events += bool(choices)
            return event
        self.prompt_tokens = _count(usage.get("prompt_tokens"))
        self.completion_tokens = _count(usage.get("completion_tokens"))
        if not choices:
            return b""
        self.events += 1
        del parsed["usage"]
        return b"data: " + orjson.dumps(parsed)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _error_text(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return f"The model server failed in the middle of the answer: {str(message)[:300]}"


def _first_words(text: bytes) -> str:
    return f"The model server sent something that is not JSON: {text[:80].decode('utf-8', 'replace')}"
