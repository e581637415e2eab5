"""The object store port: the file system, or S3 through django-storages; streamed, hashed, atomic."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from storages.backends.s3 import S3Storage

from apps.core.errors import NotFound, TooLarge, Unavailable, ValidationFailed

CHUNK = 1024 * 1024
MAX_NAME_BYTES = 255
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)
_KEY_PART = re.compile(r"^[^/\x00-\x1f\x7f]+$")


@dataclass(frozen=True)
class StoredObject:
    """What was written: its key, size in bytes, and hex SHA-256."""

    key: str
    size: int
    sha256: str


def safe_filename(name: str) -> str:
    """The name as a single path component, or a clear refusal.

    Raises:
        ValidationFailed: folders, control or format characters, reserved or overlong names.
    """

    def refuse(code: str, why: str) -> ValidationFailed:
        shown = "".join(letter if letter.isprintable() else "?" for letter in name)[:80]
        return ValidationFailed.field(
            "files", code, f"The file name {shown!r} {why}. Rename the file and send it again."
        )

    text = unicodedata.normalize("NFC", name)
    if not text or text in {".", ".."} or text.strip() != text:
        raise refuse("filename_empty", "is empty, dots only, or begins or ends with a space")
    if "/" in text or "\\" in text or ":" in text:
        raise refuse("filename_path", "contains a path; send plain names")
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co"} for letter in text):
        raise refuse("filename_control", "contains control or invisible characters")
    if _RESERVED.match(text):
        raise refuse("filename_reserved", "is reserved on some systems")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise refuse("filename_long", f"is longer than {MAX_NAME_BYTES} bytes")
    return text


def check_key(key: str) -> str:
    """A relative, normalised key. Keys are built by services, so a bad one is a fault of ours or an attack."""
    parts = key.split("/")
    if not key or any(part in {"", ".", ".."} or not _KEY_PART.match(part) for part in parts):
        raise ValidationFailed(f"The storage key {key[:80]!r} is not usable.")
    return key


class _HashingReader(io.RawIOBase):
    """Presents chunks as a readable file while counting and hashing them."""

    def __init__(self, chunks: Iterable[bytes], max_bytes: int | None) -> None:
        self._chunks = iter(chunks)
        self._rest = b""
        self._max = max_bytes
        self.size = 0
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def next_chunk(self) -> bytes:
        chunk = next(self._chunks, b"")
        self.size += len(chunk)
        if self._max is not None and self.size > self._max:
            raise TooLarge.field("files", "too_large", f"The file is larger than the {self._max} bytes allowed.")
        self.digest.update(chunk)
        return chunk

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            self._rest = self.next_chunk()
            if not self._rest:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class ObjectStore(Protocol):
    """Bytes by key. Keys look like ``models/<id>/<version>/<file>``."""

    def put(self, key: str, chunks: Iterable[bytes], *, max_bytes: int | None = None) -> StoredObject:
        """Stream ``chunks`` under ``key``; nothing is left when it fails.

        Raises:
            TooLarge: more than ``max_bytes``.
        """

    def open(self, key: str) -> BinaryIO:
        """A readable binary file. Raises NotFound."""

    def open_range(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes ``start`` (inclusive) to ``end`` (exclusive)."""

    def exists(self, key: str) -> bool:
        """Whether there is an object."""

    def size(self, key: str) -> int:
        """Its size in bytes. Raises NotFound."""

    def move(self, source: str, target: str) -> None:
        """Give the object another key, replacing what is there; no bytes travel through this process."""

    def delete(self, key: str) -> None:
        """Remove it; absent is fine."""

    def delete_prefix(self, prefix: str) -> int:
        """Remove all below ``prefix``; returns how many."""

    def list(self, prefix: str) -> list[str]:
        """Keys below ``prefix``, sorted."""

    def uri(self, key: str) -> str:
        """``file:///…`` or ``s3://bucket/…``; for people and workers, never read back from callers."""

    def local_path(self, key: str) -> Any:
        """Context manager that yields a local path (a temporary copy where the store is remote)."""

    def download_prefix(self, prefix: str, destination: Path) -> Sequence[Path]:
        """Copy all below ``prefix`` into ``destination``, keeping relative names; hard links where possible."""

    def check(self) -> None:
        """Raise Unavailable when the store cannot be used."""


