"""The command line that all worker programs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from workers.contracts import ExitCode, SpecError
from workers.runtime.environment import say

T = TypeVar("T")


def read_spec(program: str, parse: Callable[[bytes], T], argv: list[str] | None) -> T | int:
    """The spec named by `--spec`, or the exit code that says why there is none."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--spec", type=Path, required=True, help="JSON file; see workers.contracts")
    path: Path = parser.parse_args(argv).spec
    try:
        return parse(path.read_bytes())
    except OSError as error:
        say(f"spec {path} cannot be read: {error.strerror or error}")
    except SpecError as error:
        say(f"spec {path}: {error}")
    return int(ExitCode.SPEC_INVALID)
