"""Rubrics: what reviewers judge, read from the API's free-form object, and scores checked against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from apps.core.errors import FieldError, ValidationFailed
from workers.contracts import Metric

MAX_CRITERIA = 20
MAX_OPTIONS = 50
MAX_REVIEWS = 10
MAX_TEXT = 5_000
_METRIC_NAMES = frozenset(metric.value.lower() for metric in Metric)


class CriterionType(StrEnum):
    """How a criterion is answered."""

    PASS_FAIL = "pass_fail"  # noqa: S105 - a kind of answer, no secret
    SCALE = "scale"
    CHOICE = "choice"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One question to the reviewer. ``min`` and ``max`` belong to scales, ``options`` to choices."""

    name: str
    type: str
    min: int | None = None
    max: int | None = None
    options: tuple[str, ...] = ()
    guidance: str = ""

    @property
    def required(self) -> bool:
        """Free text may stay empty; everything else is answered."""
        return self.type != CriterionType.TEXT

    def to_json(self) -> dict[str, Any]:
        """As stored and shown."""
        data = {key: value for key, value in asdict(self).items() if value not in (None, (), "")}
        if self.options:
            data["options"] = list(self.options)
        return data


@dataclass(frozen=True, slots=True)
class Rubric:
    """All criteria, and how many people judge each sample."""

    criteria: tuple[Criterion, ...]
    reviews_per_sample: int = 1

    def to_json(self) -> dict[str, Any]:
        """As stored and shown."""
        return {
            "criteria": [criterion.to_json() for criterion in self.criteria],
            "reviewsPerSample": self.reviews_per_sample,
        }

    @classmethod
    def stored(cls, data: Mapping[str, Any]) -> Rubric:
        """From a stored rubric, which was checked when it came in."""
        return rubric_from(data) if data else DEFAULT_RUBRIC


DEFAULT_RUBRIC = Rubric(
    (
        Criterion("correct", CriterionType.PASS_FAIL, guidance="Is the answer right, measured by the reference?"),
        Criterion("quality", CriterionType.SCALE, 1, 5, guidance="1: useless, 3: acceptable, 5: could not be better."),
    )
)


def rubric_from(data: Mapping[str, Any]) -> Rubric:
    """A rubric from the request; raises ``ValidationFailed`` with every problem under ``rubric.…``."""
    errors: list[FieldError] = []
    rows = data.get("criteria")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_CRITERIA:
        message = f"rubric.criteria must be a list of 1 to {MAX_CRITERIA} criteria."
        raise ValidationFailed.field("rubric.criteria", "invalid", message)
    criteria: list[Criterion] = []
    for place, row in enumerate(rows):
        found = _criterion(row, f"rubric.criteria[{place}]", errors)
        if found is not None and any(found.name.lower() == known.name.lower() for known in criteria):
            errors.append(FieldError(f"rubric.criteria[{place}].name", "duplicate", f"{found.name!r} is there twice."))
        elif found is not None:
            criteria.append(found)
    reviews = data.get("reviewsPerSample", data.get("reviews_per_sample", 1))
    if type(reviews) is not int or not 1 <= reviews <= MAX_REVIEWS:
        errors.append(FieldError("rubric.reviewsPerSample", "invalid", f"reviewsPerSample must be 1 to {MAX_REVIEWS}."))
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    return Rubric(tuple(criteria), reviews)


