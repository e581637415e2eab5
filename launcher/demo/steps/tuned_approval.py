"""The tuned model gets its card and is approved."""

from __future__ import annotations

from launcher.demo.context import Demo
from launcher.demo.steps.base_approval import submit_and_approve
from launcher.demo.steps.training import CARD


def run(demo: Demo) -> str:
    model_id = demo.made("tuned_model_id")
    model = demo.ada.get(f"/catalog/models/{model_id}")
    if model["status"] == "draft":
        demo.ada.patch(f"/catalog/models/{model_id}", {"metadata": {**model.get("metadata", {}), **CARD}})
    submit_and_approve(demo, model_id)
    return f"{model['name']} {model['version']} is approved"