class FileStore:
    """Objects as files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _existing(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise NotFound(f"The store has no object {key}.")
        return path

    def put(self, key: str, chunks: Iterable[bytes], *, max_bytes: int | None = None) -> StoredObject:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        reader = _HashingReader(chunks, max_bytes)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "wb") as file:
                while chunk := reader.next_chunk():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o640)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return StoredObject(key, reader.size, reader.digest.hexdigest())

    def open(self, key: str) -> BinaryIO:
        return self._existing(key).open("rb")

    def open_range(self, key: str, start: int, end: int) -> Iterator[bytes]:
        with self.open(key) as file:
            file.seek(start)
            left = end - start
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def size(self, key: str) -> int:
        return self._existing(key).stat().st_size

    def move(self, source: str, target: str) -> None:
        path = self._path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._existing(source), path)
        self.delete(source)  # clears the emptied folders

    def delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root:
                break
            try:
                folder.rmdir()
            except OSError:
                break

    def delete_prefix(self, prefix: str) -> int:
        keys = self.list(prefix)
        for key in keys:
            self.delete(key)
        return len(keys)

    def list(self, prefix: str) -> list[str]:
        folder = self._path(prefix.rstrip("/"))
        if not folder.is_dir():
            return []
        found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".partial-"))
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def uri(self, key: str) -> str:
        return self._path(key.rstrip("/")).as_uri() + ("/" if key.endswith("/") else "")

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        yield self._existing(key)

    def download_prefix(self, prefix: str, destination: Path) -> Sequence[Path]:
        base = prefix.rstrip("/") + "/"
        written = []
        for key in self.list(prefix):
            target = destination / key.removeprefix(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(self._path(key), target)
            except OSError:
                shutil.copyfile(self._path(key), target)
            written.append(target)
        return written

    def check(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / ".probe"
            probe.write_bytes(b"ok")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"The file store at {self.root} cannot be written: {error.strerror}.") from error


class S3Store:
    """Objects in one bucket, through django-storages' S3 client; multipart with bounded memory."""

    def __init__(self, *, endpoint: str | None, access_key: str, secret_key: str, bucket: str, region: str) -> None:
        self.bucket_name = bucket
        self.storage = S3Storage(
            endpoint_url=endpoint,
            access_key=access_key,
            secret_key=secret_key,
            bucket_name=bucket,
            region_name=region,
            addressing_style="path",
            signature_version="s3v4",
            file_overwrite=True,
            default_acl=None,
        )

    @property
    def _bucket(self) -> Any:
        return self.storage.bucket

    def put(self, key: str, chunks: Iterable[bytes], *, max_bytes: int | None = None) -> StoredObject:
        reader = _HashingReader(chunks, max_bytes)
        config = TransferConfig(multipart_chunksize=8 * CHUNK, multipart_threshold=8 * CHUNK, use_threads=False)
        # boto3 completes a multipart upload only after the last part and aborts it on any exception.
        self._bucket.upload_fileobj(cast("BinaryIO", io.BufferedReader(reader, CHUNK)), check_key(key), Config=config)
        return StoredObject(key, reader.size, reader.digest.hexdigest())

    def _head(self, key: str) -> Any:
        found = self._bucket.Object(check_key(key))
        try:
            found.load()
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                raise NotFound(f"The store has no object {key}.") from error
            raise Unavailable(f"The object store refused {key}: {error}.") from error
        return found

    def open(self, key: str) -> BinaryIO:
        self._head(key)
        return cast("BinaryIO", self.storage.open(key, "rb"))

    def open_range(self, key: str, start: int, end: int) -> Iterator[bytes]:
        if end <= start:
            return
        body = self._head(key).get(Range=f"bytes={start}-{end - 1}")["Body"]
        yield from body.iter_chunks(CHUNK)

    def exists(self, key: str) -> bool:
        try:
            self._head(key)
        except NotFound:
            return False
        return True

    def size(self, key: str) -> int:
        return int(self._head(key).content_length)

    def move(self, source: str, target: str) -> None:
        self._head(source)
        # The managed copy goes in parts above S3's limit of 5 GB for a single one.
        self._bucket.copy({"Bucket": self.bucket_name, "Key": source}, check_key(target))
        self.delete(source)

    def delete(self, key: str) -> None:
        self._bucket.Object(check_key(key)).delete()

    def delete_prefix(self, prefix: str) -> int:
        keys = self.list(prefix)
        for start in range(0, len(keys), 1000):
            self._bucket.delete_objects(Delete={"Objects": [{"Key": key} for key in keys[start : start + 1000]]})
        return len(keys)

    def list(self, prefix: str) -> list[str]:
        return sorted(item.key for item in self._bucket.objects.filter(Prefix=prefix.rstrip("/") + "/"))

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket_name}/{key}"

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=settings.VAR_DIR / "tmp") as folder:
            path = Path(folder) / Path(key).name
            self._head(key).download_file(str(path))
            yield path

    def download_prefix(self, prefix: str, destination: Path) -> Sequence[Path]:
        base = prefix.rstrip("/") + "/"
        written = []
        for key in self.list(prefix):
            target = destination / key.removeprefix(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._bucket.Object(key).download_file(str(target))
            written.append(target)
        return written

    def check(self) -> None:
        try:
            self._bucket.meta.client.head_bucket(Bucket=self.bucket_name)
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(f"The object store's bucket {self.bucket_name} cannot be reached: {error}.") from error


@lru_cache(maxsize=4)
def store_at(url: str) -> ObjectStore:
    """The store an address names: ``file:///path`` or ``s3://key:secret@host:port/bucket?tls=true&region=…``."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FileStore(Path(unquote(parts.path)))
    if parts.scheme == "s3":
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        bucket = parts.path.strip("/")
        if not bucket:
            raise ImproperlyConfigured("STORAGE_URL must name a bucket: s3://key:secret@host:port/bucket")
        endpoint = None
        if parts.hostname:
            scheme = "https" if query.get("tls", "true") == "true" else "http"
            endpoint = f"{scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        return S3Store(
            endpoint=endpoint,
            access_key=unquote(parts.username or ""),
            secret_key=unquote(parts.password or ""),
            bucket=bucket,
            region=query.get("region", "us-east-1"),
        )
    raise ImproperlyConfigured("STORAGE_URL must begin with file:// or s3://")


def store() -> ObjectStore:
    """The configured object store."""
    return store_at(settings.STORAGE_URL)


def file_chunks(file: BinaryIO) -> Iterator[bytes]:
    """A file's content in pieces of one mebibyte."""
    while chunk := file.read(CHUNK):
        yield chunk
