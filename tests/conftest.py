"""Fixtures of the whole suite: people from `tests.support.cast`, servers from `tests.support.servers`."""

from __future__ import annotations

from tests.support.cast import api, cast, media, page, run_commits
from tests.support.servers import s3_server

__all__ = ["api", "cast", "media", "page", "run_commits", "s3_server"]
