"""Pages and admin of evaluation: what each person finds and can press."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.evaluation.models import EvaluationRun, HumanReview
from tests.evaluation.support import (
    RUBRIC,
    make_benchmark,
    make_ready,
    make_reviewed,
    make_run,
    start,
)
from tests.support.cast import Cast, commit_now

pytestmark = pytest.mark.django_db
Page = Callable[..., Client]
HTMX = {"HX-Request": "true"}


def open_review(cast: Cast, **rubric: Any) -> EvaluationRun:
    """Three samples that Ben and Chen have to judge."""
    automated = make_run(cast)
    wanted = {**RUBRIC, **rubric}
    return start(cast, model=automated.model, dataset=automated.dataset, run_type="human", sample_size=3, rubric=wanted)


def test_ada_can_see_list_and_detail(cast: Cast, page: Page) -> None:
    """FR-005e: filters, fragments, chart data, samples, links to model, dataset, earlier runs and comparison."""
    first = make_run(cast, metrics=["f1", "bleu"])
    second = make_run(cast, model=first.model, dataset=first.dataset, metrics=["f1"])
    browser = page(cast.ada)
    listed = browser.get(reverse("evaluation:run-list"))
    assert listed.status_code == 200
    assert listed.content.count(b'class="cell-title"') == 2
    only = browser.get(reverse("evaluation:run-list") + "?status=failed", headers={**HTMX, "HX-Target": "table"})
    assert b"Nothing matches" in only.content
    assert b"<html" not in only.content
    shown = browser.get(second.get_absolute_url())
    assert shown.status_code == 200
    for text in ("metrics-data", "Token F1", "Earlier runs", "Compare on the same data", "question 3?"):
        assert text in shown.content.decode(), text
    assert reverse("catalog:model-detail", args=[first.model_id]) in shown.content.decode()
    part = browser.get(second.get_absolute_url() + "?page=2", headers={**HTMX, "HX-Target": "samples"})
    assert b'id="samples"' in part.content
    assert b"<html" not in part.content


def test_page_refreshes_only_while_something_happens(cast: Cast, page: Page) -> None:
    """FR-005e: polling while it works, none afterwards."""
    run = start(cast)
    browser = page(cast.ada)
    assert b'hx-trigger="every 2s"' in browser.get(run.get_absolute_url()).content
    assert b'hx-trigger="every 3s"' in browser.get(reverse("evaluation:run-list")).content
    browser.post(reverse("evaluation:run-cancel", args=[run.pk]))
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert b'hx-trigger="every 2s"' not in browser.get(run.get_absolute_url()).content
    assert b'hx-trigger="every 3s"' not in browser.get(reverse("evaluation:run-list")).content
    browser.post(reverse("evaluation:run-delete", args=[run.pk]))
    assert not EvaluationRun.objects.exists()


def test_failed_run_says_why(cast: Cast, page: Page) -> None:
    """FR-005b: the reason stands on the page."""
    run = start(cast)
    EvaluationRun.objects.filter(pk=run.pk).update(
        status="failed", failure_tag="model_invalid", message="The <b>weights</b> are incomplete."
    )
    content = page(cast.ada).get(run.get_absolute_url()).content.decode()
    assert "The &lt;b&gt;weights&lt;/b&gt; are incomplete." in content


def test_ada_can_start_from_the_form(cast: Cast, page: Page) -> None:
    """FR-005a: the form offers what is fit, keeps the input on errors, and leads to the run."""
    model, dataset = make_ready(cast.ada, cast.support), make_benchmark(cast.ada)
    theirs = make_ready(cast.eve, cast.research, name="research-model")
    browser = page(cast.ada)
    address = reverse("evaluation:run-create")
    form = browser.get(f"{address}?model={model.pk}").content.decode()
    assert f'value="{model.pk}" selected' in form
    assert str(theirs.pk) not in form
    wrong = browser.post(address, {"model": model.pk, "dataset": dataset.pk, "run_type": "automated"})
    assert wrong.status_code == 422
    assert "at least one metric" in wrong.content.decode()
    foreign = browser.post(address, {"model": theirs.pk, "dataset": dataset.pk, "run_type": "automated"})
    assert foreign.status_code == 422
    broken = {"model": model.pk, "dataset": dataset.pk, "run_type": "human", "rubric": '{"criteria": []}'}
    assert "list of 1 to 20 criteria" in browser.post(address, broken).content.decode()
    assert not EvaluationRun.objects.exists()
    good = {"model": model.pk, "dataset": dataset.pk, "run_type": "automated", "metrics": ["f1"], "sample_size": 5}
    answer = browser.post(address, good)
    run = EvaluationRun.objects.get()
    assert answer.status_code == 302
    assert answer.headers["Location"] == run.get_absolute_url()
    assert (run.metric_names, run.sample_size) == (["f1"], 5)


def test_ben_and_chen_can_review_blind(cast: Cast, page: Page) -> None:
    """FR-005c: queue, one sample after the other, model hidden, the last review ends the run."""
    run = open_review(cast)
    for person in (cast.ben, cast.chen):
        browser = page(person)
        queue = browser.get(reverse("evaluation:review-list")).content.decode()
        address = reverse("evaluation:review-create", args=[run.pk])
        assert address in queue
        for left in (3, 2, 1):
            shown = browser.get(address).content.decode()
            assert run.model.name not in queue + shown
            sample = shown.split('name="sample" value="')[1].split('"')[0]
            empty = browser.post(address, {"sample": sample})
            assert empty.status_code == 422
            given = {"sample": sample, "criterion_0": "4", "criterion_1": "pass", "comment": "fine"}
            answer = browser.post(address, given)
            assert answer.status_code == 302
            expected = address if left > 1 else reverse("evaluation:review-list")
            assert answer.headers["Location"] == expected
    run.refresh_from_db()
    assert run.status == "succeeded"
    assert HumanReview.objects.filter(run=run).count() == 6
    shown = page(cast.ada).get(run.get_absolute_url()).content.decode()
    assert "Agreement between reviewers" in shown


def test_reviewer_cannot_judge_the_same_sample_twice_by_going_back(cast: Cast, page: Page) -> None:
    """FR-005c: a form sent twice counts once and leads on."""
    run = open_review(cast)
    browser = page(cast.ben)
    address = reverse("evaluation:review-create", args=[run.pk])
    sample = browser.get(address).content.decode().split('name="sample" value="')[1].split('"')[0]
    given = {"sample": sample, "criterion_0": "4", "criterion_1": "pass"}
    browser.post(address, given)
    again = browser.post(address, given)
    assert again.status_code == 302
    assert HumanReview.objects.count() == 1
    assert browser.post(address, {**given, "sample": "nonsense"}).status_code in (302, 422)
    assert HumanReview.objects.count() <= 2


def test_ada_can_open_a_finished_run_for_review(cast: Cast, page: Page) -> None:
    """FR-005c: one button; she cannot review herself."""
    automated = make_run(cast)
    browser = page(cast.ada)
    browser.post(reverse("evaluation:run-review", args=[automated.pk]))
    run = EvaluationRun.objects.get(run_type="human")
    assert (run.status, run.source_run_id, run.sample_count) == ("awaiting_review", automated.pk, 12)
    assert b"Review samples" not in browser.get(run.get_absolute_url()).content
    assert b"Review samples" in page(cast.ben).get(run.get_absolute_url()).content
    assert browser.get(reverse("evaluation:review-create", args=[run.pk])).status_code == 302


def test_comparison_page_shows_the_recommendation(cast: Cast, page: Page) -> None:
    """FR-005e: differences, intervals, verdict, reasons; a bad address is told in words."""
    base = make_run(cast, metrics=["f1"], scores={"f1": [0.2] * 12})
    tuned = make_run(
        cast,
        model=make_ready(cast.ada, cast.support, name="tuned"),
        dataset=base.dataset,
        metrics=["f1"],
        scores={"f1": [0.8] * 12},
    )
    address = reverse("evaluation:run-compare")
    content = page(cast.ben).get(f"{address}?runIds={base.pk},{tuned.pk}").content.decode()
    assert "Promote" in content
    assert "f1 is better" in content
    for query in ("", "?runIds=x", f"?runIds={base.pk},{base.pk}"):
        assert page(cast.ben).get(address + query).status_code == 400
    assert page(cast.eve).get(f"{address}?runIds={base.pk},{tuned.pk}").status_code == 400


def test_model_page_shows_evaluations(cast: Cast, page: Page) -> None:
    """FR-001b: the model's page has them, for who sees them."""
    run = make_run(cast, metrics=["f1"])
    content = page(cast.ada).get(reverse("catalog:model-detail", args=[run.model_id])).content.decode()
    assert run.get_absolute_url() in content
    assert "Evaluate this model" in content
    reviewer = page(cast.chen).get(reverse("catalog:model-detail", args=[run.model_id])).content.decode()
    assert "Evaluate this model" not in reviewer


