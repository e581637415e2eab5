"""Writing rows out again as a file that can be uploaded: CSV or JSON Lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import polars as pl

from apps.datasets.reading.rows import physical
from apps.datasets.types import Column


class RowsOut(AbstractContextManager["RowsOut"]):
    """Writes frames of rows (physical names, cells as in a rows file) under their uploaded names.

    A path that ends in ``.csv`` is written as CSV, which has text only; any other as JSON Lines.
    """

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        self.path, self.columns = path, columns
        self.rows = 0
        self._csv = path.suffix == ".csv"
        self._keys = [json.dumps(column.name, ensure_ascii=False) + ": " for column in columns]
        self._file: BinaryIO = path.open("wb")
        if self._csv:
            self._file.write(_csv_lines([[column.name for column in columns]]))

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def write(self, frame: pl.DataFrame) -> None:
        """Append the rows of a frame."""
        if not frame.height:
            return
        self.rows += frame.height
        cells = [frame[physical(index)].to_list() for index in range(len(self.columns))]
        if self._csv:
            self._file.write(
                _csv_lines(["" if cell is None else cell for cell in row] for row in zip(*cells, strict=True))
            )
            return
        texts = []
        for column, key, values in zip(self.columns, self._keys, cells, strict=True):
            if column.stored == "json":
                texts.append([f"{key}{'null' if value is None else value}" for value in values])
            else:
                texts.append(
                    [f"{key}{'null' if value is None else json.dumps(value, ensure_ascii=False)}" for value in values]
                )
        self._file.write("".join("{" + ", ".join(row) + "}\n" for row in zip(*texts, strict=True)).encode())


def _csv_lines(records: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(records)
    return text.getvalue().encode()
