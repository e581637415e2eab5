"""Taking a bundle apart: its files into staging, its words into the fields of a new draft."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from apps.catalog.bundles import DOCUMENT_LIMIT, FILES, MODEL, BundleReader, bad, read_document
from apps.catalog.metadata import SECRET_KEYS, clean_metadata
from apps.catalog.scanning import classify
from apps.catalog.types import ModelType
from apps.core.errors import DomainError, FieldError, TooLarge
from apps.core.quantities import readable_bytes
from apps.core.storage import safe_filename, store

FILES_LIMIT = 1_000
TYPES = (ModelType.BASE, ModelType.FINE_TUNED)


class Report(Protocol):
    """Hears how far it is: bytes done, bytes in all, words."""

    def __call__(self, done: int, total: int, text: str) -> None:
        """May raise, to stop."""


@dataclass(frozen=True, slots=True)
class BundleContents:
    """What a bundle brought; ``files`` are (name, size, SHA-256) and lie in staging."""

    name: str
    version: str
    type: str
    metadata: dict[str, Any]
    files: tuple[tuple[str, int, str], ...]


def read_bundle(
    key: str, *, staging: str, file_limit: int, total_limit: int, report: Report | Callable[..., None]
) -> BundleContents:
    """Check the bundle at *key* and put its files below *staging*. Sizes in bytes.

    Approvals, evaluations and lineage of the bundle are another portal's: they are checked and left in the bundle,
    the model begins as a draft here. Raises ``BundleBad``, ``TooLarge``, ``NotFound``.
    """
    with store().open(key) as stream:
        reader = BundleReader(stream)
        names = _check_listed(reader, file_limit=file_limit, total_limit=total_limit)
        total = sum(size for size, _ in reader.members.values())
        done, described = 0, {}
        for path, size, content in reader:
            report(done, total, f"Checking {path[:120]}: {readable_bytes(done)} of {readable_bytes(total)}")
            if path in names:
                store().put(staging + names[path], content)
            elif path == MODEL:
                described = read_document(b"".join(content), MODEL)
            else:
                _read_through(content)
            done += size
    files = tuple((name, *reader.members[path]) for path, name in sorted(names.items(), key=lambda pair: pair[1]))
    return _contents(described, reader.manifest, files)


def _read_through(content: Iterator[bytes]) -> None:
    for _ in content:
        continue


def _check_listed(reader: BundleReader, *, file_limit: int, total_limit: int) -> dict[str, str]:
    """Names of the model's files by their path; refuses, before reading on, what could not be taken anyway."""
    names: dict[str, str] = {}
    for path, (size, _) in reader.members.items():
        if not path.startswith(FILES):
            if size > DOCUMENT_LIMIT:
                raise bad(f"{path[:80]} is larger than the {DOCUMENT_LIMIT:,} bytes of a document.")
            continue
        name = path.removeprefix(FILES)
        try:
            safe = safe_filename(name)
        except DomainError as error:
            raise bad(f"The bundle holds a file that cannot be taken: {error.message}") from error
        if safe != name or classify(name) is None:
            raise bad(f"{name[:80]} is not a model file.")
        if size == 0:
            raise bad(f"{name[:80]} is empty.")
        if size > file_limit:
            message = f"{name[:80]} has {readable_bytes(size)}; at most {readable_bytes(file_limit)} are taken."
            raise TooLarge(message, errors=[FieldError("bundle", "too_large", message)])
        names[path] = name
    if len({name.casefold() for name in names.values()}) != len(names) or len(names) > FILES_LIMIT:
        raise bad(f"A bundle holds at most {FILES_LIMIT} files, no two with the same name.")
    if MODEL not in reader.members:
        raise bad(f"The bundle has no {MODEL}.")
    if sum(size for size, _ in reader.members.values()) > total_limit:
        message = (
            f"The bundle holds more than {readable_bytes(total_limit)}; an operator can raise LLMOPS_HUB_MAX_BYTES."
        )
        raise TooLarge(message, errors=[FieldError("bundle", "too_large", message)])
    return names


def _contents(
    described: dict[str, Any], manifest: dict[str, Any], files: tuple[tuple[str, int, str], ...]
) -> BundleContents:
    name, version, type_ = (described.get(key) for key in ("name", "version", "type"))
    if not isinstance(name, str) or not isinstance(version, str) or type_ not in TYPES:
        raise bad(f"{MODEL} must say name, version and type (base or fine-tuned).")
    metadata = described.get("metadata")
    if not isinstance(metadata, dict) or any(key in metadata for key in SECRET_KEYS):
        raise bad(f"{MODEL} must hold metadata, without keys.")
    origin = {key: manifest[key] for key in ("portal", "exportedAt", "digest") if isinstance(manifest.get(key), str)}
    stored = clean_metadata({**metadata, "bundle_origin": {**origin, "name": name, "version": version}})
    return BundleContents(name, version, str(type_), stored, files)
