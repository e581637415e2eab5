"""A run as a file: JSON with everything, CSV with one row per sample."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import ValidationFailed
from apps.evaluation.models import EvaluationRun, EvaluationSample
from apps.evaluation.selectors import reviews_by, run_get, samples_of
from apps.governance.services import authorize

EXPORT_FORMATS = ("json", "csv")
_RISKY = ("=", "+", "-", "@", "\t", "\r")


def run_export(*, actor: User, run_id: object, format_: str) -> tuple[str, str, Iterator[str]]:
    """(file name, content type, chunks of text) of a visible run."""
    if format_ not in EXPORT_FORMATS:
        raise ValidationFailed.field("format", "invalid", f"format must be one of {', '.join(EXPORT_FORMATS)}.")
    run = run_get(actor=actor, run_id=run_id)
    authorize(actor=actor, action="evaluation_run.export", obj=run)
    audit.record(actor=actor, action="evaluation.run.exported", resource=run, metadata={"format": format_})
    name = f"evaluation-{str(run.pk)[:8]}.{format_}"
    if format_ == "json":
        return name, "application/json", _json(run)
    return name, "text/csv; charset=utf-8", _csv(run)


def _json(run: EvaluationRun) -> Iterator[str]:
    head: dict[str, Any] = {
        "id": str(run.pk),
        "model": {"id": str(run.model_id), "name": run.model.name, "version": run.model.version},
        "dataset": {"id": str(run.dataset_id), "name": run.dataset.name, "version": run.dataset.version},
        "modelFilesDigest": run.model_digest,
        "datasetRowsDigest": run.dataset_digest,
        "datasetContentDigest": run.dataset_content_digest or None,
        "runType": run.run_type,
        "status": run.status,
        "seed": run.seed,
        "metrics": run.metrics,
        "agreement": run.agreement,
        "rubric": run.rubric,
        "report": run.report,
        "createdAt": run.created_at.isoformat(),
        "finishedAt": run.finished_at.isoformat() if run.finished_at else None,
        "reviews": [
            {
                "sampleIndex": review.sample.index,
                "reviewer": review.reviewer.get_username(),
                "scores": review.scores,
                "comment": review.comment,
            }
            for review in reviews_by(run)
        ],
    }
    text = json.dumps(head, ensure_ascii=False, indent=1)
    yield text.removesuffix("\n}") + ',\n "samples": ['
    separator = "\n"
    for sample in samples_of(run).iterator(chunk_size=500):
        yield separator + json.dumps(_plain(sample), ensure_ascii=False)
        separator = ",\n"
    yield "\n]}\n"


def _plain(sample: EvaluationSample) -> dict[str, Any]:
    return {
        "index": sample.index,
        "rowId": sample.row_id,
        "input": sample.input,
        "reference": sample.reference,
        "output": sample.output,
        "scores": sample.scores,
        "latencyMs": sample.latency_ms,
        "promptTokens": sample.prompt_tokens,
        "completionTokens": sample.completion_tokens,
        "error": sample.error,
    }


def _csv(run: EvaluationRun) -> Iterator[str]:
    names = sorted({name for scores in samples_of(run).values_list("scores", flat=True).iterator() for name in scores})
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["index", "rowId", "input", "reference", "output", "latencyMs", "error", *names])
    for sample in samples_of(run).iterator(chunk_size=500):
        texts = [_safe(text) for text in (sample.row_id, sample.input, sample.reference, sample.output or "")]
        figures = [sample.scores.get(name, "") for name in names]
        writer.writerow([sample.index, *texts, sample.latency_ms, _safe(sample.error), *figures])
        if buffer.tell() > 64 * 1024:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _safe(text: str) -> str:
    """Text that a spreadsheet will not run as a formula."""
    return f"'{text}" if text.startswith(_RISKY) else text
