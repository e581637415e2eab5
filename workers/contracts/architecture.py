"""Architecture of a model that is trained from nothing, checked without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from workers.contracts.codec import SpecError
from workers.contracts.common import check_range


class Initialisation(StrEnum):
    """Where the first weights come from."""

    RANDOM = "random"
    PRETRAINED_EMBEDDINGS = "pretrained_embeddings"
    WEIGHTS = "weights"


class Family(StrEnum):
    """Model types that the trainer builds from a configuration."""

    LLAMA = "llama"
    MISTRAL = "mistral"
    QWEN2 = "qwen2"
    GEMMA = "gemma"
    GPT2 = "gpt2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Sizes of a decoder-only model. `config` holds further names of Transformers' configuration class."""

    type: Family
    layers: int
    hidden_size: int
    heads: int
    kv_heads: int | None = None
    intermediate_size: int | None = None
    """Default: four times hidden for gpt2, else 8/3 of hidden rounded up to a multiple of 8."""
    vocab_size: int | None = None
    """Default: the tokenizer's. With a tokenizer trained on the dataset: its size."""
    max_position_embeddings: int = 2048
    initialisation: Initialisation = Initialisation.RANDOM
    tie_word_embeddings: bool = True
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_range("layers", self.layers, 1, 512)
        check_range("hidden_size", self.hidden_size, 8, 131_072)
        check_range("heads", self.heads, 1, 1024)
        if self.hidden_size % self.heads:
            problem = f"{self.heads} does not divide hidden_size {self.hidden_size}."
            raise SpecError("heads", problem)
        if (self.hidden_size // self.heads) % 2:
            raise SpecError("heads", "leaves an odd head size; hidden_size / heads must be even.")
        if self.kv_heads is not None:
            check_range("kv_heads", self.kv_heads, 1, self.heads)
            if self.heads % self.kv_heads:
                raise SpecError("kv_heads", f"{self.kv_heads} does not divide heads {self.heads}.")
            if self.type is Family.GPT2 and self.kv_heads != self.heads:
                raise SpecError(
                    "kv_heads",
                    "gpt2 has as many key-value heads as heads; leave it out.",
                )
        if self.intermediate_size is not None:
            check_range("intermediate_size", self.intermediate_size, 8, 1_048_576)
        if self.vocab_size is not None:
            check_range("vocab_size", self.vocab_size, 64, 4_194_304)
        check_range("max_position_embeddings", self.max_position_embeddings, 8, 1_048_576)

    @property
    def needs_base(self) -> bool:
        """Whether the first weights come from an existing model."""
        return self.initialisation is not Initialisation.RANDOM

    @property
    def feed_forward_size(self) -> int:
        """Width of the feed-forward layers, the default included."""
        if self.intermediate_size is not None:
            return self.intermediate_size
        if self.type is Family.GPT2:
            return 4 * self.hidden_size
        return -(-8 * self.hidden_size // 3 // 8) * 8

    def parameter_count(self, vocab_size: int) -> int:
        """Number of weights with a vocabulary of `vocab_size` tokens, exactly as Transformers builds it."""
        hidden, inner = self.hidden_size, self.feed_forward_size
        embeddings = vocab_size * hidden * (1 if self.tie_word_embeddings else 2)
        if self.type is Family.GPT2:
            attention = 4 * hidden * hidden + 4 * hidden
            feed_forward = 2 * hidden * inner + inner + hidden
            layer = attention + feed_forward + 4 * hidden
            return embeddings + self.max_position_embeddings * hidden + self.layers * layer + 2 * hidden
        kv_size = (hidden // self.heads) * (self.kv_heads or self.heads)
        attention = 2 * hidden * hidden + 2 * hidden * kv_size
        if self.type is Family.QWEN2:
            attention += hidden + 2 * kv_size  # the only family here with biases on q, k and v
        layer = attention + 3 * hidden * inner + 2 * hidden
        return embeddings + self.layers * layer + hidden
