"""`tiny_model_dir`: a real 2-million-parameter model, made once per test session."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a small Llama with tokenizer and chat template. Read-only: copy it before changing it.

    Made in a process of its own, so that torch is not loaded where only its files are wanted; parallel test
    processes share one.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    directory = shared / "tiny-model"
    with (shared / "tiny-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir():
            command = [sys.executable, "-m", "workers.tiny_model", str(directory)]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
            root = Path(__file__).resolve().parents[2]
            subprocess.run(command, check=True, cwd=root, env=environment, timeout=120)
    return directory
