"""`python -m workers.trainer --spec FILE`: train one model; exit codes as in `workers.contracts.ExitCode`."""

from __future__ import annotations

import importlib

from workers.contracts import TrainJobSpec
from workers.runtime.entry import read_spec
from workers.runtime.environment import prepare_process


def main(argv: list[str] | None = None) -> int:
    """Read the spec, set up the process, then load torch and train."""
    spec = read_spec("python -m workers.trainer", TrainJobSpec.from_json, argv)
    if isinstance(spec, int):
        return spec
    prepare_process(spec.threads)
    # By name, and only now: the environment above counts only before torch is loaded.
    program = importlib.import_module("workers.trainer.program")
    return int(program.run(spec))


if __name__ == "__main__":
    raise SystemExit(main())
