"""``transformers serve`` with continuous batching: the embedded default.

What it is like (5.23), and what follows for us:

- ``model`` is the directory it was started with; any other value is refused. The gateway writes the route's
  name over it in answers, so that no path of the serving machine leaves the house.
- A stream has no ``[DONE]``; token counts ride on the last chunk without being asked for.
- Unknown fields are a 422, a few known ones are silently ignored: the dialect lists what is honoured.
- Its cache takes 60 % of the machine's free memory unless it is told otherwise, and filling that with zeros
  makes its first request last a minute: we say how many blocks. It is warmed up before it is called healthy.
- Answers name the model ``DIRECTORY@main``.
- With continuous batching it samples every request as its first one asked. ``workers.transformers_serve`` starts
  the same program with each request's own temperature connected; top_p per request it cannot do.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import ClassVar

from apps.integrations.runtimes.openai_dialect import OpenAIDialect
from apps.integrations.runtimes.ports import Dialect, LaunchPlan, LaunchRequest

_ACCEPTS = frozenset(
    {
        "messages",
        "prompt",
        "suffix",
        "temperature",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "tools",
    }
)

#: Where ``workers`` is found.
_SOURCE = Path(__file__).resolve().parents[3]
_BLOCK_TOKENS = 256
_LEAST_BLOCKS = 8
#: Tokens worked on in one step; long prompts are read in pieces of this size.
_BATCH_TOKENS = 512


class TransformersServe:
    """The model server that comes with Transformers."""

    key: ClassVar[str] = "transformers"
    label: ClassVar[str] = "Transformers serve"
    launched: ClassVar[bool] = True
    dialect: Dialect = OpenAIDialect(label="Transformers serve", accepts=_ACCEPTS, counts_unasked=True)

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        """Command and environment. One torch thread by default: two busy processes with all threads each
        run twenty times slower than with one each."""
        command = (
            sys.executable,
            "-m",
            "workers.transformers_serve",
            request.model_dir,
            "--continuous-batching",
            "--device",
            "cuda" if request.use_gpu else "cpu",
            "--dtype",
            request.dtype,
            "--host",
            request.host,
            "--port",
            request.port,
            "--cb-num-blocks",
            str(max(_LEAST_BLOCKS, -(-request.cache_tokens // _BLOCK_TOKENS))),
            "--cb-max-batch-tokens",
            str(_BATCH_TOKENS),
            *request.extra_args,
        )
        threads = str(max(1, request.threads))
        return LaunchPlan(
            command=command,
            env={
                "PYTHONPATH": str(_SOURCE),
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
                "OMP_WAIT_POLICY": "PASSIVE",
                # Serving never downloads: the model lies in the directory or the start fails.
                "HF_HUB_OFFLINE": "1",
                "TRANSFORMERS_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "PYTHONUNBUFFERED": "1",
            },
        )

    def upstream_model(self, *, model_dir: str, served_name: str) -> str:
        """The directory: the server is pinned to it."""
        return model_dir

    def available(self) -> tuple[bool, str]:
        """Transformers with its serving extra and torch must be importable."""
        for module in ("transformers", "torch", "fastapi", "uvicorn"):
            if importlib.util.find_spec(module) is None:
                return False, f"Python package {module} is missing; install requirements/workers.txt."
        return True, ""
