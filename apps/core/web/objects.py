"""Stored objects as HTTP answers: ranges, ETag, constant memory, and bytes that are checked while they leave."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from apps.core.integrity import BytesChanged, checked_pieces
from apps.core.storage import store

SENDER = "llmops.sender"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


class Sender(Protocol):
    """Takes over the sending of a body from the thread that made the answer (see ``apps.core.sending``)."""

    def take(self, pieces: Iterator[bytes]) -> None:
        """Send these after the headers."""


@dataclass(frozen=True, slots=True)
class SentObject:
    """What is sent: where it lies, its size in bytes, its hex SHA-256 and how a browser should take it."""

    key: str
    size: int
    sha256: str
    content_type: str = "application/octet-stream"
    filename: str = ""


class RangeUnsatisfiable(ValueError):
    """The wanted range lies outside the object."""


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return ``(start, end)`` with an exclusive end, or None when the whole object is to be sent.

    What is not one well-formed byte range is ignored, as RFC 9110 (14.2) allows. Raises ``RangeUnsatisfiable``.
    """
    found = _RANGE.fullmatch((header or "").strip())
    if found is None or found.groups() == ("", "") or any(len(part) > 18 for part in found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
        if int(last) == 0:
            raise RangeUnsatisfiable
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= size or start >= end:
        raise RangeUnsatisfiable
    return start, end


def object_response(
    request: HttpRequest,
    sent: SentObject,
    *,
    headers: dict[str, str] | None = None,
    on_changed: Callable[[], None] | None = None,
    on_send: Callable[[int, int], None] | None = None,
) -> HttpResponseBase:
    """Answer a GET or HEAD for a stored object.

    A whole object is hashed while it leaves, and its last piece is held back until the hash is right: a client never
    completes a download of bytes that differ from the registered ones. *on_changed* is called when they do,
    *on_send* with the range just before bytes leave.

    Raises ``NotFound`` and ``BytesChanged`` (502) before anything is sent.
    """
    etag = f'"{sent.sha256}"'
    common = {"ETag": etag, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", **(headers or {})}
    if sent.filename:
        common["Content-Disposition"] = f'attachment; filename="{sent.filename}"'
    if etag in (request.headers.get("If-None-Match") or ""):
        return HttpResponse(status=304, headers=common)
    if_range = request.headers.get("If-Range")
    wanted = request.headers.get("Range") if if_range in (None, etag) else None
    try:
        span = read_range(wanted, sent.size)
    except RangeUnsatisfiable:
        return HttpResponse(status=416, headers={**common, "Content-Range": f"bytes */{sent.size}"})
    if store().size(sent.key) != sent.size:
        if on_changed is not None:
            on_changed()
        raise BytesChanged("The stored file is not the one that was registered. It is not sent.")
    start, end = span or (0, sent.size)
    common["Content-Length"] = str(end - start)
    if span is not None:
        common["Content-Range"] = f"bytes {start}-{end - 1}/{sent.size}"
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=common, content_type=sent.content_type)
    if on_send is not None:
        on_send(start, end)
    whole = (start, end) == (0, sent.size)
    pieces = store().open_range(sent.key, start, end)
    return streamed(
        request,
        checked_pieces(pieces, sha256=sent.sha256, key=sent.key, on_changed=on_changed) if whole else pieces,
        status=status,
        headers=common,
        content_type=sent.content_type,
    )


def streamed(
    request: HttpRequest, pieces: Iterator[bytes], *, status: int, headers: dict[str, str], content_type: str
) -> HttpResponseBase:
    """Answer with *pieces*; the server's sender does it where there is one, so that slow readers hold no thread."""
    scope: dict[str, Any] = request.META.get("asgi.scope") or {}
    sender: Sender | None = scope.get("extensions", {}).get(SENDER)
    if sender is not None:
        sender.take(pieces)
        return HttpResponse(status=status, headers=headers, content_type=content_type)
    return StreamingHttpResponse(pieces, status=status, headers=headers, content_type=content_type)


def text_response(
    request: HttpRequest, content: bytes, *, content_type: str, headers: dict[str, str] | None = None
) -> HttpResponseBase:
    """Answer with a small text that lies in memory, in the same manner as a stored object."""
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    common = {"ETag": etag, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", **(headers or {})}
    answer = partial(HttpResponse, content_type=content_type)
    if etag in (request.headers.get("If-None-Match") or ""):
        return HttpResponse(status=304, headers=common)
    try:
        span = read_range(request.headers.get("Range"), len(content))
    except RangeUnsatisfiable:
        return HttpResponse(status=416, headers={**common, "Content-Range": f"bytes */{len(content)}"})
    start, end = span or (0, len(content))
    common["Content-Length"] = str(end - start)
    if span is not None:
        common["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    body = b"" if request.method == "HEAD" else content[start:end]
    return answer(body, status=200 if span is None else 206, headers=common)
