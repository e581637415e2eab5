"""From a request's hyperparameters to the trainer's contract, and the contract of one attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apps.catalog.models import ModelEntry
from apps.datasets.models import Dataset
from apps.training.models import TrainingJob
from apps.training.services.jobspec import hyperparameters_with
from apps.training.services.problems import Problems
from apps.training.types import JobType
from workers.contracts import (
    Architecture,
    DatasetRef,
    DatasetType,
    Hyperparameters,
    MetricsSink,
    Precision,
    SpecError,
    TrainJobSpec,
    TrainJobType,
    TrainMethod,
    architecture_from_request,
    hyperparameters_from_request,
)

TOKEN_ENV = "LLMOPS_METRICS_TOKEN"  # noqa: S105 - the name of a variable, not a secret
JOB_LEVEL = {"seed": 42, "eval_fraction": 0.1, "log_every_steps": 1}
JOB_LEVEL_SPELLINGS = {"seed": ("seed",), "eval_fraction": ("eval_fraction", "evalFraction"),
                       "log_every_steps": ("log_every_steps", "logEverySteps")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters as the trainer understands them."""

    hyperparameters: Hyperparameters
    architecture: Architecture | None
    precision: Precision
    seed: int
    eval_fraction: float
    log_every_steps: int


def trainer_type(job_type: str, model: ModelEntry | None) -> TrainJobType:
    """Return what the trainer does; a distributed job is what its model or architecture makes it."""
    if job_type == JobType.DISTRIBUTED:
        return TrainJobType.FINETUNE if model is not None else TrainJobType.PRETRAIN
    return TrainJobType(job_type)


def recipe_from(
    given: Mapping[str, Any],
    *,
    job_type: str,
    model: ModelEntry | None,
    use_gpu: bool,
    problems: Problems,
    warnings: list[str],
) -> Recipe | None:
    """Read hyperparameters; None when they cannot be used (the reasons are in `problems`)."""
    kind = trainer_type(job_type, model)
    default = TrainMethod.LORA if kind is TrainJobType.FINETUNE else TrainMethod.FULL
    before = len(problems.errors)
    found: Hyperparameters | None = None
    try:
        found, unknown = hyperparameters_from_request(dict(given), default_method=default)
        if unknown:
            names = ", ".join(name[:40] for name in unknown[:20])
            warnings.append(f"hyperparameters: unknown names are kept with the run and change nothing: {names}.")
        found = _fitting(found, given, model, problems)
        if found.method is TrainMethod.QLORA:
            text = "qlora is not available in this trainer; use lora or full."
            problems.add("hyperparameters.method", "unsupported", text)
        elif kind is not TrainJobType.FINETUNE and found.method is not TrainMethod.FULL:
            text = f"A {job_type} job trains in full: {found.method.value} adapts weights that exist."
            problems.add("hyperparameters.method", "invalid", text)
    except SpecError as error:
        problems.add(f"hyperparameters.{error.field}", "invalid", str(error.problem))
    architecture = _architecture(given, kind, job_type, model, problems)
    values = _job_level(given, use_gpu, problems)
    if found is None or len(problems.errors) > before:
        return None
    return Recipe(found, architecture, **values)


def _fitting(
    found: Hyperparameters, given: Mapping[str, Any], model: ModelEntry | None, problems: Problems
) -> Hyperparameters:
    """Keep the sequence within the base model's positions: refuse a wish, shorten a default."""
    positions = model.context_length if model is not None else None
    if not positions or found.max_seq_len <= positions:
        return found
    if any(name in given for name in ("max_seq_len", "maxSeqLen", "max_seq_length", "max_length")):
        text = f"{found.max_seq_len} is longer than the {positions} positions of {model}."
        problems.add("hyperparameters.max_seq_len", "too_long", text)
        return found
    return replace(found, max_seq_len=positions)


