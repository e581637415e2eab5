"""The HTTP API as one person sees it; refusals are typed, so that a step can expect one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx

API = "/llm-ops/v1"
POLL_SECONDS = 0.5


class StepFailedError(Exception):
    """A step could not be done; the message says what happened, `remedy` what a person can do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class RefusedError(StepFailedError):
    """The API said no, with the reasons of its envelope."""

    def __init__(self, method: str, path: str, status: int, message: str, errors: Sequence[dict[str, Any]]) -> None:
        self.status = status
        self.errors = list(errors)
        self.message = message
        reasons = "; ".join(str(error.get("message", "")) for error in errors)
        super().__init__(f"{method} {path} → {status}: {message}" + (f" ({reasons})" if reasons else ""))

    @property
    def reasons(self) -> list[str]:
        """Why, one sentence each."""
        return [str(error.get("message", "")) for error in self.errors] or [self.message]


class Client:
    """Calls as `name` with a bearer token. All methods return the envelope's `data`."""

    def __init__(self, name: str, base_url: str, token: str) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.token = token
        self.http = httpx.Client(
            base_url=self.base_url + API,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(30.0, read=600.0),
            trust_env=False,
        )

    def get(self, path: str, **params: Any) -> Any:
        return self._call("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call("POST", path, json=body or {})

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def upload(self, path: str, files: Iterable[Path]) -> Any:
        """Multipart upload under the field name `files`, streamed from disk."""
        handles = [file.open("rb") for file in files]
        try:
            parts = [("files", (Path(handle.name).name, handle)) for handle in handles]
            return self._call("POST", path, files=parts)
        finally:
            for handle in handles:
                handle.close()

    def find(self, path: str, **wanted: Any) -> dict[str, Any] | None:
        """The newest entry of a list whose fields equal `wanted` (compared here, not by filters)."""
        rows = self.get(path, limit=1000)
        if isinstance(rows, dict):
            rows = next(iter(rows.values()))
        for row in rows:
            if all(row.get(key) == value for key, value in wanted.items()):
                return dict(row)
        return None

    def refused(self, call: Callable[[], Any], statuses: Sequence[int]) -> RefusedError:
        """Run `call`, which must be refused with one of `statuses`; returns the refusal."""
        try:
            call()
        except RefusedError as refusal:
            if refusal.status in statuses:
                return refusal
            raise
        raise StepFailedError(
            f"{self.name} was allowed what the rules forbid (expected {' or '.join(map(str, statuses))}).",
            "This is a fault of the portal: please report it with var/logs/web.log.",
        )

    def wait(
        self,
        path: str,
        *,
        until: Callable[[dict[str, Any]], bool],
        failed: Callable[[dict[str, Any]], str | None] = lambda row: None,
        seconds: float,
        what: str,
        on_change: Callable[[dict[str, Any]], None] = lambda row: None,
    ) -> dict[str, Any]:
        """Poll `path` until `until` holds. `failed` may give up early with a sentence."""
        deadline = time.monotonic() + seconds
        while True:
            row: dict[str, Any] = self.get(path)
            on_change(row)
            if until(row):
                return row
            reason = failed(row)
            if reason:
                raise StepFailedError(f"{what}: {reason}", "See var/logs/worker.log and the page of the thing.")
            if time.monotonic() > deadline:
                raise StepFailedError(
                    f"{what} took longer than {seconds:.0f} s (status {row.get('status')}).",
                    "Is the worker running? See var/logs/worker.log and reconciler.log.",
                )
            time.sleep(POLL_SECONDS)

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self.http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise StepFailedError(
                f"{method} {path}: {type(error).__name__}: {error}",
                f"Does the portal answer at {self.base_url}?",
            ) from error
        try:
            envelope = response.json()
        except ValueError as error:
            raise StepFailedError(
                f"{method} {path} → {response.status_code} without an envelope: {response.text[:200]!r}"
            ) from error
        if response.is_error or envelope.get("status") == "fail":
            data = envelope.get("data")
            errors = data.get("errors", []) if isinstance(data, dict) else []
            raise RefusedError(method, path, response.status_code, str(envelope.get("message", "")), errors)
        return envelope.get("data", envelope)
