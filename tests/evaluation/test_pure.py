"""Rubrics, agreement, resampling and recommendations: no database, figures known from elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from apps.core.errors import ValidationFailed
from apps.evaluation import agreement
from apps.evaluation.rubric import DEFAULT_RUBRIC, Rubric, rubric_from, scores_checked
from apps.evaluation.services.compare import recommended
from apps.evaluation.statistics import mean_estimate, paired_estimate
from apps.evaluation.types import Difference
from tests.evaluation.support import RUBRIC

# A table that is often worked through for Fleiss' kappa: fourteen people, ten items, five answers; kappa = 0.210.
FLEISS = (
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
)
# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C: four observers, twelve units.
KRIPPENDORFF = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)


def krippendorff_ratings() -> list[dict[int, int]]:
    rows = [line.split() for line in KRIPPENDORFF]
    return [
        {person: int(row[unit]) for person, row in enumerate(rows) if row[unit] != "."} for unit in range(len(rows[0]))
    ]


def test_agreement_of_two_people_is_cohens() -> None:
    """FR-005c: the textbook table 20/5/10/15 gives kappa 0.4."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    ratings = [{"a": one, "b": other} for one, other in pairs]
    assert agreement.cohen_kappa(ratings) == pytest.approx(0.4)


def test_agreement_of_many_people_is_fleiss() -> None:
    """FR-005c: the table that textbooks work through."""
    ratings: list[dict[Any, Any]] = []
    for counts in FLEISS:
        said = [kind for kind, count in enumerate(counts) for _ in range(count)]
        ratings.append(dict(enumerate(said)))
    assert agreement.fleiss_kappa(ratings) == pytest.approx(0.210, abs=0.0006)


def test_agreement_with_missing_ratings_is_krippendorffs() -> None:
    """FR-005c: the example of Krippendorff's own paper: 0.743 nominal, 0.849 interval."""
    ratings = krippendorff_ratings()
    assert agreement.krippendorff_alpha(ratings) == pytest.approx(0.743, abs=0.0006)
    assert agreement.krippendorff_alpha(ratings, interval=True) == pytest.approx(0.849, abs=0.0006)


def test_agreement_says_nothing_where_there_is_nothing_to_say() -> None:
    """FR-005c: one judge, no judge, or always the same answer: no figure rather than a wrong one."""
    for ratings in ([], [{"a": 1}], [{"a": 1, "b": 1}] * 5):
        assert agreement.cohen_kappa(ratings) is None
        assert agreement.fleiss_kappa(ratings) is None
        assert agreement.krippendorff_alpha(ratings) is None
    assert agreement.fleiss_kappa([{"a": 1, "b": 2}, {"a": 1}]) is None
    assert agreement.cohen_kappa([{"a": 1, "b": 1, "c": 1}]) is None


@pytest.mark.parametrize(
    ("rubric", "field"),
    [
        ({}, "rubric.criteria"),
        ({"criteria": []}, "rubric.criteria"),
        ({"criteria": "x"}, "rubric.criteria"),
        ({"criteria": ["x"]}, "rubric.criteria[0]"),
        ({"criteria": [{"name": "a", "type": "stars"}]}, "rubric.criteria[0].type"),
        ({"criteria": [{"name": " ", "type": "text"}]}, "rubric.criteria[0].name"),
        ({"criteria": [{"name": "F1", "type": "text"}]}, "rubric.criteria[0].name"),
        ({"criteria": [{"name": "a", "type": "scale", "min": 5, "max": 1}]}, "rubric.criteria[0].max"),
        ({"criteria": [{"name": "a", "type": "scale", "min": True, "max": 3}]}, "rubric.criteria[0].max"),
        ({"criteria": [{"name": "a", "type": "choice", "options": ["x"]}]}, "rubric.criteria[0].options"),
        ({"criteria": [{"name": "a", "type": "text"}, {"name": "A", "type": "text"}]}, "rubric.criteria[1].name"),
        ({"criteria": [{"name": "a", "type": "text"}], "reviewsPerSample": 0}, "rubric.reviewsPerSample"),
        ({"criteria": [{"name": "a", "type": "text"}], "reviews_per_sample": "2"}, "rubric.reviewsPerSample"),
    ],
)
def test_starter_cannot_give_a_broken_rubric(rubric: dict[str, Any], field: str) -> None:
    """FR-005c: every problem is named with its place."""
    with pytest.raises(ValidationFailed) as caught:
        rubric_from(rubric)
    assert caught.value.errors[0].field == field


