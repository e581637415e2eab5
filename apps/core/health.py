"""Health of the parts the portal stands on. Apps add theirs with :func:`register`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import connection
from redis import Redis

from apps.core import clock
from apps.core.errors import DomainError, Unavailable
from apps.core.storage import store


@dataclass(frozen=True)
class ComponentHealth:
    """One part: ``up``, ``down`` or ``off`` (not configured), how long the probe took, and what it said."""

    name: str
    status: str
    latency_ms: float
    detail: str
    checked_at: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": self.status,
            "latencyMs": self.latency_ms,
            "detail": self.detail,
            "lastError": self.detail if self.status == "down" else None,
            "checkedAt": self.checked_at,
        }


class NotConfigured(Exception):
    """Raised by a probe whose part is not in use here."""


Probe = Callable[[], str]
_probes: dict[str, Probe] = {}


def register(name: str, probe: Probe) -> None:
    """Add a probe: returns a short detail, raises when its part is down."""
    _probes[name] = probe


def database() -> str:
    """PostgreSQL answers and says its version."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        row = cursor.fetchone()
    return f"PostgreSQL {row[0]}" if row else "PostgreSQL"


def broker() -> str:
    """The broker and cache answer."""
    if not settings.REDIS_URL:
        raise NotConfigured("REDIS_URL is not set")
    with Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
        client.ping()
    caches["default"].get("health")
    return "Valkey/Redis answers"


def object_store() -> str:
    """The object store can be used."""
    store().check()
    return type(store()).__name__


register("database", database)
register("broker", broker)
register("objectStore", object_store)


def probe_one(name: str) -> ComponentHealth:
    """Run one probe; any failure is an answer, not a crash."""
    started = time.perf_counter()
    status = "up"
    try:
        detail = _probes[name]()
    except NotConfigured as error:
        status, detail = "off", str(error)
    except (DomainError, Unavailable) as error:
        status, detail = "down", error.message
    except Exception as error:
        status, detail = "down", f"{type(error).__name__}: {error}".splitlines()[0][:200]
    elapsed = round((time.perf_counter() - started) * 1000, 1)
    return ComponentHealth(name, status, elapsed, detail, clock.now().isoformat())


def all_components() -> list[ComponentHealth]:
    """Every registered part, in order of registration."""
    return [probe_one(name) for name in _probes]


def ready() -> list[ComponentHealth]:
    """The parts without which no request can be served."""
    return [probe_one("database")]
