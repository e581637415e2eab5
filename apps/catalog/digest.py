"""The digest of a model: a fingerprint of everything that an approval vouches for."""

from __future__ import annotations

import hashlib
import json

from apps.catalog.lineage import MODEL
from apps.catalog.models import LineageEdge, ModelEntry


def model_digest(model: ModelEntry) -> str:
    """SHA-256 (hex) over identity, card and metadata, files by their hashes, and what the model was made of.

    What is made *of* the model (evaluations, endpoints, children) does not count: it comes after the approval.
    """
    files = model.files.order_by("filename").values_list("filename", "size", "sha256")
    sources = LineageEdge.objects.filter(target_kind=MODEL, target_id=model.pk)
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
