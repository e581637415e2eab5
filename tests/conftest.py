"""Fixtures of the whole suite. Who is who comes from `tests.support.cast`, the servers from `tests.support.servers`."""

from __future__ import annotations

from tests.support.servers import s3_server

__all__ = ["s3_server"]
