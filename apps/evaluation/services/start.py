"""Starting runs: who may, on what, with which metrics and rubric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from apps.accounts.models import Team, User
from apps.catalog.lineage import DATASET, MODEL
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import model_get
from apps.catalog.services import lineage_add, model_require_runnable
from apps.catalog.types import LineageRelation
from apps.core import audit
from apps.core.errors import FieldError, GateRefused, NotFound, ValidationFailed
from apps.core.permissions import can
from apps.core.tasks import enqueue
from apps.datasets.models import Dataset
from apps.datasets.selectors import dataset_get
from apps.datasets.services import content_digest, expiry_errors
from apps.datasets.types import DatasetStatus, PiiStatus
from apps.evaluation.models import EvaluationRun
from apps.evaluation.rubric import DEFAULT_RUBRIC, Rubric, rubric_from
from apps.evaluation.selectors import model_files_digest
from apps.evaluation.services.assign import reviewers_checked
from apps.evaluation.services.reuse import outputs_copied, source_for
from apps.evaluation.types import LINEAGE_KIND, WITH_METRICS, WITH_REVIEW, RunType
from apps.governance.services import authorize
from workers.contracts import DEFAULT_METRICS, Metric
from workers.contracts.evaluation import EVALUABLE

PREPARE = "apps.evaluation.tasks.evaluation_prepare"
MAX_BATCH = 20
_EVALUABLE = frozenset(kind.value for kind in EVALUABLE)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was asked for, checked."""

    run_type: RunType
    metrics: list[str]
    rubric: Rubric | None
    sample_size: int | None
    seed: int
    max_new_tokens: int
    reviewers: tuple[User, ...]


def runs_start(
    *, actor: User, model_ids: Sequence[UUID], dataset_id: UUID, run_type: str, **options: Any
) -> list[EvaluationRun]:
    """Start one run per model on the same dataset, all or none. ``options`` as for :func:`run_start`."""
    if not 1 <= len(model_ids) <= MAX_BATCH:
        raise ValidationFailed.field("modelIds", "invalid", f"Name 1 to {MAX_BATCH} models.")
    if len(set(model_ids)) != len(model_ids):
        raise ValidationFailed.field("modelIds", "duplicate", "A model is named twice.")
    batch_id = uuid4() if len(model_ids) > 1 else None
    with transaction.atomic():
        return [
            run_start(
                actor=actor,
                model_id=model_id,
                dataset_id=dataset_id,
                run_type=run_type,
                batch_id=batch_id,
                **options,
            )
            for model_id in model_ids
        ]


@transaction.atomic
def run_start(
    *,
    actor: User,
    model_id: UUID,
    dataset_id: UUID,
    run_type: str = RunType.AUTOMATED,
    metrics: Sequence[str] | None = None,
    sample_size: int | None = None,
    seed: int | None = None,
    max_new_tokens: int | None = None,
    rubric: Mapping[str, Any] | None = None,
    source_run_id: UUID | None = None,
    reviewer_ids: Sequence[Any] = (),
    batch_id: UUID | None = None,
) -> EvaluationRun:
    """Start an evaluation of a model on a dataset; its inputs are prepared by a task.

    A human run judges outputs that exist: those of ``source_run_id``, or of the newest run with outputs of the same
    files on the same rows. Where there are none they are made first. A draft may be evaluated by who may start
    evaluations in its team; the dataset needs clean checks, not an approval.

    Raises:
        ValidationFailed: the model or dataset is not visible (on its field), or an option makes no sense.
        GateRefused: files not scanned safe, PII found, a kind of evaluation that is not available yet.
    """
    model = _visible(model_get, "modelId", actor=actor, model_id=model_id)
    dataset = _visible(dataset_get, "datasetId", actor=actor, dataset_id=dataset_id)
    team = _owning_team(actor, model, dataset)
    authorize(actor=actor, action="evaluation_run.start", team=team, context={"runType": run_type})
    plan = _planned(
        run_type=run_type,
        metrics=_metrics_on(dataset, metrics),
        sample_size=sample_size,
        seed=seed,
        max_new_tokens=max_new_tokens,
        rubric=rubric,
        reviewer_ids=reviewer_ids,
        team=team,
    )
    _require_evaluable(model, dataset)
    files_digest = model_files_digest(model)
    source = None
    if plan.run_type == RunType.HUMAN:
        source = source_for(
            actor=actor, model=model, dataset=dataset, files_digest=files_digest, source_run_id=source_run_id
        )
    elif source_run_id is not None:
        raise ValidationFailed.field("sourceRunId", "invalid", "sourceRunId belongs to runs of type human.")
    run = EvaluationRun.objects.create(
        team=team,
        created_by=actor,
        model=model,
        dataset=dataset,
        model_digest=files_digest,
        dataset_digest=dataset.rows_sha256,
        dataset_content_digest=content_digest(dataset),
        source_run=source,
        batch_id=batch_id,
        run_type=plan.run_type,
        metric_names=plan.metrics,
        sample_size=plan.sample_size,
        seed=plan.seed,
        max_new_tokens=plan.max_new_tokens,
        rubric=plan.rubric.to_json() if plan.rubric else {},
        reviews_per_sample=plan.rubric.reviews_per_sample if plan.rubric else 0,
        report={"reviewers": [str(person.pk) for person in plan.reviewers]} if plan.reviewers else {},
        message="Waiting for its inputs.",
    )
    _record(run, actor)
    if source is None:
        enqueue(PREPARE, str(run.pk))
    else:
        outputs_copied(run, source, plan.reviewers)
    return run


def _visible(get: Any, field: str, **query: Any) -> Any:
    """What a body refers to and does not exist for the actor is a mistake in the body, not a missing page."""
    try:
        return get(**query)
    except NotFound as error:
        raise ValidationFailed.field(field, "not_found", error.message) from error


