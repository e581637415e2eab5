"""A complete model directory with 2 million random weights, made in a second.

    python -m workers.tiny_model DIRECTORY

A real Llama with a real tokenizer (byte-level BPE, trained on the lines below) and a chat template, small
enough for tests that train, serve and evaluate for real. Same seed, same bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from workers.trainer.tokenizer import train_tokenizer

LINES = (
    "What is a language model? A language model predicts the next word of a text.",
    "How do I reset my password? Open the account page and choose a new password.",
    "Where can I see my orders? Your orders are listed in the portal under orders.",
    "Who may approve a model? A reviewer who is not its author may approve a model.",
    "When does my token expire? A token expires on the date shown beside its name.",
    "Why was the dataset refused? It holds personal data; make a redacted version first.",
    "Thank you for the help! You are welcome. Is there anything else that I can do for you?",
    "Hello, how are you? I am fine, thank you. What can I do for you today?",
    "The quick brown fox jumps over the lazy dog. 0123456789 (one, two, three) + - * / = % & @ #",
)
SEED = 7


def build(directory: Path, *, seed: int = SEED) -> Path:
    """Write the model into `directory` (created; nothing is left there on failure) and return it."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(LINES, vocab_size=1024)
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=160,
        intermediate_size=432,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_length=256,
    )
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
        os.replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory


def main(argv: list[str] | None = None) -> int:
    """Entry point of `python -m workers.tiny_model`."""
    parser = argparse.ArgumentParser(prog="python -m workers.tiny_model", description=__doc__)
    parser.add_argument("directory", type=Path)
    options = parser.parse_args(argv)
    print(build(options.directory))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
