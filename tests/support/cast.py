"""Fixtures shared by all tests: the cast of the design, an API caller, signed-in browsers, a clean object store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.testcases import TestCase

from apps.accounts.demo import CAST, TEAMS
from apps.accounts.models import Membership, Team, User
from apps.accounts.services import token_issue
from apps.core import clock
from apps.core.permissions import Role, Scope

ALL_SCOPES = tuple(Scope)
PASSWORD = "correct-horse-battery"


@dataclass
class Cast:
    """The people and teams of the design."""

    ada: User
    ben: User
    chen: User
    dana: User
    eve: User
    finn: User
    support: Team
    research: Team

    def everyone(self) -> dict[str, User]:
        """By name."""
        return {name: getattr(self, name) for name in ("ada", "ben", "chen", "dana", "eve", "finn")}


def make_cast() -> Cast:
    """Create teams and people straight in the database."""
    teams = {slug: Team.objects.create(slug=slug, name=name) for slug, name in TEAMS.items()}
    people: dict[str, User] = {}
    for member in CAST:
        staff = bool({Role.ADMIN, Role.OPERATOR, Role.AUDITOR, Role.REVIEWER} & set(member.organisation))
        user = User(username=member.username, first_name=member.first_name, last_name=member.last_name, is_staff=staff)
        user.set_password(PASSWORD)
        user.save()
        rows = [Membership(user=user, role=role) for role in member.organisation]
        rows += [
            Membership(user=user, role=role, team=teams[slug]) for slug, roles in member.teams.items() for role in roles
        ]
        Membership.objects.bulk_create(rows)
        people[member.username] = user
    return Cast(**people, support=teams["support"], research=teams["research"])


@pytest.fixture
def cast(db: None) -> Cast:
    """Ada, Ben, Chen, Dana, Eve, Finn; teams support and research."""
    return make_cast()


class ApiClient:
    """Calls ``/llm-ops/v1`` with a bearer token, as a program would."""

    prefix = "/llm-ops/v1"

    def __init__(self, token: str | None) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def _path(self, path: str) -> str:
        return path if path.startswith(("/llm-ops", "/v1", "/api", "/metrics")) else self.prefix + path

    def _call(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        extra: dict[str, Any] = {"headers": {**self.headers, **headers}}
        if body is not None:
            extra["data"] = body if isinstance(body, bytes | str) else json.dumps(body, default=str)
            extra["content_type"] = "application/json"
        response = getattr(self.client, method)(self._path(path), **extra)
        return with_data(response)

    def get(self, path: str, **headers: str) -> Any:
        """GET."""
        return with_data(self.client.get(self._path(path), headers={**self.headers, **headers}))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST JSON."""
        return self._call("post", path, {} if body is None else body, headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        """PUT JSON."""
        return self._call("put", path, {} if body is None else body, headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        """PATCH JSON."""
        return self._call("patch", path, {} if body is None else body, headers)

    def delete(self, path: str, **headers: str) -> Any:
        """DELETE."""
        return self._call("delete", path, None, headers)

    def upload(self, path: str, files: Mapping[str, bytes] | Sequence[tuple[str, bytes]], field: str = "files") -> Any:
        """POST multipart with the files under ``field``."""
        rows = list(files.items()) if isinstance(files, Mapping) else list(files)
        data = {field: [SimpleUploadedFile(name, content) for name, content in rows]}
        return with_data(self.client.post(self._path(path), data, headers=self.headers))


def with_data(response: Any) -> Any:
    """Attach ``.data``-like access: ``response.envelope`` and ``response.payload`` (the envelope's data)."""
    response.envelope = None
    response.payload = None
    if response.headers.get("Content-Type", "").startswith("application/json") and not response.streaming:
        response.envelope = json.loads(response.content)
        if isinstance(response.envelope, dict):
            response.payload = response.envelope.get("data")
    response.data = response.payload
    return response


@pytest.fixture
def api(db: None) -> Callable[..., ApiClient]:
    """``api(cast.ada)`` → a client with a full token; ``api(None)`` → without; ``scopes=`` limits it."""

    def make(user: User | None, *, scopes: Sequence[str] = ALL_SCOPES, team: Team | None = None) -> ApiClient:
        if user is None:
            return ApiClient(None)
        expires = clock.now() + timedelta(hours=1)
        return ApiClient(token_issue(user=user, name="test", scopes=scopes, expires_at=expires, team=team).value)

    return make


@pytest.fixture
def page(db: None) -> Callable[[User | None], Client]:
    """``page(cast.ada)`` → a browser-like client with a session; CSRF is not enforced here (the e2e tests do)."""

    def make(user: User | None) -> Client:
        client = Client(raise_request_exception=False)
        if user is not None:
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def run_commits() -> Callable[[], Any]:
    """``with run_commits():`` runs what was enqueued on commit when the block ends (and what that enqueues)."""

    @contextmanager
    def block() -> Iterator[list[Any]]:
        with TestCase.captureOnCommitCallbacks(execute=True) as callbacks:
            yield callbacks

    return block


@pytest.fixture(autouse=True)
def media(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> Path:
    """A clean object store and run-time folder for every test."""
    settings.STORAGE_URL = f"file://{tmp_path / 'store'}"
    settings.VAR_DIR = tmp_path / "var"
    (settings.VAR_DIR / "tmp").mkdir(parents=True)
    return tmp_path / "store"


def commit_now() -> None:
    """Run pending on-commit callbacks inside a test's transaction."""
    while connection.run_on_commit:
        pending, connection.run_on_commit = connection.run_on_commit, []
        for entry in pending:
            entry[1]()


__all__ = ["ApiClient", "Cast", "api", "cast", "commit_now", "make_cast", "media", "page", "run_commits"]
