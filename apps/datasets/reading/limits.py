"""What an uploaded file may demand of us. Everything that reads keeps within these."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for reading one upload (characters for text, bytes for lines and batches)."""

    max_cell: int = 4 * MIB
    max_line: int = 16 * MIB
    max_columns: int = 1_000
    max_name: int = 200
    max_depth: int = 64
    max_errors: int = 100
    batch_rows: int = 10_000
    batch_bytes: int = 16 * MIB
    max_row_group: int = 1024 * MIB
    # Of compressed files: bytes on disk, and how much larger than the file once that many bytes are unpacked.
    max_unpacked: int = 20 * 1024 * MIB
    max_ratio: int = 250
    ratio_from: int = 64 * MIB
    # Of Parquet, whose encodings can say "the same a billion times" in a few bytes.
    max_cells_per_byte: int = 500
    cells_from: int = 50_000_000
