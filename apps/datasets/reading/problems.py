"""Mistakes found in uploaded files, collected with their place and a cap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is and what to do about it.

    ``line`` is the line of a text file, ``row`` the data row (both from 1); 0 means that the whole file is
    meant.
    """

    file: str
    code: str
    message: str
    line: int = 0
    row: int = 0
    column: str = ""

    def __str__(self) -> str:
        if self.line:
            return f"{self.file}, line {self.line}: {self.message}"
        if self.row:
            return f"{self.file}, row {self.row}: {self.message}"
        return f"{self.file}: {self.message}"


class FileUnreadable(Exception):
    """Reading this file cannot go on; the problem is in the log already."""


class ProblemLog:
    """Collects problems up to ``limit`` and counts the rest, so that memory stays bounded."""

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self.problems: list[Problem] = []
        self.more = 0

    def __bool__(self) -> bool:
        return bool(self.problems)

    @property
    def total(self) -> int:
        """How many problems were found, kept or only counted."""
        return len(self.problems) + self.more

    def add(self, problem: Problem) -> None:
        """Keep the problem, or count it when there are enough."""
        if len(self.problems) < self.limit:
            self.problems.append(problem)
        else:
            self.more += 1

    def stop(self, problem: Problem) -> FileUnreadable:
        """Record a problem after which the file cannot be read on; raise what is returned."""
        self.add(problem)
        return FileUnreadable(problem.message)


class DataRefused(Exception):
    """The files hold mistakes; nothing was taken."""

    def __init__(self, problems: Sequence[Problem], more: int = 0) -> None:
        self.problems = list(problems)
        self.more = more
        super().__init__(f"{len(self.problems) + more} problem(s)")
