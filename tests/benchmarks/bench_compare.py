"""Comparing two datasets: time, CPU and memory of differences and drift, beside a plain join in polars.

Run: ``python -m tests.benchmarks.bench_compare [--rows 10000000] [--memory 268435456]``. Each way runs in a process
of its own, so that its peak memory is its own; the two sides are made once.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from apps.datasets.comparison import Differences, differences, drift_between, page_of
from apps.datasets.reading import RowsFile
from apps.datasets.types import Column

COLUMNS = (
    Column("id", "integer", False, "json"),
    Column("text", "string", False),
    Column("score", "number", False, "json"),
    Column("lang", "string", False),
)
GROUP = 65_536


def write_side(path: Path, rows: int, *, later: bool) -> None:
    """A rows file; the later side lost one row in 200, changed one in 100, and has as many new ones as it lost."""
    random = np.random.default_rng(5)
    words = np.array(["reset", "router", "button", "seconds", "cable", "light", "green", "hold", "press", "wait"])
    schema = pa.schema([pa.field(f"c{place}", pa.large_string()) for place in range(4)])
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False) as writer:
        for start in range(0, rows, GROUP):
            ids = np.arange(start, min(rows, start + GROUP))
            picked = words[random.integers(0, len(words), (ids.size, 8))]
            text = pl.DataFrame(picked).select(pl.concat_str(pl.all(), separator=" ").alias("t"))["t"]
            score = np.round(random.normal(50, 10, ids.size), 2)
            lang = np.where(ids % 10 < (7 if later else 8), "en", "de")
            if later:
                text = pl.select(pl.when(pl.Series(ids % 100 == 7)).then(text + " changed").otherwise(text))[text.name]
                ids = np.where(ids % 200 == 3, ids + rows, ids)
            frame = pl.DataFrame(
                {"c0": pl.Series(ids).cast(pl.String), "c1": text, "c2": pl.Series(score).cast(pl.String), "c3": lang}
            )
            writer.write_table(frame.to_arrow().cast(schema))


def ours(folder: Path, memory: int) -> dict[str, object]:
    """Differences by key and drift, as the portal works them out."""
    before, after = (RowsFile(folder / f"{name}.parquet", COLUMNS) for name in ("before", "after"))
    started = time.perf_counter()
    found = differences(before, after, "pretrain_corpus", memory=memory, folder=folder)
    middle = time.perf_counter()
    drift = drift_between(before, after, memory=memory)
    return {
        "added": int(found.added.size),
        "removed": int(found.removed.size),
        "modified": len(found.modified),
        "rows s": round(middle - started, 1),
        "drift s": round(time.perf_counter() - middle, 1),
        "page of 20 ms": _page_ms(before, after, found),
        "levels": {entry["name"]: entry["level"] for entry in drift},
    }


def _page_ms(before: RowsFile, after: RowsFile, found: Differences) -> float:
    started = time.perf_counter()
    page_of(before, after, found, limit=20, offset=len(found.modified) // 2)
    return round(1_000 * (time.perf_counter() - started))


def peer(folder: Path, memory: int) -> dict[str, object]:
    """Both sides in memory and joined by key with polars: what one would write by hand."""
    started = time.perf_counter()
    left, right = (pl.read_parquet(folder / f"{name}.parquet") for name in ("before", "after"))
    added = right.join(left, on="c0", how="anti").height
    removed = left.join(right, on="c0", how="anti").height
    both = left.join(right, on="c0", how="inner", suffix="_after")
    changed = both.filter(pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"{c}_after")) for c in ("c1", "c2", "c3")))
    return {
        "added": added,
        "removed": removed,
        "modified": changed.height,
        "rows s": round(time.perf_counter() - started, 1),
    }


WAYS = {"ours": ours, "polars join in memory": peer}


def main() -> None:
    """Make the sides, run each way in its own process, print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", type=int, default=256 * 1024 * 1024)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.way:
        found = WAYS[options.way](options.folder, options.memory)
        used = resource.getrusage(resource.RUSAGE_SELF)
        found |= {"cpu s": round(used.ru_utime + used.ru_stime, 1), "peak MB": used.ru_maxrss // 1024}
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("before", "after"):
            write_side(folder / f"{name}.parquet", options.rows, later=name == "after")
        print(f"{options.rows:,} rows a side, {(folder / 'before.parquet').stat().st_size // 2**20} MB compressed")
        for way in WAYS:
            command = [sys.executable, "-m", "tests.benchmarks.bench_compare", "--way", way, "--folder", place]
            done = subprocess.run(
                [*command, "--memory", str(options.memory)], capture_output=True, text=True, check=False
            )
            print(f"{way}: {done.stdout.strip() or done.stderr[-400:] or f'ended by signal {-done.returncode}'}")


if __name__ == "__main__":
    main()
