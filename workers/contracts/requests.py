"""From the API's free-form objects (`hyperparameters`, `architecture`) to contract dataclasses.

Short names, Hugging Face's names and both spellings of case are understood. What nobody understands is not an
error: the names come back as a list, so that the caller can warn and keep them with the run.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from workers.contracts.architecture import Architecture
from workers.contracts.codec import SpecError, from_plain
from workers.contracts.training import Hyperparameters, LoraSettings, TrainMethod

_HYPERPARAMETER_ALIASES = {
    "lr": "learning_rate",
    "per_device_train_batch_size": "batch_size",
    "epochs": "num_epochs",
    "num_train_epochs": "num_epochs",
    "max_seq_length": "max_seq_len",
    "max_length": "max_seq_len",
    "lr_scheduler_type": "scheduler",
}
_LORA_ALIASES = {
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "lora_r": "r",
    "rank": "r",
}
_ARCHITECTURE_ALIASES = {
    "model_type": "type",
    "num_hidden_layers": "layers",
    "num_layers": "layers",
    "n_layer": "layers",
    "n_embd": "hidden_size",
    "d_model": "hidden_size",
    "num_attention_heads": "heads",
    "n_head": "heads",
    "num_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "n_ctx": "max_position_embeddings",
    "initialization": "initialisation",
}
_JOB_LEVEL = frozenset({"seed", "precision", "architecture", "eval_fraction", "log_every_steps"})
"""Keys that `hyperparameters` may hold but that belong to the job spec; the caller reads them itself."""


def snake(name: str) -> str:
    """`maxSeqLen` → `max_seq_len`; names already in snake case stay."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def hyperparameters_from_request(
    data: dict[str, Any], *, default_method: TrainMethod = TrainMethod.LORA
) -> tuple[Hyperparameters, list[str]]:
    """The API's `hyperparameters` object, and the names in it that nobody understands.

    `default_method` is for requests that name none: a job that starts from nothing can only train in full.
    Raises `SpecError` with a field path below `hyperparameters` (`lora.r`, `learning_rate`).
    """
    values, unknown = _known(data, Hyperparameters, _HYPERPARAMETER_ALIASES)
    unknown = [name for name in unknown if snake(name) not in _JOB_LEVEL]
    lora = values.get("lora")
    if isinstance(lora, dict):
        values["lora"], strange = _known(lora, LoraSettings, _LORA_ALIASES, "lora")
        unknown += [f"lora.{name}" for name in strange]
    if isinstance(values.get("method"), str):
        values["method"] = values["method"].lower()
    values.setdefault("method", default_method.value)
    return from_plain(Hyperparameters, values), unknown


def architecture_from_request(data: dict[str, Any]) -> Architecture:
    """The API's `architecture` object. Names beyond the short ones go to `config` as they are.

    Raises `SpecError` with a field path below `architecture`.
    """
    values, unknown = _known(data, Architecture, _ARCHITECTURE_ALIASES)
    extra = {name: data[name] for name in unknown}
    config = values.get("config", {})
    if not isinstance(config, dict):
        raise SpecError("config", "must be an object.")
    if isinstance(values.get("type"), str):
        values["type"] = values["type"].lower()
    return from_plain(Architecture, {**values, "config": {**config, **extra}})


def _known(
    data: dict[str, Any], cls: type, aliases: dict[str, str], path: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Split `data` into values by field name and names that `cls` has no field for. Null means absent."""
    fields = {field.name for field in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    unknown: list[str] = []
    for key, value in data.items():
        name = snake(str(key))
        name = aliases.get(name, name)
        if name not in fields:
            unknown.append(str(key))
        elif name in sources and values[name] != value:
            where = f"{path}.{key}" if path else str(key)
            raise SpecError(where, f"contradicts {sources[name]!r}: both mean {name}.")
        elif value is not None:
            values[name] = value
            sources[name] = str(key)
    return values, unknown
