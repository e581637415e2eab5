"""Two ways to the same model: the portal's chat call, and OpenAI's own client, streaming."""

from __future__ import annotations

import time

from openai import OpenAI, OpenAIError

from launcher.demo.client import StepFailedError
from launcher.demo.context import Demo
from launcher.demo.steps.deployment import ROUTE

QUESTION = "My printer won't print. What can I do?"


def run(demo: Demo) -> str:
    started = time.monotonic()
    answer = demo.ada.post(
        f"/serve/{ROUTE}/chat",
        {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 60},
    )
    text = answer["choices"][0]["message"]["content"].strip()
    usage = answer["usage"]
    demo.tell(f"Ada: {QUESTION}")
    demo.tell(f"{ROUTE}: {text} ({usage['total_tokens']} tokens, {time.monotonic() - started:.1f} s)")
    streamed, chunks = _stream(demo)
    demo.tell(f"streamed to the OpenAI client in {chunks} chunks: {streamed}")
    return f"answered: {text[:80]}"


def _stream(demo: Demo) -> tuple[str, int]:
    client = OpenAI(base_url=f"{demo.base_url}/v1", api_key=demo.state.person("ada").token, max_retries=0)
    parts: list[str] = []
    tokens = 0
    try:
        stream = client.chat.completions.create(
            model=ROUTE,
            messages=[{"role": "user", "content": "I lost my password."}],
            temperature=0,
            max_tokens=60,
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in stream:
            parts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            tokens = chunk.usage.total_tokens if chunk.usage else tokens
    except OpenAIError as error:
        raise StepFailedError(f"The OpenAI client was refused: {error}", "See var/logs/web.log.") from error
    if not parts or not tokens:
        raise StepFailedError(f"The stream held {len(parts)} pieces of text and {tokens} counted tokens.")
    return "".join(parts).strip(), len(parts)
