"""The OpenAI surface, by OpenAI's own unmodified client."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from apps.governance.models import UsageRecord
from apps.serving.models import Endpoint
from tests.gateway.conftest import RunningGateway, token_of
from tests.support.cast import Cast
from tests.support.model_server import ANSWER, ModelServer

pytestmark = pytest.mark.django_db(transaction=True)

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def ada(cast: Cast, gateway: RunningGateway, endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    """Ada's client."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=token_of(cast.ada), max_retries=0) as client:
        yield client


def test_ada_can_chat_with_openais_client(ada: openai.OpenAI, upstream: ModelServer) -> None:
    """FR-006v: the answer has OpenAI's shape, with the route as model; odd but harmless fields are taken."""
    answer = ada.chat.completions.create(
        model="support-assistant",
        messages=HELLO,
        temperature=0,
        user="ada",
        n=1,
        presence_penalty=0,
    )
    assert answer.choices[0].message.content == ANSWER
    assert answer.model == "support-assistant"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 9
    assert "user" not in upstream.requests[0]
    assert upstream.requests[0]["temperature"] == 0


@pytest.mark.parametrize("style", ["transformers", "openai", "tgi"])
def test_ada_can_stream_with_openais_client(
    ada: openai.OpenAI, upstream: ModelServer, endpoint: Endpoint, gateway: RunningGateway, style: str
) -> None:
    """FR-006v: chunks, then (only when asked for) one with usage; the same over every runtime, all metered."""
    upstream.style = style
    assert endpoint.active is not None
    endpoint.active.runtime = {"transformers": "transformers", "openai": "vllm", "tgi": "tgi"}[style]
    endpoint.active.save()
    plain = list(ada.chat.completions.create(model="support-assistant", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain) == ANSWER
    assert plain[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in plain)
    counted = list(
        ada.chat.completions.create(
            model="support-assistant",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert counted[-1].choices == []
    assert counted[-1].usage is not None
    assert counted[-1].usage.total_tokens == 9
    gateway.flush()
    assert [int(record.quantity) for record in UsageRecord.objects.filter(kind="tokens_out")] == [7, 7]


def test_ada_can_complete_text(ada: openai.OpenAI) -> None:
    """FR-006v: /v1/completions, whole and streamed."""
    answer = ada.completions.create(model="support-assistant", prompt="one two three", max_tokens=3)
    assert answer.choices[0].text == "You can reset"
    chunks = list(ada.completions.create(model="support-assistant", prompt="one", max_tokens=2, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "You can"


def test_models_are_listed_and_described(ada: openai.OpenAI) -> None:
    """FR-006v: the routes that the caller may use are the models."""
    assert [model.id for model in ada.models.list()] == ["support-assistant"]
    assert ada.models.retrieve("support-assistant").owned_by == "support"


def test_errors_raise_openais_exceptions(
    ada: openai.OpenAI, cast: Cast, gateway: RunningGateway, endpoint: Endpoint
) -> None:
    """FR-006v: OpenAI's error bodies, so that its client raises its own exceptions."""
    with pytest.raises(openai.NotFoundError) as missing:
        ada.chat.completions.create(model="nothing", messages=HELLO)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        ada.chat.completions.create(model="support-assistant", messages=HELLO, temperature=3)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as unsupported:
        ada.chat.completions.create(
            model="support-assistant",
            messages=HELLO,
            response_format={"type": "json_object"},
        )
    assert unsupported.value.param == "response_format"
    base_url = f"{gateway.url}/v1"
    with (
        openai.OpenAI(base_url=base_url, api_key="llmops_wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()
    token = token_of(cast.ada, scopes=["read"])
    with (
        openai.OpenAI(base_url=base_url, api_key=token, max_retries=0) as reader,
        pytest.raises(openai.PermissionDeniedError),
    ):
        reader.chat.completions.create(model="support-assistant", messages=HELLO)


def test_a_stream_that_dies_raises(ada: openai.OpenAI) -> None:
    """FR-006v: a stream that breaks off raises in the client instead of ending as if complete."""
    stream = ada.chat.completions.create(
        model="support-assistant",
        messages=[{"role": "user", "content": "!die"}],
        stream=True,
    )
    with pytest.raises(openai.APIError, match="broke off"):
        list(stream)


def test_tgi_is_spoken_to_as_it_wants(ada: openai.OpenAI, upstream: ModelServer, endpoint: Endpoint) -> None:
    """FR-006m: TGI refuses temperature 0 and top_p 1; asking for greedy decoding leaves them out."""
    upstream.style = "tgi"
    assert endpoint.active is not None
    endpoint.active.runtime = "tgi"
    endpoint.active.save()
    answer = ada.chat.completions.create(
        model="support-assistant",
        messages=HELLO,
        temperature=0,
        top_p=1,
        max_completion_tokens=3,
    )
    assert answer.choices[0].message.content == "You can reset"
    assert {"temperature", "top_p", "max_completion_tokens"} & set(upstream.requests[0]) == set()
