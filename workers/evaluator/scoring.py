"""Scores of one output against its reference. Plain functions of two texts; no torch.

A missing output is scored as the empty text.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass
from functools import cache

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU, BLEUScore

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ENTITY = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # addresses
    r"|https?://[^\s,;]+"
    r"|\d+(?:[.,:/-]\d+)*"  # numbers, dates, times
    r"|(?<![.!?]\s)(?<!^)\b[A-Z][\w'-]*(?:\s+[A-Z][\w'-]*)*"  # capitalised, but not because a sentence starts
)


def normalise(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(output: str, reference: str) -> float:
    """1 where the normal forms are equal."""
    return float(normalise(output) == normalise(reference))


def token_f1(output: str, reference: str) -> float:
    """SQuAD's F1 over the words of the normal forms; two empty texts agree."""
    return _f1(Counter(normalise(output).split()), Counter(normalise(reference).split()))


def accuracy(output: str, reference: str) -> float:
    """1 where the answer is the reference label, or starts with it as whole words (`Positive, because …`)."""
    said, wanted = normalise(output), normalise(reference)
    return float(said == wanted or (bool(wanted) and said.startswith(wanted + " ")))


def entity_f1(output: str, reference: str) -> float | None:
    """F1 over entities found by pattern: numbers, dates, addresses, links, capitalised names.

    None where neither text holds one: then there is nothing to measure.
    """
    said = Counter(match.lower() for match in _ENTITY.findall(output))
    wanted = Counter(match.lower() for match in _ENTITY.findall(reference))
    return _f1(said, wanted) if said or wanted else None


def _f1(said: Counter[str], wanted: Counter[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    shared = (said & wanted).total()
    if not shared:
        return 0.0
    precision, recall = shared / said.total(), shared / wanted.total()
    return 2 * precision * recall / (precision + recall)


@cache
def _rouge() -> RougeScorer:
    return RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)


def rouge(output: str, reference: str) -> dict[str, float]:
    """F-measures of ROUGE-1, -2 and -L as rouge-score computes them, with its stemmer."""
    return {name: float(score.fmeasure) for name, score in _rouge().score(reference, output).items()}


@dataclass(frozen=True, slots=True)
class BleuCounts:
    """What a sentence adds to a corpus' BLEU: matches and totals per n-gram order, and both lengths."""

    correct: tuple[int, ...]
    total: tuple[int, ...]
    output_length: int
    reference_length: int
    sentence_score: float


@cache
def _sentence_bleu() -> BLEU:
    return BLEU(effective_order=True)  # without it a short sentence has no 4-grams and scores 0


def bleu_counts(output: str, reference: str) -> BleuCounts:
    """Counts and sentence BLEU (0 to 100) as sacreBLEU computes them."""
    score = _sentence_bleu().sentence_score(output, [reference])
    return BleuCounts(
        correct=tuple(score.counts),
        total=tuple(score.totals),
        output_length=score.sys_len,
        reference_length=score.ref_len,
        sentence_score=float(score.score),
    )


def corpus_bleu(correct: list[int], total: list[int], output_length: int, reference_length: int) -> float:
    """BLEU (0 to 100) of summed counts, with sacreBLEU's default smoothing."""
    score: BLEUScore = BLEU.compute_bleu(
        correct=correct, total=total, sys_len=output_length, ref_len=reference_length, smooth_method="exp"
    )
    return float(score.score)
