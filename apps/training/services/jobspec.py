"""The optional `trainJobSpec`: read, filled in where the request says nothing, refused where it contradicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.catalog.models import ModelEntry
from apps.core import versions
from apps.datasets.models import Dataset
from apps.training.services.problems import Problems
from apps.training.types import JobType

DATASET_TYPES = {"PRETRAIN": "pretrain_corpus", "SFT": "sft_pair", "RAG_TUNING": "rag_qa", "RLHF": "rlhf_pair"}
RUNNABLE = ("PRETRAIN", "SFT", "RAG_TUNING")
KNOWN = (*DATASET_TYPES, "EMBEDDING")
SAVE_FORMATS = ("hf", "safetensors")
HYPERPARAMETERS = {
    "lr": ("learning_rate", "lr", "learningRate"),
    "batch_size": ("batch_size", "batchSize"),
    "num_epochs": ("num_epochs", "numEpochs", "epochs"),
    "max_seq_len": ("max_seq_len", "maxSeqLen"),
    "precision": ("precision",),
}


def hyperparameters_with(spec: Mapping[str, Any], given: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Return the request's hyperparameters completed by the spec's; different values for one thing are refused."""
    merged = dict(given)
    extra = spec.get("hyperparams")
    if extra is not None and not isinstance(extra, Mapping):
        problems.add("trainJobSpec.hyperparams", "invalid", "hyperparams must be an object.")
        extra = {}
    for name, spellings in HYPERPARAMETERS.items():
        if (value := (extra or {}).get(name)) is not None:
            _merge(merged, f"hyperparams.{name}", spellings, value, problems)
    if (method := spec.get("method")) is not None:
        _merge(merged, "method", ("method",), method, problems)
    return merged


def _merge(merged: dict[str, Any], where: str, spellings: tuple[str, ...], value: Any, problems: Problems) -> None:
    present = next((name for name in spellings if merged.get(name) is not None), None)
    if present is None:
        merged[spellings[0]] = value
    elif merged[present] != value:
        _contradiction(f"trainJobSpec.{where}", value, f"hyperparameters.{present}", merged[present], problems)


def _contradiction(field: str, value: Any, other: str, other_value: Any, problems: Problems) -> None:
    text = f"{field} ({str(value)[:60]}) contradicts {other} ({str(other_value)[:60]}). Send the same, or one of them."
    problems.add(field, "contradiction", text)


def check_job_spec(
    spec: Mapping[str, Any],
    *,
    job_type: str,
    dataset: Dataset | None,
    model: ModelEntry | None,
    use_gpu: bool,
    gpu_count: int,
    nodes: int,
    output_name: str,
    problems: Problems,
) -> None:
    """Check a spec against the resolved request; every contradiction is named with both fields."""
    kind = spec.get("job_type")
    if kind is None:
        problems.add("trainJobSpec.job_type", "required", f"job_type must be one of {', '.join(KNOWN)}.")
    elif kind not in KNOWN:
        text = f"There is no job type {str(kind)[:40]!r}. Known: {', '.join(KNOWN)}."
        problems.add("trainJobSpec.job_type", "unknown", text)
    elif kind not in RUNNABLE:
        text = f"{kind} cannot be trained here yet. The trainer runs {', '.join(RUNNABLE)}."
        problems.add("trainJobSpec.job_type", "unsupported", text)
    else:
        _check_kind(str(kind), job_type, dataset, model, problems)
    _check_model(spec, kind, model, problems)
    if dataset is not None:
        _check_dataset(spec.get("dataset_ref"), dataset, problems)
    _check_rest(spec, use_gpu, gpu_count, nodes, output_name, problems)


def _check_kind(
    kind: str, job_type: str, dataset: Dataset | None, model: ModelEntry | None, problems: Problems
) -> None:
    builds = job_type in (JobType.PRETRAIN, JobType.FROM_SCRATCH) or (job_type == JobType.DISTRIBUTED and model is None)
    if (kind == "PRETRAIN") != builds:
        _contradiction("trainJobSpec.job_type", kind, "jobType", job_type, problems)
    wanted = DATASET_TYPES[kind]
    if dataset is not None and dataset.type != wanted:
        text = f"{kind} needs a dataset of type {wanted}; {dataset} is {dataset.type}."
        problems.add("trainJobSpec.job_type", "dataset_type", text)


