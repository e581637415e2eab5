"""Reading parts of stored objects as if they were local files, without copying them here first."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any, BinaryIO, cast

from apps.core.storage import FileStore, ObjectStore, store

BLOCK = 512 * 1024
_HELD = 16


class RangeFile(io.RawIOBase):
    """A stored object, read by ranges in blocks; holds at most sixteen blocks of half a mebibyte.

    ``read_bytes`` counts what was fetched.
    """

    def __init__(self, source: ObjectStore, key: str) -> None:
        super().__init__()
        self._source, self._key = source, key
        self._size = source.size(key)
        self._place = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.read_bytes = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is fetched."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        """Where the next read begins."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from the current place as far as the object goes."""
        view = memoryview(buffer).cast("B")
        end = min(self._size, self._place + len(view))
        written = 0
        while self._place < end:
            number, inside = divmod(self._place, BLOCK)
            piece = self._block(number, -(-end // BLOCK) - number)[inside : inside + end - self._place]
            if not piece:
                break
            view[written : written + len(piece)] = piece
            written += len(piece)
            self._place += len(piece)
        return written

    def _block(self, number: int, ahead: int) -> bytes:
        """One block; when it is missing, it and those after it that are wanted come in one request."""
        if number not in self._blocks:
            count = max(1, min(ahead, _HELD))
            start, end = number * BLOCK, min(self._size, (number + count) * BLOCK)
            content = b"".join(self._source.open_range(self._key, start, end))
            self.read_bytes += len(content)
            for place in range(count):
                self._blocks[number + place] = content[place * BLOCK : (place + 1) * BLOCK]
            while len(self._blocks) > _HELD:
                self._blocks.popitem(last=False)
        return self._blocks[number]


def seekable(key: str) -> BinaryIO:
    """A stored object for reading from any place; the caller closes it. Raises NotFound.

    On the file system it is the file; elsewhere the parts that are read are fetched.
    """
    source = store()
    if isinstance(source, FileStore):
        return source.open(key)
    return cast("BinaryIO", RangeFile(source, key))
