"""FR-003d: drift of columns, with its reading; chance is told from change."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.datasets.comparison import drift_between
from apps.datasets.comparison.drift import chi_square_99, ks_two_samples, psi
from apps.datasets.randomness import row_noise, rows_sampled
from tests.datasets.files import jsonl, rows_of

MEMORY = 64 * 1024 * 1024


def drift(
    tmp_path: Path, old: list[dict[str, Any]], new: list[dict[str, Any]], memory: int = MEMORY
) -> dict[str, dict[str, Any]]:
    """Drift by column between two lists of rows."""
    sides = []
    for name, rows in (("old", old), ("new", new)):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        sides.append(rows_of(folder, jsonl({"text": "t", **row} for row in rows), kind="pretrain_corpus"))
    return {entry["name"]: entry for entry in drift_between(*sides, memory=memory)}


def test_index_follows_its_formula() -> None:
    """FR-003d: Σ(a−e)·ln(a/e) over shares with half a row in every bin; sides without counts give nothing."""
    expected = (0.5 - 0.25) * math.log(0.5 / 0.25) + (0.5 - 0.75) * math.log(0.5 / 0.75)
    assert psi([250_000, 750_000], [500_000, 500_000])[0] == pytest.approx(expected, rel=1e-4)
    assert psi([5, 5], [5, 5])[0] == 0
    assert psi([100, 0], [0, 100])[0] == pytest.approx(2 * (100 / 101) * math.log(201))
    assert psi([1, 2], [0, 0])[0] is None
    assert psi([], [])[0] is None


def test_chance_is_known() -> None:
    """FR-003d: the 99 % points of χ² in tables: 2 degrees 9.210, 9 degrees 21.666, 50 degrees 76.154."""
    for degrees, point in ((2, 9.210), (9, 21.666), (50, 76.154)):
        assert chi_square_99(degrees) == pytest.approx(point, rel=0.01)
    assert chi_square_99(0) == 0


def test_gap_of_two_distributions() -> None:
    """FR-003d: Kolmogorov–Smirnov by hand; ties, empty sides, equal sides."""
    first, second = np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])
    distance, probability = ks_two_samples(first, second)
    assert distance == 0.5
    assert probability is not None
    assert 0.4 < probability < 0.9
    assert ks_two_samples(first, first) == (0.0, 1.0)
    assert ks_two_samples(first, np.empty(0)) == (None, None)
    # The point where the asymptotic 5 % lies: D = 1.358 · sqrt((n + m) / nm).
    count = 2_000
    shifted = np.arange(count, dtype=np.float64) + 1.358 * math.sqrt(2 / count) * count
    assert ks_two_samples(np.arange(count, dtype=np.float64), shifted)[1] == pytest.approx(0.05, abs=0.01)


def test_same_distribution_shows_no_drift(tmp_path: Path) -> None:
    """FR-003d: two samples of one source: whatever the index, chance is called chance."""
    source = np.random.default_rng(3)

    def draw(count: int) -> list[dict[str, Any]]:
        return [
            {"n": source.normal(), "lang": str(source.choice(["en", "de"])), "note": "x" * int(source.integers(1, 90))}
            for _row in range(count)
        ]

    for count in (30, 2_000):
        found = drift(tmp_path, draw(count), draw(count))
        assert {entry["level"] for entry in found.values()} == {"none"}, found
        assert found["n"]["reading"].startswith("No drift beyond chance")


def test_change_is_found_and_read(tmp_path: Path) -> None:
    """FR-003d: moved numbers, other categories, longer texts, missing values — each with a level and words."""
    old = [{"n": n % 100, "lang": "en" if n % 10 else "de", "note": "a" * (n % 50), "gap": n} for n in range(1_000)]
    new = [
        {"n": n % 100 + 60, "lang": "en" if n % 2 else "de", "note": "a" * (n % 50 + 3), "gap": n if n % 3 else None}
        for n in range(1_000)
    ]
    found = drift(tmp_path, old, new)
    assert (found["n"]["measured"], found["n"]["level"]) == ("value", "large")
    assert found["n"]["ks"] == 0.6
    assert "60.0 % apart (p < 0.001)" in found["n"]["reading"]
    assert (found["lang"]["measured"], found["lang"]["level"]) == ("category", "large")
    assert found["lang"]["ks"] is None
    assert found["lang"]["bins"] == [
        {"label": "en", "before": 900, "after": 500},
        {"label": "de", "before": 100, "after": 500},
    ]
    assert found["note"]["measured"] == "length"
    assert found["note"]["level"] == "moderate", "an empty text counts as missing"
    assert found["gap"]["bins"][-1] == {"label": "missing", "before": 0, "after": 334}
    assert found["gap"]["level"] == "large"
    assert found["text"]["level"] == "none"


def test_sides_without_values_are_not_judged(tmp_path: Path) -> None:
    """FR-003d: where nothing can be said, that is what is said; constants and single rows do no harm."""
    found = drift(tmp_path, [{"n": None, "c": 5}], [{"n": None, "c": 5}])
    assert found["c"]["level"] == "none"
    assert found["n"]["level"] == "none", "missing on both sides is the same"
    other = drift(tmp_path, [{"c": 5}] * 300, [{"c": 6}] * 300)
    assert other["c"]["level"] == "large"


def test_sampling_does_not_fall_into_a_rhythm(tmp_path: Path) -> None:
    """FR-003d: rows that alternate are sampled by chance, so that a change of one in ten is still seen."""
    old = [{"lang": "en" if n % 10 < 8 else "de"} for n in range(30_000)]
    new = [{"lang": "en" if n % 10 < 5 else "de"} for n in range(30_000)]
    found = drift(tmp_path, old, new, memory=2 * 2 * 16 * 3_000)["lang"]
    assert 2_500 < found["rowsBefore"] < 3_500
    assert found["level"] == "large"
    shares = [entry["before"] / found["rowsBefore"] for entry in found["bins"]]
    assert shares == pytest.approx([0.8, 0.2], abs=0.03)


def test_noise_is_fixed_for_ever() -> None:
    """FR-003b: the same seed gives the same rows on any machine and version: the numbers themselves are pinned."""
    pinned = [5825307330530455598, 13446873716017516812, 12824734772040430310]
    assert row_noise(7, 0, 3).tolist() == row_noise(7, 0, 10).tolist()[:3] == pinned
    assert row_noise(7, 2, 5).tolist() == row_noise(7, 0, 5).tolist()[2:]
    assert row_noise(7, 0, 3).tolist() != row_noise(8, 0, 3).tolist()
    assert rows_sampled(1, 0, 100_000, 0.1).size == pytest.approx(10_000, rel=0.05)
    assert rows_sampled(1, 0, 5, 1.0).tolist() == [0, 1, 2, 3, 4]
    noise = row_noise(7, 0, 100_000).astype(float) / 2**64
    assert abs(noise.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.01
