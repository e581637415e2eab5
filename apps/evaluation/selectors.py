"""Reading evaluations. Every list, picker, page, export and API view begins here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import MD5, Cast, Concat

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.catalog.types import LineageNode
from apps.compute.models import Workload
from apps.compute.selectors import workloads_of
from apps.core.permissions import can, teams_where, visible_to
from apps.core.transitions import get_or_not_found
from apps.evaluation.models import EvaluationRun, EvaluationSample, HumanReview, ReviewAssignment
from apps.evaluation.types import LINEAGE_KIND, OWNER_TYPE, RUN_WORKING, WITH_METRICS, WITH_REVIEW, RunStatus

MAX_PROGRESS_BYTES = 64 * 1024


def runs_visible_to(actor: User | None) -> QuerySet[EvaluationRun]:
    """Runs that exist for ``actor``, newest first, with model, dataset and people joined."""
    queryset = EvaluationRun.objects.select_related("team", "created_by", "model", "dataset")
    return visible_to(actor, queryset).order_by("-created_at", "id")


def run_get(*, actor: User | None, run_id: object) -> EvaluationRun:
    """One visible run. Raises NotFound for absent, invisible and malformed ids alike."""
    return get_or_not_found(runs_visible_to(actor), run_id, "evaluation run")


def samples_of(run: EvaluationRun) -> QuerySet[EvaluationSample]:
    """The samples of a run in the dataset's order."""
    return EvaluationSample.objects.filter(run=run).order_by("index")


def runs_previous(*, actor: User | None, run: EvaluationRun) -> QuerySet[EvaluationRun]:
    """Visible earlier runs on the same dataset: of this model's versions first of all, newest first."""
    found = runs_visible_to(actor).filter(dataset_id=run.dataset_id, created_at__lt=run.created_at)
    return found.filter(model__name=run.model.name, model__team_id=run.model.team_id)


def runs_comparable(*, actor: User | None, run: EvaluationRun) -> QuerySet[EvaluationRun]:
    """Visible finished runs on the same rows of the same dataset, for the comparison's picker."""
    found = runs_visible_to(actor).filter(dataset_id=run.dataset_id, dataset_digest=run.dataset_digest)
    return found.filter(status=RunStatus.SUCCEEDED).exclude(pk=run.pk)


def run_workload(run: EvaluationRun) -> Workload | None:
    """The newest attempt on a backend, if there is one."""
    return workloads_of(OWNER_TYPE, run.pk).first()


def run_folder(run: EvaluationRun) -> Path:
    """Where inputs and outputs of a run lie while it works."""
    return Path(settings.VAR_DIR) / "work" / "evaluation" / run.work_name


