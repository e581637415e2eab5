"""`make run`: servers, migrations, assets, base model; then web, worker, beat, reconciler in one terminal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

from launcher import services
from launcher.children import Child, exit_text, say
from launcher.console import run_logged, seconds_text, step
from launcher.install import digest_of
from launcher.instance import check_port, claim_instance
from launcher.paths import ROOT, private_dir, var_dir
from launcher.processes import LauncherError, end_process, process_alive, process_command

LEAST_FREE_BYTES = 500_000_000
READY_SECONDS = 240.0
BASE_MODEL = "SmolLM2-135M-Instruct"
# What the packages ship beside the built files; compressing it would take most of the time.
UNSERVED = (
    "*.map",
    "*.ts",
    "*.scss",
    "libs",
    "flags",
    "social",
    "payments",
    "*.esm.*",
    "*.cjs.*",
    "*.mjs",
    "cjs",
    "esm",
)
CHILDREN_FILE = "children.json"


class StopRequested(Exception):
    """SIGINT, SIGTERM or SIGHUP arrived."""


def _raise_stop(number: int, frame: FrameType | None) -> None:
    raise StopRequested(signal.Signals(number).name)


class Supervisor:
    """One run of the portal on this machine, from the first check to the last process."""

    def __init__(self) -> None:
        self.host = os.environ.get("HOST", "").strip() or "127.0.0.1"
        self.port = _port(os.environ.get("PORT", "").strip() or "8000")
        self.demo_wanted = os.environ.get("DEMO", "").strip() != "0"
        self.verbose = os.environ.get("VERBOSE", "").strip() == "1"
        self.var = var_dir()
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        self.url = f"http://{shown}:{self.port}"
        self.services = services.Services(self.var)
        self.children: list[Child] = []
        self.demo: Child | None = None
        self.env = self._environment()

    def _environment(self) -> dict[str, str]:
        """What the children see beside the caller's own environment, which wins."""
        defaults = {
            "DJANGO_SETTINGS_MODULE": "llmops.settings.development",
            "LLMOPS_VAR_DIR": str(self.var),
            "LLMOPS_PUBLIC_URL": self.url,
            # Everything here runs on loopback: model servers, the demo's clients.
            "LLMOPS_OUTBOUND_ALLOW": "127.0.0.0/8,::1",
            # Two busy torch processes with default threading were twenty times slower.
            "OMP_WAIT_POLICY": "PASSIVE",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        given = {**services.read_env_file(ROOT / ".env"), **os.environ}
        return {key: given.get(key) or value for key, value in defaults.items()}

    def run(self) -> int:
        """Everything, until a signal; the exit code."""
        lock = claim_instance(self.var, self.url)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _raise_stop)
        code = 0
        try:
            self._prepare()
            self._start_children()
            self._watch()
        except StopRequested as stop:
            print()
            say("portal", f"{stop}: ending everything …")
        except LauncherError as error:
            print(f"\nerror: {error}", file=sys.stderr)
            code = 1
        finally:
            self._stop_all()
            lock.close()
        return code

    # Before the first process

    def _prepare(self) -> None:
        started = time.monotonic()
        private_dir(self.var)
        self._check_disk()
        self._end_leftovers()
        check_port(self.host, self.port)
        with step("starting PostgreSQL and Valkey"):
            self.env |= {key: os.environ.get(key) or value for key, value in self.services.start().items()}
        with step("migrating the database"):
            self._manage("migrate", "--noinput")
        self._collect_assets()
        if self.demo_wanted:
            self._prepare_base_model()
        say("portal", f"prepared in {seconds_text(time.monotonic() - started)}")

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.var).free
        if free < LEAST_FREE_BYTES:
            raise LauncherError(
                f"Only {free / 1e6:.0f} MB are free at {self.var}; the database could not write. "
                "Free at least 0.5 GB (the demo wants 3), then say `make run` again."
            )

    def _end_leftovers(self) -> None:
        """A killed supervisor leaves its children behind (they would hold the port and work twice) and its servers."""
        path = self.var / CHILDREN_FILE
        try:
            recorded = json.loads(path.read_text())
        except (OSError, ValueError):
            return
        self.services.started += recorded.get("servers", [])
        for name, entry in recorded.get("children", {}).items():
            pid, command = int(entry["pid"]), str(entry["command"])
            if process_alive(pid) and process_command(pid) == command:
                say("portal", f"an earlier run left {name} (pid {pid}) behind: ending it")
                end_process(pid, [(signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)])
        path.unlink(missing_ok=True)

    def _manage(self, *arguments: str) -> str:
        return run_logged(
            [sys.executable, "manage.py", *arguments],
            log=self.var / "logs" / "start.log",
            env=self.env,
            cwd=ROOT,
            remedy="If an earlier run was of another version, `make reset` starts over.",
        )

    def _collect_assets(self) -> None:
        """Collect static files when they or the packages changed: comparing is quick, collecting is not."""
        stamp = self.var / "static.stamp"
        files = sorted(path for path in (ROOT / "static").rglob("*") if path.is_file())
        settings = ROOT / "llmops" / "settings" / "base.py"
        wanted = digest_of(*files, ROOT / "package-lock.json", settings, *(ROOT / "requirements").glob("base.txt"))
        if (self.var / "static").is_dir() and stamp.exists() and stamp.read_text() == wanted:
            return
        with step("collecting styles, scripts and icons"):
            ignored = [part for pattern in UNSERVED for part in ("--ignore", pattern)]
            self._manage("collectstatic", "--noinput", "--clear", *ignored)
            stamp.write_text(wanted)

    def _prepare_base_model(self) -> None:
        folder = self.var / "models" / BASE_MODEL
        if (folder / "config.json").exists() and any(folder.glob("*.safetensors")):
            return
        with step(f"converting the packaged {BASE_MODEL} to safetensors (once)"):
            making = folder.with_name(folder.name + ".making")
            shutil.rmtree(making, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            run_logged(
                [sys.executable, "-m", "workers.convert_base_model", "--output", making],
                log=self.var / "logs" / "start.log",
                env=self.env,
                cwd=ROOT,
                remedy="DEMO=0 starts the portal without it.",
            )
            making.rename(folder)

    # While it runs

    def _start_children(self) -> None:
        python = sys.executable
        bin_dir = Path(python).parent
        web = [
            str(bin_dir / "uvicorn"),
            "llmops.asgi:application",
            "--host",
            self.host,
            "--port",
            str(self.port),
        ]
        web += ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "5"]
        celery = [str(bin_dir / "celery"), "-A", "llmops"]
        worker = [
            *celery,
            "worker",
            "--loglevel",
            "INFO",
            "--concurrency",
            "2",
            "--without-gossip",
            "--without-mingle",
        ]
        commands: dict[str, list[str]] = {
            "web": web,
            "worker": [*worker, "--hostname", f"worker-{self.port}@%h"],
            "beat": [*celery, "beat", "--loglevel", "INFO", "--pidfile="],
            "reconciler": [python, "manage.py", "reconcile"],
        }
        for name, command in commands.items():
            self._start(Child(name, command, self.var / "logs" / f"{name}.log", self.env, verbose=self.verbose))
        self._wait_ready()

    def _start(self, child: Child) -> None:
        self.children.append(child)
        child.start()
        self._record_children()

    def _record_children(self) -> None:
        """Write who runs, so that the next start can end what a killed supervisor left."""
        pids = {child.name: child.pid for child in self.children if child.pid}
        children = {name: {"pid": pid, "command": process_command(pid)} for name, pid in pids.items()}
        record = {"children": children, "servers": self.services.started}
        path = self.var / CHILDREN_FILE
        making = path.with_suffix(".new")
        making.write_text(json.dumps(record))
        making.replace(path)

    def _wait_ready(self) -> None:
        """Until the web process answers; a first start that cannot succeed is told at once."""
        web = self.children[0]
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            code = web.process.poll() if web.process else None
            if code is not None or time.monotonic() > deadline:
                why = f"ended ({exit_text(code)})" if code is not None else f"did not answer in {READY_SECONDS:.0f} s"
                tail = "\n".join(f"    {line}" for line in web.tail)
                raise LauncherError(f"The web process {why}:\n{tail}\nLog: {web.log_path}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/healthz", timeout=3) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False

    def _watch(self) -> None:
        say(
            "portal",
            f"ready: {self.url} (API docs {self.url}/api/docs/, admin {self.url}/admin/)",
        )
        if self.demo_wanted:
            self._start_demo()
        else:
            self._tell_first_administrator()
        say("portal", f"logs are in {self.var / 'logs'}; Ctrl-C ends everything")
        pids: list[int | None] = []
        while True:
            now = time.monotonic()
            for child in self.children:
                child.look(now)
            self._look_at_demo()
            current = [child.pid for child in self.children]
            if current != pids:
                pids = current
                self._record_children()
            time.sleep(0.25)

    def _start_demo(self) -> None:
        command = [sys.executable, "-m", "launcher.demo", "--base-url", self.url]
        self.demo = Child("demo", command, self.var / "logs" / "demo.log", self.env, verbose=True, grace=5.0)
        self.demo.start()

    def _look_at_demo(self) -> None:
        if self.demo is None or self.demo.process is None or self.demo.process.poll() is None:
            return
        if self.demo.process.returncode != 0:
            say(
                "demo",
                "did not reach its end. The portal goes on; `make run` or `make demo` continues the demo.",
            )
        self.demo = None

    def _tell_first_administrator(self) -> None:
        say(
            "portal",
            "the portal is empty (DEMO=0). The first administrator signs in after, in another terminal:",
        )
        say("portal", "    .venv/bin/python manage.py bootstrap_admin")

    # The end

    def _stop_all(self) -> None:
        """Children, then what they started, then the servers that we started. A second Ctrl-C hurries."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGINT, self._hurry)
        started = time.monotonic()
        everyone = [*([self.demo] if self.demo else []), *self.children]
        for child in everyone:
            child.ask_to_stop()
        for child in everyone:
            child.finish()
        if self.children:
            with suppress(LauncherError):
                self._manage("compute_stop_all")
        self.services.stop(self.services.started)
        (self.var / CHILDREN_FILE).unlink(missing_ok=True)
        if self.children:
            say(
                "portal",
                f"ended in {seconds_text(time.monotonic() - started)}; `make run` carries on from here",
            )

    def _hurry(self, number: int, frame: FrameType | None) -> None:
        say("portal", "killing what has not ended yet")
        for child in self.children:
            child.grace = 0.5
            if child.process is not None and child.process.poll() is None:
                child.process.kill()


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise LauncherError(f"PORT={text!r} is no port: a number from 1 to 65535, for example make run PORT=8080")
    return int(text)


def supervise() -> int:
    """Run the portal in the foreground; the exit code for the shell."""
    return Supervisor().run()
