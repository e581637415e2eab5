"""Submitting jobs: every rule about what may be trained with what, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from apps.accounts.models import Team, User
from apps.accounts.selectors import team_resolve
from apps.catalog.models import ModelEntry
from apps.catalog.selectors import model_get
from apps.catalog.services import model_require_deployable
from apps.core import audit, versions
from apps.core.errors import Conflict, FieldError, GateRefused, NotFound, ValidationFailed
from apps.core.permissions import teams_where
from apps.core.tasks import enqueue
from apps.datasets.models import Dataset
from apps.datasets.selectors import dataset_get
from apps.datasets.services import dataset_require_usable
from apps.governance.services import authorize
from apps.training.code import code_version
from apps.training.models import ExperimentRecord, JobAttempt, TrainingJob
from apps.training.selectors import job_get
from apps.training.services.cancel import job_cancel
from apps.training.services.jobspec import check_job_spec, hyperparameters_with
from apps.training.services.problems import Problems
from apps.training.services.resources import resources_from
from apps.training.services.shape import check_address, check_shape, read_retry
from apps.training.services.spec import Recipe, contract_for, recipe_from, trainer_type
from apps.training.types import JOB_ACTIVE, JobRequest, JobStatus, JobType, Resources
from workers.contracts import SpecError
from workers.contracts.codec import to_plain
from workers.contracts.training import TRAINABLE

ACTION = "training_job.submit"
PREPARE_TASK = "apps.training.tasks.attempt_prepare"


@dataclass(slots=True)
class Checked:
    """A submission that has been read and found possible."""

    dataset: Dataset
    model: ModelEntry | None
    recipe: Recipe
    resources: Resources
    hyperparameters: dict[str, Any]
    retries: int
    backoff: int
    output_name: str
    output_version: str
    warnings: list[str]


def job_submit(*, actor: User, request: JobRequest, resubmitted_from: TrainingJob | None = None) -> TrainingJob:
    """Accept a training job; it is queued and starts by itself.

    Raises:
        PermissionRefused: no team in which the actor may submit, or a policy denies it.
        ValidationFailed: what is wrong with the request, every problem at its field.
        GateRefused: the dataset or base model must not be used (not approved, not clean, changed since).
    """
    if not teams_where(actor, ACTION).exists():
        authorize(actor=actor, action=ACTION)
    checked = _check(actor, request)
    team = _team(actor, request.owner_team, checked)
    authorize(
        actor=actor,
        action=ACTION,
        team=team,
        context={"job_type": request.job_type, "use_gpu": request.use_gpu, "gpu_count": checked.resources.gpu_count},
    )
    _gates(checked)
    with transaction.atomic():
        job = _create(actor, team, request, checked, resubmitted_from)
        attempt = JobAttempt.objects.create(job=job, number=1)
        _record(job, checked)
        audit.record(
            actor=actor,
            action="training.job.submitted",
            resource=job,
            metadata={
                "jobType": job.job_type,
                "dataset": str(job.dataset_id),
                "model": str(job.model_id) if job.model_id else None,
                "useGpu": job.use_gpu,
                "resubmittedFrom": str(resubmitted_from.pk) if resubmitted_from else None,
            },
        )
        enqueue(PREPARE_TASK, str(attempt.pk))
    return job


def job_resubmit(*, actor: User, job_id: object, changes: Mapping[str, Any]) -> TrainingJob:
    """Submit an ended job again as a new one, with `changes` (names of `JobRequest`) taken over.

    A queued job that waits for a GPU may be resubmitted too (to switch it to CPU): it is cancelled by that.
    Raises Conflict for a job that runs.
    """
    job = job_get(actor=actor, job_id=job_id)
    authorize(actor=actor, action="training_job.resubmit", obj=job)
    if job.status == JobStatus.RUNNING:
        raise Conflict(f"{job} is running. Cancel it before you submit it again.", code="still_running")
    request = replace(request_of(job), **dict(changes))
    with transaction.atomic():
        fresh = job_submit(actor=actor, request=request, resubmitted_from=job)
        if job.status in JOB_ACTIVE:
            job_cancel(actor=actor, job_id=job.pk, reason=f"Resubmitted as {fresh.pk}.")
    return fresh


def request_of(job: TrainingJob) -> JobRequest:
    """Return the request that a job was made from."""
    return JobRequest(
        job_type=job.job_type,
        dataset_id=str(job.dataset_id),
        model_id=str(job.model_id or ""),
        owner_team=job.team.slug,
        use_gpu=job.use_gpu,
        hyperparameters=job.hyperparameters,
        resource_profile=job.resource_profile,
        retry_policy=job.retry_policy,
        notifications=job.notifications,
        api_base_url=job.api_base_url,
        output_model_name=job.output_model_name,
        output_model_version=job.output_model_version,
        auto_register_output_model=job.auto_register,
        train_job_spec=job.train_job_spec,
    )


def _check(actor: User, request: JobRequest) -> Checked:
    problems = Problems()
    warnings: list[str] = []
    check_shape(request, problems)
    problems.raise_if_any()
    dataset = _dataset(actor, request.dataset_id, problems)
    model = _model(actor, request, problems)
    spec = request.train_job_spec or {}
    given = hyperparameters_with(spec, request.hyperparameters, problems)
    resources = resources_from(
        request.resource_profile,
        use_gpu=request.use_gpu,
        job_type=request.job_type,
        problems=problems,
        warnings=warnings,
    )
    recipe = recipe_from(
        given, job_type=request.job_type, model=model, use_gpu=request.use_gpu, problems=problems, warnings=warnings
    )
    output_name = _output_name(request, spec, dataset, model, problems)
    version = request.output_model_version or "1.0.0"
    if not versions.is_version(version):
        problems.add("outputModelVersion", "invalid", f"{version[:40]!r} is no version. Write 1.0.0 or v1.0.")
    retries, backoff = read_retry(request.retry_policy, problems)
    check_address(request.api_base_url, problems)
    if spec:
        check_job_spec(
            spec,
            job_type=request.job_type,
            dataset=dataset,
            model=model,
            use_gpu=request.use_gpu,
            gpu_count=resources.gpu_count,
            nodes=resources.nodes,
            output_name=request.output_model_name,
            problems=problems,
        )
    if dataset is not None and recipe is not None and not problems:
        _fits(request, dataset, model, recipe, problems)
    problems.raise_if_any()
    if dataset is None or recipe is None:
        raise ValidationFailed("The job cannot be built from this request.")
    if request.notifications:
        warnings.append("notifications are kept with the job; nothing is sent yet.")
    return Checked(dataset, model, recipe, resources, given, retries, backoff, output_name, version, warnings)


def _dataset(actor: User, key: str, problems: Problems) -> Dataset | None:
    try:
        return dataset_get(actor=actor, dataset_id=key)
    except NotFound:
        problems.add("datasetId", "not_found", f"There is no dataset {str(key)[:60]!r} for you.")
        return None


def _model(actor: User, request: JobRequest, problems: Problems) -> ModelEntry | None:
    if not request.model_id:
        if request.job_type == JobType.FINETUNE:
            problems.add("modelId", "required", "A fine-tune needs an approved base model: send modelId.")
        return None
    try:
        model = model_get(actor=actor, model_id=request.model_id)
    except NotFound:
        problems.add("modelId", "not_found", f"There is no model {str(request.model_id)[:60]!r} for you.")
        return None
    if model.is_external:
        text = f"{model} runs at its provider; only models with files of their own can be trained."
        problems.add("modelId", "external", text)
        return None
    return model


def _output_name(
    request: JobRequest,
    spec: Mapping[str, Any],
    dataset: Dataset | None,
    model: ModelEntry | None,
    problems: Problems,
) -> str:
    output = spec.get("output")
    named = output.get("artifact_name") if isinstance(output, Mapping) else None
    name = request.output_model_name or (named if isinstance(named, str) else "")
    if not name:
        base = model.name if model is not None else request.job_type
        name = f"{base}-{dataset.name if dataset is not None else 'model'}"[:200]
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        text = "outputModelName must have 1 to 200 printable characters."
        problems.add("outputModelName", "invalid", text)
    return name


def _fits(request: JobRequest, dataset: Dataset, model: ModelEntry | None, recipe: Recipe, problems: Problems) -> None:
    """The last word has the trainer's own contract, so that nothing is accepted here and refused there."""
    try:
        contract = contract_for(
            job_id="check",
            job_type=request.job_type,
            model=model,
            dataset=dataset,
            recipe=recipe,
            use_gpu=request.use_gpu,
        )
    except SpecError as error:
        if error.field.startswith("dataset.type"):
            allowed = ", ".join(sorted(kind.value for kind in _readable(request.job_type, model)))
            text = (
                f"{dataset} is of type {dataset.type}, which a {request.job_type} job cannot read. It reads: {allowed}."
            )
            problems.add("datasetId", "dataset_type", text)
        elif error.field == "architecture":
            problems.add("hyperparameters.architecture", "invalid", str(error))
        else:
            problems.add(f"hyperparameters.{error.field}".rstrip("."), "invalid", str(error.problem))
    else:
        del contract