def _architecture(
    given: Mapping[str, Any], kind: TrainJobType, job_type: str, model: ModelEntry | None, problems: Problems
) -> Architecture | None:
    sent = given.get("architecture")
    where = "hyperparameters.architecture"
    if kind is TrainJobType.FINETUNE:
        if sent is not None:
            problems.add(where, "unexpected", "A fine-tune keeps its base model's architecture; leave this out.")
        return None
    if sent is None:
        text = f"A {job_type} job needs an architecture: type, layers, hidden_size, heads."
        if job_type == JobType.DISTRIBUTED:
            text = "A distributed job needs a modelId to fine-tune, or an architecture to train from nothing."
        problems.add(where, "required", text)
        return None
    if not isinstance(sent, Mapping):
        problems.add(where, "invalid", "architecture must be an object.")
        return None
    try:
        found = architecture_from_request(dict(sent))
    except SpecError as error:
        problems.add(f"{where}.{error.field}".rstrip("."), "invalid", str(error.problem))
        return None
    if found.needs_base and model is None:
        text = f"Initialising with {found.initialisation.value} takes weights from a model: send modelId."
        problems.add("modelId", "required", text)
    return found


def _job_level(given: Mapping[str, Any], use_gpu: bool, problems: Problems) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, default in JOB_LEVEL.items():
        value = next((given[key] for key in JOB_LEVEL_SPELLINGS[name] if given.get(key) is not None), default)
        wanted = int if isinstance(default, int) else int | float
        if isinstance(value, bool) or not isinstance(value, wanted):
            problems.add(f"hyperparameters.{name}", "invalid", f"{name} must be a number.")
            value = default
        values[name] = value
    precision = given.get("precision") or ("bf16" if use_gpu else "fp32")
    try:
        values["precision"] = Precision(str(precision).lower())
    except ValueError:
        known = ", ".join(item.value for item in Precision)
        problems.add("hyperparameters.precision", "unknown", f"precision must be one of {known}.")
        values["precision"] = Precision.FP32
    if values["precision"] is Precision.FP16 and not use_gpu:
        text = "fp16 needs a GPU; use fp32 or bf16 on a CPU."
        problems.add("hyperparameters.precision", "needs_gpu", text)
    return values


def contract_for(
    *,
    job_id: object,
    job_type: str,
    model: ModelEntry | None,
    dataset: Dataset,
    recipe: Recipe,
    use_gpu: bool,
    dataset_path: str = "data.jsonl",
    model_dir: str = "model",
    output_dir: str = "output",
    metrics_url: str = "",
    threads: int = 1,
) -> TrainJobSpec:
    """Build what the trainer gets. Raises SpecError where the pieces do not fit together."""
    return TrainJobSpec(
        job_id=str(job_id),
        job_type=trainer_type(job_type, model),
        dataset=DatasetRef(
            path=dataset_path, type=DatasetType(dataset.type), name=dataset.name, version=dataset.version
        ),
        output_dir=output_dir,
        base_model_dir=model_dir if model is not None else None,
        architecture=recipe.architecture,
        hyperparameters=recipe.hyperparameters,
        eval_fraction=recipe.eval_fraction,
        seed=recipe.seed,
        precision=recipe.precision,
        use_gpu=use_gpu,
        log_every_steps=recipe.log_every_steps,
        metrics=MetricsSink(url=metrics_url, token_env=TOKEN_ENV) if metrics_url else None,
        threads=threads,
    )


def contract_of(job: TrainingJob, *, folder: Path, metrics_url: str, threads: int) -> TrainJobSpec:
    """Build the contract of a stored job whose inputs lie in `folder`."""
    problems = Problems()
    given = hyperparameters_with(job.train_job_spec or {}, job.hyperparameters, problems)
    recipe = recipe_from(
        given, job_type=job.job_type, model=job.model, use_gpu=job.use_gpu, problems=problems, warnings=[]
    )
    problems.raise_if_any()
    if recipe is None:
        raise SpecError("hyperparameters", "cannot be read any more.")
    return contract_for(
        job_id=job.pk,
        job_type=job.job_type,
        model=job.model,
        dataset=job.dataset,
        recipe=recipe,
        use_gpu=job.use_gpu,
        dataset_path=str(folder / "inputs" / "data.jsonl"),
        model_dir=str(folder / "inputs" / "model"),
        output_dir=str(folder / "output"),
        metrics_url=metrics_url,
        threads=threads,
    )
