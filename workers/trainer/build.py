"""The model that is to be trained: loaded or built, with adapters where the method wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from workers.contracts import (
    Architecture,
    Family,
    Initialisation,
    TrainJobSpec,
    TrainJobType,
    TrainMethod,
)
from workers.runtime.errors import SpecInvalid
from workers.runtime.models import (
    DTYPES,
    load_config,
    load_model,
    load_tokenizer,
    max_positions,
)
from workers.runtime.rows import Row
from workers.trainer.tokenizer import train_tokenizer

DEFAULT_VOCABULARY = 8192
BASE = "base_model_dir"


@dataclass(slots=True)
class Trainee:
    """Model and tokenizer, and the number format in which the result is saved."""

    model: Any
    tokenizer: Any
    save_dtype: torch.dtype
    parameters: int
    trainable: int


def build_trainee(spec: TrainJobSpec, rows: list[Row]) -> Trainee:
    """Load or build what `spec` names. Raises `SpecInvalid`, `ModelInvalid`."""
    if spec.job_type is TrainJobType.FINETUNE:
        model, tokenizer, save_dtype = _existing(spec)
    else:
        model, tokenizer, save_dtype = _new(spec, rows)
    _check_length(spec, model.config)
    model.config.use_cache = False
    parameters = model.num_parameters()
    if spec.hyperparameters.method is TrainMethod.LORA:
        model = _with_adapters(spec, model)
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return Trainee(model, tokenizer, save_dtype, parameters, trainable)


def _existing(spec: TrainJobSpec) -> tuple[Any, Any, torch.dtype]:
    directory = str(spec.base_model_dir)
    config = load_config(directory, field=BASE)
    tokenizer = load_tokenizer(
        spec.tokenizer_dir or directory,
        field="tokenizer_dir" if spec.tokenizer_dir else BASE,
    )
    saved = getattr(config, "dtype", None)
    save_dtype = saved if isinstance(saved, torch.dtype) else torch.float32
    # Weights that are trained stay fp32 (mixed precision keeps them so); frozen ones may be smaller.
    frozen = spec.hyperparameters.method is TrainMethod.LORA
    dtype = DTYPES[spec.precision] if frozen else torch.float32
    model = load_model(directory, dtype=dtype, field=BASE)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        problem = "The tokenizer knows more tokens than the model; they do not belong together."
        raise SpecInvalid(problem, field="tokenizer_dir" if spec.tokenizer_dir else BASE)
    return model, tokenizer, save_dtype


def _new(spec: TrainJobSpec, rows: list[Row]) -> tuple[Any, Any, torch.dtype]:
    architecture = spec.architecture
    if architecture is None:
        raise SpecInvalid("is required to build a model.", field="architecture")
    tokenizer = _tokenizer_for_new(spec, architecture, rows)
    vocabulary = architecture.vocab_size or len(tokenizer)
    if vocabulary < len(tokenizer):
        problem = f"{vocabulary} is smaller than the tokenizer's {len(tokenizer)} tokens."
        raise SpecInvalid(problem, field="architecture.vocab_size")
    config = build_config(architecture, vocabulary, tokenizer)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    if architecture.initialisation is Initialisation.WEIGHTS:
        _copy_weights(spec, model)
    elif architecture.initialisation is Initialisation.PRETRAINED_EMBEDDINGS:
        _copy_embeddings(spec, model)
    return model, tokenizer, DTYPES[spec.precision]


def _tokenizer_for_new(spec: TrainJobSpec, architecture: Architecture, rows: list[Row]) -> Any:
    if spec.tokenizer_dir:
        return load_tokenizer(spec.tokenizer_dir, field="tokenizer_dir")
    if architecture.needs_base:
        return load_tokenizer(str(spec.base_model_dir), field=BASE)
    texts = (text for row in rows for text in ([row.text] if row.text else [part for _, part in row.messages]))
    return train_tokenizer(texts, vocab_size=architecture.vocab_size or DEFAULT_VOCABULARY)


def build_config(architecture: Architecture, vocab_size: int, tokenizer: Any) -> Any:
    """Transformers' configuration object for an architecture; raises `SpecInvalid` for what it refuses."""
    sizes: dict[str, Any]
    if architecture.type is Family.GPT2:
        sizes = {
            "n_layer": architecture.layers,
            "n_embd": architecture.hidden_size,
            "n_head": architecture.heads,
            "n_inner": architecture.feed_forward_size,
            "n_positions": architecture.max_position_embeddings,
        }
    else:
        sizes = {
            "num_hidden_layers": architecture.layers,
            "hidden_size": architecture.hidden_size,
            "num_attention_heads": architecture.heads,
            "num_key_value_heads": architecture.kv_heads or architecture.heads,
            "intermediate_size": architecture.feed_forward_size,
            "max_position_embeddings": architecture.max_position_embeddings,
            "head_dim": architecture.hidden_size // architecture.heads,
        }
    clash = sorted(set(architecture.config) & (set(sizes) | {"vocab_size", "tie_word_embeddings"}))
    if clash:
        problem = "is set by the architecture's own fields; leave it out of config."
        raise SpecInvalid(problem, field=f"architecture.config.{clash[0]}")
    try:
        return AutoConfig.for_model(
            architecture.type.value,
            vocab_size=vocab_size,
            tie_word_embeddings=architecture.tie_word_embeddings,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **sizes,
            **architecture.config,
        )
    except Exception as error:  # configurations check themselves in their own ways
        problem = f"is refused by Transformers: {' '.join(str(error).split())[:300]}"
        raise SpecInvalid(problem, field="architecture.config") from error


def _copy_weights(spec: TrainJobSpec, model: Any) -> None:
    source = load_model(str(spec.base_model_dir), dtype=torch.float32, field=BASE)
    theirs, ours = source.state_dict(), model.state_dict()
    for name, weight in ours.items():
        if name not in theirs or theirs[name].shape != weight.shape:
            found = tuple(theirs[name].shape) if name in theirs else "absent"
            problem = f"{name} is {tuple(weight.shape)} here and {found} in the given weights."
            raise SpecInvalid(problem, field="architecture")
    model.load_state_dict(theirs, strict=False)


def _copy_embeddings(spec: TrainJobSpec, model: Any) -> None:
    source = load_model(str(spec.base_model_dir), dtype=torch.float32, field=BASE)
    theirs, ours = (
        source.get_input_embeddings().weight,
        model.get_input_embeddings().weight,
    )
    if theirs.shape != ours.shape:
        problem = f"The given embeddings are {tuple(theirs.shape)}, this architecture's {tuple(ours.shape)}."
        raise SpecInvalid(problem, field="architecture")
    with torch.no_grad():
        ours.copy_(theirs)


def _with_adapters(spec: TrainJobSpec, model: Any) -> Any:
    lora = spec.hyperparameters.lora
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules) or "all-linear",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        problem = f"does not fit this model: {' '.join(str(error).split())[:300]}"
        raise SpecInvalid(problem, field="hyperparameters.lora.target_modules") from error


def _check_length(spec: TrainJobSpec, config: Any) -> None:
    positions = max_positions(config)
    wanted = spec.hyperparameters.max_seq_len
    if positions is not None and wanted > positions:
        problem = f"{wanted} is more than the {positions} positions that the model knows."
        raise SpecInvalid(problem, field="hyperparameters.max_seq_len")
