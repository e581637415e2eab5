"""Scores (FR-005b): equal to hand-computed values, and to the libraries' own figures over a corpus."""

from __future__ import annotations

import math

import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from workers.contracts import BootstrapSettings
from workers.evaluator import aggregate, scoring

SETTINGS = BootstrapSettings(resamples=500)
PAIRS = [
    ("the cat sat on the mat", "the cat sat on a mat"),
    ("a completely different answer", "nothing in common"),
    ("", "an answer was expected here"),
    ("Paris is the capital of France.", "Paris is the capital of France."),
    ("yes", "yes"),
]


@pytest.mark.parametrize(
    ("output", "reference", "exact", "f1", "accuracy"),
    [
        ("The Answer, is 42!", "answer is 42", 1.0, 1.0, 1.0),
        ("", "", 1.0, 1.0, 1.0),
        ("", "x", 0.0, 0.0, 0.0),
        ("x", "", 0.0, 0.0, 0.0),
        # 2 shared of 3 said and 2 wanted words: 2 * (2/3 * 1) / (2/3 + 1) = 0.8
        ("red big apple", "big apple", 0.0, 0.8, 0.0),
        # a repeated word counts once: 1 shared of 3 said, 1 wanted: 0.5
        ("no no no", "no", 0.0, 0.5, 1.0),
        ("Positive, because it is good", "positive", 0.0, 1 / 3, 1.0),
        ("positively", "positive", 0.0, 0.0, 0.0),
    ],
)
def test_evaluator_can_score_answers(output: str, reference: str, exact: float, f1: float, accuracy: float) -> None:
    """FR-005b: exact match and F1 as SQuAD defines them, accuracy by leading label."""
    assert scoring.exact_match(output, reference) == exact
    assert scoring.token_f1(output, reference) == pytest.approx(f1)
    assert scoring.accuracy(output, reference) == accuracy


@pytest.mark.parametrize(
    ("output", "reference", "expected"),
    [
        ("we met Ada Lovelace on 2026-11-23", "it was Ada Lovelace on 2026-11-23", 1.0),
        ("we met Ada", "we met Ben", 0.0),
        ("call 12 or 13", "call 12", 2 / 3),
        ("The sky is blue. It is wide.", "so it is", None),
        ("write to a.b@c.org", "nobody", 0.0),
    ],
)
def test_evaluator_can_score_entities(output: str, reference: str, expected: float | None) -> None:
    """FR-005b: entities are numbers, dates, addresses and names; without any there is no score."""
    found = scoring.entity_f1(output, reference)
    assert found == (None if expected is None else pytest.approx(expected))


def test_evaluator_can_score_bleu_like_sacrebleu() -> None:
    """FR-005b: BLEU of summed counts is sacreBLEU's corpus BLEU, to the last digit shown."""
    outputs, references = zip(*PAIRS, strict=True)
    counts = [scoring.bleu_counts(*pair) for pair in PAIRS]
    value = aggregate.bleu(counts, SETTINGS, seed=1)
    expected = sacrebleu.corpus_bleu(list(outputs), [list(references)]).score
    assert value.value == pytest.approx(expected, abs=1e-9)
    assert value.low <= value.value <= value.high
    assert counts[3].sentence_score == pytest.approx(100)
    assert counts[4].sentence_score == pytest.approx(100)  # shorter than four words, still a full match
    assert counts[2].sentence_score == 0


def test_evaluator_can_score_rouge_like_rouge_score() -> None:
    """FR-005b: ROUGE-1, -2 and -L are rouge-score's F-measures; one of them also by hand."""
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    for output, reference in PAIRS:
        expected = {name: found.fmeasure for name, found in scorer.score(reference, output).items()}
        assert scoring.rouge(output, reference) == expected
    # "the cat sat on the mat" against "the cat sat on a mat": 5 of 6 words shared
    assert scoring.rouge(*PAIRS[0])["rouge1"] == pytest.approx(5 / 6)


def test_evaluator_can_give_an_interval_for_a_mean() -> None:
    """FR-005b: the percentile bootstrap covers what theory says, and repeats with its seed."""
    scores = [float(n % 10 < 7) for n in range(400)]
    rate = sum(scores) / len(scores)
    value = aggregate.mean(scores, BootstrapSettings(resamples=2000), seed=3)
    half = 1.96 * math.sqrt(rate * (1 - rate) / len(scores))
    assert value.value == pytest.approx(rate)
    assert value.low == pytest.approx(rate - half, abs=0.01)
    assert value.high == pytest.approx(rate + half, abs=0.01)
    assert value == aggregate.mean(scores, BootstrapSettings(resamples=2000), seed=3)
    assert value != aggregate.mean(scores, BootstrapSettings(resamples=2000), seed=4)


def test_evaluator_can_give_an_interval_for_one_sample() -> None:
    """FR-005b: with one sample the interval is that sample; nothing breaks."""
    assert aggregate.mean([0.25], SETTINGS, seed=1).low == 0.25


def test_evaluator_can_weigh_perplexity_by_tokens() -> None:
    """FR-005b: exp of summed losses over summed tokens, not the mean of the samples' figures."""
    value = aggregate.perplexity([(2.0, 1), (3.0, 9)], SETTINGS, seed=1)
    assert value.value == pytest.approx(math.exp(5 / 10))
    assert value.low == pytest.approx(math.exp(3 / 9), rel=0.01)