def _criterion(row: Any, where: str, errors: list[FieldError]) -> Criterion | None:
    def wrong(part: str, message: str) -> None:
        errors.append(FieldError(f"{where}.{part}" if part else where, "invalid", message))

    before = len(errors)
    if not isinstance(row, Mapping):
        wrong("", "A criterion is an object with name and type.")
        return None
    name = row.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 60:
        wrong("name", "Give the criterion a name of at most 60 letters.")
    elif name.strip().lower() in _METRIC_NAMES:
        wrong("name", f"{name.strip()!r} is the name of a metric; call the criterion something else.")
    kind = row.get("type")
    if kind not in list(CriterionType):
        wrong("type", f"type must be one of {', '.join(CriterionType)}.")
    guidance = row.get("guidance") or ""
    if not isinstance(guidance, str) or len(guidance) > 1_000:
        wrong("guidance", "guidance must be text of at most 1,000 letters.")
    low, high = row.get("min", 1), row.get("max", 5)
    if kind == CriterionType.SCALE and (
        type(low) is not int or type(high) is not int or not low < high or high - low > 100
    ):
        wrong("max", "A scale needs whole numbers min < max, at most 100 apart.")
    options = row.get("options") or []
    if kind == CriterionType.CHOICE and not _options_fit(options):
        wrong("options", f"A choice needs 2 to {MAX_OPTIONS} different texts as options.")
    if len(errors) > before:
        return None
    scale, choice = kind == CriterionType.SCALE, kind == CriterionType.CHOICE
    return Criterion(
        str(name).strip(),
        str(kind),
        low if scale else None,
        high if scale else None,
        tuple(options) if choice else (),
        guidance.strip(),
    )


def _options_fit(options: Any) -> bool:
    if not isinstance(options, list) or not 2 <= len(options) <= MAX_OPTIONS:
        return False
    texts = all(isinstance(option, str) and option.strip() and len(option) <= 200 for option in options)
    return texts and len(set(options)) == len(options)


def scores_checked(rubric: Rubric, scores: Any, where: str = "scores") -> dict[str, Any]:
    """The scores of one review, complete and within the rubric.

    Booleans and the words pass and fail answer pass_fail; whole numbers answer scales. Raises
    ``ValidationFailed`` with every problem under ``scores.<criterion>``.
    """
    if not isinstance(scores, Mapping):
        raise ValidationFailed.field(where, "invalid", f"{where} must be an object: criterion to value.")
    errors: list[FieldError] = []
    known = {criterion.name: criterion for criterion in rubric.criteria}
    for name in scores:
        if name not in known:
            message = f"The rubric has no criterion {str(name)[:60]!r}; it has {', '.join(known)}."
            errors.append(FieldError(f"{where}.{name}", "unknown", message))
    checked: dict[str, Any] = {}
    for criterion in rubric.criteria:
        value = scores.get(criterion.name)
        field = f"{where}.{criterion.name}"
        if value is None or value == "":
            if criterion.required:
                errors.append(FieldError(field, "required", f"Score {criterion.name!r}: {_expectation(criterion)}."))
            continue
        fitting = _value(criterion, value)
        if fitting is None:
            errors.append(FieldError(field, "invalid", f"{criterion.name!r} takes {_expectation(criterion)}."))
        else:
            checked[criterion.name] = fitting
    if errors:
        raise ValidationFailed(errors[0].message, errors=errors)
    return checked


def _expectation(criterion: Criterion) -> str:
    if criterion.type == CriterionType.SCALE:
        return f"a whole number from {criterion.min} to {criterion.max}"
    if criterion.type == CriterionType.CHOICE:
        return f"one of {', '.join(criterion.options)}"
    return "true or false" if criterion.type == CriterionType.PASS_FAIL else f"text of at most {MAX_TEXT} letters"


def _value(criterion: Criterion, value: Any) -> Any:
    """The value as stored, or None where it does not fit."""
    if criterion.type == CriterionType.PASS_FAIL:
        words = {"pass": True, "true": True, "fail": False, "false": False}
        return value if isinstance(value, bool) else words.get(value.lower()) if isinstance(value, str) else None
    if criterion.type == CriterionType.SCALE:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        fits = value == int(value) and (criterion.min or 0) <= value <= (criterion.max or 0)
        return int(value) if fits else None
    if criterion.type == CriterionType.CHOICE:
        return value if value in criterion.options else None
    return value if isinstance(value, str) and len(value) <= MAX_TEXT else None