def _readable(job_type: str, model: ModelEntry | None) -> Any:
    return TRAINABLE[trainer_type(job_type, model)]


def _team(actor: User, named: str, checked: Checked) -> Team:
    """The owning team: the named one, else the dataset's, the model's, or the only one the actor has."""
    if named:
        return team_resolve(actor=actor, value=named, action=ACTION, field="ownerTeam")
    mine = {team.pk: team for team in teams_where(actor, ACTION)}
    for thing in (checked.dataset, checked.model):
        if thing is not None and thing.team_id in mine:
            return mine[thing.team_id]
    return team_resolve(actor=actor, value="", action=ACTION, field="ownerTeam")


def _gates(checked: Checked) -> None:
    """Dataset approved, clean and unchanged; base model approved, safe and unchanged. All reasons at once."""
    errors: list[FieldError] = []
    checks: list[tuple[str, Any]] = [("datasetId", lambda: dataset_require_usable(dataset=checked.dataset))]
    if checked.model is not None:
        model = checked.model
        checks.append(("modelId", lambda: model_require_deployable(model=model)))
    for field, check in checks:
        try:
            check()
        except GateRefused as error:
            errors += [FieldError(field, item.code, item.message) for item in error.errors] or [
                FieldError(field, error.code, error.message)
            ]
    if errors:
        raise GateRefused(" ".join(error.message for error in errors[:5]), errors=errors)


