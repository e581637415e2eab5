"""The bundle: a model in one file, to carry elsewhere. Its layout, how it is written, and how it is read safely.

A bundle is an uncompressed tar. Its first member, ``bundle.json``, lists every other one with its size and SHA-256:
the card (``README.md``), ``model.json``, documents about lineage, evaluations and approvals, and the files below
``files/``. Any tar program opens it. Reading takes nothing on trust: no extraction, no links, no folders, no name
that the list does not hold, no byte more than it says, and hashes compared before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from apps.core.api.parsers import parse_json
from apps.core.errors import DomainError, FieldError, ValidationFailed

FORMAT = "llm-ops-model-bundle"
FORMAT_VERSION = 1
MANIFEST = "bundle.json"
MODEL = "model.json"
FILES = "files/"
SUFFIX = ".llmops.tar"
BLOCK = tarfile.BLOCKSIZE
MANIFEST_LIMIT = 4_194_304
DOCUMENT_LIMIT = 33_554_432
MEMBER_LIMIT = 2_000
NAME_LIMIT = 600
PIECE = 1_048_576


class BundleBad(ValidationFailed):
    """The file is not a bundle, or not a whole one."""

    default_code = "bundle"


def bad(message: str) -> BundleBad:
    """The refusal of a bundle, on the field that carried it."""
    return BundleBad(message, errors=[FieldError("bundle", "invalid", message)], code="bundle")


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its path in the bundle, its size in bytes, its hex SHA-256, and where its bytes come from."""

    path: str
    size: int
    sha256: str
    pieces: Callable[[], Iterable[bytes]]


def document(path: str, content: bytes) -> Member:
    """A member whose content lies in memory."""
    return Member(path, len(content), hashlib.sha256(content).hexdigest(), lambda: (content,))


