"""What the browser finds: the cast, and things of team support in every stage of their lives. Run as
`python -m tests.e2e.world` in the server's environment; prints the ids as JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.test")
django.setup()

from apps.catalog.models import ModelEntry, ModelImport  # noqa: E402
from apps.catalog.services import (  # noqa: E402
    model_export_run,
    model_export_start,
    model_publish,
    model_sign_run,
    model_test_connection,
)
from apps.catalog.services.signing import signature_request  # noqa: E402
from apps.core import clock  # noqa: E402
from apps.datasets.services import dataset_submit  # noqa: E402
from apps.governance.services import notices_send, usage_record_many  # noqa: E402
from apps.governance.types import UsageEntry  # noqa: E402
from apps.training.models import TrainingJob  # noqa: E402
from apps.training.services import metrics_record  # noqa: E402
from tests.catalog.support import CARD, EXTERNAL, make_model, make_ready  # noqa: E402
from tests.evaluation.support import RUBRIC, make_benchmark, make_reviewed, make_run, start  # noqa: E402
from tests.factories.datasets import clean_rows, make_approved_dataset, make_dataset, pii_rows  # noqa: E402
from tests.factories.training import make_base_model, make_job  # noqa: E402
from tests.serving.support import answering_endpoint  # noqa: E402
from tests.support.cast import Cast, make_cast  # noqa: E402


def main() -> None:
    """Make the cast and their things; print the ids."""
    json.dump(make_world(make_cast()), sys.stdout)


def make_world(cast: Cast) -> dict[str, Any]:
    """Things of team support in every stage of their lives, made by the right person; returns their ids."""
    approved = make_approved_dataset(cast, name="support-answers")
    leaky = make_dataset(cast.ada, rows=pii_rows(), name="support-questions")
    pending = [make_dataset(cast.ada, rows=clean_rows(), name=f"pending-{place}") for place in ("one", "two")]
    for dataset in pending:
        dataset_submit(actor=cast.ada, dataset_id=dataset.pk, notes="Please look at the tone.")
    research = make_dataset(cast.eve, rows=clean_rows(), name="research-secrets")
    ready = make_ready(cast.ada, cast.support, name="support-draft")
    bare = make_model(cast.ada, cast.support, name="unfinished-model", metadata={})
    base = make_base_model(cast, name="support-base")
    made: dict[str, Any] = {
        "people": {name: str(user.pk) for name, user in cast.everyone().items()},
        "approved_dataset": str(approved.pk),
        "leaky_dataset": str(leaky.pk),
        "pending_datasets": [str(dataset.pk) for dataset in pending],
        "research_dataset": str(research.pk),
        "ready_model": str(ready.pk),
        "bare_model": str(bare.pk),
        "base_model": str(base.pk),
        **_training(cast, approved, base),
        **_evaluations(cast, ready, base),
    }
    made |= _transfers(cast, base)
    endpoint = answering_endpoint(base, url="http://127.0.0.1:9", upstream_model="base")
    made["endpoint"] = str(endpoint.pk)
    _usage(cast, base, made)
    _trust(cast, base)
    return made


def _trust(cast: Cast, base: Any) -> None:
    """The base is signed and published; Ada is told something."""
    signature_request(model=base, actor=cast.chen)
    model_sign_run(model_id=base.pk)
    model_publish(actor=cast.ada, model_id=base.pk, reason="The one we stand by.")
    notices_send(
        recipients=[cast.ada.pk],
        about=base,
        key="world",
        tone="warning",
        title="The approval of support-old 1.0 has lapsed",
        text="The dataset tickets 1.0 was deleted. It cannot be deployed until it is approved again.",
        url=f"/models/{base.pk}/",
    )


def _transfers(cast: Cast, base: Any) -> dict[str, str]:
    """Imports in every state, a finished bundle, an external model whose provider was out of reach."""
    common = {"team": cast.support, "created_by": cast.ada, "source": "hub", "revision": "main", "version": "1.0"}
    files = [{"filename": f"model-{part}.safetensors", "size": 4 * 10**9, "done": part == 1} for part in (1, 2)]
    ModelImport.objects.create(
        **common,
        repo_id="acme/large-model",
        name="large-model",
        status="running",
        commit="c" * 40,
        files=files,
        bytes_total=8 * 10**9,
        bytes_done=5 * 10**9,
        message="model-2.safetensors (file 2 of 2): 5.0 GB of 8.0 GB",
    )
    ModelImport.objects.create(
        **common,
        repo_id="acme/gated-model",
        name="gated-model",
        status="failed",
        error_code="gated",
        message="acme/gated-model is gated: accept its terms and give the token of an account that has access.",
    )
    ModelImport.objects.create(
        **common,
        repo_id="acme/base",
        name="support-base",
        status="succeeded",
        model=base,
        skipped=["pytorch_model.bin", "onnx/model.onnx"],
        message="4 files are registered.",
    )
    model_export_run(operation_id=model_export_start(actor=cast.ada, model_id=base.pk).pk)
    external = make_model(
        cast.ada, cast.support, name="hosted-assistant", type="external", metadata={**CARD, **EXTERNAL}
    )
    ModelEntry.objects.filter(pk=external.pk).update(
        metadata={**external.metadata, "base_url": "http://127.0.0.1:9", "price": {"input_per_1m": 0.15}}
    )
    model_test_connection(actor=cast.ada, model_id=external.pk)
    return {"external_model": str(external.pk)}


def _training(cast: Cast, dataset: Any, base: Any) -> dict[str, str]:
    """A job in the middle of its work, with metrics, and one that failed."""
    running = make_job(cast.ada, dataset, base, output_model_name="support-assistant")
    now = clock.now()
    points = [
        {"name": name, "value": scale * math.exp(-step / 12) + floor, "step": step}
        for name, scale, floor in (("loss", 2.4, 0.6), ("eval_loss", 2.0, 0.9))
        for step in range(1, 31)
    ]
    metrics_record(actor=cast.ada, job_id=running.pk, metrics=points)
    TrainingJob.objects.filter(pk=running.pk).update(status="running", started_at=now - timedelta(minutes=3))
    failed = make_job(cast.ada, dataset, base, output_model_name="support-too-big")
    TrainingJob.objects.filter(pk=failed.pk).update(
        status="failed",
        started_at=now - timedelta(minutes=9),
        completed_at=now - timedelta(minutes=2),
        failure_tag="out_of_memory",
        failure_message="The trainer used more memory than its limit of 2 GiB.",
        failure_remedy="Take a smaller batch size, or ask for more memory.",
    )
    return {"running_job": str(running.pk), "failed_job": str(failed.pk)}


def _evaluations(cast: Cast, draft: Any, base: Any) -> dict[str, str]:
    """Two automated runs on the same benchmark, a finished review, one that waits for Ben and Chen."""
    benchmark = make_benchmark(cast.ada)
    good = [[1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1], [0.9, 1, 0.8, 0.4, 1, 1, 0.9, 1, 0.3, 1, 1, 0.7]]
    poor = [[0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0], [0.2, 1, 0.3, 0.1, 0.4, 0.2, 1, 0, 0.3, 0.1, 1, 0.2]]
    before, after = (
        make_run(
            cast,
            model=model,
            dataset=benchmark,
            metrics=["exact_match", "f1"],
            scores={"exact_match": scores[0], "f1": scores[1]},
        )
        for model, scores in ((base, poor), (draft, good))
    )
    reviewed = make_reviewed(cast, base, benchmark)
    waiting = start(cast, model=draft, dataset=benchmark, run_type="human", sample_size=3, rubric=RUBRIC)
    return {
        "run": str(after.pk),
        "other_run": str(before.pk),
        "reviewed_run": str(reviewed.pk),
        "waiting_run": str(waiting.pk),
        "waiting_sample": str(waiting.samples.order_by("index").values_list("pk", flat=True).first()),
    }


def _usage(cast: Cast, model: Any, made: dict[str, Any]) -> None:
    """A week of use, so that the cost page has something to draw."""
    now = clock.now()
    usage_record_many(
        UsageEntry(
            kind=kind,
            quantity=Decimal(quantity * (day + 1)),
            resource_type=resource_type,
            resource_id=made[key],
            team_id=cast.support.pk,
            occurred_at=now - timedelta(days=day),
            key=f"world-{key}-{kind}-{day}",
            user_id=cast.ada.pk,
            model_id=model.pk,
        )
        for day in range(7)
        for kind, quantity, resource_type, key in (
            ("cpu_seconds", 1800, "training", "running_job"),
            ("cpu_seconds", 5400, "serving", "endpoint"),
            ("tokens_in", 12000, "serving", "endpoint"),
            ("tokens_out", 4000, "serving", "endpoint"),
        )
    )


if __name__ == "__main__":
    main()
