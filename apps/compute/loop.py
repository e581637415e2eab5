"""The reconciler's loop: take the lease, pass, wait for a wake-up or the next period, show a heartbeat."""

from __future__ import annotations

import os
import socket
import time

import psycopg
import structlog
from django.db import DatabaseError, close_old_connections, connection

from apps.compute.models import ReconcilerBeat
from apps.compute.services.housekeeping import strays_stop
from apps.compute.services.lease import CHANNEL, lease_drop, lease_take
from apps.compute.services.reconcile import reconcile_once
from apps.compute.types import PassReport
from apps.core import clock

log = structlog.get_logger(__name__)

BUSY_PAUSE_SECONDS = 1.0
IDLE_PAUSE_SECONDS = 5.0
STANDBY_PAUSE_SECONDS = 2.0
TROUBLE_PAUSE_SECONDS = 3.0
STRAYS_EVERY_SECONDS = 60.0
BEAT_NAME = "reconciler"


class ReconcilerLoop:
    """Runs until `stop()`. One thread, two connections: Django's (work, lease) and one that listens."""

    def __init__(self) -> None:
        self._stopping = False
        self._leading = False
        self._ear: psycopg.Connection | None = None
        self._strays_due = 0.0
        self._holder = f"{socket.gethostname()}:{os.getpid()}"

    def stop(self) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._stopping = True

    def run(self, *, once: bool = False) -> None:
        """Loop until stopped. Trouble with the database is survived: nothing is concluded from it."""
        log.info("compute.reconciler.started", holder=self._holder)
        try:
            while not self._stopping:
                pause = self._turn()
                if once:
                    break
                self._wait(pause)
        finally:
            self._leave()
            log.info("compute.reconciler.stopped", holder=self._holder)

    def _turn(self) -> float:
        try:
            if not self._leading:
                self._leading = lease_take()
                if not self._leading:
                    return STANDBY_PAUSE_SECONDS
                self._listen()
            began = time.perf_counter()
            report = reconcile_once()
            if began >= self._strays_due:
                strays_stop()
                self._strays_due = began + STRAYS_EVERY_SECONDS
            beat(self._holder, report, (time.perf_counter() - began) * 1000)
        except (DatabaseError, psycopg.Error) as error:
            log.exception("compute.reconciler.database_trouble", error=str(error))
            self._forget_connections()
            return TROUBLE_PAUSE_SECONDS
        except Exception:
            # One workload's trouble must not stop the care of all others; the lease is kept.
            log.exception("compute.reconciler.pass_failed")
            return TROUBLE_PAUSE_SECONDS
        return BUSY_PAUSE_SECONDS if report.active else IDLE_PAUSE_SECONDS

    def _listen(self) -> None:
        parameters = connection.get_connection_params()
        parameters.pop("cursor_factory", None)
        parameters.pop("context", None)
        parameters.pop("prepare_threshold", None)
        self._ear = psycopg.connect(**parameters, autocommit=True)
        self._ear.execute(f"LISTEN {CHANNEL}")

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            if self._ear is None:
                time.sleep(min(left, 0.2))
                continue
            try:
                # Short turns, so that a signal to stop is noticed.
                if next(self._ear.notifies(timeout=min(left, 0.2), stop_after=1), None) is not None:
                    return
            except psycopg.Error:
                self._ear = None

    def _forget_connections(self) -> None:
        self._leading = False
        if self._ear is not None:
            self._ear.close()
            self._ear = None
        connection.close()
        close_old_connections()

    def _leave(self) -> None:
        try:
            if self._leading:
                lease_drop()
        except DatabaseError:
            log.warning("compute.reconciler.lease_lost")
        self._forget_connections()


def beat(holder: str, report: PassReport, pass_ms: float) -> None:
    """Leave a sign of life for the health page."""
    problem = "; ".join(f"{name}: {text}" for name, text in report.unreachable.items())
    ReconcilerBeat.objects.update_or_create(
        name=BEAT_NAME,
        defaults={
            "holder": holder,
            "beat_at": clock.now(),
            "pass_ms": round(pass_ms, 2),
            "active": report.active,
            "problem": problem,
        },
    )
