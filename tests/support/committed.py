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
        made = setup_databases(verbosity=0, interactive=False)
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
