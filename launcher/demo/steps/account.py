"""What it all took: tokens, CPU hours and money on the model; then the audit chain is verified."""

from __future__ import annotations

import subprocess
import sys
import time
from decimal import Decimal
from typing import Any

from launcher.demo.client import StepFailedError
from launcher.demo.context import Demo
from launcher.paths import ROOT

# Usage is written in batches; the running day is at most a minute old.
COST_SECONDS = 180.0


def run(demo: Demo) -> str:
    profiles = _wait_cost(demo)
    for line in cost_lines(profiles):
        demo.tell(line)
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


def cost_lines(profiles: list[dict[str, Any]]) -> list[str]:
    """One line per kind of use: how many things, their tokens, their cost with six decimals."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for profile in profiles:
        kinds.setdefault(str(profile["resourceType"]), []).append(profile)
    lines = []
    for kind, rows in kinds.items():
        tokens = sum(int(row["tokenCount"]) for row in rows)
        cost = sum((Decimal(str(row["costAmount"])) for row in rows), Decimal(0))
        count = f" ({len(rows)} runs)" if len(rows) > 1 else ""
        lines.append(f"{kind}{count}: {tokens:,} tokens, {cost:.6f} {rows[0]['costCurrency']}")
    return lines


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
