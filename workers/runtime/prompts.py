"""Conversations as text: the tokenizer's chat template where it has one, a plain form where not.

Training and evaluation use the same functions, so that a model is asked the way it was taught.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from workers.runtime.rows import Messages


def has_chat_template(tokenizer: Any) -> bool:
    """Whether the tokenizer brings a chat template."""
    return bool(getattr(tokenizer, "chat_template", None))


def prompt_text(tokenizer: Any, messages: Messages) -> str:
    """The text after which the model is expected to answer."""
    if has_chat_template(tokenizer):
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    return (tokenizer.bos_token or "") + _plain(messages)


def segments(tokenizer: Any, messages: Messages) -> list[tuple[str, bool]]:
    """The conversation cut into (text, is_answer) pieces that join to the whole.

    Every assistant message is an answer, end-of-turn marks included. A template that rewrites earlier turns
    when a later one is added cannot be cut so; then only the last answer counts as one.
    """
    if not has_chat_template(tokenizer):
        return _plain_segments(tokenizer, messages)
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    cuts = [""]
    for place in answers:
        cuts.append(prompt_text(tokenizer, messages[:place]))
        whole = tokenizer.apply_chat_template(messages[: place + 1], tokenize=False)
        cuts.append(str(whole))
    if all(longer.startswith(shorter) for shorter, longer in pairwise(cuts)):
        pieces = [longer[len(shorter) :] for shorter, longer in pairwise(cuts)]
        return [(piece, bool(place % 2)) for place, piece in enumerate(pieces)]
    last = messages[-1]["content"] + (tokenizer.eos_token or "")
    return [(prompt_text(tokenizer, messages[:-1]), False), (last, True)]


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text that holds its special tokens already."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _plain(messages: Messages) -> str:
    return "".join(f"{message['content']}\n\n" for message in messages)


def _plain_segments(tokenizer: Any, messages: Messages) -> list[tuple[str, bool]]:
    end = tokenizer.eos_token or "\n\n"
    start = tokenizer.bos_token or ""
    pieces = [
        (
            message["content"] + (end if message["role"] == "assistant" else "\n\n"),
            message["role"] == "assistant",
        )
        for message in messages
    ]
    return [(start, False), *pieces] if start else pieces
