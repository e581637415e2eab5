"""How states look: one table for every app, so that the same word has the same colour everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Look:
    """Tone (neutral|info|success|warning|danger), icon, and whether something is going on."""

    tone: str
    icon: str
    active: bool = False


_UNKNOWN = Look("neutral", "circle")
_LOOKS: dict[str, Look] = {
    # approvals and lifecycle
    "draft": Look("neutral", "pencil"),
    "pending_review": Look("warning", "hourglass"),
    "open": Look("warning", "hourglass"),
    "current": Look("success", "pin"),
    "superseded": Look("neutral", "history"),
    "refused": Look("neutral", "circle-x"),
    "valid": Look("success", "shield-check"),
    "broken": Look("danger", "shield-x"),
    "approved": Look("success", "circle-check"),
    "rejected": Look("danger", "circle-x"),
    "changes_requested": Look("warning", "message-circle"),
    "withdrawn": Look("neutral", "arrow-back-up"),
    "lapsed": Look("neutral", "clock-x"),
    "deprecated": Look("neutral", "archive"),
    "retired": Look("neutral", "archive"),
    "live": Look("success", "broadcast"),
    # work
    "queued": Look("neutral", "clock", active=True),
    "pending": Look("neutral", "clock", active=True),
    "scheduled": Look("neutral", "calendar"),
    "starting": Look("info", "loader-2", active=True),
    "running": Look("info", "loader-2", active=True),
    "scanning": Look("info", "loader-2", active=True),
    "checking": Look("info", "loader-2", active=True),
    "cancelling": Look("warning", "loader-2", active=True),
    "awaiting_review": Look("warning", "eye-check"),
    "succeeded": Look("success", "circle-check"),
    "done": Look("success", "circle-check"),
    "failed": Look("danger", "alert-circle"),
    "error": Look("danger", "alert-circle"),
    "cancelled": Look("neutral", "ban"),
    "skipped": Look("neutral", "player-skip-forward"),
    "interrupted": Look("warning", "player-pause"),
    # scans and checks
    "clean": Look("success", "shield-check"),
    "safe": Look("success", "shield-check"),
    "proposed": Look("warning", "hourglass"),
    "confirmed": Look("success", "eye-check"),
    "undone": Look("neutral", "arrow-back-up"),
    "unsafe": Look("danger", "shield-x"),
    "corrupt": Look("danger", "file-broken"),
    "passed": Look("success", "circle-check"),
    "warning": Look("warning", "alert-triangle"),
    # serving
    "waiting": Look("warning", "hourglass"),
    "deploying": Look("info", "loader-2", active=True),
    "updating": Look("info", "loader-2", active=True),
    "stopping": Look("warning", "loader-2", active=True),
    "healthy": Look("success", "heartbeat"),
    "ready": Look("success", "heartbeat"),
    "degraded": Look("warning", "alert-triangle"),
    "stopped": Look("neutral", "player-stop"),
    "ok": Look("success", "circle-check"),
    "up": Look("success", "circle-check"),
    "down": Look("danger", "plug-connected-x"),
    # tokens, policies, audit
    "active": Look("success", "circle-check"),
    "inactive": Look("neutral", "circle"),
    "revoked": Look("neutral", "ban"),
    "expired": Look("neutral", "clock-x"),
    "allowed": Look("success", "check"),
    "denied": Look("danger", "lock"),
    # recommendations
    "promote": Look("success", "arrow-up-circle"),
    "hold": Look("warning", "hand-stop"),
    "reject": Look("danger", "circle-x"),
    "insufficient_evidence": Look("neutral", "help-circle"),
}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # objectStore → object store
_LABELS = {
    "stg": "Staging",
    "dev": "Dev",
    "prod": "Production",
    "llm_judge": "LLM judge",
    "finetune": "Fine-tune",
}


def look(status: Any) -> Look:
    """Look of a state; an unknown one is neutral."""
    return _LOOKS.get(_key(status), _UNKNOWN)


def label(status: Any) -> str:
    """The state in words."""
    key = _key(status)
    if key in _LABELS:
        return _LABELS[key]
    words = _HUMP.sub(" ", str(getattr(status, "value", status) or "").strip()).replace("_", " ").lower()
    return words[:1].upper() + words[1:]


def _key(status: Any) -> str:
    # Enum members print as "JobStatus.RUNNING" where they are no StrEnum.
    return str(getattr(status, "value", status) or "").strip().lower()
