"""Readiness of a workload, asked over HTTP by its witness. Stdlib only."""

from __future__ import annotations

import http.client
import threading
import time
from typing import Any

MISSES_ALLOWED = 3


class Probe(threading.Thread):
    """Asks the workload whether it is ready; several misses in a row take readiness away again."""

    def __init__(self, settings: dict[str, Any], port: int) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._port = port
        self.ready = False

    def run(self) -> None:
        """Probe for ever; the thread ends with the process."""
        misses = 0
        while True:
            if self._once():
                misses = 0
                self.ready = True
            else:
                misses += 1
                if misses >= MISSES_ALLOWED:
                    self.ready = False
            calm = self.ready and not misses
            time.sleep(self._settings["period_seconds"] * (5 if calm else 1))

    def _once(self) -> bool:
        timeout = self._settings["timeout_seconds"]
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request("GET", self._settings["path"])
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
