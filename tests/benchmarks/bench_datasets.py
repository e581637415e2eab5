"""PII scan, and statistics with quality, beside the peers' libraries.

Run: ``python -m tests.benchmarks.bench_datasets [--rows 1000000]``. Ours and the peers take turns on the same rows in
the same process; medians of several rounds, CPU seconds of this process (all threads) and wall time. A peer that is not
installed is left out and said so.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings.test")

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from apps.datasets.pii import DEFAULT_RULES, PiiRule, scan_rows, spans
from apps.datasets.quality import examine
from apps.datasets.reading.rows import RowsFile
from apps.datasets.types import Column

WORDS = re.findall(
    "[a-z]+",
    """the of and to in is you that it he was for on are as with his they at be this have from or one had by word but
    not what all were we when your can said there use an each which she do how their if will up other about many then
    them these so some her would make like him into time has look two more write go see number no way could people""",
)
# The kinds that the goal speaks of: eight patterns, four of them with a checksum or a plan behind it.
EIGHT = ("email", "phone_international", "phone_national", "credit_card", "iban", "us_ssn", "ipv4", "aws_key")
PII_ROWS = 100_000
PRESIDIO_ROWS = 400
ROUNDS = 5


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def report(title: str, rows: int, peers: dict[str, tuple[int, Callable[[], Any]]]) -> None:
    """Take turns, print medians: rows a second by CPU and by wall, and the ratio to the first."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    for _rows, call in peers.values():
        call()
    for _round in range(ROUNDS):
        for name, (_rows, call) in peers.items():
            taken[name].append(timed(call))
    print(f"\n{title} ({rows:,} rows)\n")
    print("| way | rows | CPU s | wall s | rows per CPU second | ratio |\n|---|---|---|---|---|---|")
    first = 0.0
    for name, (count, _call) in peers.items():
        cpu = statistics.median(pair[0] for pair in taken[name])
        wall = statistics.median(pair[1] for pair in taken[name])
        speed = count / cpu
        first = first or speed
        print(f"| {name} | {count:,} | {cpu:.3f} | {wall:.3f} | {speed:,.0f} | {speed / first:.3f} |")


def pii_texts() -> list[str]:
    """Rows of 25 words; four in a hundred hold something, six hold a long number that is nothing."""
    made = np.random.default_rng(7)
    words = np.array(WORDS)
    rows = []
    for chance, number in zip(made.random(PII_ROWS), made.integers(10**12, size=PII_ROWS), strict=True):
        text = " ".join(made.choice(words, 25))
        if chance < 0.02:
            text += f" mail p{number % 9_999}@example.com"
        elif chance < 0.03:
            text += f" call 415-555-0{number % 899 + 100}"
        elif chance < 0.04:
            text += " 4111 1111 1111 1111"
        elif chance < 0.10:
            text += f" order {number}"
        rows.append(text)
    return rows


def presidio(texts: list[str]) -> Callable[[], Any] | None:
    """Presidio's pattern recognisers on a blank pipeline, as fast as it gets."""
    try:
        analyzer = importlib.import_module("presidio_analyzer")
        engines = importlib.import_module("presidio_analyzer.nlp_engine")
        predefined = importlib.import_module("presidio_analyzer.predefined_recognizers")
        spacy = importlib.import_module("spacy")
        # Its e-mail recogniser would like to download a list of domains, and says so at length.
        logging.disable(logging.CRITICAL)
    except ImportError:
        print("presidio is not installed: left out (requirements/ner.txt)")
        return None
    engine = engines.SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": spacy.blank("en")}
    registry = analyzer.RecognizerRegistry(supported_languages=["en"])
    for name in ("Email", "Phone", "CreditCard", "Iban", "UsSsn", "Ip"):
        registry.add_recognizer(getattr(predefined, f"{name}Recognizer")(supported_language="en"))
    found = analyzer.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
    return lambda: [found.analyze(text, language="en", score_threshold=0.4) for text in texts]


