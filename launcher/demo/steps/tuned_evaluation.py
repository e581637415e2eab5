"""The tuned model against the base model on the same benchmark, a review, and the recommendation."""

from __future__ import annotations

from launcher.demo.context import Demo
from launcher.demo.steps.reviews import automated_run, human_run, metrics_text


def run(demo: Demo) -> str:
    model_id = demo.made("tuned_model_id")
    measured = automated_run(demo, model_id, "evaluation_run_id", "the tuned model")
    human_run(demo, model_id, str(measured["id"]), "tuned_review_run_id", "the tuned model")
    compared = demo.ada.get("/evaluation/runs/compare", runIds=f"{demo.made('base_run_id')},{measured['id']}")
    verdict = compared["recommendation"]
    for reason in verdict["reasons"]:
        demo.tell(f"{verdict['verdict']}: {reason}")
    return f"{metrics_text(measured)}; recommendation: {verdict['verdict']}"
