"""The bytes of a model's files against what is registered and what was signed. Reads in pieces; keeps no file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from apps.catalog.keys import signing_keys
from apps.catalog.models import ModelEntry, ModelFile
from apps.core.errors import NotFound
from apps.core.storage import CHUNK, store
from apps.integrations.signing import SIGNATURE_NAME, SigningError, model_signer

Progress = Callable[[int], None]  # bytes read so far


@dataclass(slots=True)
class Integrity:
    """What reading the stored bytes showed: SHA-256 (hex) by file name, and what is wrong, in words."""

    digests: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def stored_digests(model: ModelEntry, *, on_bytes: Progress | None = None) -> Integrity:
    """Hash every stored file of *model* and hold it against its row; memory stays at one piece of a file.

    Problems: a file that is gone, that has other bytes than were uploaded, or that nobody registered.
    """
    found = Integrity()
    rows = {row.storage_key: row for row in model.files.all()}
    read = 0
    for key in store().list(model.storage_prefix):
        row = rows.pop(key, None)
        if row is None:
            name = key.removeprefix(model.storage_prefix)
            if name != SIGNATURE_NAME:
                found.problems.append(f"{name} lies in the store but was never registered.")
            continue
        try:
            digest, read = _hash(row, read, on_bytes)
        except NotFound:
            found.problems.append(f"{row.filename} is not in the store any more.")
            continue
        found.digests[row.filename] = digest
        if digest != row.sha256:
            found.problems.append(_changed(row.filename))
    found.problems += [f"{row.filename} is not in the store any more." for row in rows.values()]
    return found


def _hash(row: ModelFile, read: int, on_bytes: Progress | None) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = store().size(row.storage_key)
    for piece in store().open_range(row.storage_key, 0, size):
        digest.update(piece)
        read += len(piece)
        if on_bytes is not None:
            on_bytes(read)
    return digest.hexdigest(), read


def local_digests(folder: Path, rows: Sequence[ModelFile]) -> Integrity:
    """The same over copies of the files in *folder*; a file that is not there is a problem."""
    found = Integrity()
    for row in rows:
        path = folder / row.filename
        if not path.is_file():
            found.problems.append(f"{row.filename} is not in the store any more.")
            continue
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
        found.digests[row.filename] = digest.hexdigest()
        if found.digests[row.filename] != row.sha256:
            found.problems.append(_changed(row.filename))
    return found


def signature_problems(bundle: str, digests: Mapping[str, str]) -> list[str]:
    """Hold *digests* against the signature in *bundle*; empty when a trusted key vouches for exactly these files."""
    try:
        signed = model_signer().verify(signing_keys(), bundle).digests
    except SigningError as error:
        return [error.message]
    problems = [f"{name} was not signed." for name in sorted(set(digests) - set(signed))]
    problems += [f"{name} was signed and is gone." for name in sorted(set(signed) - set(digests))]
    problems += [
        f"{name} is not the file that was signed."
        for name in sorted(set(signed) & set(digests))
        if signed[name] != digests[name]
    ]
    return problems


def stored_signature_problems(model: ModelEntry, bundle: str) -> list[str]:
    """Whether the copy of the signature beside the files is the one that the database holds."""
    key = model.storage_prefix + SIGNATURE_NAME
    try:
        raw = b"".join(store().open_range(key, 0, store().size(key)))
    except NotFound:
        return [f"{SIGNATURE_NAME} is not in the store any more."]
    return [] if raw == bundle.encode() else [f"{SIGNATURE_NAME} in the store is not the signature that was made."]


def _changed(filename: str) -> str:
    return f"{filename} differs from its registered SHA-256."
