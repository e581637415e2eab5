"""What the portal needs to know of a model server, whoever wrote it.

A *runtime* is a program that serves one model over HTTP with OpenAI's routes. The control plane asks it how to
be started (``launch``) and how to tell that it lives; the gateway asks it how to be spoken to (``dialect``).
Nothing here connects: adapters are pure functions over plain values, so that the gateway can use them on its
hot path and the serving service inside a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

JsonObject = dict[str, Any]

#: Where the compute backend puts the port it chose; it replaces this text in the command.
PORT_PLACEHOLDER = "{port}"


class UnsupportedParameter(Exception):
    """The caller asks for something that this runtime would ignore or cannot do."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What is to be served and with what.

    ``model_dir`` is a Hugging Face directory as the process will see it; ``served_name`` is what clients
    call it; ``threads`` is the number of CPU threads for one process; ``max_model_tokens`` bounds prompt and
    answer together (``None``: what the model's config says); ``cache_tokens`` is for how many tokens of all
    conversations together there is memory, where the server does not find that out by itself.
    """

    model_dir: str
    served_name: str
    use_gpu: bool = False
    threads: int = 1
    port: str = PORT_PLACEHOLDER
    host: str = "127.0.0.1"
    dtype: str = "bfloat16"
    max_model_tokens: int | None = None
    cache_tokens: int = 16_384
    extra_args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How to start the program: argument vector, environment, and when it may be called ready."""

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    readiness_path: str = "/health"
    #: Seconds that a start may take before it counts as failed.
    start_seconds: int = 300


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a running model server is and what it calls its model."""

    base_url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Dialect(Protocol):
    """How a running server is spoken to."""

    @property
    def chat_path(self) -> str:
        """Path of chat calls."""
        ...

    @property
    def completion_path(self) -> str:
        """Path of text completions."""
        ...

    @property
    def health_path(self) -> str | None:
        """What to ``GET`` to see that it lives; ``None``: there is nothing that costs nothing."""
        ...

    def chat_body(self, body: Mapping[str, Any], *, model: str, stream: bool) -> JsonObject:
        """The request as this server understands it. Raises ``UnsupportedParameter``."""
        ...

    def completion_body(self, body: Mapping[str, Any], *, model: str, stream: bool) -> JsonObject:
        """The same for the legacy text completion. Raises ``UnsupportedParameter``."""
        ...


class Runtime(Protocol):
    """One kind of model server."""

    key: ClassVar[str]
    label: ClassVar[str]
    #: Started by us as a workload; ``False`` for services that somebody else runs.
    launched: ClassVar[bool]
    dialect: Dialect

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        """How to start it. Raises ``ValueError`` for runtimes that are not started by us."""
        ...

    def upstream_model(self, *, model_dir: str, served_name: str) -> str:
        """The value of ``model`` that the running server answers to."""
        ...

    def available(self) -> tuple[bool, str]:
        """Whether this machine can start it, and what is missing otherwise."""
        ...
