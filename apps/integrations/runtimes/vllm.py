"""vLLM's OpenAI server."""

from __future__ import annotations

import importlib.util
import sys
from typing import ClassVar

from apps.integrations.runtimes.openai_dialect import OpenAIDialect
from apps.integrations.runtimes.ports import Dialect, LaunchPlan, LaunchRequest


class VLLM:
    """vLLM, on GPU or (where installed for it) on CPU."""

    key: ClassVar[str] = "vllm"
    label: ClassVar[str] = "vLLM"
    launched: ClassVar[bool] = True
    dialect: Dialect = OpenAIDialect(label="vLLM")

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        """Command and environment. Eager mode on CPU: graph capture costs minutes there and gains nothing."""
        command = [
            sys.executable,
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            request.model_dir,
            "--served-model-name",
            request.served_name,
            "--dtype",
            request.dtype,
            "--host",
            request.host,
            "--port",
            request.port,
        ]
        if request.max_model_tokens:
            command += ["--max-model-len", str(request.max_model_tokens)]
        env = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        if not request.use_gpu:
            command.append("--enforce-eager")
            env |= {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": str(max(1, request.threads))}
        return LaunchPlan(command=(*command, *request.extra_args), env=env, start_seconds=900)

    def upstream_model(self, *, model_dir: str, served_name: str) -> str:
        """The served name given at the start."""
        return served_name

    def available(self) -> tuple[bool, str]:
        """vLLM is not part of our requirements; it is used where somebody installed it."""
        if importlib.util.find_spec("vllm") is None:
            return False, "Python package vllm is not installed on this machine."
        return True, ""
