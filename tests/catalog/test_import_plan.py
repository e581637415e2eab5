"""FR-001e: which files of a repository are taken."""

from __future__ import annotations

import pytest

from apps.catalog.services.import_plan import check_limits, plan_files
from apps.core.errors import TooLarge, ValidationFailed
from apps.integrations.huggingface import HubFile

BASE = ("config.json", "tokenizer.json")


def files(*names: str, size: int = 10) -> list[HubFile]:
    """Files of that name."""
    return [HubFile(name, size) for name in names]


@pytest.mark.parametrize(
    ("names", "include", "taken"),
    [
        ((*BASE, "model.safetensors", "pytorch_model.bin"), (), {*BASE, "model.safetensors"}),
        ((*BASE, "pytorch_model.bin", "model.gguf"), (), {*BASE, "pytorch_model.bin"}),
        (("model.gguf", "other.Q4.gguf"), (), {"model.gguf", "other.Q4.gguf"}),
        (("model.gguf", "other.Q4.gguf"), ("*Q4*",), {"other.Q4.gguf"}),
        (
            (*BASE, "model.safetensors", "pytorch_model.bin"),
            ("*.json", "*.bin"),
            {*BASE, "pytorch_model.bin"},
        ),
        (
            (*BASE, "model-1-of-2.safetensors", "model-2-of-2.safetensors", "consolidated.safetensors"),
            (),
            {*BASE, "model-1-of-2.safetensors", "model-2-of-2.safetensors"},
        ),
        ((*BASE, "consolidated.safetensors"), (), {*BASE, "consolidated.safetensors"}),
        (
            (*BASE, "a.safetensors", "README.md", "run.py", "b/c.json", "LICENSE"),
            (),
            {*BASE, "a.safetensors", "README.md"},
        ),
        ((*BASE, "a.bin", "optimizer.pt", "rng_state_0.pth", "training_args.bin"), (), {*BASE, "a.bin"}),
        ((*BASE, "a.safetensors", "README.md"), ("*.json", "a.*"), {*BASE, "a.safetensors", "README.md"}),
        ((*BASE, "a.safetensors", "nul.json", "..", "x\u202e.json"), (), {*BASE, "a.safetensors"}),
    ],
)
def test_what_a_model_needs_is_taken(names: tuple[str, ...], include: tuple[str, ...], taken: set[str]) -> None:
    """FR-001e: one weight format, no leftovers, nothing in folders, unless patterns say so; the rest is named."""
    plan = plan_files(files(*names), include)
    assert {file.path for file in plan.files} == taken
    assert set(plan.skipped) == set(names) - taken


@pytest.mark.parametrize("names", [(), BASE, ("model.safetensors",), ("config.json", "m.bin"), ("sub/model.gguf",)])
def test_what_cannot_run_is_refused(names: tuple[str, ...]) -> None:
    """FR-001e: before anything is fetched."""
    with pytest.raises(ValidationFailed, match="lacks"):
        plan_files(files(*names))


def test_limits_name_what_is_too_large() -> None:
    """FR-001e: file, sum, room on the machine, empty files."""
    plan = plan_files(files(*BASE, "a.safetensors", size=100))
    check_limits(plan, file_limit=100, total_limit=300, free=100)
    with pytest.raises(TooLarge, match=r"a\.safetensors has 100 bytes"):
        check_limits(plan, file_limit=99, total_limit=300, free=100)
    with pytest.raises(TooLarge, match="together"):
        check_limits(plan, file_limit=100, total_limit=299, free=100)
    with pytest.raises(TooLarge, match="room"):
        check_limits(plan, file_limit=100, total_limit=300, free=99)
    with pytest.raises(ValidationFailed, match="Empty"):
        check_limits(plan_files(files(*BASE, "a.bin", size=0)), file_limit=1, total_limit=1, free=1)
