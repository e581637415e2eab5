"""Runtimes: how each is started and spoken to, and TGI's own routes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from apps.integrations.runtimes import (
    PORT_PLACEHOLDER,
    LaunchRequest,
    UnsupportedParameter,
    Upstream,
    external_upstream,
    runtime_for_image,
    runtime_get,
    runtimes,
)
from apps.integrations.runtimes.probing import check_health, warm_up
from apps.integrations.runtimes.tgi_client import TGIInfo, tgi_generate, tgi_info
from tests.support.model_server import ModelServer

REQUEST = LaunchRequest(model_dir="/srv/m", served_name="chat", threads=2, cache_tokens=1000)


def test_transformers_serve_is_started_with_a_bounded_cache() -> None:
    """FR-006m: the embedded default: continuous batching, CPU, offline, threads and cache bounded."""
    plan = runtime_get("transformers").launch(REQUEST)
    command = " ".join(plan.command)
    assert "-m workers.transformers_serve /srv/m --continuous-batching --device cpu --dtype bfloat16" in command
    assert f"--host 127.0.0.1 --port {PORT_PLACEHOLDER}" in command
    assert "--cb-num-blocks 8" in command
    assert (plan.env["OMP_NUM_THREADS"], plan.env["HF_HUB_OFFLINE"]) == ("2", "1")
    assert plan.readiness_path == "/health"
    assert runtime_get("transformers").upstream_model(model_dir="/srv/m", served_name="chat") == "/srv/m"


def test_vllm_is_started_under_the_routes_name() -> None:
    """FR-006m: vLLM serves under the route's name; eager on CPU."""
    runtime = runtime_get("vllm")
    command = " ".join(runtime.launch(REQUEST).command)
    assert "--served-model-name chat" in command
    assert "--enforce-eager" in command
    assert runtime.upstream_model(model_dir="/srv/m", served_name="chat") == "chat"


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("ghcr.io/huggingface/text-generation-inference:3.3.5", "tgi"),
        ("vllm/vllm-openai:v0.11.0", "vllm"),
        ("registry.local:5000/team/vllm@sha256:00", "vllm"),
        ("our/transformers-serve:1", "transformers"),
        ("nginx:latest", None),
    ],
)
def test_runtime_is_found_in_the_image(image: str, key: str | None) -> None:
    """FR-006m: the image's name tells the model server."""
    assert runtime_for_image(image) == key


def test_fields_are_kept_dropped_or_refused() -> None:
    """FR-006v: what a server honours is kept, what changes nothing is dropped, the rest is refused by name."""
    dialect = runtime_get("transformers").dialect
    body = {"messages": [], "temperature": 1, "user": "x", "n": 1, "tools": [], "template": None}
    assert dialect.chat_body(body, model="/srv/m", stream=True) == {
        "messages": [],
        "temperature": 1,
        "tools": [],
        "model": "/srv/m",
        "stream": True,
    }
    with pytest.raises(UnsupportedParameter, match="logprobs"):
        dialect.chat_body({"messages": [], "logprobs": True}, model="m", stream=False)
    asked = runtime_get("vllm").dialect.chat_body({"messages": [], "logprobs": True}, model="m", stream=True)
    assert asked["logprobs"] is True
    assert asked["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("provider", "base_url", "expected"),
    [
        ("openai", "", "https://api.openai.com"),
        ("openai_compatible", "https://models.example/v1/", "https://models.example"),
        ("openai_compatible", "https://models.example/api", "https://models.example/api"),
        ("ollama", "", "http://localhost:11434"),
    ],
)
def test_external_addresses(provider: str, base_url: str, expected: str) -> None:
    """FR-001c: base addresses with and without /v1; the key only in a header that no repr shows by itself."""
    found = external_upstream(provider=provider, model_name="m", base_url=base_url, api_key="sk-1")
    assert found.base_url == expected
    assert found.headers == {"Authorization": "Bearer sk-1"}


def test_every_runtime_describes_itself() -> None:
    """FR-006m: key and label; those that somebody else runs cannot be launched."""
    for runtime in runtimes():
        assert runtime.key
        assert runtime.label
        if not runtime.launched:
            with pytest.raises(ValueError, match="nothing to start"):
                runtime.launch(REQUEST)


def test_tgis_own_routes() -> None:
    """FR-006m: /info and /generate by huggingface_hub's client."""

    async def ask(url: str) -> TGIInfo:
        async with aiohttp.ClientSession() as session:
            return await tgi_info(session, url)

    server = ModelServer(model="HuggingFaceTB/SmolLM2-135M-Instruct", style="tgi").start()
    try:
        info = asyncio.run(ask(server.url))
        assert (info.model_id, info.max_input_tokens) == ("HuggingFaceTB/SmolLM2-135M-Instruct", 1024)
        answer = asyncio.run(tgi_generate(server.url, "one two three", max_new_tokens=2, temperature=0.5, seconds=5))
        assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("You can", 3, 2)
        assert server.requests[0]["parameters"]["max_new_tokens"] == 2
    finally:
        server.stop()


def test_probes_tell_what_is_wrong() -> None:
    """FR-006q: a living server, an unwell one, a mute one and none at all."""
    server = ModelServer(model="m", style="transformers").start()
    dialect = runtime_get("transformers").dialect
    try:
        here = Upstream(server.url, "m")
        assert check_health(here, "/health", policy=None, seconds=2).ok
        assert warm_up(here, dialect, policy=None, seconds=2, temperature=0.7).ok
        server.healthy = False
        unwell = check_health(here, "/health", policy=None, seconds=2)
        assert (unwell.ok, unwell.detail) == (False, "it answers with status 503.")
        absent = check_health(Upstream("http://127.0.0.1:9", "m"), "/health", policy=None, seconds=2)
        assert (absent.ok, absent.permanent) == (False, False)
    finally:
        server.stop()
