"""The baseline: metrics on the benchmark, then a short human review of three of those answers."""

from __future__ import annotations

from launcher.demo.context import Demo
from launcher.demo.steps.reviews import automated_run, human_run, metrics_text


def run(demo: Demo) -> str:
    model_id = demo.made("base_model_id")
    measured = automated_run(demo, model_id, "base_run_id", "the base model")
    human_run(demo, model_id, str(measured["id"]), "base_review_run_id", "the base model")
    return f"baseline: {metrics_text(measured)}"
