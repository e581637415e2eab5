"""The digest of a model: a fingerprint of everything that an approval vouches for."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from uuid import UUID

from apps.catalog.lineage import edges_into
from apps.catalog.models import LineageEdge, ModelEntry, ModelFile

FileFacts = tuple[str, int, str]


def model_digest(model: ModelEntry) -> str:
    """SHA-256 (hex) over identity, card and metadata, files by their hashes, and what the model was made of.

    What is made *of* the model (evaluations, endpoints, children) does not count: it comes after the approval.
    """
    return models_digests([model])[model.pk]


def models_digests(models: Collection[ModelEntry]) -> dict[UUID, str]:
    """The digests of several models, as they are stored now, in two queries."""
    files: dict[UUID, list[FileFacts]] = defaultdict(list)
    rows = ModelFile.objects.filter(model__in=[model.pk for model in models]).order_by("filename")
    for model_id, filename, size, sha256 in rows.values_list("model_id", "filename", "size", "sha256"):
        files[model_id].append((filename, size, sha256))
    sources = edges_into([model.pk for model in models])
    return {model.pk: _digest(model, files[model.pk], sources.get(model.pk, ())) for model in models}


def _digest(model: ModelEntry, files: Iterable[FileFacts], sources: Iterable[LineageEdge]) -> str:
    document = {
        "team": str(model.team_id),
        "name": model.name,
        "version": model.version,
        "type": model.type,
        "family": model.model_family,
        "metadata": model.metadata,
        "files": [list(row) for row in files],
        "lineage": sorted([edge.source_kind, str(edge.source_id), edge.relation] for edge in sources),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