def addresses(run: EvaluationRun) -> list[tuple[str, str]]:
    """Every page and button of a run."""
    views = [("get", "run-detail"), ("get", "run-export"), ("get", "review-create")]
    views += [("post", "review-create"), ("post", "run-review"), ("post", "run-cancel"), ("post", "run-delete")]
    return [(method, reverse(f"evaluation:{name}", args=[run.pk])) for method, name in views]


def test_eve_cannot_open_anything_of_support(cast: Cast, page: Page) -> None:
    """P-3: 404 on every page and button; lists and queues without a trace."""
    run = make_run(cast)
    reviewed = make_reviewed(cast, run.model, run.dataset)
    browser = page(cast.eve)
    for method, address in addresses(run) + addresses(reviewed):
        assert getattr(browser, method)(address).status_code == 404, address
    for name in ("run-list", "review-list", "run-create"):
        content = browser.get(reverse(f"evaluation:{name}")).content.decode()
        assert run.model.name not in content
        assert run.dataset.name not in content


def test_stranger_is_sent_to_sign_in(cast: Cast, page: Page) -> None:
    """P-2: no page without a session."""
    run = make_run(cast)
    for method, address in addresses(run):
        assert getattr(page(None), method)(address).status_code in (302, 403), address


def test_who_may_press_which_button(cast: Cast, page: Page) -> None:
    """P-3: Ben and Finn see the run and change nothing."""
    run = start(cast)
    for person in (cast.ben, cast.finn):
        browser = page(person)
        content = browser.get(run.get_absolute_url()).content.decode()
        assert reverse("evaluation:run-cancel", args=[run.pk]) not in content
        browser.post(reverse("evaluation:run-cancel", args=[run.pk]))
        run.refresh_from_db()
        assert run.status == "queued"