def _create(
    actor: User, team: Team, request: JobRequest, checked: Checked, resubmitted_from: TrainingJob | None
) -> TrainingJob:
    resources = checked.resources
    return TrainingJob.objects.create(
        team=team,
        created_by=actor,
        name=f"{checked.output_name} {checked.output_version}"[:200],
        job_type=request.job_type,
        method=checked.recipe.hyperparameters.method.value,
        model=checked.model,
        dataset=checked.dataset,
        use_gpu=request.use_gpu,
        hyperparameters=dict(request.hyperparameters),
        resource_profile=dict(request.resource_profile),
        retry_policy=dict(request.retry_policy),
        notifications=request.notifications,
        train_job_spec=dict(request.train_job_spec) if request.train_job_spec is not None else None,
        api_base_url=request.api_base_url.rstrip("/"),
        warnings=checked.warnings,
        cpu=resources.cpu,
        memory_bytes=resources.memory_bytes,
        gpu_count=resources.gpu_count,
        gpu_type=resources.gpu_type,
        nodes=resources.nodes,
        max_minutes=resources.minutes,
        max_retries=checked.retries,
        backoff_seconds=checked.backoff,
        output_model_name=checked.output_name,
        output_model_version=checked.output_version,
        auto_register=request.auto_register_output_model,
        resubmitted_from=resubmitted_from,
    )


def _record(job: TrainingJob, checked: Checked) -> ExperimentRecord:
    """The experiment record begins with the job, so that also a job that dies early has one."""
    recipe = checked.recipe
    parameters = {
        "jobType": job.job_type,
        "useGpu": job.use_gpu,
        "hyperparameters": to_plain(recipe.hyperparameters),
        "architecture": to_plain(recipe.architecture) if recipe.architecture else None,
        "precision": recipe.precision.value,
        "seed": recipe.seed,
        "evalFraction": recipe.eval_fraction,
        "sent": checked.hyperparameters,
    }
    model = checked.model
    return ExperimentRecord.objects.create(
        job=job,
        parameters=parameters,
        code_version=code_version(),
        dataset_name=checked.dataset.name,
        dataset_version=checked.dataset.version,
        dataset_digest=checked.dataset.digest,
        base_model=f"{model.name} {model.version}" if model is not None else "",
        base_model_digest=model.digest if model is not None else "",
        notes=checked.warnings,
    )
