"""What the files say together: parameters, precision, context length, memory; and whether they agree."""

from __future__ import annotations

from typing import Any

from apps.catalog.scanning.safetensors_file import DTYPE_NAMES
from apps.catalog.scanning.types import FileReport, ModelFacts, Reason, Verdict

OVERHEAD = 1.2  # activations, buffers and allocator slack on top of weights and cache
CACHE_TOKENS = 4096  # the estimate assumes one request of at most this many tokens
CACHE_BYTES = 2  # per cached value: runtimes keep keys and values in 16 bits


def combine(reports: list[FileReport]) -> ModelFacts:
    """Sum and compare the facts of safe files. Counts are exact, memory is an estimate in bytes."""
    safe = [report for report in reports if report.verdict is Verdict.SAFE]
    config: dict[str, Any] = next((report.facts for report in safe if report.format == "config"), {})
    weights = [report.facts for report in safe if report.format == "safetensors"]
    if not weights:
        weights = [report.facts for report in safe if report.format == "gguf"]
    facts = ModelFacts(
        context_length=config.get("context_length"),
        architecture=config.get("architecture", ""),
        family=config.get("family", ""),
        vocab_size=config.get("vocab_size"),
        dtype=config.get("dtype", ""),
    )
    if not weights:  # pickled weights are never opened, so their tensors stay uncounted
        return facts
    bytes_by_dtype: dict[str, int] = {}
    for entry in weights:
        for dtype, count in entry["bytes_by_dtype"].items():
            bytes_by_dtype[dtype] = bytes_by_dtype.get(dtype, 0) + count
        facts.family = facts.family or entry.get("family", "")
        facts.context_length = facts.context_length or entry.get("context_length")
        facts.vocab_size = facts.vocab_size or entry.get("vocab_size")
    dominant = max(bytes_by_dtype, key=lambda dtype: bytes_by_dtype[dtype])
    facts.dtype = DTYPE_NAMES.get(dominant, dominant.lower())
    facts.parameter_count = sum(entry["parameters"] for entry in weights)
    facts.weight_bytes = sum(bytes_by_dtype.values())
    shape = (
        config if cache_per_token(config) is not None else next((row for row in weights if cache_per_token(row)), {})
    )
    facts.kv_bytes_per_token = cache_per_token(shape)
    facts.memory_bytes = memory_estimate(facts.weight_bytes, facts.context_length, facts.kv_bytes_per_token)
    return facts


def cache_per_token(shape: dict[str, Any]) -> int | None:
    """Return the bytes that one token keeps in the key and value cache: 2 * layers * kv heads * head size * 2 bytes.

    Two for key and value, two bytes for 16-bit values, every layer keeps its own: W. Kwon et al., "Efficient Memory
    Management for Large Language Model Serving with PagedAttention" (SOSP 2023), section 3 (OPT-13B: 2 * 40 * 5120 *
    2 = 800 KB); with grouped-query attention (J. Ainslie et al., 2023) only the key-value heads count. An upper bound
    for models that keep less (sliding windows, latent attention). None when the files do not say the shape.
    """
    layers, heads, size = shape.get("layers"), shape.get("kv_heads"), shape.get("head_dim")
    return int(2 * layers * heads * size * CACHE_BYTES) if layers and heads and size else None


def memory_estimate(weight_bytes: int, context_length: int | None, per_token: int | None) -> int:
    """Return the bytes needed to answer one request: (weights + cache of its tokens, at most 4,096) * 1.2.

    The fifth on top is for activations, buffers and what the allocator rounds up.
    """
    tokens = min(context_length or CACHE_TOKENS, CACHE_TOKENS)
    return int((weight_bytes + (per_token or 0) * tokens) * OVERHEAD)


def check_index(report: FileReport, index: dict[str, Any], filenames: set[str]) -> None:
    """Hold a shard index against the files that are there; adds a corrupt verdict to *report*."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        _refuse(report, "index", "The index has no weight_map from tensor names to file names.")
        return
    for shard in sorted(set(weight_map.values())):
        if shard not in filenames:
            _refuse(report, "missing_shard", f"The index names the shard {shard[:200]!r}, which is not uploaded.")
            return


def _refuse(report: FileReport, code: str, message: str) -> None:
    report.verdict = Verdict.CORRUPT
    report.reasons.append(Reason(code, message, "Upload the missing shard, or the index that belongs to these shards."))
