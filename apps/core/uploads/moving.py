"""Moving received files to where they belong, so that a crash in between can be repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from apps.core.errors import NotFound
from apps.core.storage import StoredObject, store
from apps.core.uploads.targets import ReceivedFile


def whereabouts(file: ReceivedFile, target: str) -> str:
    """The key that holds the file's bytes now: where it arrived, or ``target`` when an earlier run had moved it.

    Raises:
        NotFound: neither holds them.
    """
    if store().exists(file.stored.key):
        return file.stored.key
    if store().exists(target) and store().size(target) == file.stored.size and _hash(target) == file.stored.sha256:
        return target
    raise NotFound(f"The bytes of {file.name} are gone from the store. Send the file again.")


def _hash(key: str) -> str:
    digest = hashlib.sha256()
    for chunk in store().open_range(key, 0, store().size(key)):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def in_place(files: Sequence[ReceivedFile], targets: Sequence[str]) -> Iterator[list[StoredObject]]:
    """Give the files their final keys for the block; when it fails they go back, and what lay there before returns.

    Put the transaction that registers the files inside. What an earlier run moved already stays where it is.
    """
    moved: list[tuple[str, str]] = []
    try:
        for file, target in zip(files, targets, strict=True):
            if whereabouts(file, target) == target:
                continue
            if store().exists(target):
                aside = f"uploads/{file.upload_id}/replaced"
                store().move(target, aside)
                moved.append((target, aside))
            store().move(file.stored.key, target)
            moved.append((file.stored.key, target))
        yield [
            StoredObject(target, file.stored.size, file.stored.sha256)
            for file, target in zip(files, targets, strict=True)
        ]
    except BaseException:
        for source, target in reversed(moved):
            store().move(target, source)
        raise
