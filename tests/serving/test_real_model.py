"""One real model server: ``transformers serve`` with a tiny model, from deployment to a chat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from openai.types.chat import ChatCompletionMessageParam

from apps.catalog import services as catalog
from apps.gateway.config import GatewayConfig
from apps.governance.models import UsageRecord
from apps.integrations import registry
from apps.integrations.local.backend import LocalBackend
from tests.catalog.support import make_model
from tests.gateway.conftest import RunningGateway, token_of
from tests.serving.support import approve
from tests.serving.test_life import deploy, drive, healthy
from tests.support.cast import Cast

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    """A local backend of this test."""
    local = LocalBackend(root=tmp_path / "compute", max_jobs=1, max_endpoints=1, port_range=(24000, 24999))
    registry.backend_register("local", lambda: local)
    yield local
    names = local.running_names()
    for name in names:
        local.stop(name)
    assert local.wait_ended(names, 30) == []
    registry.backend_register("local", registry.local_backend)


def test_a_real_model_is_deployed_and_chats(
    transactional_db: None, cast: Cast, tiny_model_dir: Path, backend: LocalBackend, tmp_path: Path
) -> None:
    """FR-006, FR-006v: deploy, load, warm up, healthy; then OpenAI's client, whole and streaming, metered."""
    model = make_model(cast.ada, cast.support, name="tiny")
    uploads = [SimpleUploadedFile(path.name, path.read_bytes()) for path in sorted(tiny_model_dir.iterdir())]
    catalog.model_upload(actor=cast.ada, model_id=model.pk, files=uploads)
    endpoint = drive(deploy(cast.ada, approve(model)), healthy, seconds=180)
    config = replace(GatewayConfig.from_settings(), spool=tmp_path / "spool", flush_seconds=3600)
    running = RunningGateway(config)
    running.server.start()
    try:
        with openai.OpenAI(
            base_url=f"{running.url}/v1", api_key=token_of(cast.ada), max_retries=0, timeout=60
        ) as client:
            question: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How do I reset my password?"}]
            whole = client.chat.completions.create(
                model=endpoint.route,
                messages=question,
                max_tokens=8,
            )
            assert whole.usage is not None
            assert 1 <= whole.usage.completion_tokens <= 8
            chunks = list(
                client.chat.completions.create(
                    model=endpoint.route,
                    messages=question,
                    max_tokens=8,
                    stream=True,
                    stream_options={"include_usage": True},
                )
            )
            assert chunks[-1].usage is not None
            assert 1 <= chunks[-1].usage.completion_tokens <= 8
            assert all(chunk.model == "support-assistant" for chunk in chunks)

            def answer(temperature: float) -> str:
                said = client.chat.completions.create(
                    model=endpoint.route, messages=question, max_tokens=16, temperature=temperature
                )
                return said.choices[0].message.content or ""

            # Each request has its own temperature, whatever the first one (the warm-up) asked for.
            assert answer(0) == answer(0)
            assert answer(2) != answer(0)
            text = client.completions.create(model=endpoint.route, prompt="Thank you", max_tokens=4)
            assert text.usage is not None
        assert running.flush()
    finally:
        running.server.stop()
    assert UsageRecord.objects.filter(kind="requests").count() == 7
    counted = [int(row.quantity) for row in UsageRecord.objects.filter(kind="tokens_out")]
    for usage in (whole.usage, chunks[-1].usage, text.usage):
        assert usage.completion_tokens in counted
