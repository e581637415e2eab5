"""Names of people and places in texts, found by a language model on this machine (Presidio on a packaged spaCy model).

Optional: the packages are in ``requirements/ner.txt``, and nothing of them is imported before they are asked.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# What the model calls things → what we call them. The rest (dates, quantities, organisations …) is nobody's name.
KINDS: dict[str, tuple[str, ...]] = {"person": ("PERSON", "PER"), "location": ("GPE", "LOC", "FAC")}
_IGNORED = (
    *("CARDINAL", "DATE", "EVENT", "LANGUAGE", "LAW", "MISC", "MONEY", "NORP", "ORDINAL", "ORG", "PERCENT", "PRODUCT"),
    *("QUANTITY", "TIME", "WORK_OF_ART"),
)
# The model refuses texts of a million characters and needs about a gigabyte for a tenth of that.
_PIECE = 20_000


@dataclass(frozen=True, slots=True)
class Entity:
    """A name in a text: its kind (``person``, ``location``), characters ``start`` to ``end`` (half-open), and how sure
    the model is (0 to 1)."""

    kind: str
    start: int
    end: int
    score: float


class EntityFinder(Protocol):
    """Finds names."""

    def find(self, texts: Sequence[str]) -> list[list[Entity]]:
        """The names in each text, in order of place."""
        ...


def pieces(text: str, size: int = _PIECE) -> Iterator[tuple[int, str]]:
    """A text in parts of at most ``size`` characters, cut at white space where there is some, with their offsets."""
    start = 0
    while len(text) - start > size:
        cut = text.rfind(" ", start + size // 2, start + size)
        end = cut + 1 if cut >= 0 else start + size
        yield start, text[start:end]
        start = end
    yield start, text[start:]


class PresidioFinder:
    """Presidio's analyzer with its spaCy recogniser only; patterns are found faster elsewhere."""

    def __init__(self, model: str, kinds: Sequence[str], threshold: float) -> None:
        presidio = importlib.import_module("presidio_analyzer")
        engines = importlib.import_module("presidio_analyzer.nlp_engine")
        recognisers = importlib.import_module("presidio_analyzer.predefined_recognizers")
        labels = {label: kind.upper() for kind in kinds for label in KINDS[kind]}
        others = [label for kind, names in KINDS.items() if kind not in kinds for label in names]
        configuration = {
            "nlp_engine_name": "spacy",
            "models": [{"lang_code": "en", "model_name": model}],
            "ner_model_configuration": {
                "model_to_presidio_entity_mapping": labels,
                "low_score_entity_names": [],
                "labels_to_ignore": [*_IGNORED, *others],
            },
        }
        engine: Any = engines.NlpEngineProvider(nlp_configuration=configuration).create_engine()
        pipeline = engine.nlp["en"]
        # Names need neither grammar nor lemmas, which are most of the work.
        pipeline.select_pipes(enable=[name for name in ("tok2vec", "ner") if name in pipeline.pipe_names])
        self.entities = [kind.upper() for kind in kinds]
        registry = presidio.RecognizerRegistry(supported_languages=["en"])
        registry.add_recognizer(recognisers.SpacyRecognizer(supported_language="en", supported_entities=self.entities))
        self.threshold = threshold
        self.batch: Any = presidio.BatchAnalyzerEngine(
            presidio.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
        )

    def find(self, texts: Sequence[str]) -> list[list[Entity]]:
        """The names in each text."""
        parts = [(number, start, part) for number, text in enumerate(texts) for start, part in pieces(text) if part]
        found: list[list[Entity]] = [[] for _text in texts]
        answers = self.batch.analyze_iterator(
            [part for _number, _start, part in parts],
            language="en",
            entities=self.entities,
            score_threshold=self.threshold,
        )
        for (number, start, _part), results in zip(parts, answers, strict=True):
            for result in sorted(results, key=lambda result: result.start):
                kind = str(result.entity_type).lower()
                found[number].append(Entity(kind, start + result.start, start + result.end, float(result.score)))
        return found


def entity_finder_check() -> None:
    """Stop the start with a sentence when names are to be found and the means are missing.

    Raises:
        ImproperlyConfigured: the packages or the model are not installed, or a kind is unknown.
    """
    if not settings.DATASETS_PII_NER:
        return
    unknown = sorted(set(settings.DATASETS_PII_NER_KINDS) - KINDS.keys())
    if unknown or not settings.DATASETS_PII_NER_KINDS:
        raise ImproperlyConfigured(
            f"LLMOPS_DATASETS_PII_NER_KINDS holds {', '.join(unknown) or 'nothing'}; known are: {', '.join(KINDS)}."
        )
    for module in ("presidio_analyzer", "spacy", settings.DATASETS_PII_NER_MODEL):
        if importlib.util.find_spec(module) is None:
            raise ImproperlyConfigured(
                f"LLMOPS_DATASETS_PII_NER is true, but {module} is not installed. Install requirements/ner.txt (or the "
                "model that LLMOPS_DATASETS_PII_NER_MODEL names), or set LLMOPS_DATASETS_PII_NER=false."
            )


def entity_finder() -> EntityFinder:
    """The finder of this installation; made once in a process, because loading the model takes seconds."""
    entity_finder_check()
    return _built(
        settings.DATASETS_PII_NER_MODEL,
        tuple(settings.DATASETS_PII_NER_KINDS),
        settings.DATASETS_PII_NER_THRESHOLD,
    )


@lru_cache(maxsize=1)
def _built(model: str, kinds: tuple[str, ...], threshold: float) -> EntityFinder:
    return PresidioFinder(model, kinds, threshold)
