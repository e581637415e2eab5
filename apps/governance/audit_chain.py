"""What a link of the audit chain is made of. Pure functions: anybody can recompute them from an export.

The content of an event is its canonical JSON: the fields below, keys sorted, no spaces, UTF-8, times in UTC with
microseconds. The hash of a link is SHA-256 over the previous link's hash, a line feed and that content. The first
link's previous hash is sixty-four zeros.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

GENESIS = "0" * 64


class Sealable(Protocol):
    """The columns of an event that its seal vouches for: all of them."""

    sequence: int
    id: UUID
    occurred_at: datetime
    actor_id: Any
    actor_name: str
    action: str
    resource_type: str
    resource_id: str
    team_id: Any
    result: str
    request_id: str
    metadata: Any


def canonical(event: Sealable) -> bytes:
    """The event's content as bytes that are the same everywhere."""
    content = {
        "sequence": event.sequence,
        "id": str(event.id),
        "occurred_at": event.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_id": None if event.actor_id is None else str(event.actor_id),
        "actor_name": event.actor_name,
        "action": event.action,
        "resource_type": event.resource_type,
        "resource_id": event.resource_id,
        "team_id": None if event.team_id is None else str(event.team_id),
        "result": event.result,
        "request_id": event.request_id,
        "metadata": event.metadata,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def link_hash(previous_hash: str, event: Sealable) -> str:
    """The hash of the link that seals `event` after the link with `previous_hash`."""
    return hashlib.sha256(previous_hash.encode() + b"\n" + canonical(event)).hexdigest()
