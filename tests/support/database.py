<<<<<<< HEAD
"""What the suite needs from a database that refuses to forget: flushing despite the audit guards, known policies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations

from apps.governance.policy.engine import Snapshot, policy_cache

_execute_sql_flush = DatabaseOperations.execute_sql_flush


def _flush_despite_guards(self: DatabaseOperations, sql_list: list[str]) -> None:
    """Transactional tests end with TRUNCATE, which the audit tables refuse: only a superuser in replica mode may."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
    try:
        _execute_sql_flush(self, sql_list)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = DEFAULT")
    # What migrations seed must be there for the next test.
    import_module("apps.governance.migrations.0003_first_prices").seed(apps, None)


DatabaseOperations.execute_sql_flush = _flush_despite_guards  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def no_policies_yet(settings: Any) -> Iterator[None]:
    """Every test begins with an empty, compared snapshot, so that counting queries is not a matter of luck."""
    settings.POLICY_CHECK_SECONDS = 3600.0
    policy_cache.forget()
    policy_cache._snapshot = Snapshot(token=None, policies=())
    policy_cache._checked_at = time.monotonic()
    yield
    policy_cache.forget()


__all__ = ["no_policies_yet"]
=======
"""A database of its own for tests whose rows other processes must see.

The append-only audit tables refuse TRUNCATE, so a test cannot commit into the suite's database and clean up
behind itself. It gets a copy of the migrated database instead, which is dropped afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.test.utils import setup_databases, teardown_databases


@contextmanager
def _maintenance() -> Iterator[psycopg.Connection[Any]]:
    parameters = {**connection.get_connection_params(), "dbname": "postgres"}
    for key in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(key, None)
    with psycopg.connect(**parameters, autocommit=True) as found:
        yield found


@pytest.fixture(scope="session")
def migrated_db(django_db_setup: None, django_db_blocker: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """The migrated database, also where no test of this run uses pytest-django's `db` (it makes one only then)."""
    if any("db" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield
        return
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture
def committed_db(migrated_db: None, django_db_blocker: Any) -> Iterator[str]:
    """Work in a copy of the test database; what is committed is seen by other processes. Yields its name."""
    original = connection.settings_dict["NAME"]
    name = f"copy_{uuid4().hex[:12]}"
    with django_db_blocker.unblock():
        connection.close()
        with _maintenance() as server:
            server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{original}"')
        connection.settings_dict["NAME"] = name
        try:
            yield name
        finally:
            connection.close()
            connection.settings_dict["NAME"] = original
            with _maintenance() as server:
                server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
>>>>>>> 448bad0 (Compute: logs page, admin, health, tests with a real reconciler process killed and replaced (P-5, P-8))
