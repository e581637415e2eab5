"""Compressed files, unpacked to disk within bounds before they are read: gzip, zstd, bzip2, ZIP with one file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa

from apps.datasets.reading.limits import MIB, Limits
from apps.datasets.reading.problems import Problem, ProblemLog

COMPRESSIONS: Mapping[str, str] = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".zip": "ZIP"}
_MAGIC: Mapping[str, bytes] = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh", "ZIP": b"PK"}
# What Python unpacks in small memory: stored, deflated, bzip2. (LZMA lets the file choose gigabytes of dictionary.)
_ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
_MAX_DIRECTORY = MIB
_CHUNK = MIB
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException, ValueError)


def compression_of(name: str) -> str:
    """How a file of this name is compressed; empty when it is not."""
    return COMPRESSIONS.get(PurePosixPath(name.lower()).suffix, "")


def inner_name(name: str) -> str:
    """The name without the ending of its compression."""
    return name[: -len(PurePosixPath(name).suffix)] if compression_of(name) else name


def unpack(path: Path, name: str, target: Path, limits: Limits, log: ProblemLog) -> str:
    """Write the content of the compressed file to ``target``; returns the name that decides its format.

    Holds a few megabytes, writes at most ``limits.max_unpacked`` bytes, and stops early at what grows out of all
    proportion. Raises FileUnreadable; the problem is in the log then.
    """
    kind = compression_of(name)
    with path.open("rb") as handle:
        head = handle.read(4)
    if not head.startswith(_MAGIC[kind]):
        raise log.stop(Problem(name, "wrong_format", f"This is not a {kind} file, as its name says. Pack it again."))
    try:
        with _opened(path, name, kind, log) as (stream, inner):
            _copy(stream, path.stat().st_size, name, target, limits, log)
            return inner
    except _BROKEN as error:
        raise log.stop(
            Problem(name, "corrupt", f"The {kind} file is cut off or damaged ({_why(error)}). Pack it again.")
        ) from error
    except MemoryError as error:
        raise log.stop(
            Problem(
                name, "too_expensive", f"The {kind} file needs too much memory to unpack. Pack it again, less tightly."
            )
        ) from error


def _why(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return text[:120] or type(error).__name__


@contextmanager
def _opened(path: Path, name: str, kind: str, log: ProblemLog) -> Iterator[tuple[Any, str]]:
    if kind == "ZIP":
        with _zip_member(path, name, log) as found:
            yield found
    elif kind == "zstd":
        with pa.input_stream(str(path), compression="zstd") as stream:
            yield stream, inner_name(name)
    elif kind == "gzip":
        with gzip.open(path, "rb") as stream:
            yield stream, inner_name(name)
    else:
        with bz2.open(path, "rb") as stream:
            yield stream, inner_name(name)


def _copy(stream: Any, packed: int, name: str, target: Path, limits: Limits, log: ProblemLog) -> None:
    written = 0
    with target.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            written += len(chunk)
            if written > limits.max_unpacked:
                raise log.stop(
                    Problem(
                        name,
                        "unpacks_too_large",
                        f"The file unpacks to more than {limits.max_unpacked // MIB:,} MiB. Split it.",
                    )
                )
            if written > limits.ratio_from and written > packed * limits.max_ratio:
                raise log.stop(
                    Problem(
                        name,
                        "unpacks_too_large",
                        f"The file unpacks to more than {limits.max_ratio} times its size, as decompression bombs do. "
                        "If it is real data, upload it unpacked.",
                    )
                )
            out.write(chunk)


@contextmanager
def _zip_member(path: Path, name: str, log: ProblemLog) -> Iterator[tuple[IO[bytes], str]]:
    """The one file of a ZIP archive. Folders and the notes of macOS beside it do not count."""
    if _directory_size(path) > _MAX_DIRECTORY:
        raise log.stop(Problem(name, "zip_content", "The ZIP archive holds too many files. Pack one file per archive."))
    with zipfile.ZipFile(path) as archive:
        members = [
            item for item in archive.infolist() if not item.is_dir() and not item.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise log.stop(
                Problem(
                    name,
                    "zip_content",
                    f"The ZIP archive holds {len(members):,} files; it must hold exactly one. Pack each by itself.",
                )
            )
        member = members[0]
        shown = "".join(letter if letter.isprintable() else "?" for letter in member.filename)[:80]
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if ".." in parts or member.filename.startswith(("/", "\\")) or (parts and ":" in parts[0]):
            raise log.stop(
                Problem(
                    name, "zip_content", f"The file inside is called “{shown}”, a path that leads elsewhere. Rename it."
                )
            )
        if member.flag_bits & 0x1:
            raise log.stop(Problem(name, "zip_content", f"“{shown}” inside is encrypted. Pack it without a password."))
        if member.compress_type not in _ZIP_METHODS:
            raise log.stop(
                Problem(
                    name, "zip_content", f"“{shown}” inside is packed by a rare method. Use the usual one (deflate)."
                )
            )
        with archive.open(member) as stream:
            yield stream, shown.rpartition("/")[2]


def _directory_size(path: Path) -> int:
    """Bytes of the archive's directory, as its end says: ``zipfile`` would read all of it into memory. Where there is
    an end for large archives too, ``zipfile`` believes that one, whatever the plain one says; so the larger counts."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        first = max(0, size - 65_557)
        handle.seek(first)
        tail = handle.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < 22:
            raise zipfile.BadZipFile("it has no directory")
        length = int(struct.unpack("<I", tail[at + 12 : at + 16])[0])
        said = [] if length == 0xFFFFFFFF else [length]
        locator = tail[max(0, at - 20) : at]
        if len(locator) == 20 and locator.startswith(b"PK\x06\x07"):
            # Right before the locator, or where that points to: versions of Python look in different places.
            for place in (first + at - 76, int(struct.unpack("<Q", locator[8:16])[0])):
                handle.seek(min(max(0, place), size), os.SEEK_SET)
                record = handle.read(56)
                if len(record) == 56 and record.startswith(b"PK\x06\x06"):
                    said.append(int(struct.unpack("<Q", record[40:48])[0]))
        if not said:
            raise zipfile.BadZipFile("its large directory is not where it should be")
        return max(said)