def _check_model(spec: Mapping[str, Any], kind: Any, model: ModelEntry | None, problems: Problems) -> None:
    reference = spec.get("base_model_ref")
    if reference is None:
        if kind in RUNNABLE and kind != "PRETRAIN":
            text = "base_model_ref may be null only for PRETRAIN."
            problems.add("trainJobSpec.base_model_ref", "required", text)
    elif model is None:
        _contradiction("trainJobSpec.base_model_ref", reference, "modelId", "none", problems)
    elif not _names(reference, str(model.pk), model.name, model.version):
        _contradiction("trainJobSpec.base_model_ref", reference, "modelId", model, problems)
    family = spec.get("model_family")
    if family is not None and model is not None:
        known = {value.lower() for value in (model.model_family, model.detected_family) if value}
        if known and str(family).lower() not in known:
            _contradiction("trainJobSpec.model_family", family, "the model's family", model.model_family, problems)


def _check_dataset(reference: Any, dataset: Dataset, problems: Problems) -> None:
    if reference is None:
        return
    if not isinstance(reference, str | Mapping):
        text = "dataset_ref must be an object {name, version, type} or the text name-version."
        problems.add("trainJobSpec.dataset_ref", "invalid", text)
    elif not _names(reference, str(dataset.pk), dataset.name, dataset.version):
        _contradiction("trainJobSpec.dataset_ref", reference, "datasetId", dataset, problems)
    elif isinstance(reference, Mapping) and reference.get("type") not in (None, dataset.type):
        kind = reference.get("type")
        _contradiction("trainJobSpec.dataset_ref.type", kind, "the dataset's type", dataset.type, problems)


def _names(reference: Any, key: str, name: str, version: str) -> bool:
    """Whether a reference means the thing: its id, its name, name-version, or an object of these."""
    if isinstance(reference, Mapping):
        if reference.get("id") not in (None, key) or reference.get("name") not in (None, name):
            return False
        sent = reference.get("version")
        return sent is None or _same_version(str(sent), version)
    text = str(reference)
    if text in (key, name):
        return True
    head, _, tail = text.rpartition("-")
    return text == f"{name}-{version}" or (head == name and _same_version(tail, version))


def _same_version(left: str, right: str) -> bool:
    if not versions.is_version(left):
        return left == right
    return versions.version_key(left) == versions.version_key(right)


def _check_rest(
    spec: Mapping[str, Any], use_gpu: bool, gpu_count: int, nodes: int, output_name: str, problems: Problems
) -> None:
    if (wanted := spec.get("use_gpu")) is not None and bool(wanted) != use_gpu:
        _contradiction("trainJobSpec.use_gpu", wanted, "useGpu", use_gpu, problems)
    resources = spec.get("resources")
    if isinstance(resources, Mapping):
        for key, have, other in (("gpus", gpu_count, "gpuCount"), ("nodes", nodes, "nodes")):
            value = resources.get(key)
            if value is not None and value != have:
                _contradiction(f"trainJobSpec.resources.{key}", value, f"resourceProfile.{other}", have, problems)
    elif resources is not None:
        problems.add("trainJobSpec.resources", "invalid", "resources must be an object.")
    output = spec.get("output")
    if isinstance(output, Mapping):
        name = output.get("artifact_name")
        if name is not None and output_name and name != output_name:
            _contradiction("trainJobSpec.output.artifact_name", name, "outputModelName", output_name, problems)
        if output.get("save_format") not in (None, *SAVE_FORMATS):
            text = f"save_format must be one of {', '.join(SAVE_FORMATS)}."
            problems.add("trainJobSpec.output.save_format", "unknown", text)
    elif output is not None:
        problems.add("trainJobSpec.output", "invalid", "output must be an object.")