def json_document(path: str, data: Any) -> Member:
    """A JSON member, readable by people."""
    return document(path, (json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode())


def bundle_pieces(head: dict[str, Any], members: Iterable[Member], *, moment: float) -> Iterator[bytes]:
    """Yield the bytes of a bundle. *head* goes into the manifest; *moment* (seconds) dates all members.

    Constant memory; a member whose source yields another number of bytes than it said raises ``ValueError``.
    """
    rows = list(members)
    listed = [{"path": row.path, "size": row.size, "sha256": row.sha256} for row in rows]
    manifest = {"format": FORMAT, "formatVersion": FORMAT_VERSION, **head, "members": listed}
    for row in (json_document(MANIFEST, manifest), *rows):
        info = tarfile.TarInfo(row.path)
        info.size, info.mtime, info.mode = row.size, int(moment), 0o644
        yield info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
        sent = 0
        for piece in row.pieces():
            sent += len(piece)
            yield piece
        if sent != row.size:
            raise ValueError(f"{row.path} has {sent} bytes, not {row.size}")
        yield b"\0" * (-sent % BLOCK)
    yield b"\0" * (2 * BLOCK)


class BundleReader:
    """Reads a bundle from a stream, front to back, once. Every surprise is a ``BundleBad``."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        name, size = self._header()
        if name != MANIFEST:
            raise bad(f"This is not a bundle of a model: it begins with {name[:60]!r}, not with {MANIFEST}.")
        if size > MANIFEST_LIMIT:
            raise bad(f"Its {MANIFEST} is larger than {MANIFEST_LIMIT:,} bytes.")
        self.manifest = _object(b"".join(self._content(size)), MANIFEST)
        self._members = self._listed()

    @property
    def members(self) -> dict[str, tuple[int, str]]:
        """Size and SHA-256 by path, as the manifest lists them."""
        return dict(self._members)

    def _listed(self) -> dict[str, tuple[int, str]]:
        if self.manifest.get("format") != FORMAT:
            raise bad("This is not a bundle of a model: its bundle.json does not say so.")
        if self.manifest.get("formatVersion") != FORMAT_VERSION:
            raise bad(f"The bundle has layout {self.manifest.get('formatVersion')!r}; layout {FORMAT_VERSION} is read.")
        rows = self.manifest.get("members")
        if not isinstance(rows, list) or len(rows) > MEMBER_LIMIT:
            raise bad(f"bundle.json must list its members, at most {MEMBER_LIMIT}.")
        found: dict[str, tuple[int, str]] = {}
        for row in rows:
            path, size, sha256 = _listed_member(row)
            if path in found or path == MANIFEST:
                raise bad(f"bundle.json lists a member that cannot be: {path[:80]!r} twice.")
            found[path] = (size, sha256)
        return found

    def __iter__(self) -> Iterator[tuple[str, int, Iterator[bytes]]]:
        """Yield ``(path, size, content)`` for each member; content must be read to its end, where it is checked."""
        waiting = dict(self._members)
        while waiting:
            name, size = self._header()
            if name not in waiting:
                raise bad(f"The bundle holds {name[:80]!r}, which bundle.json does not list (or it holds it twice).")
            listed, sha256 = waiting.pop(name)
            if listed != size:
                raise bad(f"{name[:80]} has {size:,} bytes; bundle.json says {listed:,}.")
            yield name, size, self._checked(name, size, sha256)
        if self._read(BLOCK).strip(b"\0"):
            raise bad("The bundle goes on behind its last member.")

    def _checked(self, name: str, size: int, sha256: str) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for piece in self._content(size):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != sha256:
            raise bad(f"{name[:80]} does not have the SHA-256 that bundle.json says; the bundle is damaged.")

    def _header(self, long_name: str = "") -> tuple[str, int]:
        """The next member's name and size. Only plain files, with a long name in front where it needs one."""
        block = self._read(BLOCK)
        if not block.strip(b"\0"):
            raise bad("The bundle ends before its last member.")
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
            raise bad("This is not a bundle of a model: a block of it is no tar header.") from error
        if info.type == tarfile.GNUTYPE_LONGNAME and not long_name and 0 < info.size <= NAME_LIMIT:
            raw = b"".join(self._content(info.size)).rstrip(b"\0")
            try:
                name = raw.decode()
            except UnicodeDecodeError as error:
                raise bad("A name in the bundle is not UTF-8.") from error
            if not name:
                raise bad("A name in the bundle is empty.")
            return self._header(name)
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
            raise bad(f"The bundle holds something that is not a plain file: {(long_name or info.name)[:80]!r}.")
        return long_name or info.name, info.size

    def _content(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            piece = self._read(min(PIECE, left))
            left -= len(piece)
            yield piece
        self._read(-size % BLOCK)

    def _read(self, count: int) -> bytes:
        """Exactly *count* bytes."""
        pieces = bytearray()
        while len(pieces) < count:
            piece = self._stream.read(count - len(pieces))
            if not piece:
                raise bad("The bundle is cut off.")
            pieces += piece
        return bytes(pieces)


def _listed_member(row: object) -> tuple[str, int, str]:
    """A row of the manifest, with types that can be relied on."""
    if isinstance(row, dict):
        path, size, sha256 = row.get("path"), row.get("size"), row.get("sha256")
        whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if isinstance(path, str) and whole and isinstance(sha256, str) and len(sha256) == 64:
            return path, int(size or 0), sha256.lower()
    raise bad(f"bundle.json lists a member that cannot be: {str(row)[:80]!r}.")


def _object(raw: bytes, what: str) -> dict[str, Any]:
    """A JSON object of a bundle, read as strictly as a request."""
    try:
        value = parse_json(raw)
    except DomainError as error:
        raise bad(f"{what} cannot be read: {error.message}") from error
    if not isinstance(value, dict):
        raise bad(f"{what} must hold a JSON object.")
    return value


def read_document(raw: bytes, what: str) -> dict[str, Any]:
    """The JSON object in a document member; raises ``BundleBad``."""
    return _object(raw, what)
