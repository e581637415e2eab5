"""P-7: the servers of one machine, their env file and what they do about leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apps.core.storage import store_at
from launcher import paths, services
from launcher.guard import start_guard
from launcher.paths import NOBODY, runs_as_nobody, socket_dir, unprivileged_prefix
from launcher.postgres import Postgres, copy_cluster, template_dir
from launcher.processes import LauncherError, end_process, process_alive, read_pid, wait_gone
from launcher.valkey import Valkey


def test_env_file_can_hold_comments_quotes_and_exports(tmp_path: Path) -> None:
    """P-4: an env file is read as people write it."""
    path = tmp_path / ".env"
    path.write_text("# a comment\nexport A=1\nB='two words'\n\nC=\"x=y\"\nnot a line\n#D=4\nE=\n")
    assert services.read_env_file(path) == {"A": "1", "B": "two words", "C": "x=y", "E": ""}


def test_env_file_is_written_for_its_owner_only(tmp_path: Path) -> None:
    """P-7: services.env may hold secrets; a world-readable earlier file does not make the new one so."""
    path = tmp_path / "services.env"
    path.write_text("old")
    path.chmod(0o644)
    services.write_env_file(path, {"DATABASE_URL": "postgresql://postgres@/x?host=/tmp/a"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert services.read_env_file(path) == {"DATABASE_URL": "postgresql://postgres@/x?host=/tmp/a"}


def test_missing_env_file_is_empty(tmp_path: Path) -> None:
    """P-4: no file, no values."""
    assert services.read_env_file(tmp_path / "absent") == {}


def test_long_clone_path_gets_a_short_socket_folder(tmp_path: Path) -> None:
    """P-7: a socket's path may hold 107 bytes; a deep clone still starts, always at the same place."""
    deep = tmp_path / ("d" * 120)
    short = paths.socket_dir(deep)
    try:
        assert len(os.fsencode(short / ".s.PGSQL.5432")) <= 107
        assert short == paths.socket_dir(deep)
        assert short.stat().st_mode & 0o077 == 0
    finally:
        short.rmdir()


def test_socket_folder_planted_as_a_link_is_refused(tmp_path: Path) -> None:
    """P-7: a folder that somebody prepared in a shared place is not used."""
    target = tmp_path / "target"
    target.mkdir()
    planted = tmp_path / "run"
    planted.symlink_to(target)
    with pytest.raises(LauncherError, match="belongs to somebody else"):
        paths.private_dir(planted)


def test_postgres_starts_over_a_stale_pid_file_and_stops(tmp_path: Path) -> None:
    """P-7: after a power cut, postmaster.pid names a process that is long gone or somebody else's."""
    server = Postgres(tmp_path / "pg", paths.socket_dir(tmp_path / "s"), tmp_path / "log", fast=True)
    copy_cluster(template_dir(paths.ROOT / "var" / "cache"), server.data_dir)
    server.pid_path.write_text(f"{os.getpid()}\n{server.data_dir}\n0\n5432\n")
    assert server.running_pid() is None, "our own pid is no PostgreSQL"
    try:
        assert server.start()
        pid = server.running_pid()
        assert pid is not None
        assert not server.start(), "a second start finds the first"
        server.ensure_database("llmops")
        server.ensure_database("llmops")
        end_process(pid, [(signal.SIGKILL, 10)])
        assert server.start(), "killed without a chance to tidy up, it starts again"
    finally:
        server.stop()
    assert server.running_pid() is None


def test_data_of_another_major_version_is_told(tmp_path: Path) -> None:
    """P-7: the data folder of another PostgreSQL is left alone and named."""
    server = Postgres(tmp_path / "pg", tmp_path / "s", tmp_path / "log")
    server.data_dir.mkdir()
    (server.data_dir / "PG_VERSION").write_text("16\n")
    with pytest.raises(LauncherError, match="made by PostgreSQL 16"):
        server.start()


