"""Forms of the training pages. They only collect; the services decide."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.accounts.models import User
from apps.catalog.selectors import models_visible_to
from apps.catalog.types import ModelStatus, ModelType
from apps.core.permissions import teams_where
from apps.datasets.selectors import datasets_kept, datasets_visible_to
from apps.datasets.types import DatasetStatus, PiiStatus
from apps.training.models import TrainingJob
from apps.training.selectors import gpu_types
from apps.training.types import JobRequest, JobType

PICKER_LIMIT = 500
NUMBERS = {
    "learning_rate": float,
    "num_epochs": float,
    "max_steps": int,
    "batch_size": int,
    "max_seq_len": int,
    "seed": int,
}
PROFILE = {
    "gpu_count": "gpuCount",
    "gpu_type": "gpuType",
    "nodes": "nodes",
    "cpu_cores": "cpuCores",
    "memory": "memory",
    "max_duration": "maxDuration",
}


def _number(label: str, help_text: str = "", **attrs: Any) -> forms.CharField:
    """A number that stays text here, so that the service's own sentence says what is wrong with it."""
    widget = forms.TextInput(attrs={"inputmode": "decimal", **attrs})
    return forms.CharField(required=False, label=label, help_text=help_text, widget=widget, max_length=40)


class JobForm(forms.Form):
    """A submission; which fields show depends on the job type and on whether a GPU is used."""

    job_type = forms.ChoiceField(choices=JobType.choices, label="What to do")
    owner_team = forms.ChoiceField(label="Team")
    model_id = forms.ChoiceField(required=False, label="Base model", help_text="Only approved models can be trained.")
    dataset_id = forms.ChoiceField(label="Dataset", help_text="Only approved datasets without personal data.")
    method = forms.ChoiceField(
        choices=[("lora", "LoRA: small adapters, merged at the end"), ("full", "Full: every weight moves")],
        label="Method",
        required=False,
    )
    architecture = forms.JSONField(
        required=False,
        label="Architecture",
        widget=forms.Textarea(attrs={"data-json": "", "rows": 8}),
        help_text="type, layers, hidden_size, heads; Hugging Face's names are understood too.",
    )
    learning_rate = _number("Learning rate", placeholder="0.0002")
    num_epochs = _number("Epochs", placeholder="1")
    max_steps = _number("Steps at most", "Wins over epochs.")
    batch_size = _number("Batch size", placeholder="2")
    max_seq_len = _number("Tokens per example", placeholder="512")
    precision = forms.ChoiceField(
        required=False,
        label="Precision",
        choices=[("", "Automatic"), ("fp32", "fp32"), ("bf16", "bf16"), ("fp16", "fp16 (GPU)")],
    )
    lora_r = _number("LoRA rank", placeholder="16")
    lora_alpha = _number("LoRA alpha", placeholder="32")
    seed = _number("Seed", placeholder="42")
    use_gpu = forms.BooleanField(required=False, label="Use a GPU")
    gpu_count = _number("GPUs", placeholder="1")
    gpu_type = forms.ChoiceField(required=False, label="GPU type")
    nodes = _number("Nodes", placeholder="1")
    cpu_cores = _number("CPU cores", "Empty: the installation's limit.")
    memory = _number("Memory", "Such as 8Gi.")
    max_duration = _number("Minutes at most")
    max_retries = _number("Retries", "After a crash, 0 to 3.", placeholder="1")
    backoff_seconds = _number("Pause before a retry", "Seconds; doubles each time.", placeholder="30")
    output_model_name = forms.CharField(required=False, max_length=200, label="Name of the new model")
    output_model_version = forms.CharField(required=False, max_length=64, label="Version")
    auto_register = forms.BooleanField(required=False, initial=True, label="Register the new model by itself")

    recipe = ("learning_rate", "batch_size", "num_epochs", "max_steps", "max_seq_len", "precision", "seed")
    lora = ("lora_r", "lora_alpha")
    gpu = ("gpu_count", "gpu_type")
    machine = ("cpu_cores", "memory", "nodes", "max_duration")
    repeat = ("max_retries", "backoff_seconds")
    output = ("output_model_name", "output_model_version")

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = models_visible_to(actor).filter(status=ModelStatus.APPROVED).exclude(type=ModelType.EXTERNAL)
        datasets = datasets_kept(datasets_visible_to(actor)).filter(
            status=DatasetStatus.APPROVED, pii_scan_status=PiiStatus.CLEAN
        )
        self._offer("model_id", [("", "–"), *((str(row.pk), str(row)) for row in models[:PICKER_LIMIT])])
        rows = [(str(row.pk), f"{row} ({row.get_type_display()})") for row in datasets[:PICKER_LIMIT]]
        self._offer("dataset_id", [("", "–"), *rows])
        teams = teams_where(actor, "training_job.submit").order_by("name")
        self._offer("owner_team", [(team.slug, team.name) for team in teams])
        self._offer("gpu_type", [("", "Any"), *((item.id, item.label) for item in gpu_types() if item.enabled)])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = choices

    def groups(self) -> dict[str, list[forms.BoundField]]:
        """The fields that stand together, for the template."""
        names = ("recipe", "lora", "gpu", "machine", "repeat", "output")
        return {name: [self[field] for field in getattr(self, name)] for name in names}

    def request(self) -> JobRequest:
        """What was filled in, as a submission."""
        data = self.cleaned_data
        hyperparameters: dict[str, Any] = {
            name: _value(data[name], kind) for name, kind in NUMBERS.items() if data[name]
        }
        builds = data["job_type"] in (JobType.FROM_SCRATCH, JobType.PRETRAIN)
        if data["method"] and not builds:
            hyperparameters["method"] = data["method"]
        if data["precision"]:
            hyperparameters["precision"] = data["precision"]
        if hyperparameters.get("method") == "lora" and (data["lora_r"] or data["lora_alpha"]):
            pairs = (("r", data["lora_r"]), ("alpha", data["lora_alpha"]))
            hyperparameters["lora"] = {key: _value(text, int) for key, text in pairs if text}
        if data["architecture"] and data["job_type"] != JobType.FINETUNE:
            hyperparameters["architecture"] = data["architecture"]
        profile = {outer: _plain(data[name]) for name, outer in PROFILE.items() if data[name]}
        if not data["use_gpu"]:
            profile = {key: value for key, value in profile.items() if key not in ("gpuCount", "gpuType")}
        policy = {"maxRetries": _plain(data["max_retries"]), "backoffSeconds": _plain(data["backoff_seconds"])}
        return JobRequest(
            job_type=data["job_type"],
            dataset_id=data["dataset_id"],
            model_id=data["model_id"],
            owner_team=data["owner_team"],
            use_gpu=data["use_gpu"],
            hyperparameters=hyperparameters,
            resource_profile=profile,
            retry_policy={key: value for key, value in policy.items() if value != ""},
            output_model_name=data["output_model_name"],
            output_model_version=data["output_model_version"],
            auto_register_output_model=data["auto_register"],
        )


