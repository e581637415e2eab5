"""Endings with a reason: each error knows its exit code."""

from __future__ import annotations

import errno

from workers.contracts import TAGS, ExitCode, Failure


class WorkerError(Exception):
    """The run cannot go on. `field` names the spec's field at fault, where there is one."""

    code = ExitCode.CRASHED

    def __init__(self, message: str, *, field: str = "") -> None:
        self.message = message
        self.field = field
        super().__init__(f"{field}: {message}" if field else message)

    def as_failure(self) -> Failure:
        """This error as the report holds it."""
        return Failure(tag=TAGS[self.code], message=self.message, field=self.field)


class SpecInvalid(WorkerError):
    """The spec asks for something that contradicts the model or itself."""

    code = ExitCode.SPEC_INVALID


class DatasetInvalid(WorkerError):
    """The dataset cannot be used."""

    code = ExitCode.DATASET_INVALID


class ModelInvalid(WorkerError):
    """The model directory cannot be used."""

    code = ExitCode.MODEL_INVALID


class Unsupported(WorkerError):
    """This machine or this program cannot do what the spec asks for."""

    code = ExitCode.UNSUPPORTED


class OutOfMemory(WorkerError):
    """Memory ran out."""

    code = ExitCode.OUT_OF_MEMORY


class OutputFailed(WorkerError):
    """The output could not be written."""

    code = ExitCode.OUTPUT_FAILED


class Diverged(WorkerError):
    """The loss is no longer a number."""

    code = ExitCode.DIVERGED


class Interrupted(WorkerError):
    """Somebody asked the program to stop."""

    code = ExitCode.INTERRUPTED


_DISK_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR, errno.EEXIST}
)


def classify(error: BaseException) -> WorkerError:
    """The worker error behind any exception; what nobody foresaw stays a plain `WorkerError`."""
    if isinstance(error, WorkerError):
        return error
    text = str(error)
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        remedy = "Lower batch_size or max_seq_len, or give the job more memory."
        return OutOfMemory(f"Memory ran out: {text[:300] or 'no details'}. {remedy}")
    if (isinstance(error, OSError) and error.errno in _DISK_ERRNOS) or "No space left" in text:
        return OutputFailed(f"Writing failed: {text[:300]}. Free disk space or check the folder's permissions.")
    return WorkerError(f"{type(error).__name__}: {text[:1000]}")
