"""Text files of unknown encoding, read line by line with a bound on the line."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.datasets.reading.limits import Limits
from apps.datasets.reading.problems import Problem, ProblemLog

_SAMPLE = 64 * 1024
_PIECE = 1024 * 1024
# UTF-32 before UTF-16: the little-endian mark of the one begins with that of the other.
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Bytes that windows-1252 (and so Latin-1 text) uses beyond ASCII.
_LEGACY = frozenset(range(0xA0, 0x100)) | frozenset(range(0x80, 0xA0)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}
_CONTROLS = frozenset(range(0x20)) - {0x09, 0x0A, 0x0D}
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
LEGACY = "windows-1252"
_BINARY_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive (or a spreadsheet)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"SQLite format 3", "a SQLite database"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x7fELF", "a program"),
)


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a text file is written: its encoding and how many bytes its byte-order mark takes."""

    encoding: str
    mark_length: int
    # Old line ends (a bare carriage return) need the slower reader.
    bare_carriage_returns: bool


def detect(path: Path, name: str, log: ProblemLog, *, legacy: bool = False) -> TextForm:
    """Find the encoding from the byte-order mark, or from where the zero bytes lie; UTF-8 otherwise.

    ``legacy``: where the first text beyond ASCII is not UTF-8 but can be Latin-1, it is taken for windows-1252, as
    spreadsheets write it. (JSON is UTF-8 by its definition.)
    """
    with path.open("rb") as handle:
        sample = handle.read(_SAMPLE)
    if not sample.strip():
        raise log.stop(Problem(name, "empty_file", "The file is empty. Upload a file that holds rows."))
    for magic, what in _BINARY_MAGIC:
        if sample.startswith(magic):
            raise log.stop(
                Problem(
                    name,
                    "wrong_format",
                    f"This is {what}, not a text file. Upload the CSV, JSONL or Parquet file under its own "
                    "extension (a compressed one as .csv.gz, .jsonl.zst and the like).",
                )
            )
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return TextForm(encoding, len(mark), encoding != "utf-8" or _bare_returns(sample))
    zeros_even, zeros_odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if half and zeros_odd > 0.4 * half and zeros_even < 0.05 * half:
        return TextForm("utf-16-le", 0, True)
    if half and zeros_even > 0.4 * half and zeros_odd < 0.05 * half:
        return TextForm("utf-16-be", 0, True)
    if legacy and _is_legacy(path):
        return TextForm(LEGACY, 0, _bare_returns(sample))
    return TextForm("utf-8", 0, _bare_returns(sample))


def _is_legacy(path: Path) -> bool:
    with path.open("rb") as handle:
        while chunk := handle.read(_PIECE):
            if chunk.isascii():
                continue
            chunk += handle.readline(_PIECE)  # to the end of a line, so that no character is cut in two
            try:
                chunk.decode("utf-8")
            except UnicodeDecodeError:
                present = set(chunk)
                high = {byte for byte in present if byte > 0x7F}
                return not _MULTIBYTE.search(chunk) and high <= _LEGACY and not present & _CONTROLS
            return False
    return False


def _bare_returns(sample: bytes) -> bool:
    return b"\r" in sample and b"\n" not in sample


class Lines:
    """Iterates over the lines of a text file as ``str``, never holding more than one bounded line.

    ``number`` is the number of the line handed out last. A line that cannot be decoded is a problem of its
    own and is handed out as ``None`` so that numbering holds; a line beyond the bound ends the reading of the
    file.
    """

    def __init__(self, path: Path, name: str, form: TextForm, limits: Limits, log: ProblemLog) -> None:
        self.path, self.name, self.form, self.limits, self.log = path, name, form, limits, log
        self.number = 0
        self.position = 0  # bytes read so far, for progress

    def __iter__(self) -> Iterator[str | None]:
        if self.form.encoding in ("utf-8", LEGACY) and not self.form.bare_carriage_returns:
            return self._binary()
        return self._decoded()

    def _too_long(self) -> Exception:
        limit = self.limits.max_line // (1024 * 1024)
        return self.log.stop(
            Problem(
                self.name,
                "line_too_long",
                f"The line is longer than {limit} MiB. Split the content into rows; one "
                "row is one line (a quote that is never closed can also join lines).",
                line=self.number + 1,
            )
        )

    def _binary(self) -> Iterator[str | None]:
        limit = self.limits.max_line
        with self.path.open("rb", buffering=1024 * 1024) as handle:
            handle.seek(self.form.mark_length)
            while raw := handle.readline(limit + 1):
                if len(raw) > limit:
                    raise self._too_long()
                self.number += 1
                self.position += len(raw)
                if self.form.encoding == LEGACY:
                    yield self._legacy(raw)
                    continue
                try:
                    yield raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    self.log.add(
                        Problem(
                            self.name,
                            "encoding",
                            f"Byte {error.start + 1} of the line is not UTF-8. Save the file as "
                            "UTF-8 (or UTF-16 with a byte-order mark) and upload it again.",
                            line=self.number,
                        )
                    )
                    yield None

    def _legacy(self, raw: bytes) -> str | None:
        """The line as windows-1252, unless it is UTF-8: then the file mixes encodings, and neither reading is right."""
        if raw.isascii():
            return raw.decode("ascii")
        if not _MULTIBYTE.search(raw):
            try:
                return raw.decode(LEGACY)
            except UnicodeDecodeError:
                pass
        self.log.add(
            Problem(
                self.name,
                "encoding",
                "The line is in another encoding than those before it (which are Latin-1). Save the file as UTF-8 and "
                "upload it again.",
                line=self.number,
            )
        )
        return None

    def _decoded(self) -> Iterator[str | None]:
        limit = self.limits.max_line
        with self.path.open("rb", buffering=1024 * 1024) as raw:
            raw.seek(self.form.mark_length)
            with io.TextIOWrapper(raw, encoding=self.form.encoding, newline="", errors="strict") as handle:
                while True:
                    try:
                        line = handle.readline(limit + 1)
                    except UnicodeDecodeError as error:
                        raise self.log.stop(
                            Problem(
                                self.name,
                                "encoding",
                                f"From here on the file is not {self.form.encoding.upper()}. Save "
                                "it as UTF-8 and upload it again.",
                                line=self.number + 1,
                            )
                        ) from error
                    if not line:
                        return
                    if len(line) > limit:
                        raise self._too_long()
                    self.number += 1
                    self.position = raw.tell()
                    yield line
