"""Which files of a repository are imported, and whether they may be. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from apps.catalog.front_matter import README
from apps.catalog.scanning import classify, missing_files
from apps.core.errors import DomainError, FieldError, TooLarge, ValidationFailed
from apps.core.quantities import readable_bytes
from apps.core.storage import safe_filename
from apps.integrations.huggingface import HubFile

FILES_LIMIT = 1_000
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
#: What a training run leaves behind: pickles that no model needs.
_LEFTOVERS = ("training_args.*", "optimizer.*", "scheduler.*", "rng_state*", "scaler.*")


@dataclass(frozen=True, slots=True)
class Plan:
    """The files that will be fetched, and the names of those that will not."""

    files: tuple[HubFile, ...]
    skipped: tuple[str, ...]

    @property
    def size(self) -> int:
        """All bytes together."""
        return sum(file.size for file in self.files)


def plan_files(files: Sequence[HubFile], include: Sequence[str] = ()) -> Plan:
    """Choose from *files*: with patterns what they match, without them what a model needs, in one weight format.

    Only top-level files of types that the catalog takes; the card is always taken along. Safetensors are preferred
    to pickles, and both to GGUF, because a repository often holds the same weights several times.
    Raises ``ValidationFailed`` when nothing that can run is left.
    """
    usable = [file for file in files if _usable(file.path)]
    if include:
        chosen = [file for file in usable if file.path == README or any(fnmatchcase(file.path, one) for one in include)]
    else:
        chosen = _needed(usable)
    names = {file.path for file in chosen}
    lacking = missing_files([name for name in names if name != README])
    if lacking:
        matched = f"matches {', '.join(include)} and " if include else ""
        raise ValidationFailed.field(
            "include" if include else "repoId",
            "incomplete",
            f"The repository has nothing that {matched}can be run: it lacks {', '.join(lacking)} at its top level.",
        )
    skipped = sorted(file.path for file in files if file.path not in names)
    return Plan(tuple(sorted(chosen, key=lambda file: file.path)), tuple(skipped))


def _usable(path: str) -> bool:
    try:
        return safe_filename(path) == path and classify(path) is not None
    except DomainError:
        return False


def _needed(files: list[HubFile]) -> list[HubFile]:
    chosen = [file for file in files if not any(fnmatchcase(file.path, pattern) for pattern in _LEFTOVERS)]
    suffixes = {PurePosixPath(file.path).suffix.lower() for file in chosen}
    unwanted: tuple[str, ...] = ()
    if ".safetensors" in suffixes:
        unwanted = (*_PICKLES, ".gguf")
    elif suffixes & set(_PICKLES) and "config.json" in {file.path for file in chosen}:
        unwanted = (".gguf",)
    chosen = [file for file in chosen if PurePosixPath(file.path).suffix.lower() not in unwanted]
    if any(fnmatchcase(file.path, "model*.safetensors") for file in chosen):
        # The same weights once more, in their maker's own layout.
        chosen = [file for file in chosen if not fnmatchcase(file.path, "consolidated*.safetensors")]
    return chosen


def check_limits(plan: Plan, *, file_limit: int, total_limit: int, free: int) -> None:
    """Refuse before anything is fetched; sizes in bytes. *free* is the room for the file on its way.

    Raises ``TooLarge`` naming what is too large, ``ValidationFailed`` for too many or empty files.
    """
    if len(plan.files) > FILES_LIMIT:
        raise ValidationFailed.field("include", "too_many", f"At most {FILES_LIMIT} files can be imported at once.")
    empty = [file.path for file in plan.files if file.size <= 0]
    if empty:
        raise ValidationFailed.field("include", "empty", f"Empty at the hub: {', '.join(empty[:5])}.")
    errors = [
        FieldError(
            "include",
            "too_large",
            f"{file.path} has {readable_bytes(file.size)}; at most {readable_bytes(file_limit)} are taken per file.",
        )
        for file in plan.files
        if file.size > file_limit
    ]
    if plan.size > total_limit:
        message = (
            f"The files have {readable_bytes(plan.size)} together; at most {readable_bytes(total_limit)} are imported. "
            "Name fewer files in include, or ask an operator to raise LLMOPS_HUB_MAX_BYTES."
        )
        errors.append(FieldError("include", "too_large", message))
    if errors:
        raise TooLarge(errors[0].message, errors=errors)
    largest = max((file.size for file in plan.files), default=0)
    if largest > free:
        message = f"This machine has room for {readable_bytes(free)}; the largest file has {readable_bytes(largest)}."
        raise TooLarge(message, errors=[FieldError("", "no_room", message)])
