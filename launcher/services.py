"""The servers of one machine: PostgreSQL, Valkey and, on request, S3.

    python -m launcher.services start [--s3]    start what does not run yet, write var/services.env, return
    python -m launcher.services stop            end them cleanly
    python -m launcher.services status

A server whose address is given from outside (DATABASE_URL, REDIS_URL, STORAGE_URL: environment or .env) is not started.
S3=1 in the environment means --s3. A var folder that once kept its files in S3 goes on doing so: they are there.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from launcher.paths import ROOT, private_dir, runs_as_nobody, socket_dir, var_dir
from launcher.postgres import Postgres
from launcher.processes import LauncherError
from launcher.seaweed import Seaweed
from launcher.valkey import Valkey

DATABASE = "llmops"
ENV_FILE = "services.env"
BUCKET = "llmops"


def read_env_file(path: Path) -> dict[str, str]:
    """KEY=value lines of an env file; comments, blank lines, `export` and quotes are understood."""
    values: dict[str, str] = {}
    try:
        text = path.read_text()
    except OSError:
        return values
    for line in text.splitlines():
        stripped = line.strip().removeprefix("export ").strip()
        key, separator, value = stripped.partition("=")
        if not separator or stripped.startswith("#") or not key.strip():
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[key.strip()] = value
    return values


def write_env_file(path: Path, values: dict[str, str]) -> None:
    """Write KEY=value lines atomically, readable by the owner only (they may hold secrets)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(path.name + ".new")
    making.unlink(missing_ok=True)
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write("# Written when the servers start. Your own .env and the environment win over these lines.\n")
        handle.writelines(f"{key}={value}\n" for key, value in values.items())
    making.replace(path)


def given_from_outside(name: str) -> str:
    """The value of `name` in the environment or in .env; empty when neither sets it."""
    return os.environ.get(name, "").strip() or read_env_file(ROOT / ".env").get(name, "").strip()


@dataclass
class Services:
    """The servers under one var folder."""

    var: Path = field(default_factory=var_dir)
    with_s3: bool = field(default_factory=lambda: os.environ.get("S3", "").strip() == "1")
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        logs = self.var / "logs"
        run = socket_dir(self.var / "run")
        # Where PostgreSQL runs as `nobody`, it owns its folders; the others' sockets stay apart.
        sockets = socket_dir(self.var / "run" / "pg") if runs_as_nobody() else run
        self.postgres = Postgres(self.var / "postgres", sockets, logs / "postgres.log")
        self.valkey = Valkey(run, logs / "valkey.log")
        self.seaweed = Seaweed(self.var / "s3", logs / "s3.log")
        self.with_s3 = self.with_s3 or self.seaweed.state_path.exists()

    def start(self) -> dict[str, str]:
        """Start what is missing, write services.env, return its values; `started` names them."""
        private_dir(self.var)
        values: dict[str, str] = {}
        if not given_from_outside("DATABASE_URL"):
            if self.postgres.start():
                self.started.append("postgres")
            self.postgres.ensure_database(DATABASE)
            values["DATABASE_URL"] = self.postgres.url(DATABASE)
        if not given_from_outside("REDIS_URL"):
            if self.valkey.start():
                self.started.append("valkey")
            values["REDIS_URL"] = self.valkey.url()
        if self.with_s3 and not given_from_outside("STORAGE_URL"):
            if self.seaweed.start():
                self.started.append("s3")
            self.seaweed.ensure_bucket(BUCKET)
            values["STORAGE_URL"] = self.seaweed.url(BUCKET)
        write_env_file(self.var / ENV_FILE, values)
        return values

    def stop(self, names: list[str] | None = None) -> None:
        """Stop the servers named (default: all of ours that run), brokers first, the database last."""
        wanted = names if names is not None else ["s3", "valkey", "postgres"]
        if "s3" in wanted:
            self.seaweed.stop()
        if "valkey" in wanted:
            self.valkey.stop()
        if "postgres" in wanted:
            self.postgres.stop()

    def status(self) -> dict[str, int | None]:
        """Pid per server, None for one that does not run."""
        return {
            "postgres": self.postgres.running_pid(),
            "valkey": self.valkey.running_pid(),
            "s3": self.seaweed.running_pid(),
        }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="launcher.services", description="Start and stop the servers of one machine.")
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument("--s3", action="store_true", help="start the S3 server too")
    options = parser.parse_args(arguments)
    try:
        services = Services(with_s3=True) if options.s3 else Services()
        if options.action == "start":
            values = services.start()
            print(f"Servers are up ({', '.join(services.started) or 'all were running already'}).")
            print(f"Their addresses are in {services.var / ENV_FILE}:")
            for key, value in values.items():
                print(f"  {key}={'s3://…' if key == 'STORAGE_URL' else value}")  # holds a secret
        elif options.action == "stop":
            services.stop()
            print("Servers are stopped.")
        else:
            for name, pid in services.status().items():
                print(f"{name}: {f'running, pid {pid}' if pid else 'not running'}")
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
