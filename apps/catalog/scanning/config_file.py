"""``config.json``: a plausible Transformers configuration? Of which family? Does it ask for code?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.catalog.scanning.text_files import read_json_object
from apps.catalog.scanning.types import corrupt, unsafe

CONFIG_LIMIT = 4 * 1024**2

# Several architectures of one maker share tokenizers, templates and kernels; people call them by one name.
FAMILY_BY_MODEL_TYPE = {
    "llama": "llama", "llama4": "llama", "llama4_text": "llama", "smollm3": "smollm",
    "mistral": "mistral", "mixtral": "mistral", "ministral": "mistral", "mistral3": "mistral",
    "gemma": "gemma", "gemma2": "gemma", "gemma3": "gemma", "gemma3_text": "gemma",
    "gpt2": "gpt2", "gpt_neo": "gpt-neo", "gpt_neox": "gpt-neox", "gptj": "gptj", "gpt_oss": "gpt-oss",
    "qwen2": "qwen", "qwen2_moe": "qwen", "qwen3": "qwen", "qwen3_moe": "qwen",
    "phi": "phi", "phi3": "phi", "phimoe": "phi", "falcon": "falcon", "bloom": "bloom", "opt": "opt",
    "deepseek_v2": "deepseek", "deepseek_v3": "deepseek", "olmo": "olmo", "olmo2": "olmo",
    "bert": "bert", "roberta": "roberta", "t5": "t5", "bart": "bart",
}  # fmt: skip

# Accepted ranges: wide enough for anything trained so far, narrow enough to catch nonsense that would make a
# loader allocate until the machine dies.
_RANGES = {
    "vocab_size": (1, 16_000_000),
    "hidden_size": (1, 1_000_000),
    "n_embd": (1, 1_000_000),
    "intermediate_size": (1, 10_000_000),
    "num_hidden_layers": (1, 10_000),
    "n_layer": (1, 10_000),
    "num_attention_heads": (1, 100_000),
    "n_head": (1, 100_000),
    "num_key_value_heads": (1, 100_000),
    "head_dim": (1, 100_000),
    "max_position_embeddings": (1, 1_000_000_000),
    "n_positions": (1, 1_000_000_000),
}


def family_of(model_type: str) -> str:
    """Return the family that people know *model_type* by; an unknown type is its own family."""
    return FAMILY_BY_MODEL_TYPE.get(model_type, model_type.replace("_", "-"))


def read_config(path: Path) -> dict[str, Any]:
    """Check ``config.json``; return facts (``model_type``, ``family``, ``architecture``, sizes).

    Raises ``FileRefused``: corrupt for values that no model can have, unsafe when loading would need
    the model's own Python code.
    """
    config = read_json_object(path, what="config.json", limit=CONFIG_LIMIT)
    if "auto_map" in config:
        raise unsafe(
            "remote_code",
            "config.json has an auto_map: loading this model would run Python code that ships with it.",
            "Use an architecture that Transformers knows itself, and remove auto_map.",
        )
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type.strip() or len(model_type) > 100:
        raise corrupt("model_type", 'config.json has no model_type (a short text such as "llama").', "Add model_type.")
    # Multimodal configurations keep the language model's numbers one level down.
    text = config.get("text_config")
    numbers = {**config, **text} if isinstance(text, dict) else config
    for key, (low, high) in _RANGES.items():
        if numbers.get(key) is not None:
            _check_range(key, numbers[key], low, high)
    hidden, heads = _first(numbers, "hidden_size", "n_embd"), _first(numbers, "num_attention_heads", "n_head")
    kv_heads = numbers.get("num_key_value_heads") or heads
    if heads and kv_heads and heads % kv_heads:
        raise corrupt("heads", f"num_attention_heads ({heads}) is not a multiple of num_key_value_heads ({kv_heads}).")
    head_dim = numbers.get("head_dim") or (hidden // heads if hidden and heads else None)
    dtype = config.get("dtype", config.get("torch_dtype"))
    return {
        "model_type": model_type,
        "family": family_of(model_type),
        "architecture": _architecture(config),
        "context_length": _first(numbers, "max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
        "vocab_size": numbers.get("vocab_size"),
        "layers": _first(numbers, "num_hidden_layers", "n_layer"),
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "hidden_size": hidden,
        "dtype": dtype if isinstance(dtype, str) else "",
        "quantization": _quantization(config),
    }


def _check_range(key: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise corrupt(
            "out_of_range",
            f"config.json: {key} is {str(value)[:60]!r}; wanted is a whole number from {low:,} to {high:,}.",
            f"Correct {key} in config.json.",
        )


def _first(numbers: dict[str, Any], *keys: str) -> int | None:
    for key in keys:
        value = numbers.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _architecture(config: dict[str, Any]) -> str:
    architectures = config.get("architectures")
    if architectures is None:
        return ""
    if not isinstance(architectures, list) or not all(
        isinstance(item, str) and len(item) <= 200 for item in architectures
    ):
        raise corrupt("architectures", "config.json: architectures must be a list of class names.")
    return architectures[0] if architectures else ""


def _quantization(config: dict[str, Any]) -> str:
    quantization = config.get("quantization_config")
    if not isinstance(quantization, dict):
        return ""
    return str(quantization.get("quant_method", ""))[:50]
