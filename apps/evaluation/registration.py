"""What evaluation adds to lower apps: gates, panels, summaries, lineage, blockers, and the workload handler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from apps.accounts.models import User
from apps.catalog import registry as catalog
from apps.catalog.models import ModelEntry
from apps.catalog.types import Blocker, Panel
from apps.compute import handlers
from apps.compute.models import Workload
from apps.core.permissions import can
from apps.core.tasks import enqueue
from apps.datasets import registry as datasets
from apps.datasets.models import Dataset
from apps.evaluation import selectors
from apps.evaluation.models import EvaluationRun
from apps.evaluation.types import LINEAGE_KIND, OWNER_TYPE, RUN_ACTIVE
from apps.governance.labels import resource_labels
from apps.governance.types import GateResult
from workers.contracts import Metric

PANEL_RUNS = 8
BUNDLE_RUNS = 500


def register() -> None:
    """Called once by the application's ``ready()``."""
    handlers.register(OWNER_TYPE, workload_changed)
    for kind in ("evaluation", "evaluation_run"):
        resource_labels.register_objects(kind, selectors.runs_visible_to)
    catalog.register_evaluation_summary(selectors.summaries_for_models)
    catalog.register_model_gate(evaluation_gates)
    catalog.register_model_panel(evaluations_panel)
    catalog.register_bundle_document("evaluations", evaluations_document)
    catalog.register_lineage_kind(LINEAGE_KIND, selectors.lineage_nodes)
    catalog.register_delete_blockers(model_blockers)
    datasets.register_delete_blockers(dataset_blockers)
    datasets.register_metric_names(metric_names)


def workload_changed(workload: Workload, previous_state: str) -> None:
    """Inside the transition's transaction, with the workload locked: only send word. Services lock the run first
    and workloads after it."""
    enqueue("apps.evaluation.tasks.evaluation_follow", str(workload.owner_id))


def evaluations_document(actor: User | None, model: ModelEntry) -> list[dict[str, Any]]:
    """The runs of a model that the exporting person sees, with their figures; no samples: those hold data."""
    runs = selectors.runs_of_model(actor=actor, model=model).select_related("dataset")[:BUNDLE_RUNS]
    return [
        {
            "id": str(run.pk),
            "type": run.run_type,
            "status": run.status,
            "dataset": str(run.dataset),
            "metrics": run.metrics,
            "finishedAt": run.finished_at.isoformat() if run.finished_at else None,
        }
        for run in runs
    ]


def evaluation_gates(model: ModelEntry, stage: str) -> Iterator[GateResult]:
    """Approval needs evidence: metrics, and the judgement of people (numbers are settings)."""
    if stage != "approve":
        return
    if model.is_external:
        # Nothing here can run it yet; a gate that nobody can pass would only teach people to go around it.
        yield GateResult("evaluated", "Evaluated", True, "External models are not evaluated here yet.")
        return
    automated, reviewed = selectors.evidence_for(model)
    needed = settings.EVALUATION_GATE_AUTOMATED
    yield GateResult(
        "evaluated_automatically",
        "Evaluated automatically",
        automated >= needed,
        f"{automated} automated evaluation(s) of these files ended well; {needed} needed.",
        "" if automated >= needed else "Start an automated evaluation of this model.",
    )
    needed = settings.EVALUATION_GATE_HUMAN
    yield GateResult(
        "evaluated_by_people",
        "Reviewed by people or a judge",
        reviewed >= needed,
        f"{reviewed} human or judge evaluation(s) of these files ended well; {needed} needed.",
        "" if reviewed >= needed else "Start a human evaluation of this model and review its samples.",
    )


def evaluations_panel(actor: User, model: ModelEntry) -> Panel | None:
    """The newest runs on the model's page."""
    runs = list(selectors.runs_of_model(actor=actor, model=model)[:PANEL_RUNS])
    context = {
        "runs": runs,
        "evaluated_model": model,
        "may_evaluate": not model.is_external and can(actor, "evaluation_run.start", team=model.team),
    }
    return Panel("Evaluations", "evaluation/_model_panel.html", context, order=20)


def model_blockers(model: ModelEntry) -> Iterator[Blocker]:
    """A model that is being evaluated stays."""
    for run in EvaluationRun.objects.filter(model=model, status__in=sorted(RUN_ACTIVE)).select_related("dataset"):
        yield Blocker("evaluation_run", str(run.pk), f"{run.get_run_type_display()} on {run.dataset}, {run.status}")


def metric_names() -> list[str]:
    """What a benchmark can ask for."""
    return [metric.value for metric in Metric]


def dataset_blockers(dataset: Dataset) -> list[datasets.Blocker]:
    """A dataset that evaluations rest on stays: it is part of the evidence."""
    runs = EvaluationRun.objects.filter(dataset=dataset).select_related("model")
    return [
        datasets.Blocker("evaluation_run", str(run.pk), f"{run.get_run_type_display()} of {run.model}") for run in runs
    ]
