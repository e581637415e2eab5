"""The demo's own parts: its file, going on after an interruption, its data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from django.urls import resolve

from launcher.demo import __main__ as demo_main
from launcher.demo.client import RefusedError, StepFailedError
from launcher.demo.context import Demo, Step
from launcher.demo.material import PERSONAL_ROWS, support_answers, write_benchmark, write_support_questions
from launcher.demo.state import DONE, FAILED, WAITING, DemoState
from launcher.demo.steps import STEPS
from launcher.demo.steps.account import cost_lines
from launcher.instance import claim_instance
from launcher.processes import LauncherError

pytest.importorskip("chatterbot_corpus", reason="requirements/demo.txt is not installed")


def statuses(path: Path) -> dict[str, str]:
    return {entry["key"]: entry["status"] for entry in json.loads(path.read_text())["progress"]}


def test_walk_goes_on_with_the_step_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 2, point 4: a failure says which step and what to do; the next run goes on from there."""
    path = tmp_path / "demo.json"
    calls: list[str] = []
    broken = True

    def first(demo: Demo) -> str:
        calls.append("first")
        demo.once("dataset_id", lambda: "d-1")
        return "made"

    def second(demo: Demo) -> str:
        calls.append("second")
        if broken:
            raise StepFailedError("the worker is away", "start it")
        return f"used {demo.made('dataset_id')}"

    monkeypatch.setattr(demo_main, "STEPS", (Step("a", "First", first), Step("b", "Second", second)))
    said: list[str] = []
    assert not demo_main.walk(Demo(DemoState(path), "http://unused", said.append))
    assert statuses(path) == {"a": DONE, "b": FAILED}
    assert path.stat().st_mode & 0o777 == 0o600
    broken = False
    assert demo_main.walk(Demo(DemoState(path), "http://unused", said.append))
    assert calls == ["first", "second", "second"], "what was done is not done again"
    assert DemoState(path).complete


def test_what_came_to_nothing_is_made_again(tmp_path: Path) -> None:
    """Issue 2, point 4: a job that failed does not keep the demo from its end for ever."""
    demo = Demo(DemoState(tmp_path / "demo.json"), "http://unused", lambda text: None)
    assert demo.once("job_id", lambda: "j-1") == "j-1"
    assert demo.once("job_id", lambda: "j-2") == "j-1"
    assert demo.once("job_id", lambda: "j-2", dead=lambda known: known == "j-1") == "j-2"
    assert DemoState(tmp_path / "demo.json").made == {"job_id": "j-2"}


def test_interrupted_step_waits_again(tmp_path: Path) -> None:
    """Issue 2, point 4: a step that was running when the power went is planned anew."""
    state = DemoState(tmp_path / "demo.json")
    state.plan([("a", "First"), ("b", "Second")])
    state.begin("a")
    again = DemoState(tmp_path / "demo.json")
    again.plan([("a", "First"), ("b", "Second"), ("c", "Third")])
    assert statuses(tmp_path / "demo.json") == {"a": WAITING, "b": WAITING, "c": WAITING}


def test_damaged_file_is_told(tmp_path: Path) -> None:
    """Issue 2, point 4: a damaged file gets a sentence, not a traceback."""
    (tmp_path / "demo.json").write_text("{half")
    with pytest.raises(LauncherError, match="is damaged"):
        DemoState(tmp_path / "demo.json")


def test_unknown_person_is_told(tmp_path: Path) -> None:
    """Issue 2, point 4: a file without people says how to make them."""
    with pytest.raises(LauncherError, match="demo_people"):
        DemoState(tmp_path / "demo.json").person("ada")


def test_refusal_carries_the_reasons() -> None:
    """P-1: what the API lists under data.errors is what the demo prints."""
    refusal = RefusedError("PATCH", "/x", 422, "refused", [{"field": "files", "message": "personal data in 6 rows"}])
    assert refusal.reasons == ["personal data in 6 rows"]
    assert "422" in str(refusal)
    assert RefusedError("GET", "/x", 404, "gone", []).reasons == ["gone"]


def test_benchmark_is_not_among_the_training_rows(tmp_path: Path) -> None:
    """Issue 2: 24 benchmark items that the fine-tune has never seen, ten topics' answers behind them."""
    rows = write_support_questions(tmp_path / "s.csv")
    items = write_benchmark(tmp_path / "b.jsonl")
    with (tmp_path / "s.csv").open(newline="") as handle:
        trained = list(csv.DictReader(handle))
    benchmark = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert (rows, items) == (len(trained), 24)
    assert set(trained[0]) == {"instruction", "response"}
    assert not {row["instruction"] for row in trained} & {item["input"] for item in benchmark}
    assert {item["reference"] for item in benchmark} <= set(support_answers().values())
    assert sum((row["instruction"], row["response"]) in PERSONAL_ROWS for row in trained) == len(PERSONAL_ROWS)


def test_steps_have_keys_of_their_own() -> None:
    """Issue 2: the home page tells steps apart by key."""
    assert len({step.key for step in STEPS}) == len(STEPS) >= 10


def test_demo_finds_the_portal_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 2: `make demo` beside a portal on another port finds it; else PORT, else 8000."""
    monkeypatch.setenv("LLMOPS_VAR_DIR", str(tmp_path))
    monkeypatch.delenv("PORT", raising=False)
    assert demo_main._default_url() == "http://127.0.0.1:8000"
    monkeypatch.setenv("PORT", "8055")
    assert demo_main._default_url() == "http://127.0.0.1:8055"
    with claim_instance(tmp_path, "http://127.0.0.1:8123"):
        assert demo_main._default_url() == "http://127.0.0.1:8123"


def test_demo_names_addresses_that_exist(tmp_path: Path) -> None:
    """Issue 2: what the demo says to look at first is there."""
    state = DemoState(tmp_path / "demo.json")
    state.remember(tuned_model_id="00000000-0000-4000-8000-000000000000")
    for path, _ in demo_main.look_first(state):
        assert resolve(path).func is not None


def test_costs_are_told_by_kind_without_exponents() -> None:
    """Issue 2: two evaluations are one line; a very small sum is a sum, not 1.5e-05."""
    rows = [
        {"resourceType": "evaluation", "tokenCount": 1978, "costAmount": 0.001513, "costCurrency": "EUR"},
        {"resourceType": "evaluation", "tokenCount": 1199, "costAmount": 0.000788, "costCurrency": "EUR"},
        {"resourceType": "serving", "tokenCount": 56, "costAmount": 1.5e-05, "costCurrency": "EUR"},
    ]
    assert cost_lines(rows) == [
        "evaluation (2 runs): 3,177 tokens, 0.002301 EUR",
        "serving: 56 tokens, 0.000015 EUR",
    ]
