"""The finished model as a Hugging Face directory: complete under its name, or not there at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from workers.contracts import TrainMethod
from workers.runtime.errors import ModelInvalid
from workers.trainer.build import Trainee


def save_model(trainee: Trainee, directory: Path, *, method: TrainMethod) -> None:
    """Merge adapters; write configuration, tokenizer and safetensors weights to `directory`."""
    model: Any = trainee.model
    if method is TrainMethod.LORA:
        # Merged in fp32: adding small deltas to bf16 weights would round most of them away twice.
        model = model.float().merge_and_unload(safe_merge=True)
    model = model.to(device="cpu", dtype=trainee.save_dtype)
    model.config.use_cache = True
    model.config.dtype = trainee.save_dtype
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial)
        trainee.tokenizer.save_pretrained(partial)
        if not any(partial.glob("*.safetensors")):
            raise ModelInvalid("Saving left no safetensors weights.")
        for path in partial.iterdir():
            path.chmod(0o644)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
