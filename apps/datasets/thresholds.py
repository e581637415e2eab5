"""How good a dataset must be: by its type, the environment of this portal, or both.

What the settings ask for here is the least; a policy of scope “dataset” can ask for more, with a condition over
``resource.quality_score``, ``resource.kind`` and ``environment.name``.
"""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.datasets.types import DatasetType

ENVIRONMENTS = frozenset({"dev", "stg", "prod"})


def quality_threshold(dataset_type: str) -> float:
    """The least quality score (0 to 100) with which a dataset of this type is approved here: of the entries
    ``prod/benchmark``, ``benchmark``, ``prod`` the first that is set, else the one for all."""
    asked: dict[str, float] = settings.DATASETS_QUALITY_THRESHOLDS
    for key in (f"{settings.ENVIRONMENT}/{dataset_type}", dataset_type, settings.ENVIRONMENT):
        if key in asked:
            return asked[key]
    return float(settings.DATASETS_QUALITY_THRESHOLD)


def thresholds_check() -> None:
    """Stop the start when an entry could never count.

    Raises:
        ImproperlyConfigured: an unknown type or environment, or a score outside 0 to 100.
    """
    types = {kind.value for kind in DatasetType}
    for key, score in settings.DATASETS_QUALITY_THRESHOLDS.items():
        environment, separator, kind = key.partition("/")
        known = environment in ENVIRONMENTS and kind in types if separator else key in types | ENVIRONMENTS
        if not known or not 0 <= score <= 100:
            raise ImproperlyConfigured(
                f"LLMOPS_DATASETS_QUALITY_THRESHOLDS: {key}={score:g} is not usable. Write type=score, "
                f"environment=score or environment/type=score, with scores from 0 to 100; types: "
                f"{', '.join(sorted(types))}; environments: {', '.join(sorted(ENVIRONMENTS))}."
            )
