"""What the Makefile's verbs do once everything is installed; runs under the environment's Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from launcher import pins, services
from launcher.chromium import provide_chromium
from launcher.console import seconds_text
from launcher.instance import running_instance
from launcher.paths import ROOT, var_dir
from launcher.processes import LauncherError
from launcher.supervisor import supervise

PYTHON = sys.executable
CODE = ["apps", "llmops", "workers", "launcher", "tests", "manage.py"]
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "llmops.settings.production",
    "SECRET_KEY": "only-for-the-deployment-check-0123456789abcdefghijklmnopqrstuvwxyz",
    "ALLOWED_HOSTS": "portal.example.org",
    "LLMOPS_PUBLIC_URL": "https://portal.example.org",
    "LLMOPS_READ_ENV_FILES": "false",
    "DATABASE_URL": "postgres://portal@database.example.org/portal",
    "REDIS_URL": "redis://broker.example.org:6379/0",
}


def tool(name: str) -> str:
    """A program of the environment that runs us."""
    return str(Path(sys.prefix) / "bin" / name)


def _manage(*arguments: str) -> list[str]:
    return [PYTHON, "-W", "ignore", "manage.py", *arguments]


def verb_run(arguments: list[str]) -> int:
    return supervise()


def verb_demo(arguments: list[str]) -> int:
    return subprocess.run([PYTHON, "-m", "launcher.demo", *arguments], cwd=ROOT, check=False).returncode


def verb_services(arguments: list[str]) -> int:
    return services.main(arguments)


def verb_pins(arguments: list[str]) -> int:
    return pins.main(arguments)


def verb_shell(arguments: list[str]) -> int:
    services.Services().start()
    return subprocess.run([PYTHON, "manage.py", "shell", *arguments], cwd=ROOT, check=False).returncode


def verb_test(arguments: list[str]) -> int:
    """pytest over everything, on all cores up to four, with the browser when there is one."""
    environment = dict(os.environ)
    browser = provide_chromium()
    if browser:
        environment["LLMOPS_CHROMIUM"] = browser
    else:
        print("No Chromium here and none could be fetched: the browser tests will be counted as skipped.")
    parallel = [] if any(part.startswith(("-n", "--numprocesses")) for part in arguments) else ["-n", _processes()]
    command = [PYTHON, "-m", "pytest", *parallel, "--dist", "loadscope", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _processes() -> str:
    return str(max(1, min(4, len(os.sched_getaffinity(0)))))


def verb_bench(arguments: list[str]) -> int:
    folder = ROOT / "tests" / "benchmarks"
    scripts = sorted(folder.glob("bench_*.py"))
    if not scripts:
        raise LauncherError(f"There are no benchmarks in {folder} yet.")
    wanted = [script for script in scripts if not arguments or script.stem.removeprefix("bench_") in arguments]
    services.Services().start()
    codes = [subprocess.run([PYTHON, str(script)], cwd=ROOT, check=False).returncode for script in wanted]
    return max(codes, default=0)


def verb_format(arguments: list[str]) -> int:
    """Python by ruff; then what djlint finds in the templates, which are laid out by hand."""
    commands = (
        [tool("ruff"), "check", "--fix", "--quiet", *CODE],
        [tool("ruff"), "format", *CODE],
        [tool("djlint"), "templates", "--lint", "--quiet"],
    )
    return max(subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands)


def lint_checks() -> list[tuple[str, Callable[[], tuple[int, str]]]]:
    """Name and check, in the order in which they are quick."""
    return [
        ("ruff check", lambda: _capture([tool("ruff"), "check", *CODE])),
        ("ruff format", lambda: _capture([tool("ruff"), "format", "--check", *CODE])),
        ("requirements pinned", lambda: _capture([PYTHON, "-m", "launcher.pins", "--check"])),
        ("import contracts", lambda: _capture([tool("lint-imports")])),
        ("templates (djlint)", lambda: _capture([tool("djlint"), "templates", "--lint", "--quiet"])),
        ("migrations complete", lambda: _capture(_manage("makemigrations", "--check", "--dry-run"))),
        (
            "check --deploy",
            lambda: _capture(_manage("check", "--deploy", "--fail-level", "WARNING"), env=PRODUCTION),
        ),
        ("env.example in step", lambda: _capture(_manage("env_example", "--check"))),
        ("OpenAPI contract", _openapi),
        ("types (mypy)", lambda: _capture([tool("mypy")])),
    ]


def _capture(command: list[str], env: dict[str, str] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def _openapi() -> tuple[int, str]:
    """The schema is generated without warnings and equals docs/openapi.yaml."""
    committed = ROOT / "docs" / "openapi.yaml"
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "openapi.yaml"
        code, output = _capture(_manage("spectacular", "--fail-on-warn", "--validate", "--file", str(fresh)))
        if code:
            return code, output
        if not committed.exists() or committed.read_text() != fresh.read_text():
            return 1, "docs/openapi.yaml is stale: manage.py spectacular --file docs/openapi.yaml\n"
    return 0, ""


def verb_lint(arguments: list[str]) -> int:
    """All checks, also after one has failed; each with its time."""
    failed: list[str] = []
    for name, check in lint_checks():
        started = time.monotonic()
        code, output = check()
        mark = "✔" if code == 0 else "✘"
        print(f"{mark} {name} ({seconds_text(time.monotonic() - started)})", flush=True)
        if code:
            failed.append(name)
            print("\n".join(f"    {line}" for line in output.strip().splitlines()), flush=True)
    print("All checks passed." if not failed else f"Failed: {', '.join(failed)}.")
    return 1 if failed else 0


def verb_reset(arguments: list[str]) -> int:
    """Forget the database, the files, the models and the demo; the installation stays."""
    folder = var_dir()
    running = running_instance(folder)
    if running:
        raise LauncherError(f"The portal is running: end it first (Ctrl-C there, or kill {running.pid}).")
    if not folder.exists():
        print("Nothing to forget: var/ does not exist.")
        return 0
    if "--yes" not in arguments:
        if not sys.stdin.isatty():
            raise LauncherError("This deletes everything under var/. Say so: make reset FORCE=1")
        answer = input(f"Delete the database, uploads, models and demo under {folder}? Type yes: ")
        if answer.strip().lower() != "yes":
            print("Nothing was deleted.")
            return 1
    services.Services().stop()
    shutil.rmtree(folder)
    print(f"{folder} is gone. `make run` starts over.")
    return 0


VERBS: dict[str, Callable[[list[str]], int]] = {
    name.removeprefix("verb_"): function for name, function in list(globals().items()) if name.startswith("verb_")
}


def main() -> int:
    verb, *arguments = sys.argv[1:]
    try:
        return VERBS[verb](arguments)
    except LauncherError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
