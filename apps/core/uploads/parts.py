"""How pieces of a file reach the object store: appended to a file, or as the parts of an S3 multipart upload.

Pieces arrive in order. Between two requests nothing of a file is held in memory; an S3 part must have five mebibytes
(unless it is the last), so what does not fill a part yet waits in an object of its own.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from apps.core.errors import InfrastructureError, NotFound, Unavailable
from apps.core.models import UploadPart, UploadSession
from apps.core.storage import CHUNK, FileStore, ObjectStore, S3Store, check_key, store

BLOCK = 8 * CHUNK
# Amazon's limits: at most 10,000 parts, of at least 5 MiB.
MAX_PARTS = 10_000


def block_size(size: int) -> int:
    """Bytes of one piece for a file of ``size`` bytes: eight mebibytes, more where that would give too many parts."""
    least = -(-size // MAX_PARTS)
    return max(BLOCK, -(-least // CHUNK) * CHUNK)


class PartStore(Protocol):
    """Writes one upload piece by piece. The caller holds the session's row locked while it writes."""

    def begin(self, session: UploadSession) -> str:
        """Make room; returns the store's own name of the upload, or nothing."""

    def resume(self, session: UploadSession) -> tuple[int, bytes]:
        """Where writing goes on, and the bytes from there to ``session.offset`` that must be written again."""

    def write(self, session: UploadSession, start: int, data: bytes | bytearray) -> None:
        """Write ``data`` at ``start``: a whole block, or less at the end of a request."""

    def finish(self, session: UploadSession) -> None:
        """Make the object ``session.key`` of what was written. Harmless when it was done already.

        Raises:
            NotFound: bytes that were received are gone.
        """

    def discard(self, session: UploadSession) -> None:
        """Remove everything; absent is fine."""


class FileParts:
    """One growing file. Blocks need no alignment, so nothing is written twice."""

    def __init__(self, files: FileStore) -> None:
        self.files = files

    def _path(self, session: UploadSession) -> str:
        return str(self.files.root / check_key(session.key))

    def begin(self, session: UploadSession) -> str:
        path = self._path(session)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb"):
            pass
        os.chmod(path, 0o640)
        return ""

    def resume(self, session: UploadSession) -> tuple[int, bytes]:
        return session.offset, b""

    def write(self, session: UploadSession, start: int, data: bytes | bytearray) -> None:
        try:
            # Not appending: bytes behind the offset that the database knows are leftovers of a broken request.
            with open(self._path(session), "r+b") as file:
                file.seek(start)
                file.write(data)
        except FileNotFoundError as error:
            raise NotFound(f"The bytes of {session} are gone from the store. Start the upload again.") from error
        except OSError as error:
            raise Unavailable(f"The file store cannot be written: {error.strerror}.") from error

    def finish(self, session: UploadSession) -> None:
        try:
            with open(self._path(session), "r+b") as file:
                if os.fstat(file.fileno()).st_size < session.size:
                    raise NotFound(f"Bytes of {session} are gone from the store. Start the upload again.")
                file.truncate(session.size)
                os.fsync(file.fileno())
        except FileNotFoundError as error:
            raise NotFound(f"The bytes of {session} are gone from the store. Start the upload again.") from error

    def discard(self, session: UploadSession) -> None:
        self.files.delete_prefix(f"uploads/{session.pk}")


class S3Parts:
    """A multipart upload. Part *n* holds block *n*, so writing a block again replaces the same part."""

    def __init__(self, objects: S3Store) -> None:
        self.objects = objects
        self.client: Any = objects.storage.connection.meta.client

    def _where(self, session: UploadSession) -> dict[str, str]:
        return {"Bucket": self.objects.bucket_name, "Key": check_key(session.key)}

    def _tail(self, session: UploadSession) -> dict[str, str]:
        return {"Bucket": self.objects.bucket_name, "Key": check_key(f"uploads/{session.pk}/tail")}

    def begin(self, session: UploadSession) -> str:
        try:
            return str(self.client.create_multipart_upload(**self._where(session))["UploadId"])
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(f"The object store does not take uploads right now: {error}.") from error

    def resume(self, session: UploadSession) -> tuple[int, bytes]:
        waiting = session.offset % session.block_size
        if not waiting or session.offset == session.size:
            return session.offset, b""
        try:
            data = self.client.get_object(**self._tail(session))["Body"].read()
        except ClientError as error:
            raise _said(error, session) from error
        if len(data) < waiting:
            raise NotFound(f"Bytes of {session} are gone from the store. Start the upload again.")
        return session.offset - waiting, data[:waiting]

    def write(self, session: UploadSession, start: int, data: bytes | bytearray) -> None:
        try:
            if len(data) == session.block_size or start + len(data) == session.size:
                number = start // session.block_size + 1
                answer = self.client.upload_part(
                    **self._where(session), UploadId=session.store_upload_id, PartNumber=number, Body=data
                )
                UploadPart.objects.update_or_create(
                    session=session, number=number, defaults={"tag": answer["ETag"], "size": len(data)}
                )
            else:
                self.client.put_object(**self._tail(session), Body=data)
        except ClientError as error:
            raise _said(error, session) from error
        except BotoCoreError as error:
            raise Unavailable(f"The object store cannot be written: {error}.") from error

    def finish(self, session: UploadSession) -> None:
        if self.objects.exists(session.key):
            return
        try:
            kept = list(UploadPart.objects.filter(session=session).order_by("number"))
            if sum(part.size for part in kept) != session.size:
                raise NotFound(f"Bytes of {session} are gone from the store. Start the upload again.")
            parts = [{"PartNumber": part.number, "ETag": part.tag} for part in kept]
            self.client.complete_multipart_upload(
                **self._where(session), UploadId=session.store_upload_id, MultipartUpload={"Parts": parts}
            )
            self.client.delete_object(**self._tail(session))
        except ClientError as error:
            raise _said(error, session) from error

    def discard(self, session: UploadSession) -> None:
        prefix = f"uploads/{session.pk}"
        try:
            # Listed, not taken from the row: a crash right after the beginning left the row without the name.
            bucket = self.objects.bucket_name
            found = self.client.list_multipart_uploads(Bucket=bucket, Prefix=prefix + "/").get("Uploads", [])
            for upload in found:
                self.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        except (BotoCoreError, ClientError) as error:
            raise InfrastructureError(f"The object store kept pieces of {session}: {error}.") from error
        self.objects.delete_prefix(prefix)


def _said(error: ClientError, session: UploadSession) -> NotFound | Unavailable:
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
        return NotFound(f"The pieces of {session} are gone from the store. Start the upload again.")
    return Unavailable(f"The object store refused a piece of {session}: {error}.")


def part_store(objects: ObjectStore | None = None) -> PartStore:
    """The way for the configured object store."""
    objects = objects or store()
    return S3Parts(objects) if isinstance(objects, S3Store) else FileParts(_file_store(objects))


def _file_store(objects: ObjectStore) -> FileStore:
    if not isinstance(objects, FileStore):
        raise TypeError(f"No uploads in pieces for {type(objects).__name__}")
    return objects
