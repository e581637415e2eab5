"""TGI's own routes: ``/info`` and ``/generate``.

``/generate`` (by ``huggingface_hub``'s inference client) serves models without a chat template, where TGI's
chat route answers with a template error; ``/info`` says what is loaded and how long a prompt may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from huggingface_hub import AsyncInferenceClient


@dataclass(frozen=True, slots=True)
class TGIInfo:
    """What a running TGI says of itself."""

    model_id: str
    max_input_tokens: int | None
    max_total_tokens: int | None
    version: str


@dataclass(frozen=True, slots=True)
class TGIGeneration:
    """An answer of ``/generate`` with its token counts."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


async def tgi_info(session: aiohttp.ClientSession, base_url: str) -> TGIInfo:
    """Ask ``GET /info``. Raises ``aiohttp.ClientError`` or ``ValueError`` for an answer that is not TGI's."""
    async with session.get(f"{base_url}/info", allow_redirects=False) as response:
        response.raise_for_status()
        answer = await response.json(content_type=None)
    if not isinstance(answer, dict) or "model_id" not in answer:
        raise ValueError(f"{base_url}/info does not answer like Text Generation Inference")
    return TGIInfo(
        model_id=str(answer["model_id"]),
        max_input_tokens=answer.get("max_input_tokens") or answer.get("max_input_length"),
        max_total_tokens=answer.get("max_total_tokens"),
        version=str(answer.get("version", "")),
    )


async def tgi_generate(
    base_url: str, prompt: str, *, max_new_tokens: int, temperature: float | None, seconds: float
) -> TGIGeneration:
    """Complete a bare prompt by TGI's own protocol, for models that have no chat template.

    ``seconds`` bounds the whole. Raises ``huggingface_hub``'s errors (``ValidationError``, ``OverloadedError``,
    ``InferenceTimeoutError`` …).
    """
    async with AsyncInferenceClient(model=f"{base_url}/generate", timeout=seconds) as client:
        answer = await client.text_generation(
            prompt,
            details=True,
            decoder_input_details=True,
            max_new_tokens=max_new_tokens,
            temperature=temperature or None,
            do_sample=bool(temperature),
        )
    details = answer.details
    return TGIGeneration(
        text=answer.generated_text,
        finish_reason=str(details.finish_reason) if details else "",
        prompt_tokens=len(details.prefill) if details else 0,
        completion_tokens=details.generated_tokens if details else 0,
    )
