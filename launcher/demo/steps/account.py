"""What it all took: tokens, CPU hours and money on the model; then the audit chain is verified."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from launcher.demo.client import StepFailedError
from launcher.demo.context import Demo
from launcher.paths import ROOT

# Usage is written in batches; the running day is at most a minute old.
COST_SECONDS = 180.0


def run(demo: Demo) -> str:
    profiles = _wait_cost(demo)
    for profile in profiles:
        demo.tell(
            f"{profile['resourceType']}: {profile['tokenCount']} tokens, "
            f"{profile['costAmount']} {profile['costCurrency']}"
        )
    today = time.strftime("%Y-%m-%d", time.gmtime())
    total = demo.dana.get("/governance/observability/cost-aggregate", startDate=today, endDate=today)
    events = demo.finn.get("/audit/logs", limit=1000)
    denied = [event for event in events if event["result"] == "denied"]
    demo.tell(f"Finn, the auditor, sees {len(events)} audit events, {len(denied)} of them refusals")
    done = subprocess.run(
        [sys.executable, "manage.py", "audit_verify"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StepFailedError(f"The audit chain does not verify: {(done.stdout + done.stderr).strip()[-500:]}")
    spent = f"{total['totalTokens']} tokens, {total['totalCost']} {total['currency']}"
    return f"{spent} so far; the audit chain verifies"


def _wait_cost(demo: Demo) -> list[dict[str, Any]]:
    deadline = time.monotonic() + COST_SECONDS
    while True:
        profiles: list[dict[str, Any]] = demo.dana.get("/governance/observability/cost-profiles")
        used = [profile for profile in profiles if profile.get("tokenCount") or float(profile.get("costAmount") or 0)]
        if any(profile["resourceType"] == "serving" and profile.get("tokenCount") for profile in used):
            return used
        if time.monotonic() > deadline:
            raise StepFailedError(
                "No tokens are accounted for yet although the model has answered.",
                "See var/logs/web.log and worker.log.",
            )
        demo.tell("waiting for the gateway's usage to be written")
        time.sleep(1)
