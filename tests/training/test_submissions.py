"""What may be submitted: each rule its own clear error, nothing half-written (FR-003, FR-004b, FR-004d, P-1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.catalog.models import ModelEntry
from apps.core.models import AuditEvent
from apps.datasets.models import Dataset
from apps.training.models import ExperimentRecord, JobAttempt, TrainingJob
from apps.training.types import JobStatus
from tests.factories.datasets import make_approved_dataset, make_dataset
from tests.factories.training import make_base_model, make_job
from tests.support.cast import Cast, commit_now
from tests.training.conftest import Drive

Api = Callable[[object], Any]
ARCHITECTURE = {"type": "llama", "layers": 2, "hidden_size": 64, "heads": 4}


@pytest.fixture
def body(dataset: Dataset, base: ModelEntry) -> dict[str, Any]:
    """A good CPU fine-tune."""
    return {"jobType": "finetune", "datasetId": str(dataset.pk), "modelId": str(base.pk), "useGpu": False}


def fields(response: Any) -> dict[str, str]:
    return {row["field"]: row["code"] for row in response.json()["data"]["errors"]}


def test_ada_can_submit_a_fine_tune(cast: Cast, api: Api, body: dict[str, Any], base: ModelEntry) -> None:
    """FR-004b: the answer holds what the contract names; free-form objects come back as sent."""
    sent = body | {
        "hyperparameters": {"lr": 0.001, "myOwnKnob": 3, "lora": {"r": 8}},
        "resourceProfile": {"cpuCores": 1.5, "memory": "2Gi", "maxDuration": 30},
        "retryPolicy": {"maxRetries": 2, "backoffSeconds": 5},
        "notifications": {"email": "ada@example.org"},
    }
    response = api(cast.ada).post("/training/jobs", sent)
    assert response.status_code == 200, response.json()
    data = response.json()["data"]
    assert data["status"] == "queued"
    assert data["hyperparameters"] == sent["hyperparameters"]
    assert data["resourceProfile"] == sent["resourceProfile"]
    assert data["modelId"] == str(base.pk)
    assert data["ownerTeam"] == "support"
    assert data["failure"] is None
    assert data["outputModelEntryId"] is None
    assert data["experimentUrl"].endswith(f"/training/{data['id']}/experiment/")
    assert "myOwnKnob" in response.json()["message"]
    assert "nothing is sent yet" in response.json()["message"]
    job = TrainingJob.objects.get()
    assert (float(job.cpu), job.memory_bytes, job.max_minutes, job.max_retries) == (1.5, 2 * 2**30, 30, 2)
    assert ExperimentRecord.objects.get(job=job).parameters["hyperparameters"]["learning_rate"] == 0.001
    assert AuditEvent.objects.filter(action="training.job.submitted", resource_id=str(job.pk)).exists()


def test_snake_case_is_understood_too(cast: Cast, api: Api, body: dict[str, Any]) -> None:
    """API contract: requests may use either spelling."""
    sent = {"job_type": "finetune", "dataset_id": body["datasetId"], "model_id": body["modelId"], "use_gpu": False}
    assert api(cast.ada).post("/training/jobs", sent).status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"jobType": "dream"}, "jobType"),
        ({"jobType": None}, "jobType"),
        ({"datasetId": ""}, "datasetId"),
        ({"datasetId": "no-uuid"}, "datasetId"),
        ({"datasetId": "00000000-0000-0000-0000-000000000000"}, "datasetId"),
        ({"modelId": None}, "modelId"),
        ({"modelId": "'; drop table x; --"}, "modelId"),
        ({"ownerTeam": "research"}, "ownerTeam"),
        ({"hyperparameters": []}, "hyperparameters"),
        ({"hyperparameters": {"learning_rate": -1}}, "hyperparameters.learning_rate"),
        ({"hyperparameters": {"batch_size": "many"}}, "hyperparameters.batch_size"),
        ({"hyperparameters": {"method": "magic"}}, "hyperparameters.method"),
        ({"hyperparameters": {"method": "qlora"}}, "hyperparameters.method"),
        ({"hyperparameters": {"lora": {"r": 0}}}, "hyperparameters.lora.r"),
        ({"hyperparameters": {"precision": "fp16"}}, "hyperparameters.precision"),
        ({"hyperparameters": {"precision": "fp7"}}, "hyperparameters.precision"),
        ({"hyperparameters": {"seed": "x"}}, "hyperparameters.seed"),
        ({"hyperparameters": {"max_seq_len": 100_000}}, "hyperparameters.max_seq_len"),
        ({"hyperparameters": {"architecture": ARCHITECTURE}}, "hyperparameters.architecture"),
        ({"hyperparameters": {"lr": 0.1, "learning_rate": 0.2}}, "hyperparameters.learning_rate"),
        ({"resourceProfile": {"maxDuration": 0}}, "resourceProfile.maxDuration"),
        ({"resourceProfile": {"maxDuration": 10**9}}, "resourceProfile.maxDuration"),
        ({"resourceProfile": {"cpuCores": "lots"}}, "resourceProfile.cpuCores"),
        ({"resourceProfile": {"cpuCores": True}}, "resourceProfile.cpuCores"),
        ({"resourceProfile": {"memory": "-1Gi"}}, "resourceProfile.memory"),
        ({"useGpu": True, "resourceProfile": {"gpuType": "abacus"}}, "resourceProfile.gpuType"),
        ({"useGpu": True, "resourceProfile": {"gpuCount": 0}}, "resourceProfile.gpuCount"),
        ({"retryPolicy": {"maxRetries": 4}}, "retryPolicy.maxRetries"),
        ({"retryPolicy": {"maxRetries": "x"}}, "retryPolicy.maxRetries"),
        ({"retryPolicy": {"backoffSeconds": -1}}, "retryPolicy.backoffSeconds"),
        ({"apiBaseUrl": "file:///etc/passwd"}, "apiBaseUrl"),
        ({"apiBaseUrl": "http://user:pass@host"}, "apiBaseUrl"),
        ({"outputModelName": "x\u202e"}, "outputModelName"),
        ({"outputModelVersion": "newest"}, "outputModelVersion"),
        ({"jobType": "distributed"}, "resourceProfile.nodes"),
        ({"jobType": "distributed", "useGpu": True}, "resourceProfile.gpuCount"),
        ({"jobType": "from_scratch", "modelId": None}, "hyperparameters.architecture"),
        ({"jobType": "pretrain", "modelId": None}, "hyperparameters.architecture"),
    ],
)
def test_wrong_submission_names_the_field(
    cast: Cast, api: Api, body: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    """FR-004b: 400, the field by name, and no job."""
    response = api(cast.ada).post("/training/jobs", body | change)
    assert response.status_code == 400, response.json()
    assert field in fields(response), response.json()
    assert not TrainingJob.objects.exists()
    assert not JobAttempt.objects.exists()


def test_all_problems_come_in_one_answer(cast: Cast, api: Api, body: dict[str, Any]) -> None:
    """P-1: one round is enough to learn everything."""
    bad = body | {"hyperparameters": {"lr": 0, "seed": "x"}, "retryPolicy": {"maxRetries": 9}, "apiBaseUrl": "ftp://x"}
    found = fields(api(cast.ada).post("/training/jobs", bad))
    assert len(found) == 4


def test_unapproved_dataset_and_model_are_gates(cast: Cast, api: Api) -> None:
    """FR-003, FR-004b: both reasons at once, 422, nothing written."""
    dataset = make_dataset(cast.ada)
    model = make_base_model(cast, approved=False)
    sent = {"jobType": "finetune", "datasetId": str(dataset.pk), "modelId": str(model.pk), "useGpu": False}
    response = api(cast.ada).post("/training/jobs", sent)
    assert response.status_code == 422
    errors = response.json()["data"]["errors"]
    assert {row["field"] for row in errors} == {"datasetId", "modelId"}
    assert "must be approved" in response.json()["message"]
    assert not TrainingJob.objects.exists()


def test_dataset_type_must_fit_the_job(cast: Cast, api: Api, base: ModelEntry) -> None:
    """FR-004b: a benchmark is not for training, and the answer says what is."""
    rows = [{"input": f"q{n}", "reference": f"a{n}"} for n in range(20)]
    dataset = make_approved_dataset(cast, dataset_type="benchmark", rows=rows, name="bench")
    sent = {"jobType": "finetune", "datasetId": str(dataset.pk), "modelId": str(base.pk), "useGpu": False}
    response = api(cast.ada).post("/training/jobs", sent)
    assert response.status_code == 400
    assert fields(response) == {"datasetId": "dataset_type"}
    assert "sft_pair" in response.json()["message"]


def test_external_model_cannot_be_trained(cast: Cast, api: Api, body: dict[str, Any]) -> None:
    """FR-004b: only models with files of their own."""
    model = make_base_model(cast, name="other")
    ModelEntry.objects.filter(pk=model.pk).update(type="external")
    response = api(cast.ada).post("/training/jobs", body | {"modelId": str(model.pk)})
    assert fields(response) == {"modelId": "external"}


def test_job_from_nothing_needs_no_model(cast: Cast, api: Api, body: dict[str, Any]) -> None:
    """FR-004b, FR-004c: an architecture is enough; LoRA is refused for it."""
    sent = body | {"jobType": "from_scratch", "modelId": None, "hyperparameters": {"architecture": ARCHITECTURE}}
    response = api(cast.ada).post("/training/jobs", sent)
    assert response.status_code == 200, response.json()
    assert response.json()["data"]["method"] == "full"
    bad = sent | {"hyperparameters": {"architecture": ARCHITECTURE | {"heads": 7}, "method": "lora"}}
    found = fields(api(cast.ada).post("/training/jobs", bad))
    assert {"hyperparameters.method", "hyperparameters.architecture.heads"} <= set(found)


def test_initialisation_from_weights_needs_a_model(cast: Cast, api: Api, body: dict[str, Any]) -> None:
    """FR-004c: without modelId there are no weights to start from."""
    architecture = ARCHITECTURE | {"initialisation": "weights"}
    sent = body | {"jobType": "from_scratch", "modelId": None, "hyperparameters": {"architecture": architecture}}
    assert "modelId" in fields(api(cast.ada).post("/training/jobs", sent))


SPEC = {
    "job_type": "SFT",
    "base_model_ref": "support-base",
    "dataset_ref": "support-questions-1.0.0",
    "hyperparams": {"lr": 0.001, "batch_size": 4, "num_epochs": 2},
    "method": "lora",
    "resources": {"gpus": 0, "nodes": 1},
    "output": {"artifact_name": "tuned", "save_format": "safetensors"},
    "use_gpu": False,
    "strange": {"ignored": True},
}


def test_spec_fills_in_what_the_request_leaves_out(cast: Cast, api: Api, body: dict[str, Any]) -> None:
    """API contract: a trainJobSpec counts, unknown keys in it are ignored, and it comes back as sent."""
    response = api(cast.ada).post("/training/jobs", body | {"trainJobSpec": SPEC})
    assert response.status_code == 200, response.json()
    data = response.json()["data"]
    assert data["trainJobSpec"] == SPEC
    assert data["outputModelName"] == "tuned"
    used = ExperimentRecord.objects.get(job_id=data["id"]).parameters["hyperparameters"]
    assert (used["learning_rate"], used["batch_size"], used["num_epochs"]) == (0.001, 4, 2.0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"job_type": None}, "trainJobSpec.job_type"),
        ({"job_type": "POETRY"}, "trainJobSpec.job_type"),
        ({"job_type": "RLHF"}, "trainJobSpec.job_type"),
        ({"job_type": "EMBEDDING"}, "trainJobSpec.job_type"),
        ({"job_type": "PRETRAIN"}, "trainJobSpec.job_type"),
        ({"job_type": "RAG_TUNING"}, "trainJobSpec.job_type"),
        ({"base_model_ref": None}, "trainJobSpec.base_model_ref"),
        ({"base_model_ref": "another"}, "trainJobSpec.base_model_ref"),
        ({"model_family": "gpt2"}, "trainJobSpec.model_family"),
        ({"dataset_ref": {"name": "support-questions", "version": "9.0"}}, "trainJobSpec.dataset_ref"),
        ({"dataset_ref": {"name": "support-questions", "type": "rag_qa"}}, "trainJobSpec.dataset_ref.type"),
        ({"dataset_ref": 7}, "trainJobSpec.dataset_ref"),
        ({"hyperparams": {"lr": 0.5}}, "trainJobSpec.hyperparams.lr"),
        ({"method": "full"}, "trainJobSpec.method"),
        ({"resources": {"gpus": 2}}, "trainJobSpec.resources.gpus"),
        ({"resources": 4}, "trainJobSpec.resources"),
        ({"use_gpu": True}, "trainJobSpec.use_gpu"),
        ({"output": {"save_format": "gguf"}}, "trainJobSpec.output.save_format"),
        ({"output": {"artifact_name": "other"}}, "trainJobSpec.output.artifact_name"),
    ],
)
def test_contradicting_spec_names_both_fields(
    cast: Cast, api: Api, body: dict[str, Any], change: dict[str, Any], field: str, base: ModelEntry
) -> None:
    """API contract: a contradiction with the top-level fields is a 400 that names both."""
    ModelEntry.objects.filter(pk=base.pk).update(model_family="llama")
    sent = body | {
        "hyperparameters": {"lr": 0.001, "method": "lora"},
        "outputModelName": "tuned",
        "trainJobSpec": SPEC | change,
    }
    response = api(cast.ada).post("/training/jobs", sent)
    assert response.status_code == 400, response.json()
    assert field in fields(response)


def test_gpu_fields_are_ignored_on_cpu_with_a_warning(cast: Cast, api: Api, body: dict[str, Any]) -> None:
    """FR-004d: useGpu=false takes the CPU-only resources."""
    response = api(cast.ada).post("/training/jobs", body | {"resourceProfile": {"gpuCount": 4, "gpuType": "x"}})
    assert response.status_code == 200
    job = TrainingJob.objects.get()
    assert (job.gpu_count, float(job.cpu), job.memory_bytes) == (0, 2.0, 8 * 2**30)
    assert any("useGpu is false" in text for text in job.warnings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"useGpu": True}, "useGpu=false"),
        ({"jobType": "distributed", "resourceProfile": {"nodes": 2}}, "one machine"),
        ({"jobType": "distributed", "useGpu": True, "resourceProfile": {"gpuCount": 2}}, "2 GPU"),
    ],
)
def test_unplaceable_job_stays_queued_and_says_why(
    cast: Cast, api: Api, body: dict[str, Any], change: dict[str, Any], words: str, drive: Drive
) -> None:
    """API contract: what no backend can place stays queued with the reason; switching to CPU cancels it."""
    ada = api(cast.ada)
    job = TrainingJob.objects.get(pk=ada.post("/training/jobs", body | change).json()["data"]["id"])
    drive(job, "queued")
    data = ada.get(f"/training/jobs/{job.pk}").json()["data"]
    assert data["status"] == "queued"
    assert words in data["statusDetail"]
    if change == {"useGpu": True}:
        again = ada.post(f"/training/jobs/{job.pk}/resubmit", {"useGpu": False})
        assert again.status_code == 200, again.json()
        assert again.json()["data"]["resubmittedFromId"] == str(job.pk)
        job.refresh_from_db()
        assert job.status == JobStatus.CANCELLED


def test_repeated_request_with_a_key_makes_one_job(cast: Cast, api: Api, body: dict[str, Any]) -> None:
    """API contract: the same Idempotency-Key gives the same job; another body under it is a conflict."""
    ada = api(cast.ada)
    key = {"Idempotency-Key": "once"}
    first = ada.post("/training/jobs", body, **key).json()["data"]["id"]
    assert ada.post("/training/jobs", body, **key).json()["data"]["id"] == first
    assert ada.post("/training/jobs", body | {"outputModelName": "x"}, **key).status_code == 409
    assert TrainingJob.objects.count() == 1


def test_approval_that_lapsed_meanwhile_fails_the_job_with_words(
    cast: Cast, dataset: Dataset, base: ModelEntry, local: object, drive: Drive
) -> None:
    """FR-003: what was checked at submission is checked again before anything runs."""
    job = make_job(cast.ada, dataset, base)
    ModelEntry.objects.filter(pk=base.pk).update(status="draft", digest="", approved_at=None)
    drive(job, "failed")
    assert job.failure_tag == "input_refused"
    assert "must be approved" in job.failure_message
    assert job.failure_remedy


def test_trainer_that_refuses_its_input_fails_without_retry(job: TrainingJob, drive: Drive) -> None:
    """FR-004g: what a retry cannot mend is not retried; the tag is the trainer's own."""
    drive(job, "failed", seconds=120)
    assert job.failure_tag == "model_invalid", job.failure_message
    assert JobAttempt.objects.filter(job=job).count() == 1
    commit_now()


def test_used_dataset_and_model_cannot_be_deleted(cast: Cast, api: Api, job: TrainingJob) -> None:
    """FR-001d: the blockers are named."""
    ada = api(cast.ada)
    for path in (f"/catalog/datasets/{job.dataset_id}", f"/catalog/models/{job.model_id}"):
        response = ada.delete(path)
        assert response.status_code == 409
        assert job.name in response.content.decode()