def initial_from(job: TrainingJob) -> dict[str, Any]:
    """The fields of a job that is to be submitted again."""
    given = job.hyperparameters
    lora = given.get("lora") if isinstance(given.get("lora"), dict) else {}
    values: dict[str, Any] = {
        "job_type": job.job_type,
        "owner_team": job.team.slug,
        "model_id": str(job.model_id or ""),
        "dataset_id": str(job.dataset_id),
        "method": job.method,
        "architecture": given.get("architecture"),
        "precision": given.get("precision", ""),
        "lora_r": lora.get("r", ""),
        "lora_alpha": lora.get("alpha", ""),
        "use_gpu": job.use_gpu,
        "max_retries": job.max_retries,
        "backoff_seconds": job.backoff_seconds,
        "output_model_name": job.output_model_name,
        "output_model_version": job.output_model_version,
        "auto_register": job.auto_register,
    }
    values |= {name: given.get(name, "") for name in NUMBERS}
    return values | {name: job.resource_profile.get(outer, "") for name, outer in PROFILE.items()}


def _value(text: str, kind: type) -> Any:
    """The number that was typed; text that is none goes on as it is, for the service to refuse."""
    try:
        return kind(text.strip().replace("_", ""))
    except ValueError:
        return text


def _plain(text: Any) -> Any:
    value = _value(text, int) if isinstance(text, str) and text else text
    return _value(value, float) if isinstance(value, str) and value else value
