"""SeaweedFS's S3 gateway from its wheel: a real object store for tests and for trying S3 on a laptop."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from launcher.paths import private_dir, weed_binary
from launcher.postgres import last_lines
from launcher.processes import LauncherError, end_process, process_alive, process_command, read_pid

START_SECONDS = 60.0
START_ATTEMPTS = 3
PROBE = b"0" * 9_000_000  # large enough to need a volume


def free_port() -> int:
    """A TCP port on 127.0.0.1 free a moment ago, whose +10000 (SeaweedFS's gRPC port) is valid too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55000:
            return port


@dataclass
class Seaweed:
    """One S3 server with a single identity; `start` fills in the keys and the port."""

    data_dir: Path
    log_path: Path
    access_key: str = "llmops"
    secret_key: str = ""
    port: int = 0
    buckets: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, bucket: str) -> str:
        """The bucket as STORAGE_URL names it, keys included."""
        keys = f"{quote(self.access_key, safe='')}:{quote(self.secret_key, safe='')}"
        return f"s3://{keys}@127.0.0.1:{self.port}/{bucket}?region=us-east-1&tls=false"

    def ensure_bucket(self, name: str) -> None:
        """Create the bucket unless it exists; waits until it takes a large object, seconds after the first answer."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"max_attempts": 1}),
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if name not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
                    client.create_bucket(Bucket=name)
                client.put_object(Bucket=name, Key=".ready", Body=PROBE)
                client.delete_object(Bucket=name, Key=".ready")
                return
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > deadline:
                    raise LauncherError(f"The S3 server did not make the bucket {name}: {error}") from error
                time.sleep(0.2)

    @property
    def state_path(self) -> Path:
        return self.data_dir / "s3-state.json"

    @property
    def pid_path(self) -> Path:
        return self.data_dir / "weed.pid"

    def running_pid(self) -> int | None:
        pid = read_pid(self.pid_path)
        if pid is None or not process_alive(pid) or str(self.data_dir) not in process_command(pid):
            return None
        return pid

    def start(self) -> bool:
        """Start and wait until the S3 port answers. True when this call started it."""
        private_dir(self.data_dir)
        if self.running_pid() is not None and self.state_path.exists():
            state = json.loads(self.state_path.read_text())
            self.port, self.access_key, self.secret_key = (
                state["port"],
                state["access_key"],
                state["secret_key"],
            )
            return False
        self.secret_key = self.secret_key or secrets.token_urlsafe(24)
        for attempt in range(START_ATTEMPTS):
            process = self._launch()
            if self._wait_answering(process):
                return True
            if process.poll() is None or attempt == START_ATTEMPTS - 1:
                break  # it hangs, or it is not its ports
        self.stop()
        raise LauncherError(f"SeaweedFS did not start:\n{last_lines(self.log_path)}")

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the program on ports that are free now; another process may be faster in taking one."""
        self.port = free_port()
        state = {"port": self.port, "access_key": self.access_key, "secret_key": self.secret_key}
        _write_private(self.state_path, json.dumps(state))
        identity = {
            "name": "llmops",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.data_dir / "s3.json"
        _write_private(config, json.dumps({"identities": [identity]}))
        ports = {"master": free_port(), "volume": free_port(), "filer": free_port()}
        command = [
            str(weed_binary()),
            "server",
            "-dir",
            str(self.data_dir),
            "-ip",
            "127.0.0.1",
            "-ip.bind",
            "127.0.0.1",
        ]
        command += [f"-{name}.port={port}" for name, port in ports.items()]
        command += ["-filer", "-s3", f"-s3.config={config}", f"-s3.port={self.port}"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # else both take a fixed port, once per machine
        command += ["-master.volumeSizeLimitMB=64", "-volume.max=100"]
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.data_dir,
            )
        self.pid_path.write_text(f"{process.pid}\n")
        return process

    def _wait_answering(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def stop(self) -> None:
        """Kill it: its own shutdown takes half a minute and it keeps nothing that we need."""
        pid = self.running_pid()
        if pid is not None:
            end_process(pid, [(signal.SIGKILL, 10.0)])
        self.pid_path.unlink(missing_ok=True)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status in (200, 403)
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    path.write_text(text)
