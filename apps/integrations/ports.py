"""Ports of the portal: what a compute backend must offer, and the plain values that pass through.

No vendor type and no Django type appears here, so that a port can be implemented by a cluster, by local
processes and by a test double alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


class BackendError(Exception):
    """A backend could not do, or could not answer, what it was asked.

    `permanent` tells the caller whether asking again can help: a refused specification never will, a
    time-out may. A backend that could not be asked raises this; it never answers "nothing there" instead.
    """

    def __init__(self, message: str, *, permanent: bool, remedy: str = "", code: str = "backend_error") -> None:
        super().__init__(message)
        self.message = message
        self.permanent = permanent
        self.remedy = remedy
        self.code = code


class SlotClass(StrEnum):
    """Which of the backend's pools a workload draws from; the pools are counted apart."""

    JOB = "job"
    ENDPOINT = "endpoint"


class ObservedState(StrEnum):
    """What a backend says about one name.

    absent: the backend was asked and knows nothing under this name.
    starting: accepted, its process or pod is not up yet.
    running: up; for a workload with a readiness probe: not ready (yet, or any more).
    ready: up, and its readiness probe passes.
    succeeded: ended by itself with exit code 0.
    failed: ended by itself otherwise, or was ended by a limit; see `reason`.
    stopped: ended because somebody asked for it.
    interrupted: gone without an exit record (machine restart, witness killed).
    """

    ABSENT = "absent"
    STARTING = "starting"
    RUNNING = "running"
    READY = "ready"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


class ReasonCode(StrEnum):
    """Root cause of an end or of a wait, as a closed set that pages and retries can rely on."""

    NONE = ""
    EXIT_CODE = "exit_code"
    OOM = "oom"
    DEADLINE = "deadline"
    BINARY_MISSING = "binary_missing"
    IMAGE_MISSING = "image_missing"
    INTERRUPTED = "interrupted"
    WAITING_FOR_SLOT = "waiting_for_slot"
    UNPLACEABLE = "unplaceable"
    BACKEND_REFUSED = "backend_refused"
    BACKEND_UNREACHABLE = "backend_unreachable"
    STOPPED = "stopped"
    NOT_READY = "not_ready"


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Readiness: a GET of `path` on the workload's port answers 200 to 399 within `timeout_seconds`.

    `period_seconds` is the pause between probes; `start_seconds` is how long a workload may take until its
    first success (0: no limit but the workload's own time limit).
    """

    path: str = "/health"
    timeout_seconds: float = 2.0
    period_seconds: float = 1.0
    start_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """Everything a backend needs to run one workload once.

    `command`: argument vector; `{port}` in an argument becomes the port that was allocated.
    `env` / `secret_env`: environment; secrets are kept out of argument vectors, logs and stored snapshots.
    `working_dir`: absolute path (local) or path inside the image.
    `cpu`: cores asked for (a weight locally, a request in a cluster). `memory_bytes`: limit; 0 = none.
    `time_limit_seconds`: from start to end; 0 = none. `port`: None = serves nothing, 0 = backend chooses.
    `grace_seconds`: between asking it to end and ending it by force.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    working_dir: str = ""
    cpu: float = 1.0
    memory_bytes: int = 0
    gpu_count: int = 0
    gpu_type: str = ""
    nodes: int = 1
    time_limit_seconds: int = 0
    image: str = ""
    port: int | None = None
    readiness: HttpProbe | None = None
    slot_class: SlotClass = SlotClass.JOB
    grace_seconds: float = 10.0
    log_max_bytes: int = 32 * 1024 * 1024
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot to store: everything but the secrets, of which only the names remain."""
        data = asdict(replace(self, secret_env={}))
        data["command"] = list(self.command)
        data["slot_class"] = self.slot_class.value
        data["secret_env"] = {}
        data["secret_names"] = sorted(self.secret_env)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, secret_env: Mapping[str, str] | None = None) -> WorkloadSpec:
        """Rebuild a specification from its snapshot and the separately kept secrets."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["command"] = tuple(data["command"])
        known["slot_class"] = SlotClass(data.get("slot_class", SlotClass.JOB))
        probe = data.get("readiness")
        known["readiness"] = HttpProbe(**probe) if probe else None
        known["secret_env"] = dict(secret_env or {})
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Observation:
    """What the backend reports for one name. Times are seconds since the epoch (UTC), sizes are bytes."""

    state: ObservedState
    reason: ReasonCode = ReasonCode.NONE
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    pid: int | None = None
    address: str = ""
    port: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """Places of one slot class: how many there are. How many are taken is known to the database."""

    jobs: int
    endpoints: int
    gpus: int = 0

    def of(self, slot_class: SlotClass) -> int:
        """Return the number of places of a slot class."""
        return self.jobs if slot_class is SlotClass.JOB else self.endpoints


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of a workload's log. Offsets count bytes since the start of the workload.

    `offset` is where the piece really begins (older output may be gone), `next_offset` where to go on."""

    text: str
    offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class PodInfo:
    """One process or pod of a workload, as operators know it."""

    name: str
    phase: str
    node: str
    pid: int | None = None
    restarts: int = 0
    message: str = ""


@runtime_checkable
class ComputeBackend(Protocol):
    """Runs workloads by name. Every call is idempotent; every failure is a `BackendError`."""

    name: str
    ends_with_portal: bool
    """Whether its workloads live on the portal's machine and end when the portal is shut down."""

    def capacity(self) -> Capacity:
        """Return how many workloads of each class may run at once."""
        ...

    def unplaceable(self, spec: WorkloadSpec) -> str:
        """Return why this backend can never run `spec` as it is set up now ("" = it can)."""
        ...

    def submit(self, name: str, spec: WorkloadSpec) -> Observation:
        """Start `spec` under `name`, once and for all: a name that was ever started is not started again."""
        ...

    def observe(self, names: Sequence[str]) -> Mapping[str, Observation]:
        """Return one observation per name. Raises when it could not ask; never invents `absent`."""
        ...

    def stop(self, name: str) -> None:
        """Ask for the end: politely, then by force after the specification's grace. Returns at once."""
        ...

    def wait_ended(self, names: Sequence[str], timeout_seconds: float) -> list[str]:
        """Wait until none of `names` is up; return those that still are when the time is over."""
        ...

    def running_names(self) -> list[str]:
        """Return every name that is up now, also those that the caller has forgotten."""
        ...

    def known_names(self) -> list[str]:
        """Return every name of which anything is kept, ended ones included."""
        ...

    def remove(self, name: str) -> None:
        """Forget an ended workload and its files. Unknown names are fine; a running one is refused."""
        ...

    def log_read(self, name: str, offset: int, max_bytes: int) -> LogChunk:
        """Return log output from `offset` on, at most `max_bytes`; a negative offset counts from the end."""
        ...

    def log_tail(self, name: str, lines: int) -> list[str]:
        """Return the last `lines` lines."""
        ...

    def log_chunks(self, name: str) -> Iterator[bytes]:
        """Yield the whole kept log, for archiving."""
        ...

    def pods(self, name: str) -> list[PodInfo]:
        """Return the processes or pods of a workload."""
        ...

    def check(self) -> str:
        """Return "" when the backend can be used, else what is wrong, in one sentence."""
        ...
