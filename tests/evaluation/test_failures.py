"""What goes wrong with a run: what is refused, what fails, what is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from apps.catalog.models import LineageEdge
from apps.compute.models import Workload
from apps.compute.types import ReasonCode, WorkloadState
from apps.core import clock
from apps.core.errors import Conflict, GateRefused, ValidationFailed
from apps.evaluation import selectors, services
from apps.evaluation.models import EvaluationRun
from tests.catalog.support import EXTERNAL, make_model, upload
from tests.evaluation.support import (
    RUBRIC,
    leave_report,
    make_benchmark,
    make_ready,
    make_run,
    move,
    start,
)
from tests.factories.datasets import make_dataset, pii_rows
from tests.support.cast import Cast, commit_now
from workers.contracts import Failure

pytestmark = pytest.mark.django_db


def test_source_must_fit(cast: Cast) -> None:
    """FR-005c: outputs of other weights or other rows are never judged as if they were these."""
    automated = make_run(cast)
    other = make_ready(cast.ada, cast.support, name="other")
    with pytest.raises(ValidationFailed, match="another model"):
        start(cast, model=other, dataset=automated.dataset, run_type="human", source_run_id=automated.pk)
    with pytest.raises(ValidationFailed, match="There is no evaluation run"):
        start(cast, model=other, dataset=automated.dataset, run_type="human", source_run_id=other.pk)
    upload(cast.ada, automated.model, {"generation_config.json": b'{"max_length": 9}'})
    with pytest.raises(Conflict, match="have changed"):
        start(
            cast,
            model=automated.model,
            dataset=automated.dataset,
            run_type="human",
            source_run_id=automated.pk,
        )
    queued = start(cast, model=automated.model, dataset=automated.dataset)
    with pytest.raises(Conflict, match="no outputs"):
        start(cast, model=automated.model, dataset=automated.dataset, run_type="human", source_run_id=queued.pk)


def test_evaluator_words_explain_a_failure(cast: Cast) -> None:
    """FR-005b, P-8: the evaluator's own reason wins over the exit code; the run says it."""
    run = start(cast)
    workload = Workload.objects.get(owner_id=run.pk)
    leave_report(run, failure=Failure(tag="model_invalid", message="The weights are incomplete.", field="model_dir"))
    move(workload, WorkloadState.STARTING, WorkloadState.FAILED, code=ReasonCode.EXIT_CODE, exit_code=4)
    run.refresh_from_db()
    assert (run.status, run.failure_tag) == ("failed", "model_invalid")
    assert run.message == "model_dir: The weights are incomplete."


def test_interrupted_attempt_is_tried_again(cast: Cast) -> None:
    """P-8: up to three attempts when the machine went away; then the run fails honestly."""
    run = start(cast)
    for attempt in (1, 2, 3):
        run.refresh_from_db()
        assert (run.status, run.attempt) == ("queued", attempt)
        workload = Workload.objects.get(owner_id=run.pk, attempt=attempt)
        move(
            workload,
            WorkloadState.STARTING,
            WorkloadState.RUNNING,
            WorkloadState.FAILED,
            code=ReasonCode.INTERRUPTED,
            reason="The process is gone.",
        )
    run.refresh_from_db()
    assert (run.status, run.failure_tag) == ("failed", "interrupted")
    assert "The process is gone." in run.message


@pytest.mark.parametrize("broken", ["missing", "garbage", "short line"])
def test_unreadable_results_fail_the_run(cast: Cast, broken: str) -> None:
    """FR-005b: half-written or foreign results are never taken for results."""
    run = start(cast)
    leave_report(run)
    out = selectors.run_folder(run) / "out"
    if broken == "missing":
        (out / "report.json").unlink()
    elif broken == "garbage":
        (out / "report.json").write_text("{")
    else:
        (out / "samples.jsonl").write_text('{"index": 1}\n')
    workload = Workload.objects.get(owner_id=run.pk)
    move(workload, WorkloadState.STARTING, WorkloadState.RUNNING, WorkloadState.SUCCEEDED)
    run.refresh_from_db()
    assert (run.status, run.failure_tag, run.samples.count()) == ("failed", "report_unreadable", 0)