def _owning_team(actor: User, model: ModelEntry, dataset: Dataset) -> Team:
    """The model's team; a model that another team shares is evaluated by the dataset's team."""
    if can(actor, "evaluation_run.start", team=model.team):
        return model.team
    if can(actor, "evaluation_run.start", team=dataset.team):
        return dataset.team
    return model.team


def _planned(
    *,
    run_type: str,
    metrics: Sequence[str] | None,
    sample_size: int | None,
    seed: int | None,
    max_new_tokens: int | None,
    rubric: Mapping[str, Any] | None,
    reviewer_ids: Sequence[Any],
    team: Team,
) -> _Plan:
    if run_type not in RunType.values:
        known = ", ".join(RunType.values)
        raise ValidationFailed.field("runType", "invalid", f"runType must be one of {known}.")
    kind = RunType(run_type)
    if kind == RunType.LLM_JUDGE:
        message = "LLM judges are not available yet. Start an automated, human or combined run."
        raise GateRefused.field("runType", "not_available", message)
    reviewed = kind in WITH_REVIEW
    if not reviewed and (rubric or reviewer_ids):
        field = "rubric" if rubric else "reviewerIds"
        raise ValidationFailed.field(field, "invalid", f"{field} belongs to runs of type human or combined.")
    found = rubric_from(rubric) if rubric else DEFAULT_RUBRIC
    reviewers = reviewers_checked(reviewer_ids, team=team, needed=found.reviews_per_sample)
    return _Plan(
        run_type=kind,
        metrics=_metrics(metrics) if kind in WITH_METRICS else [],
        rubric=found if reviewed else None,
        sample_size=_within("sampleSize", sample_size, 1, settings.EVALUATION_MAX_SAMPLES),
        seed=_within("seed", seed, 0, 2**32 - 1) or 0 if seed is not None else 42,
        max_new_tokens=_within("maxNewTokens", max_new_tokens, 1, 8_192) or settings.EVALUATION_MAX_NEW_TOKENS,
        reviewers=reviewers,
    )


def _within(field: str, value: int | None, low: int, high: int) -> int | None:
    if value is not None and not low <= value <= high:
        raise ValidationFailed.field(field, "invalid", f"{field} must be {low} to {high}.")
    return value


def _metrics_on(dataset: Dataset, names: Sequence[str] | None) -> Sequence[str] | None:
    """The metrics of a benchmark that has its own: those, so that all runs on it compare; or some of them."""
    if not dataset.metric_set:
        return names
    if names is None:
        return list(dataset.metric_set)
    own = {name.lower() for name in dataset.metric_set}
    outside = [str(name) for name in names if str(name).lower() not in own]
    if outside:
        raise ValidationFailed.field(
            "metrics",
            "not_in_benchmark",
            f"{dataset} is measured by {', '.join(dataset.metric_set)}, not by {outside[0][:60]!r}. "
            "Choose among these, or leave metrics out.",
        )
    return names


def _metrics(names: Sequence[str] | None) -> list[str]:
    if names is None:
        return [metric.value for metric in DEFAULT_METRICS]
    known = {metric.value.lower(): metric.value for metric in Metric}
    found: list[str] = []
    errors: list[FieldError] = []
    for name in names:
        metric = known.get(str(name).lower())
        if metric is None:
            message = f"There is no metric {str(name)[:60]!r}; known are {', '.join(known.values())}."
            errors.append(FieldError("metrics", "unknown_metric", message))
        elif metric not in found:
            found.append(metric)
    if not names:
        errors.append(FieldError("metrics", "empty", "Name at least one metric, or leave metrics out."))
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    return found


def _require_evaluable(model: ModelEntry, dataset: Dataset) -> None:
    """Raise GateRefused with every reason why this model cannot run on this dataset."""
    if model.is_external:
        message = f"{model} runs at its provider; only models with files here can be evaluated yet."
        raise GateRefused.field("modelId", "external", message)
    model_require_runnable(model=model)
    errors: list[FieldError] = []
    if dataset.type not in _EVALUABLE:
        kinds = ", ".join(sorted(_EVALUABLE))
        errors.append(
            FieldError("datasetId", "type", f"{dataset} is a {dataset.type}; evaluations need references: {kinds}.")
        )
    if not dataset.has_files:
        errors.append(FieldError("datasetId", "no_files", f"{dataset} has no files yet."))
    elif dataset.pii_scan_status != PiiStatus.CLEAN:
        message = f"The PII scan of {dataset} is {dataset.pii_scan_status}; it must be clean. Make a redacted version."
        errors.append(FieldError("datasetId", "pii_not_clean", message))
    errors += [FieldError("datasetId", error.code, error.message) for error in expiry_errors(dataset)]
    if dataset.status == DatasetStatus.REJECTED:
        errors.append(FieldError("datasetId", "rejected", f"{dataset} was rejected by a reviewer."))
    if errors:
        raise GateRefused(" ".join(error.message for error in errors), errors=errors)


def _record(run: EvaluationRun, actor: User) -> None:
    for kind, pk, relation in (
        (MODEL, run.model_id, LineageRelation.EVALUATED_BY),
        (DATASET, run.dataset_id, LineageRelation.USED_BY),
    ):
        lineage_add(
            source_kind=kind,
            source_id=pk,
            target_kind=LINEAGE_KIND,
            target_id=run.pk,
            relation=relation,
            actor=actor,
        )
    audit.record(
        actor=actor,
        action="evaluation.run.started",
        resource=run,
        metadata={"model": str(run.model_id), "dataset": str(run.dataset_id), "type": run.run_type},
    )