def bench_pii(folder: Path) -> None:
    """Ours with all rules and with eight, every rule on every text, bare `re`, polars without checksums, Presidio."""
    texts = pii_texts()
    path = folder / "pii.parquet"
    pq.write_table(pa.table({"c0": pa.array(texts, pa.large_string())}), path, row_group_size=65_536)
    rows = RowsFile(path, (Column("text", "string", False),))
    eight: tuple[PiiRule, ...] = tuple(rule for rule in DEFAULT_RULES if rule.key in EIGHT)
    some, few = texts[:10_000], texts[:PRESIDIO_ROWS]
    slow = sum(len(spans(text, eight)) for text in texts)
    assert scan_rows(rows, eight).total == slow, "fast and slow way differ"
    plain = [re.compile(rule.pattern, re.ASCII) for rule in eight]
    column = pl.Series(texts)
    screens = [rule.closer for rule in eight]
    peers: dict[str, tuple[int, Callable[[], Any]]] = {
        "ours, 8 rules, from the file": (PII_ROWS, lambda: scan_rows(rows, eight)),
        f"ours, all {len(DEFAULT_RULES)} rules, from the file": (PII_ROWS, lambda: scan_rows(rows)),
        "ours, the slow way (8 rules on every text)": (len(some), lambda: [spans(text, eight) for text in some]),
        "re, 8 patterns, no checksums": (len(some), lambda: [[p.findall(text) for p in plain] for text in some]),
        "polars, 8 patterns, yes or no only": (PII_ROWS, lambda: [column.str.contains(s).sum() for s in screens]),
    }
    other = presidio(few)
    if other is not None:
        peers["Presidio, 6 recognisers, no model"] = (len(few), other)
    report("PII scan", PII_ROWS, peers)


def quality_file(path: Path, count: int) -> RowsFile:
    """Pairs of texts, a number, a word; a percent missing."""
    made = np.random.default_rng(1)
    base = [" ".join(row) for row in made.choice(np.array(WORDS), (50_000, 12))]
    schema = pa.schema([pa.field(f"c{place}", pa.large_string()) for place in range(4)])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, count, 50_000):
            numbers = range(start, min(start + 50_000, count))
            columns = [
                [f"{base[n * 7 % 50_000]} {n}" for n in numbers],
                [base[n * 13 % 50_000] if n % 97 else None for n in numbers],
                [str(int(value)) for value in made.normal(1_000, 50, len(numbers))],
                made.choice(["en", "de", "fr", "es"], len(numbers)).tolist(),
            ]
            writer.write_table(pa.table([pa.array(cells, pa.large_string()) for cells in columns], schema=schema))
    kinds = (("instruction", "string"), ("response", "string"), ("size", "integer"), ("lang", "string"))
    return RowsFile(path, tuple(Column(name, kind, True) for name, kind in kinds))


def polars_basics(path: Path) -> None:
    """Read, missing values, repeated rows, moments: what the peers' figures cover."""
    scan = pl.scan_parquet(path)
    scan.select(pl.all().null_count()).collect(engine="streaming")
    scan.select(pl.struct(pl.all()).n_unique()).collect(engine="streaming")
    sizes = [pl.col(name).str.len_chars() for name in ("c0", "c1", "c3")] + [pl.col("c2").cast(pl.Float64)]
    scan.select(
        [e.mean().alias(f"m{i}") for i, e in enumerate(sizes)] + [e.std().alias(f"s{i}") for i, e in enumerate(sizes)]
    ).collect(engine="streaming")


def pandas_basics(path: Path) -> None:
    """The same with pandas."""
    frame = importlib.import_module("pandas").read_parquet(path)
    frame.isna().sum()
    frame.duplicated().sum()
    for name in ("c0", "c1", "c3"):
        frame[name].str.len().describe()
    frame["c2"].astype(float).describe()


def duckdb_basics(path: Path) -> None:
    """The same with DuckDB."""
    rows = importlib.import_module("duckdb").read_parquet(str(path))
    texts = [f"count(*) - count({name}), avg(length({name})), stddev(length({name}))" for name in ("c0", "c1", "c3")]
    rows.aggregate(", ".join([*texts, "avg(c2::double), stddev(c2::double)"])).fetchall()
    rows.project("hash(c0, c1, c2, c3) as h").distinct().count("h").fetchall()


def bench_quality(folder: Path, count: int) -> None:
    """Ours (everything: statistics, histograms, frequent values, five components) beside the basics of the peers."""
    rows = quality_file(folder / "quality.parquet", count)
    peers: dict[str, tuple[int, Callable[[], Any]]] = {
        "ours: statistics and quality": (count, lambda: examine(rows, "sft_pair")),
        "ours, 1 MB for hashes and numbers": (count, lambda: examine(rows, "sft_pair", memory=1 << 20, folder=folder)),
        "polars: missing, repeated, moments": (count, lambda: polars_basics(rows.path)),
    }
    for name, call in (("duckdb", duckdb_basics), ("pandas", pandas_basics)):
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: left out")
        else:
            peers[f"{name}: missing, repeated, moments"] = (count, partial(call, rows.path))
    report("Statistics and quality", count, peers)


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench_pii(Path(folder))
        bench_quality(Path(folder), arguments.rows)


if __name__ == "__main__":
    main()