def test_lost_messages_are_sent_again(cast: Cast) -> None:
    """P-8: a queued run without workload, and an ended workload nobody collected, are found by the sweep."""
    model, dataset = make_ready(cast.ada, cast.support), make_benchmark(cast.ada)
    run = services.run_start(actor=cast.ada, model_id=model.pk, dataset_id=dataset.pk)
    connection.run_on_commit = []
    assert services.runs_reconcile() == 0
    later = clock.now() + timedelta(minutes=5)
    with clock.frozen(later):
        assert services.runs_reconcile() == 1
        commit_now()
    workload = Workload.objects.get(owner_id=run.pk)
    leave_report(run)
    Workload.objects.filter(pk=workload.pk).update(state="succeeded", finished_at=later, started_at=later)
    with clock.frozen(later + timedelta(minutes=5)):
        services.runs_reconcile()
        commit_now()
    run.refresh_from_db()
    assert run.status == "succeeded"


def test_changed_inputs_fail_the_run(cast: Cast) -> None:
    """FR-005a: what is evaluated is what was asked for, pinned by digest."""
    model, dataset = make_ready(cast.ada, cast.support), make_benchmark(cast.ada)
    run = services.run_start(actor=cast.ada, model_id=model.pk, dataset_id=dataset.pk)
    EvaluationRun.objects.filter(pk=run.pk).update(model_digest="0" * 64)
    commit_now()
    run.refresh_from_db()
    assert (run.status, run.failure_tag) == ("failed", "inputs_unusable")
    assert "changed after the evaluation was started" in run.message


def test_ada_cannot_evaluate_what_is_not_fit(cast: Cast) -> None:
    """FR-003, FR-005a: unscanned files, personal data, missing references, external models: refused by name."""
    model, dataset = make_ready(cast.ada, cast.support), make_benchmark(cast.ada)

    def refused(reason: str, **changes: Any) -> None:
        values: dict[str, Any] = {"model_id": model.pk, "dataset_id": dataset.pk, "run_type": "automated"} | changes
        with pytest.raises(GateRefused, match=reason):
            services.run_start(actor=cast.ada, **values)

    refused("lacks", model_id=make_model(cast.ada, cast.support, name="bare").pk)
    external = make_model(cast.ada, cast.support, name="gpt", type="external", metadata=dict(EXTERNAL))
    refused("runs at its provider", model_id=external.pk)
    leaky = make_dataset(cast.ada, name="leaky", rows=pii_rows())
    refused("PII scan", dataset_id=leaky.pk)
    corpus = make_dataset(cast.ada, name="corpus", dataset_type="pretrain_corpus", rows=[{"text": "once"}] * 20)
    refused("need references", dataset_id=corpus.pk)
    refused("no files", dataset_id=make_benchmark(cast.ada, name="empty", rows=[]).pk)
    refused("not available yet", run_type="llm_judge")
    assert not EvaluationRun.objects.exists()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"run_type": "magic"}, "runType"),
        ({"metrics": []}, "metrics"),
        ({"metrics": ["f1", "meteor"]}, "metrics"),
        ({"sample_size": 0}, "sampleSize"),
        ({"seed": -1}, "seed"),
        ({"max_new_tokens": 100_000}, "maxNewTokens"),
        ({"rubric": RUBRIC}, "rubric"),
        ({"reviewer_ids": ["ben"]}, "reviewerIds"),
        ({"run_type": "human", "rubric": {"criteria": []}}, "rubric.criteria"),
    ],
)
def test_ada_cannot_start_nonsense(cast: Cast, options: dict[str, Any], field: str) -> None:
    """FR-005a: every option is checked and named."""
    model, dataset = make_ready(cast.ada, cast.support), make_benchmark(cast.ada)
    with pytest.raises(ValidationFailed) as caught:
        services.run_start(actor=cast.ada, model_id=model.pk, dataset_id=dataset.pk, **options)
    assert caught.value.errors[0].field == field


def test_ada_can_cancel_and_delete(cast: Cast) -> None:
    """FR-005a: cancelling ends the workload; ended runs can go, with their lineage."""
    run = start(cast)
    with pytest.raises(Conflict, match="cancel it"):
        services.run_delete(actor=cast.ada, run_id=run.pk)
    services.run_cancel(actor=cast.ada, run_id=run.pk)
    commit_now()
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert Workload.objects.get(owner_id=run.pk).state == "stopped"
    with pytest.raises(Conflict):
        services.run_cancel(actor=cast.ada, run_id=run.pk)
    services.run_delete(actor=cast.ada, run_id=run.pk)
    assert not EvaluationRun.objects.exists()
    assert not LineageEdge.objects.filter(target_kind="evaluation_run").exists()
