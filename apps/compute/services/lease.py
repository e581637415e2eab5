"""Only one reconciler at a time, and how to wake it.

The lease is a PostgreSQL advisory lock: it ends with the connection that holds it, so a reconciler that was
killed leaves nothing to wait for. Waking is NOTIFY: it is delivered on commit, and lost ones cost a pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

CHANNEL = "llmops_compute"
LOCK_ID = 0x6C6C6D6F70730001 & 0x7FFFFFFFFFFFFFFF


def reconciler_wake() -> None:
    """Wake the reconciler once the current transaction has committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def lease_take() -> bool:
    """Take the lease on this thread's connection; False when another connection has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_ID])
        row = cursor.fetchone()
    return bool(row and row[0])


def lease_drop() -> None:
    """Give one taking of the lease back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK_ID])


@contextmanager
def lease_held() -> Iterator[bool]:
    """Hold the lease for a block; yields whether it could be had."""
    held = lease_take()
    try:
        yield held
    finally:
        if held:
            lease_drop()
