"""python -m launcher.demo [--base-url URL]: walk on from where the last walk stopped."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time

import httpx

from launcher.console import seconds_text
from launcher.demo.client import Client, RefusedError, StepFailedError
from launcher.demo.context import Demo
from launcher.demo.state import DONE, FAILED, DemoState
from launcher.demo.steps import STEPS
from launcher.instance import running_instance
from launcher.paths import ROOT, var_dir
from launcher.processes import LauncherError


def say(text: str) -> None:
    print(text, flush=True)


def ensure_people(state: DemoState, base_url: str) -> None:
    """Create the cast (they come from the command line, not from the API: somebody has to be first)."""
    done = subprocess.run(
        [sys.executable, "manage.py", "demo_people", "--base-url", base_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LauncherError(f"manage.py demo_people failed:\n{(done.stdout + done.stderr).strip()[-1500:]}")
    state.reload()


def forget_another_database(state: DemoState, base_url: str) -> None:
    """The file may be older than the database (dropped, or another one): then nothing that it knows exists."""
    known = state.made.get("raw_dataset_id")
    if known is None:
        return
    try:
        Client("Ada", base_url, state.person("ada").token).get(f"/catalog/datasets/{known}")
    except RefusedError as refusal:
        if refusal.status not in {401, 404}:
            raise
        say("The database is another one than the demo was walked in: starting over.")
        state.start_over()
        ensure_people(state, base_url)


def check_answers(base_url: str) -> None:
    """A demo without a portal is told so at once."""
    try:
        httpx.get(f"{base_url}/healthz", timeout=10, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise LauncherError(f"No portal answers at {base_url} ({error}). Start it: make run") from error


def walk(demo: Demo) -> bool:
    """Every step that is not done yet, in order; False when one fails."""
    state = demo.state
    state.plan([(step.key, step.title) for step in STEPS])
    for number, step in enumerate(STEPS, start=1):
        label = f"[{number}/{len(STEPS)}] {step.title}"
        if state.status(step.key) == DONE:
            say(f"{label}: done earlier")
            continue
        say(label)
        demo.current = step.key
        state.begin(step.key)
        started = time.monotonic()
        try:
            outcome = step.run(demo)
        except StepFailedError as error:
            state.finish(step.key, FAILED, str(error)[:1000])
            say(f"  ✘ {step.title} failed after {seconds_text(time.monotonic() - started)}: {error}")
            if error.remedy:
                say(f"    {error.remedy}")
            say("    `make run` (or `make demo` beside a running portal) goes on with this step.")
            return False
        state.finish(step.key, DONE, outcome)
        say(f"  ✔ {outcome} ({seconds_text(time.monotonic() - started)})")
    return True


def tell_people(state: DemoState, base_url: str) -> None:
    """Where to look first, and who can sign in."""
    say(f"The portal is at {base_url}. The passwords of these people are in {state.path}:")
    for name in ("ada", "ben", "chen", "dana", "eve", "finn"):
        person = state.person(name)
        where = f" (team {', '.join(person.teams)})" if person.teams else " (whole organisation)"
        say(f"  {person.username:<6} {', '.join(person.roles)}{where}")


def look_first(state: DemoState) -> list[tuple[str, str]]:
    """Addresses worth opening once the demo has ended, and what is there."""
    return [
        ("/", "the home page: how far everything is, what waits for you"),
        (f"/models/{state.made.get('tuned_model_id', '')}/", "the tuned model: lineage, evaluations, cost"),
        ("/chat/", "the chat with support-assistant"),
        ("/approvals/", "what was asked for and decided (as Chen)"),
        ("/governance/audit/", "who did what, sealed (as Finn)"),
        ("/governance/costs/", "what it cost (as Dana)"),
    ]


def _default_url() -> str:
    """The portal of this folder when it runs, whatever its port; else where `make run` would put one."""
    running = running_instance(var_dir())
    return running.url if running and running.pid else f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="launcher.demo", description="Walk the demo over the HTTP API.")
    parser.add_argument("--base-url", default=os.environ.get("BASE_URL") or _default_url())
    base_url = parser.parse_args(arguments).base_url.rstrip("/")
    try:
        state = DemoState(var_dir() / "demo.json")
        check_answers(base_url)
        if not state.complete or not state.data.get("people"):
            ensure_people(state, base_url)
        forget_another_database(state, base_url)
        complete = state.complete
        tell_people(state, base_url)
        if complete and [entry["key"] for entry in state.data["progress"]] == [step.key for step in STEPS]:
            say("The demo was walked to its end earlier; `make reset` starts over.")
            return 0
        started = time.monotonic()
        demo = Demo(state, base_url, say)
        try:
            if not walk(demo):
                return 1
        finally:
            shutil.rmtree(demo.folder, ignore_errors=True)
        say(f"The demo has reached its end after {seconds_text(time.monotonic() - started)}. Look first at:")
        for path, what in look_first(state):
            say(f"  {base_url}{path}  {what}")
    except (LauncherError, StepFailedError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
