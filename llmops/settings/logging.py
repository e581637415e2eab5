"""Structured logs: JSON lines with request id and actor; secrets are masked before anything is written."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET_KEYS = re.compile(r"(token|secret|password|passwd|authorization|api_?key|cookie|credential)", re.IGNORECASE)
SECRET_VALUES = re.compile(r"(llmops_[A-Za-z0-9_-]{8})[A-Za-z0-9_-]+|(Bearer\s+)\S+|(://[^:/\s@]*:)[^@/\s]+(?=@)")
COUNTS = re.compile(r"(^|_)(prompt|completion|total|max|input|output)?_?tokens$")


def _mask_text(text: str) -> str:
    return SECRET_VALUES.sub(lambda found: (found.group(1) or found.group(2) or found.group(3) or "") + "***", text)


def _mask(value: Any, key: str = "") -> Any:
    if key and SECRET_KEYS.search(key) and not COUNTS.search(key) and value not in (None, ""):
        return "***"
    if isinstance(value, str):
        return _mask_text(value)
    if isinstance(value, dict):
        return {name: _mask(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mask(item) for item in value]
    return value


def mask_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: masks values under secret-looking keys and secret-looking values anywhere."""
    for key in list(event):
        if not key.startswith("_"):
            event[key] = _mask(event[key], key)
    return event


def configure_logging(*, level: str, fmt: str) -> dict[str, Any]:
    """Configure structlog and return the ``LOGGING`` dictionary that feeds the standard library into it."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final: list[Any] = [
        structlog.processors.format_exc_info,
        mask_secrets,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer() if fmt == "json" else structlog.dev.ConsoleRenderer(colors=False),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": final,
                "foreign_pre_chain": [*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django.server": {"handlers": [], "propagate": True},
            "presidio-analyzer": {"level": "ERROR"},
            # Its lines hold whole addresses, and those of content networks are signed.
            "httpx2": {"level": "WARNING"},
            "uvicorn.access": {"level": "WARNING"},
        },
    }
