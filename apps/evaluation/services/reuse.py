"""Human runs on outputs that an earlier run made."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from django.conf import settings

from apps.accounts.models import User
from apps.catalog.models import ModelEntry
from apps.core import clock
from apps.core.errors import Conflict, NotFound, ValidationFailed
from apps.core.transitions import transition
from apps.datasets.models import Dataset
from apps.evaluation.models import EvaluationRun, EvaluationSample
from apps.evaluation.selectors import run_get, runs_visible_to
from apps.evaluation.services.assign import samples_assigned
from apps.evaluation.types import RUN_TRANSITIONS, WITH_METRICS, RunStatus

FIELD = "sourceRunId"
_WITH_OUTPUTS = (RunStatus.SUCCEEDED, RunStatus.AWAITING_REVIEW)


def source_for(
    *, actor: User, model: ModelEntry, dataset: Dataset, files_digest: str, source_run_id: UUID | None
) -> EvaluationRun | None:
    """The run whose outputs are judged: the named one, else the newest that fits, else None."""
    if source_run_id is None:
        found = runs_visible_to(actor).filter(model=model, dataset=dataset, status__in=_WITH_OUTPUTS)
        found = found.filter(model_digest=files_digest, dataset_digest=dataset.rows_sha256)
        return found.filter(run_type__in=sorted(WITH_METRICS)).first()
    try:
        source = run_get(actor=actor, run_id=source_run_id)
    except NotFound as error:
        raise ValidationFailed.field(FIELD, "not_found", error.message) from error
    if (source.model_id, source.dataset_id) != (model.pk, dataset.pk):
        raise ValidationFailed.field(FIELD, "mismatch", "sourceRunId is a run of another model or dataset.")
    if source.status not in _WITH_OUTPUTS:
        raise Conflict(f"The source run is {source.status}; it has no outputs to review.", code="no_outputs")
    if source.model_digest != files_digest or source.dataset_digest != dataset.rows_sha256:
        message = "The model's files or the dataset have changed since that run; start a new automated run."
        raise Conflict(message, code="source_outdated")
    return source


def outputs_copied(run: EvaluationRun, source: EvaluationRun, reviewers: Sequence[User]) -> None:
    """Copy the chosen samples of ``source`` into ``run`` and open it for review, in the caller's transaction."""
    answered = list(source.samples.exclude(output=None).order_by("index"))
    if not answered:
        raise Conflict("The source run has no answers to review.", code="no_outputs")
    limit = min(run.sample_size or settings.EVALUATION_REVIEW_SAMPLES, len(answered))
    order = np.random.default_rng(run.seed).permutation(len(answered))
    chosen = [answered[place] for place in sorted(order[:limit])]
    EvaluationSample.objects.bulk_create(
        [
            EvaluationSample(
                run=run,
                index=sample.index,
                row_id=sample.row_id,
                input=sample.input,
                reference=sample.reference,
                output=sample.output,
                latency_ms=sample.latency_ms,
                prompt_tokens=sample.prompt_tokens,
                completion_tokens=sample.completion_tokens,
            )
            for sample in chosen
        ],
        batch_size=1_000,
    )
    samples_assigned(run, reviewers)
    transition(
        run,
        RunStatus.AWAITING_REVIEW,
        RUN_TRANSITIONS,
        sample_count=len(chosen),
        started_at=clock.now(),
        message=f"{len(chosen)} samples wait for review.",
    )
