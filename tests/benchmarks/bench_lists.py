"""Lists with object permissions: queries and CPU per page of 50, at 1,000 and at 100,000 entries in 200 teams.

Run: ``python -m tests.benchmarks.bench_lists [--entries 100000]``. The work is done in this process by Django's test
client, so the figure is the CPU of one request without the server around it. Medians of several requests.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.test")
os.environ.setdefault("LLMOPS_LOG_LEVEL", "ERROR")

import django

django.setup()

from django.db import connection
from django.test import Client
from django.test.utils import setup_databases, setup_test_environment, teardown_databases

from apps.accounts.models import Membership, Team, User
from apps.accounts.services import token_issue
from apps.catalog.models import ModelEntry
from apps.core import clock, versions
from apps.core.permissions import Role
from apps.datasets.models import Dataset

TEAMS = 200
REPEATS = 15
LISTS = {
    "datasets": ("/llm-ops/v1/catalog/datasets", "/datasets/"),
    "models": ("/llm-ops/v1/catalog/models", "/models/"),
    "training jobs": ("/llm-ops/v1/training/jobs", "/training/"),
    "evaluation runs": ("/llm-ops/v1/evaluation/runs", "/evaluations/"),
    "endpoints": ("/llm-ops/v1/serving/endpoints", "/endpoints/"),
    "approvals": ("/llm-ops/v1/governance/approvals", "/approvals/"),
}


@contextmanager
def database() -> Iterator[None]:
    """A fresh test database on the real server."""
    setup_test_environment()
    names = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(names, verbosity=0)


def populate(first: int, last: int, people: list[User], teams: list[Team]) -> None:
    """Spread datasets and models number ``first`` to ``last`` over the teams."""
    key = versions.version_key("1.0")
    for start in range(first, last, 5000):
        rows = range(start, min(start + 5000, last))
        owner = [{"team": teams[row % TEAMS], "created_by": people[row % TEAMS]} for row in rows]
        tables: tuple[tuple[Any, str], ...] = ((Dataset, "sft_pair"), (ModelEntry, "base"))
        for model, kind in tables:
            model.objects.bulk_create(
                model(name=f"n{row}", version="1.0", version_key=key, type=kind, **own)
                for row, own in zip(rows, owner, strict=True)
            )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def measure(call: Callable[[], Any]) -> tuple[int, float]:
    """Queries of one request, and the median CPU milliseconds of several."""
    answer = call()
    assert answer.status_code == 200, answer.content
    queries = 0

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        call()
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        call()
        spent.append((time.process_time() - began) * 1000)
    return queries, statistics.median(spent)


def report(label: str, person: User) -> None:
    """One line per list: API and page."""
    value = token_issue(user=person, name="bench", scopes=["read"], expires_at=clock.now() + timedelta(hours=1)).value
    headers = {"Authorization": f"Bearer {value}"}
    program, browser = Client(), Client()  # kept: a new one would load the middleware with every request
    browser.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    for name, (api_path, page_path) in LISTS.items():
        api_queries, api_cpu = measure(partial(program.get, api_path, headers=headers))
        page_queries, page_cpu = measure(partial(browser.get, page_path))
        print(
            f"{label:<28}{name:<18}API {api_queries:>3} queries {api_cpu:6.1f} ms   "
            f"page {page_queries:>3} queries {page_cpu:6.1f} ms"
        )


def main() -> None:
    """Two sizes, a member of one team and a reviewer of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    entries = parser.parse_args().entries
    with database():
        teams = Team.objects.bulk_create(Team(name=f"Team {n}", slug=f"team-{n}") for n in range(TEAMS))
        people = User.objects.bulk_create(User(username=f"person{n}") for n in range(TEAMS))
        Membership.objects.bulk_create(
            Membership(user=person, team=team, role=Role.RESEARCHER) for person, team in zip(people, teams, strict=True)
        )
        reviewer = User.objects.create(username="reviewer")
        Membership.objects.create(user=reviewer, role=Role.REVIEWER)
        for first, last in ((0, 1000), (1000, entries)):
            populate(first, last, people, teams)
            report(f"{last} entries, member", people[0])
            report(f"{last} entries, reviewer", reviewer)


if __name__ == "__main__":
    main()
