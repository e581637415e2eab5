"""The documentation is true: links lead somewhere, the trace names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "templates").glob("*.md")])
IDS = 68


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_link_is_dead(page: Path) -> None:
    """P-11: every relative link and image leads to a file."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target


def test_trace_names_every_id_and_files_that_exist() -> None:
    """P-11: all ids are there once, each with a state; what works or works partly names code and tests."""
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in (ROOT / "docs/requirements.md").read_text().splitlines()
        if re.match(r"\| (P|FR)-", line)
    ]
    assert len(rows) == len({row[0] for row in rows}) == IDS
    for row in rows:
        state, where, tests = row[-4], row[-3], row[-2]
        assert state.startswith(("works", "partly: ", "not yet")), row[0]
        if not state.startswith("not yet"):
            assert where, row[0]
            assert tests, row[0]
        for path in re.findall(r"`([\w./-]+)`", f"{where} {tests}"):
            assert (ROOT / path).exists(), (row[0], path)
