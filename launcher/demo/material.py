"""The demo's data: support questions with a few rows of made-up people, and a small benchmark."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from launcher.paths import package_dir

# The ten support questions of the corpus, as people word them. The benchmark has wordings of its own.
WORDINGS = (
    "{q}",
    "Hello, {l}",
    "{q} What can I do?",
    "Please help: {l}",
    "Since this morning {l}",
    "Hi team, {l} Any idea?",
    "{q} It is urgent.",
    "Good morning. {q} How do I solve that?",
)
GENERAL_FILES = ("computers", "trivia")
GENERAL_ROWS = 70
LONGEST_ANSWER = 160

# Nobody's data: example domains, telephone numbers reserved for fiction, card numbers published for tests.
PERSONAL_ROWS = (
    (
        "I forgot my password. My e-mail is hannah.berg@example.com.",
        "Use the password reset option or contact your admin.",
    ),
    (
        "My internet is not working, please call me at +1 202-555-0147.",
        "Restart your router and check if the cables are connected properly.",
    ),
    (
        "I paid the printer with card 4111 1111 1111 1111 and my printer is not printing.",
        "Ensure it's powered on and has paper, then restart it.",
    ),
    (
        "Write to omar.haddad@example.org when my laptop screen is black again.",
        "Try adjusting brightness or connecting an external monitor.",
    ),
    (
        "Charge 5555 5555 5555 4444 for the new mouse. My mouse is not responding.",
        "Try plugging it into another USB port or changing the batteries.",
    ),
    (
        "I can't hear any sound; my number is (202) 555-0182.",
        "Check the volume and ensure your output device is selected.",
    ),
)

# Other words for the same ten problems, after their topic; the reference is the house's answer.
# 24 items, none of them among the training rows.
BENCHMARK_WORDINGS = {
    "My system is overheating.": ("heat", "The computer gets far too hot.", "My PC is running very hot."),
    "My computer won't turn on.": (
        "power",
        "Nothing happens when I press the power button.",
        "The PC does not start at all.",
        "My desktop stays off.",
    ),
    "My mouse is not responding.": (
        "mouse",
        "The mouse pointer does not move.",
        "The mouse stopped working.",
        "My mouse is dead.",
    ),
    "My laptop screen is black.": (
        "screen",
        "The laptop display stays dark.",
        "There is no picture on my laptop screen.",
    ),
    "I can't hear any sound.": ("sound", "There is no audio from my speakers.", "The sound is gone."),
    "My internet is not working.": (
        "network",
        "I have no internet connection.",
        "The internet is down at my desk.",
        "Web pages do not load.",
    ),
    "My webcam isn't detected.": (
        "webcam",
        "The camera is not found.",
        "My computer does not see the webcam.",
    ),
    "I forgot my password.": ("password", "I lost my password.", "I cannot remember my password."),
    "My printer is not printing.": (
        "printer",
        "The printer does nothing.",
        "No paper comes out of the printer.",
        "My printer won't print.",
    ),
    "My screen is flickering.": ("screen", "The monitor flickers.", "My display keeps flickering."),
}


def support_answers() -> dict[str, str]:
    """Question -> answer of the corpus's support conversations, each once."""
    return {question: answer for question, answer in _pairs("tech_support") if question in BENCHMARK_WORDINGS}


def _pairs(name: str) -> Iterator[tuple[str, str]]:
    path = package_dir("chatterbot_corpus") / "data" / "english" / f"{name}.yml"
    for conversation in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
        question, answer, *_ = map(str, conversation)
        yield question.strip(), answer.strip().replace("\u2019", "'")


def support_rows() -> list[tuple[str, str]]:
    """Rows (instruction, response): support questions, general ones, six with made-up personal data."""
    rows: dict[str, str] = {}
    for question, answer in support_answers().items():
        lowered = question if question.startswith("I ") else question[0].lower() + question[1:]
        for wording in WORDINGS:
            rows[wording.format(q=question, l=lowered)] = answer
    general: dict[str, str] = {}
    for name in GENERAL_FILES:
        for question, answer in _pairs(name):
            if 8 <= len(question) <= 120 and len(answer) <= LONGEST_ANSWER and question not in general:
                general[" ".join(question.split())] = " ".join(answer.split())
    chosen = sorted(general.items(), key=_order)[:GENERAL_ROWS]
    mixed = sorted([*rows.items(), *chosen], key=_order)
    for place, row in enumerate(PERSONAL_ROWS):
        mixed.insert((place + 1) * 20, row)
    return mixed


def _order(row: tuple[str, str]) -> str:
    """An order that looks shuffled and is the same everywhere."""
    return hashlib.sha256("\t".join(row).encode()).hexdigest()


def write_support_questions(path: Path) -> int:
    """CSV with the columns of `sft_pair`; returns the number of rows."""
    rows = support_rows()
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(("instruction", "response"))
        writer.writerows(rows)
    return len(rows)


def write_benchmark(path: Path) -> int:
    """JSON lines with the columns of `benchmark` and a slice; returns the number of items."""
    answers = support_answers()
    items = [
        {"input": wording, "reference": answers[question], "topic": topic}
        for question, (topic, *wordings) in BENCHMARK_WORDINGS.items()
        for wording in wordings
    ]
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return len(items)