def test_rubric_survives_storing() -> None:
    """FR-005c: what was checked once reads back the same."""
    choice = {"name": "tone", "type": "choice", "options": ["warm", "cold"], "guidance": "How does it sound?"}
    rubric = rubric_from({"criteria": [*RUBRIC["criteria"], choice], "reviews_per_sample": 3})
    assert Rubric.stored(rubric.to_json()) == rubric
    assert Rubric.stored(DEFAULT_RUBRIC.to_json()) == DEFAULT_RUBRIC


def test_reviewer_can_answer_every_kind_of_criterion() -> None:
    """FR-005c: words and numbers arrive as what they mean; free text may stay empty."""
    rubric = rubric_from(
        {
            "criteria": [
                *RUBRIC["criteria"],
                {"name": "tone", "type": "choice", "options": ["warm", "cold"]},
                {"name": "why", "type": "text"},
            ]
        }
    )
    given = {"helpful": 4.0, "safe": "Pass", "tone": "warm", "why": ""}
    assert scores_checked(rubric, given) == {"helpful": 4, "safe": True, "tone": "warm"}


@pytest.mark.parametrize(
    ("scores", "field"),
    [
        (None, "scores"),
        ([], "scores"),
        ({"safe": True}, "scores.helpful"),
        ({"safe": True, "helpful": 6}, "scores.helpful"),
        ({"safe": True, "helpful": 2.5}, "scores.helpful"),
        ({"safe": True, "helpful": True}, "scores.helpful"),
        ({"safe": True, "helpful": "4"}, "scores.helpful"),
        ({"safe": "maybe", "helpful": 4}, "scores.safe"),
        ({"safe": 1, "helpful": 4}, "scores.safe"),
        ({"safe": True, "helpful": 4, "more": 1}, "scores.more"),
        ({"safe": True, "helpful": float("nan")}, "scores.helpful"),
    ],
)
def test_reviewer_cannot_score_beside_the_rubric(scores: Any, field: str) -> None:
    """FR-005c: missing, unknown and impossible scores are named."""
    with pytest.raises(ValidationFailed) as caught:
        scores_checked(rubric_from(RUBRIC), scores)
    assert field in [error.field for error in caught.value.errors]


def test_paired_difference_is_certain_where_it_is_constant() -> None:
    """FR-005e: the same step on every item leaves no room for chance; no step leaves nothing else."""
    a = [float(n % 3) for n in range(30)]
    found = paired_estimate(a, [value + 0.5 for value in a], seed=1)
    assert (found.difference, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    same = paired_estimate(a, a, seed=1)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_paired_difference_knows_noise_from_effect() -> None:
    """FR-005e: opposite changes cancel; most changes one way do not; figures repeat with the seed."""
    a = [0.5] * 40
    noisy = paired_estimate(a, [0.5 + (0.3 if n % 2 else -0.3) for n in range(40)], seed=1)
    assert noisy.low < 0 < noisy.high
    assert noisy.p_value > 0.5
    clear = paired_estimate(a, [0.5 + (0.3 if n % 4 else -0.1) for n in range(40)], seed=1)
    assert clear.low > 0
    assert clear.p_value < 0.01
    assert clear == paired_estimate(a, [0.5 + (0.3 if n % 4 else -0.1) for n in range(40)], seed=1)


def test_perplexity_is_compared_as_a_ratio() -> None:
    """FR-005e: one monstrous sample does not decide; levels are geometric means."""
    found = paired_estimate([10.0, 1000.0], [10.0, 10.0], seed=1, logarithmic=True)
    assert (found.a, found.b) == pytest.approx((100.0, 10.0))


def test_mean_of_one_sample_has_an_interval() -> None:
    """FR-005c: nothing breaks on the smallest review."""
    found = mean_estimate([0.25], seed=1)
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def difference(low: float, high: float, *, lower_is_better: bool = False) -> Difference:
    return Difference("f1", 0.5, 0.6, (low + high) / 2, low, high, 0.01, 20, lower_is_better)


@pytest.mark.parametrize(
    ("differences", "samples", "verdict"),
    [
        ([], 50, "insufficient_evidence"),
        ([difference(0.1, 0.2)], 9, "insufficient_evidence"),
        ([difference(0.1, 0.2), difference(-0.1, 0.1)], 10, "promote"),
        ([difference(-0.2, -0.1)], 10, "reject"),
        ([difference(-0.1, 0.1)], 10, "hold"),
        ([difference(0.1, 0.2), difference(-0.2, -0.1)], 10, "hold"),
        ([difference(-2.0, -1.0, lower_is_better=True)], 10, "promote"),
        ([difference(1.0, 2.0, lower_is_better=True)], 10, "reject"),
    ],
)
def test_recommendation_follows_the_evidence(differences: list[Difference], samples: int, verdict: str) -> None:
    """FR-005e: promote, hold, reject or not enough evidence, with reasons."""
    found = recommended(differences, samples)
    assert found.verdict == verdict
    assert found.reasons
