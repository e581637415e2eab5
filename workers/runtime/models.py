"""Loading models and tokenizers from a directory, offline, without running their code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from workers.contracts import Precision
from workers.runtime.errors import ModelInvalid, Unsupported

DTYPES: dict[Precision, torch.dtype] = {
    Precision.FP32: torch.float32,
    Precision.FP16: torch.float16,
    Precision.BF16: torch.bfloat16,
}


def pick_device(*, use_gpu: bool) -> str:
    """`cuda` or `cpu`; asking for a GPU where there is none is refused, not ignored."""
    if not use_gpu:
        return "cpu"
    if not torch.cuda.is_available():
        raise Unsupported("No CUDA device is available here; set use_gpu to false.", field="use_gpu")
    return "cuda"


def gpu_name(device: str) -> str:
    """Name of the GPU in use, or nothing."""
    return torch.cuda.get_device_name() if device == "cuda" else ""


def peak_gpu_memory(device: str) -> int:
    """Largest GPU memory allocated so far, in bytes."""
    return int(torch.cuda.max_memory_allocated()) if device == "cuda" else 0


def load_config(directory: str, *, field: str) -> Any:
    """The model's configuration."""
    path = _existing(directory, field)
    if not (path / "config.json").is_file():
        raise ModelInvalid(f"{path} has no config.json.", field=field)
    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the library raises whatever the broken file makes it raise
        raise ModelInvalid(f"The configuration in {path} cannot be read: {_short(error)}", field=field) from error


def load_tokenizer(directory: str, *, field: str) -> Any:
    """The tokenizer of a model directory."""
    path = _existing(directory, field)
    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # as above
        raise ModelInvalid(f"The tokenizer in {path} cannot be loaded: {_short(error)}", field=field) from error


def load_model(directory: str, *, dtype: torch.dtype, field: str) -> Any:
    """The model, safetensors only: a pickle could run code while it is read."""
    path = _existing(directory, field)
    if not any(path.glob("*.safetensors")):
        raise ModelInvalid(f"{path} holds no .safetensors weights.", field=field)
    load_config(directory, field=field)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # as above
        raise ModelInvalid(f"The weights in {path} cannot be loaded: {_short(error)}", field=field) from error
    model, info = loaded
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        # Transformers would fill the gap with random numbers and go on.
        names = ", ".join(missing[:3])
        problem = f"The weights in {path} are incomplete: {len(missing)} missing ({names})."
        raise ModelInvalid(problem, field=field)
    return model


def max_positions(config: Any) -> int | None:
    """How many tokens the model can look at, where its configuration says so."""
    value = getattr(config, "max_position_embeddings", None)
    return int(value) if value else None


def _existing(directory: str, field: str) -> Path:
    path = Path(directory)
    if not path.is_dir():
        raise ModelInvalid(f"{path} is not a directory.", field=field)
    return path


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
