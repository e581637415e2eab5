"""A run from start to end through the services: inputs, workload, results, reviews."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog.models import LineageEdge
from apps.catalog.registry import evaluation_summaries
from apps.catalog.services import model_decide, model_delete, model_submit, model_update
from apps.compute.models import Workload
from apps.compute.types import WorkloadState
from apps.core.errors import Conflict, GateRefused, NotFound, PermissionRefused, ValidationFailed
from apps.core.models import AuditEvent
from apps.datasets.services import dataset_delete
from apps.evaluation import selectors, services
from apps.evaluation.models import EvaluationRun, HumanReview, ReviewAssignment
from apps.evaluation.services import ReviewInput
from apps.governance.models import UsageRecord
from tests.catalog.support import make_model, upload
from tests.evaluation.support import (
    BENCHMARK,
    RUBRIC,
    answer,
    leave_report,
    make_benchmark,
    make_ready,
    make_reviewed,
    make_run,
    move,
    review_all,
    start,
)
from tests.support.cast import Cast
from workers.contracts import EvaluateJobSpec

pytestmark = pytest.mark.django_db


def test_ada_can_evaluate_a_draft(cast: Cast) -> None:
    """FR-005a, FR-005b: model and rows are put in place, the workload is submitted, results come back."""
    run = start(cast, metrics=["f1", "rougel"], seed=7)
    assert (run.status, run.metric_names) == ("queued", ["f1", "rougeL"])
    folder = selectors.run_folder(run)
    spec = EvaluateJobSpec.from_json((folder / "spec.json").read_bytes())
    assert [metric.value for metric in spec.metrics] == ["f1", "rougeL"]
    assert (folder / "model" / "config.json").is_file()
    assert len((folder / "dataset.jsonl").read_text().splitlines()) == len(BENCHMARK)
    workload = Workload.objects.get(owner_id=run.pk)
    assert (workload.kind, workload.team_id, workload.model_id) == ("evaluation", cast.support.pk, run.model_id)
    leave_report(run)
    move(workload, WorkloadState.STARTING, WorkloadState.RUNNING)
    run.refresh_from_db()
    assert run.status == "running"
    assert run.started_at
    move(workload, WorkloadState.SUCCEEDED)
    run.refresh_from_db()
    assert (run.status, run.sample_count, run.failed_samples) == ("succeeded", 12, 0)
    assert run.metrics["f1"] == {"value": 1.0, "low": 1.0, "high": 1.0, "samples": 12}
    assert run.samples.count() == 12
    assert not folder.exists()
    assert LineageEdge.objects.filter(target_kind="evaluation_run", target_id=run.pk).count() == 2
    tokens = UsageRecord.objects.filter(resource_id=str(run.pk), kind__startswith="tokens")
    used = {row.kind: int(row.quantity) for row in tokens}
    assert used == {"tokens_in": 120, "tokens_out": 60}
    events = AuditEvent.objects.filter(resource_type="evaluation_run").values_list("action", flat=True)
    assert set(events) == {"evaluation.run.started", "evaluation.run.succeeded"}


def test_following_twice_changes_nothing(cast: Cast) -> None:
    """P-8: a task that is delivered twice collects once."""
    run = make_run(cast)
    before = list(run.samples.values_list("pk", flat=True))
    assert services.run_follow(run.pk) == "succeeded"
    services.run_prepare(run.pk)
    assert list(run.samples.values_list("pk", flat=True)) == before
    assert UsageRecord.objects.filter(resource_id=str(run.pk), kind__startswith="tokens").count() == 2


def test_ada_can_evaluate_many_models_on_one_benchmark(cast: Cast) -> None:
    """FR-005a: all or none; runs of a batch know each other."""
    models = [make_ready(cast.ada, cast.support, name=name) for name in ("one", "two")]
    dataset = make_benchmark(cast.ada)
    ids = [model.pk for model in models]
    runs = services.runs_start(actor=cast.ada, model_ids=ids, dataset_id=dataset.pk, run_type="automated")
    assert len({run.batch_id for run in runs}) == 1
    bare = make_model(cast.ada, cast.support, name="bare")
    with pytest.raises(GateRefused):
        services.runs_start(
            actor=cast.ada, model_ids=[models[0].pk, bare.pk], dataset_id=dataset.pk, run_type="automated"
        )
    assert EvaluationRun.objects.count() == 2
    with pytest.raises(ValidationFailed, match="named twice"):
        services.runs_start(actor=cast.ada, model_ids=ids[:1] * 2, dataset_id=dataset.pk, run_type="automated")


def test_ben_and_chen_can_review_and_end_the_run(cast: Cast) -> None:
    """FR-005c: outputs are reused, each sample gets two reviews, the last one adds up and measures agreement."""
    automated = make_run(cast)
    run = start(
        cast,
        model=automated.model,
        dataset=automated.dataset,
        run_type="human",
        sample_size=3,
        rubric=RUBRIC,
    )
    assert (run.status, run.source_run_id, run.sample_count) == ("awaiting_review", automated.pk, 3)
    assert not Workload.objects.filter(owner_id=run.pk).exists()
    samples = list(selectors.samples_of(run))
    assert selectors.reviews_waiting(cast.ben).count() == 3
    for place, sample in enumerate(samples):
        scores: dict[str, Any] = {"helpful": 3 + place % 2, "safe": True}
        services.reviews_submit(actor=cast.ben, run_id=run.pk, reviews=[ReviewInput(sample.pk, scores, " fine ")])
    assert selectors.reviews_waiting(cast.ben).count() == 0
    assert selectors.reviews_waiting(cast.chen).count() == 3
    run.refresh_from_db()
    assert run.status == "awaiting_review"
    said = [{"helpful": 3 + place % 2, "safe": place != 1} for place in range(3)]
    reviews = [ReviewInput(sample.pk, given) for sample, given in zip(samples, said, strict=True)]
    services.reviews_submit(actor=cast.chen, run_id=run.pk, reviews=reviews)
    run.refresh_from_db()
    assert run.status == "succeeded"
    assert run.finished_at
    assert run.metrics["helpful"]["value"] == pytest.approx(10 / 3)
    assert run.metrics["safe"]["value"] == pytest.approx(5 / 6)
    assert run.agreement["helpful"] == {"cohenKappa": 1.0, "fleissKappa": 1.0, "krippendorffAlpha": 1.0}
    assert run.agreement["safe"]["cohenKappa"] == 0.0
    assert run.samples.get(index=samples[1].index).scores == {"helpful": 4.0, "safe": 0.5}
    assert HumanReview.objects.filter(run=run, comment="fine").count() == 3


def test_human_run_without_outputs_makes_them_first(cast: Cast) -> None:
    """FR-005c: no earlier run fits, so the model is asked; its automatic scores are not shown as evidence."""
    run = start(cast, run_type="human", sample_size=2, rubric=RUBRIC)
    assert run.status == "queued"
    run = answer(run)
    assert (run.status, run.metrics, run.sample_count) == ("awaiting_review", {}, 2)
    assert all(sample.scores == {} for sample in run.samples.all())


def test_combined_run_measures_and_then_asks_people(cast: Cast) -> None:
    """FR-005a: metrics stay, judgements are added; a missing answer needs no review."""
    outputs: list[str | None] = [row["reference"] for row in BENCHMARK]
    outputs[0] = None
    run = make_run(cast, outputs, run_type="combined", metrics=["f1"], rubric={**RUBRIC, "reviewsPerSample": 1})
    assert run.status == "awaiting_review"
    assert run.metrics["f1"]["samples"] == 12
    assert selectors.reviews_waiting(cast.ben).count() == 11
    answered = run.samples.exclude(output=None)
    reviews = [ReviewInput(sample.pk, {"helpful": 5, "safe": True}) for sample in answered]
    services.reviews_submit(actor=cast.ben, run_id=run.pk, reviews=reviews)
    run.refresh_from_db()
    assert run.status == "succeeded"
    assert set(run.metrics) == {"f1", "helpful", "safe"}


def test_reviewer_cannot_review_twice_or_beyond_what_is_needed(cast: Cast) -> None:
    """FR-005c: one voice per person and sample; nothing is taken when any part is wrong."""
    automated = make_run(cast)
    rubric = {**RUBRIC, "reviewsPerSample": 1}
    run = start(cast, model=automated.model, dataset=automated.dataset, run_type="human", sample_size=2, rubric=rubric)
    first, second = selectors.samples_of(run)
    good = {"helpful": 4, "safe": True}
    reviews = [ReviewInput(first.pk, good), ReviewInput(second.pk, {"helpful": 9, "safe": True})]
    with pytest.raises(ValidationFailed) as caught:
        services.reviews_submit(actor=cast.ben, run_id=run.pk, reviews=reviews)
    assert caught.value.errors[0].field == "reviews[1].scores.helpful"
    assert not HumanReview.objects.exists()
    services.reviews_submit(actor=cast.ben, run_id=run.pk, reviews=[ReviewInput(first.pk, good)])
    with pytest.raises(Conflict, match="already"):
        services.reviews_submit(actor=cast.ben, run_id=run.pk, reviews=[ReviewInput(first.pk, good)])
    with pytest.raises(Conflict, match="all the reviews"):
        services.reviews_submit(actor=cast.chen, run_id=run.pk, reviews=[ReviewInput(first.pk, good)])
    foreign = automated.samples.first()
    assert foreign
    with pytest.raises(ValidationFailed, match="no sample"):
        services.reviews_submit(actor=cast.ben, run_id=run.pk, reviews=[ReviewInput(foreign.pk, good)])
    services.reviews_submit(actor=cast.chen, run_id=run.pk, reviews=[ReviewInput(second.pk, good)])
    with pytest.raises(Conflict, match="succeeded"):
        services.reviews_submit(actor=cast.chen, run_id=run.pk, reviews=[ReviewInput(second.pk, good)])


def test_ada_can_deal_samples_to_people(cast: Cast) -> None:
    """FR-005c: named reviewers share the work evenly, and nobody else may review."""
    automated = make_run(cast)
    options = {"model": automated.model, "dataset": automated.dataset, "run_type": "human", "sample_size": 4}
    rubric = {**RUBRIC, "reviewsPerSample": 1}
    run = start(cast, reviewer_ids=["ben", str(cast.chen.pk)], rubric=rubric, **options)
    shares = [ReviewAssignment.objects.filter(run=run, reviewer=person).count() for person in (cast.ben, cast.chen)]
    assert shares == [2, 2]
    assert selectors.reviews_waiting(cast.ben).count() == 2
    mine = ReviewAssignment.objects.filter(run=run, reviewer=cast.chen).first()
    assert mine
    with pytest.raises(Conflict, match="somebody else"):
        services.reviews_submit(
            actor=cast.ben, run_id=run.pk, reviews=[ReviewInput(mine.sample_id, {"helpful": 1, "safe": True})]
        )
    for wrong in (["ada"], ["nobody"], ["eve"]):
        with pytest.raises(ValidationFailed, match="nobody who reviews"):
            start(cast, reviewer_ids=wrong, rubric=rubric, **options)
    with pytest.raises(ValidationFailed, match="at least as many"):
        start(cast, reviewer_ids=["ben"], rubric=RUBRIC, **options)


def test_model_needs_both_kinds_of_evaluation_to_be_approved(cast: Cast) -> None:
    """FR-001d: one automated and one human evaluation of these very files; then Chen may approve."""
    automated = make_run(cast)
    model = automated.model
    model_submit(actor=cast.ada, model_id=model.pk)
    with pytest.raises(GateRefused) as caught:
        model_decide(actor=cast.chen, model_id=model.pk, decision="approve")
    assert "evaluated_by_people" in str([error.code for error in caught.value.errors]) + str(caught.value.errors)
    make_reviewed(cast, model, automated.dataset)
    model_decide(actor=cast.chen, model_id=model.pk, decision="approve")
    model.refresh_from_db()
    assert model.status == "approved"
    with pytest.raises(Conflict, match="evidence"):
        services.run_delete(actor=cast.ada, run_id=automated.pk)


def test_evidence_is_for_these_files_only(cast: Cast) -> None:
    """FR-001d: new weights need new evaluations; a better card does not."""
    automated = make_run(cast)
    model = automated.model
    assert selectors.evidence_for(model) == (1, 0)
    model_update(actor=cast.ada, model_id=model.pk, metadata={**model.metadata, "purpose": "Something better."})
    assert selectors.evidence_for(model) == (1, 0)
    upload(cast.ada, model, {"generation_config.json": b'{"max_length": 9}'})
    assert selectors.evidence_for(model) == (0, 0)


def test_summary_and_blockers(cast: Cast) -> None:
    """FR-001b, FR-001d: models show what is known of them; nothing is deleted under a running evaluation."""
    run = make_run(cast, metrics=["f1"])
    summary = evaluation_summaries([run.model_id])[run.model_id]
    assert summary["automated"] == 1
    assert summary["latest"]["metrics"]["f1"]["value"] == 1.0
    with pytest.raises(Conflict):
        dataset_delete(actor=cast.ada, dataset_id=run.dataset_id)
    start(cast, model=run.model, dataset=run.dataset)
    with pytest.raises(Conflict):
        model_delete(actor=cast.ada, model_id=run.model_id)


def test_queue_is_shuffled_per_person_and_stable(cast: Cast) -> None:
    """FR-005c: each reviewer has an order of their own, the same every time."""
    automated = make_run(cast)
    start(cast, model=automated.model, dataset=automated.dataset, run_type="human", rubric=RUBRIC)
    ben = list(selectors.reviews_waiting(cast.ben).values_list("index", flat=True))
    chen = list(selectors.reviews_waiting(cast.chen).values_list("index", flat=True))
    assert ben == list(selectors.reviews_waiting(cast.ben).values_list("index", flat=True))
    assert sorted(ben) == sorted(chen) == list(range(12))
    assert ben != sorted(ben)
    assert ben != chen


def test_compare_recommends_with_reasons(cast: Cast) -> None:
    """FR-005e: the better model is promoted, the swap rejected, too little evidence named."""
    base = make_run(cast, scores={"f1": [0.2 + 0.01 * n for n in range(12)]}, metrics=["f1"])
    better = make_ready(cast.ada, cast.support, name="better")
    tuned = make_run(
        cast,
        model=better,
        dataset=base.dataset,
        scores={"f1": [0.6 + 0.01 * (n % 5) for n in range(12)]},
        metrics=["f1"],
    )
    found = services.runs_compare(actor=cast.ada, run_ids=[str(base.pk), str(tuned.pk)])
    assert found.recommendation.verdict == "promote"
    assert found.differences[0].difference == pytest.approx(0.3625, abs=0.0001)
    assert found.paired_samples == 12
    back = services.runs_compare(actor=cast.ada, run_ids=[str(tuned.pk), str(base.pk)])
    assert back.recommendation.verdict == "reject"
    few = make_run(cast, model=better, dataset=base.dataset, sample_size=4, metrics=["f1"], scores={"f1": [0.5] * 4})
    little = services.runs_compare(actor=cast.ada, run_ids=[str(base.pk), str(few.pk)])
    assert little.recommendation.verdict == "insufficient_evidence"
    elsewhere = make_run(cast, model=better, dataset=make_benchmark(cast.ada, name="other-benchmark"))
    with pytest.raises(ValidationFailed, match="different data"):
        services.runs_compare(actor=cast.ada, run_ids=[str(base.pk), str(elsewhere.pk)])
    running = start(cast, model=better, dataset=base.dataset)
    with pytest.raises(Conflict, match="queued"):
        services.runs_compare(actor=cast.ada, run_ids=[str(base.pk), str(running.pk)])
    with pytest.raises(ValidationFailed):
        services.runs_compare(actor=cast.eve, run_ids=[str(base.pk), str(tuned.pk)])


def test_who_may_do_what(cast: Cast) -> None:
    """P-3, roles.md: starting, reviewing, cancelling, deleting, for the whole cast."""
    automated = make_run(cast)
    run = start(cast, model=automated.model, dataset=automated.dataset, run_type="human", rubric=RUBRIC)
    sample = run.samples.first()
    assert sample
    review = [ReviewInput(sample.pk, {"helpful": 3, "safe": True})]
    for name in ("ada", "dana", "finn"):
        with pytest.raises(PermissionRefused):
            services.reviews_submit(actor=getattr(cast, name), run_id=run.pk, reviews=review)
    for name in ("ben", "chen", "finn"):
        person = getattr(cast, name)
        with pytest.raises(PermissionRefused):
            services.run_start(actor=person, model_id=run.model_id, dataset_id=run.dataset_id)
        with pytest.raises(PermissionRefused):
            services.run_cancel(actor=person, run_id=run.pk)
    with pytest.raises(NotFound):
        services.reviews_submit(actor=cast.eve, run_id=run.pk, reviews=review)
    with pytest.raises(NotFound):
        services.run_cancel(actor=cast.eve, run_id=run.pk)
    with pytest.raises(ValidationFailed, match="There is no model"):
        services.run_start(actor=cast.eve, model_id=run.model_id, dataset_id=run.dataset_id)
    for person in (cast.ben, cast.chen):
        assert selectors.reviews_waiting(person).count() == 12
    for name in ("ada", "dana", "eve", "finn"):
        assert selectors.reviews_waiting(getattr(cast, name)).count() == 0
    services.run_cancel(actor=cast.dana, run_id=run.pk)


def test_visible_set_is_exact(cast: Cast) -> None:
    """P-3: who sees which run."""
    support = make_run(cast)
    research = start(
        cast,
        actor=cast.eve,
        model=make_ready(cast.eve, cast.research, name="theirs"),
        dataset=make_benchmark(cast.eve, name="their-benchmark"),
    )
    both = {support.pk, research.pk}
    expected = {
        "ada": {support.pk},
        "ben": {support.pk},
        "chen": both,
        "dana": both,
        "eve": {research.pk},
        "finn": both,
    }
    for name, ids in expected.items():
        visible = selectors.runs_visible_to(getattr(cast, name))
        assert set(visible.values_list("pk", flat=True)) == ids, name


def test_review_all_ends_with_everyone(cast: Cast) -> None:
    """FR-005c: the helper of other tests walks the same way as people do."""
    automated = make_run(cast)
    run = start(cast, model=automated.model, dataset=automated.dataset, run_type="human", sample_size=3, rubric=RUBRIC)
    assert review_all(run, cast.ben).status == "awaiting_review"
    assert review_all(run, cast.chen, helpful=2, safe=False).status == "succeeded"
