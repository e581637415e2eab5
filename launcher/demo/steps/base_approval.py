"""Four eyes: the author cannot approve her own model, a reviewer can."""

from __future__ import annotations

from launcher.demo.context import Demo


def run(demo: Demo) -> str:
    refusal = submit_and_approve(demo, demo.made("base_model_id"), try_own=True)
    return f"Ada was refused ({refusal}); Chen approved"


def submit_and_approve(demo: Demo, model_id: str, *, try_own: bool = False) -> str:
    """Ada submits, tries to approve it herself if `try_own`, Chen approves; returns what Ada was told."""
    path = f"/catalog/models/{model_id}"
    model = demo.ada.get(path)
    told = "four eyes"
    if model["status"] == "draft":
        demo.ada.patch(f"{path}/status", {"status": "pending_review"})
        demo.tell("Ada submits the model for review")
        model = demo.ada.get(path)
    if model["status"] == "pending_review":
        decision = f"{path}/versions/{model['version']}/approve"
        if try_own:
            refusal = demo.ada.refused(lambda: demo.ada.post(decision, {"decision": "approve"}), [403, 409, 422])
            told = refusal.message
            demo.tell(f"Ada tries to approve it herself: {told}")
        demo.chen.post(decision, {"decision": "approve", "notes": "Card complete, figures and reviews looked at."})
        demo.tell("Chen approves")
    return told
