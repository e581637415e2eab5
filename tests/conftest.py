"""Fixtures of the whole suite: people from `tests.support.cast`, servers from `tests.support.servers`."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.cast import api, cast, media, page, run_commits
from tests.support.committed import committed_db, migrated_db
from tests.support.database import no_policies_yet
from tests.support.servers import s3_server
from tests.support.tiny_model import tiny_model_dir
from tests.support.uploads import s3_store

__all__ = [
    "api",
    "cast",
    "committed_db",
    "media",
    "migrated_db",
    "no_policies_yet",
    "page",
    "run_commits",
    "s3_server",
    "s3_store",
    "tiny_model_dir",
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count at the end what was skipped, by reason: nobody should believe that everything ran when it did not."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        detail = report.longrepr
        reasons[str(detail[2] if isinstance(detail, tuple) else detail).removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section(f"skipped: {reasons.total()}")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:4d}  {reason}")
