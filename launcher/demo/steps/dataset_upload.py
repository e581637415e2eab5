"""Ada creates two datasets and uploads their files; the checks start by themselves."""

from __future__ import annotations

from launcher.demo.context import TEAM, Demo
from launcher.demo.material import write_benchmark, write_support_questions

SHEET = {
    "source": "chatterbot-corpus 1.3.3, written by its authors for chat programs.",
    "consent": "Published by its authors under a licence; the personal data in six rows is made up.",
    "licence": "BSD-3-Clause",
    "retention": "24 months",
    "contact": "team support",
}


def run(demo: Demo) -> str:
    questions = demo.folder / "support-questions.csv"
    benchmark = demo.folder / "support-benchmark.jsonl"
    rows, items = write_support_questions(questions), write_benchmark(benchmark)
    raw_id = demo.once(
        "raw_dataset_id", lambda: _create(demo, "support-questions", "sft_pair", "Packaged conversations.")
    )
    bench_id = demo.once("benchmark_id", lambda: _create(demo, "support-benchmark", "benchmark", "Other wordings."))
    for dataset_id, path in ((raw_id, questions), (bench_id, benchmark)):
        if f"uploaded_{dataset_id}" not in demo.state.made:
            demo.tell(f"Ada uploads {path.name}")
            demo.ada.upload(f"/catalog/datasets/{dataset_id}/upload", [path])
            demo.state.remember(**{f"uploaded_{dataset_id}": True})
    return f"{rows} question-answer pairs (six with made-up personal data) and {items} benchmark items"


def _create(demo: Demo, name: str, kind: str, change_log: str) -> str:
    found = demo.ada.find("/catalog/datasets", name=name, version="1.0")
    if found:
        return str(found["id"])
    body = {
        "name": name,
        "version": "1.0",
        "ownerTeam": TEAM,
        "type": kind,
        "changeLog": change_log,
        "metadata": {"language": "en", "datasheet": {**SHEET, "what": change_log}},
    }
    return str(demo.ada.post("/catalog/datasets", body)["id"])