def run_progress(run: EvaluationRun) -> dict[str, Any]:
    """``percent`` and ``message`` as the evaluator last wrote them; what the status says where it wrote nothing."""
    if run.status not in RUN_WORKING:
        return {"percent": 100.0, "message": run.message}
    try:
        with (run_folder(run) / "out" / "progress.json").open("rb") as handle:
            data = json.loads(handle.read(MAX_PROGRESS_BYTES))
        return {"percent": float(data["percent"]), "message": str(data["message"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"percent": 0.0, "message": run.message or "Waiting to start."}


def review_progress(run: EvaluationRun) -> dict[str, int]:
    """How many reviews are needed and how many are there."""
    samples = EvaluationSample.objects.filter(run=run).aggregate(count=Count("pk"))
    done = HumanReview.objects.filter(run=run).count()
    return {"needed": int(samples["count"]) * run.reviews_per_sample, "done": done}


def model_files_digest(model: ModelEntry) -> str:
    """Hash over the files of a model: an evaluation counts for these weights, whatever the card says later."""
    rows = [list(row) for row in model.files.order_by("filename").values_list("filename", "sha256")]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


# Reviews


def may_review(actor: User, run: EvaluationRun) -> bool:
    """Whether ``actor`` reviews samples of this (visible) run: as an assignee, or as any reviewer if nobody is."""
    assigned = ReviewAssignment.objects.filter(run=run)
    if assigned.exists():
        return assigned.filter(reviewer=actor).exists()
    return can(actor, "evaluation_run.review", run)


def reviews_waiting(actor: User) -> QuerySet[EvaluationSample]:
    """Samples that ``actor`` can review now, oldest run first.

    Within a run the order is shuffled, differently for each person but always the same for one, so that neither the
    dataset's order nor the colleague's last answer colours the judgement.
    """
    mine = HumanReview.objects.filter(sample=OuterRef("pk"), reviewer=actor)
    anybody = ReviewAssignment.objects.filter(run=OuterRef("run"))
    to_me = ReviewAssignment.objects.filter(sample=OuterRef("pk"), reviewer=actor)
    visible = visible_to(actor, EvaluationRun.objects.filter(status=RunStatus.AWAITING_REVIEW))
    own_teams = teams_where(actor, "evaluation_run.review").values("pk")
    open_to_all = Q(anybody=False, run__team__in=own_teams)
    shuffled = MD5(Concat(Cast("pk", TextField()), Value(str(actor.pk)), output_field=TextField()))
    return (
        EvaluationSample.objects.filter(run__in=visible, review_count__lt=F("run__reviews_per_sample"))
        .annotate(mine=Exists(mine), anybody=Exists(anybody), to_me=Exists(to_me), shuffled=shuffled)
        .filter(Q(to_me=True) | open_to_all, mine=False)
        .select_related("run", "run__dataset", "run__team")
        .order_by("run__created_at", "run_id", "shuffled")
    )


def reviews_by(run: EvaluationRun) -> QuerySet[HumanReview]:
    """All reviews of a run with their people."""
    return HumanReview.objects.filter(run=run).select_related("reviewer", "sample").order_by("sample__index", "pk")


# What other apps ask


def summaries_for_models(model_ids: Collection[UUID]) -> dict[UUID, Any]:
    """Per model: how many runs ended well by kind, and the newest figures; two queries for a whole page."""
    found: dict[UUID, Any] = {}
    counted = (
        EvaluationRun.objects.filter(model_id__in=model_ids, status=RunStatus.SUCCEEDED)
        .values("model_id")
        .annotate(
            automated=Count("pk", filter=Q(run_type__in=sorted(WITH_METRICS))),
            reviewed=Count("pk", filter=Q(run_type__in=sorted(WITH_REVIEW))),
        )
    )
    for row in counted:
        found[row["model_id"]] = {"automated": row["automated"], "human": row["reviewed"], "latest": None}
    newest = (
        EvaluationRun.objects.filter(
            model_id__in=list(found), status=RunStatus.SUCCEEDED, run_type__in=sorted(WITH_METRICS)
        )
        .order_by("model_id", "-created_at")
        .distinct("model_id")
        .select_related("dataset")
    )
    for run in newest:
        found[run.model_id]["latest"] = {
            "runId": str(run.pk),
            "dataset": str(run.dataset),
            "metrics": run.metrics,
            "finishedAt": run.finished_at.isoformat() if run.finished_at else None,
        }
    return found


def runs_of_model(*, actor: User | None, model: ModelEntry) -> QuerySet[EvaluationRun]:
    """Visible runs of a model, newest first."""
    return runs_visible_to(actor).filter(model=model)


def evidence_for(model: ModelEntry) -> tuple[int, int]:
    """(automated, human or judge) runs that ended well on exactly the files that the model has now."""
    runs = EvaluationRun.objects.filter(
        model=model, status=RunStatus.SUCCEEDED, model_digest=model_files_digest(model)
    ).values_list("run_type", flat=True)
    kinds = list(runs)
    automated = sum(kind in WITH_METRICS for kind in kinds)
    return automated, sum(kind in WITH_REVIEW for kind in kinds)


def lineage_nodes(actor: User | None, ids: Collection[UUID]) -> dict[UUID, LineageNode]:
    """Runs among ``ids`` that ``actor`` may see, as nodes of a lineage graph."""
    return {
        run.pk: LineageNode(LINEAGE_KIND, str(run.pk), str(run), run.get_absolute_url(), run.status)
        for run in runs_visible_to(actor).filter(pk__in=ids)
    }