def test_foreign_folder_is_not_overwritten(tmp_path: Path) -> None:
    """P-7: a folder with other files in it is not taken for a database."""
    server = Postgres(tmp_path / "pg", tmp_path / "s", tmp_path / "log")
    server.data_dir.mkdir()
    (server.data_dir / "thesis.odt").write_text("precious")
    with pytest.raises(LauncherError, match="is no database"):
        server.start()
    assert (server.data_dir / "thesis.odt").read_text() == "precious"


def test_valkey_starts_answers_and_stops(tmp_path: Path) -> None:
    """P-7: real Valkey on a unix socket; a stale socket file is no obstacle."""
    server = Valkey(paths.socket_dir(tmp_path / "v"), tmp_path / "log")
    server.socket_dir.mkdir(exist_ok=True)
    server.socket_path.write_text("stale")
    server.pid_path.write_text("999999999\n")
    try:
        assert server.start()
        assert server.answers()
        assert not server.start()
    finally:
        server.stop()
    assert not server.answers()


def test_guard_ends_a_server_when_its_parent_is_gone(tmp_path: Path) -> None:
    """P-7: servers of a test run do not outlive it, not even after kill -9 of the run."""
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    folder = tmp_path / "run"
    folder.mkdir()
    guard = start_guard(pids={"terminate": victim.pid}, remove=folder)
    assert guard.stdin is not None
    guard.stdin.close()  # what the kernel does for a dead parent
    assert victim.wait(20) is not None
    guard.wait(20)
    assert not folder.exists()


def test_pid_file_with_nonsense_is_no_pid(tmp_path: Path) -> None:
    """P-7: damaged pid files are ignored."""
    path = tmp_path / "pid"
    for text in ("", "abc", "-5", "0"):
        path.write_text(text)
        assert read_pid(path) is None
    assert read_pid(tmp_path / "absent") is None


def test_zombie_counts_as_ended() -> None:
    """P-7: a process that has ended but was not reaped does not count as running."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    assert wait_gone(child.pid, 20)
    assert not process_alive(child.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else for PostgreSQL")
def test_root_without_user_namespaces_can_start_postgres_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-7: most containers forbid user namespaces; there PostgreSQL runs as `nobody`, and starts again as well."""
    programs = tmp_path / "bin"
    programs.mkdir()
    forbidden = programs / "unshare"
    forbidden.write_text("#!/bin/sh\nexit 1\n")
    forbidden.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    locked = tmp_path / "only-root-may-enter"
    locked.mkdir(mode=0o700)
    unprivileged_prefix.cache_clear()
    try:
        assert runs_as_nobody()
        server = Postgres(locked / "pg", socket_dir(locked / "s"), locked / "postgres.log", fast=True)
        for _ in range(2):
            assert server.start()
            assert not server.start(), "it runs already"
            server.ensure_database("again")
            server.stop()
        assert (locked / "pg").stat().st_uid == NOBODY
    finally:
        unprivileged_prefix.cache_clear()


def test_services_with_s3_keep_files_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P-7: S3=1 hands the portal a bucket that it can write to; the folder goes on with S3 without being told."""
    for name in ("STORAGE_URL", "S3"):
        monkeypatch.delenv(name, raising=False)
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.setenv(name, "given")
    assert not services.Services(tmp_path).with_s3
    monkeypatch.setenv("S3", "1")
    started = services.Services(tmp_path)
    try:
        values = started.start()
        store = store_at(values["STORAGE_URL"])
        store.put("a/b.txt", [b"kept"])
        monkeypatch.delenv("S3")
        again = services.Services(tmp_path)
        assert again.start() == values
        with store_at(values["STORAGE_URL"]).open("a/b.txt") as file:
            assert file.read() == b"kept"
        assert (tmp_path / services.ENV_FILE).stat().st_mode & 0o077 == 0
    finally:
        started.stop(["s3"])