def test_list_page_costs_the_same_for_few_and_many(cast: Cast, page: Page) -> None:
    """Query counts do not grow with the rows."""
    base = make_run(cast)
    browser = page(cast.ada)
    counts = []
    for _ in range(2):
        browser.get(reverse("evaluation:run-list"))
        with CaptureQueriesContext(connection) as queries:
            browser.get(reverse("evaluation:run-list"))
        counts.append(len(queries))
        for _ in range(5):
            start(cast, model=base.model, dataset=base.dataset, run_type="human")
        commit_now()
    assert counts[0] == counts[1]


def test_admin_shows_everything_and_changes_through_services(cast: Cast, page: Page) -> None:
    """Operators see runs, samples and reviews in the admin; cancelling goes through the service."""
    automated = make_run(cast)
    make_reviewed(cast, automated.model, automated.dataset)
    run = start(cast, model=automated.model, dataset=automated.dataset)
    browser = page(cast.dana)
    for name in ("evaluationrun", "evaluationsample", "humanreview", "reviewassignment"):
        assert browser.get(reverse(f"admin:evaluation_{name}_changelist")).status_code == 200
    address = reverse("admin:evaluation_evaluationrun_changelist")
    browser.post(address, {"action": "cancel_run", "_selected_action": [str(run.pk)]})
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert browser.get(reverse("admin:evaluation_evaluationrun_change", args=[run.pk])).status_code == 200
