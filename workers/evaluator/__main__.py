"""`python -m workers.evaluator --spec FILE`: one evaluation; exits as in `workers.contracts.ExitCode`."""

from __future__ import annotations

import importlib

from workers.contracts import EvaluateJobSpec
from workers.runtime.entry import read_spec
from workers.runtime.environment import prepare_process


def main(argv: list[str] | None = None) -> int:
    """Read the spec, set up the process, then load what the run needs."""
    spec = read_spec("python -m workers.evaluator", EvaluateJobSpec.from_json, argv)
    if isinstance(spec, int):
        return spec
    prepare_process(spec.threads)
    # By name, and only now: the environment above counts only before torch is loaded.
    program = importlib.import_module("workers.evaluator.program")
    return int(program.run(spec))


if __name__ == "__main__":
    raise SystemExit(main())
