"""Random numbers that are the same everywhere and for ever: a function of a seed and a row's number."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_WHOLE = float(2**64)


def row_noise(seed: int, start: int, stop: int) -> npt.NDArray[np.uint64]:
    """64 random bits for each of the rows ``start`` to ``stop`` (half-open).

    SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014) at the position of
    the row: no state, so parts can be drawn in any order, and no library decides what comes out.
    """
    origin = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "little")
    with np.errstate(over="ignore"):
        mixed = np.arange(start, stop, dtype=np.uint64) + np.uint64(1)
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + np.uint64(origin)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def rows_sampled(seed: int, start: int, stop: int, share: float) -> npt.NDArray[np.int64]:
    """Positions (from 0, within ``start`` to ``stop``) of a random ``share`` (0 to 1) of the rows."""
    if share >= 1:
        return np.arange(stop - start)
    return np.flatnonzero(row_noise(seed, start, stop) < np.uint64(int(share * _WHOLE)))
