"""What the suite needs from a database that refuses to forget: flushing despite the audit guards, known policies."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.backends.postgresql.operations import DatabaseOperations

from apps.governance.policy.engine import Snapshot, policy_cache

_execute_sql_flush = DatabaseOperations.execute_sql_flush


def _flush_despite_guards(self: BaseDatabaseOperations, sql_list: Iterable[str]) -> None:
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
    if not apps.get_model("datasets", "PiiRuleRecord").objects.exists():
        import_module("apps.datasets.migrations.0004_pii_rules_seed").seed(apps, None)


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
