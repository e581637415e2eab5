"""Kubernetes quantities (`500m`, `2`, `4Gi`) as numbers."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTORS: dict[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(10 ** (3 * power)) for power, unit in enumerate("kMGT", start=1)},
    **{f"{unit}i": Decimal(2 ** (10 * power)) for power, unit in enumerate("KMGT", start=1)},
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
MIN_CORES, MAX_CORES = Decimal("0.01"), Decimal(1024)
MIN_MEMORY, MAX_MEMORY = 2**24, 2**50


def _number(text: str) -> Decimal:
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a quantity like 2, 500m or 4Gi.")
    return Decimal(found[1]) * _FACTORS[found[2]]


def cpu_cores(text: str) -> Decimal:
    """Return the cores of a CPU quantity; ValueError outside 10m to 1024."""
    cores = _number(text)
    if not MIN_CORES <= cores <= MAX_CORES:
        raise ValueError(f"{text[:40]!r} is not between 10m and 1024 cores.")
    return cores


def memory_bytes(text: str) -> int:
    """Return the bytes of a memory quantity; ValueError outside 16Mi to 1024Ti."""
    size = int(_number(text))
    if not MIN_MEMORY <= size <= MAX_MEMORY:
        raise ValueError(f"{text[:40]!r} is not between 16Mi and 1024Ti.")
    return size


def readable_bytes(count: int) -> str:
    """Return *count* bytes for people: ``999 bytes``, ``1.5 MB`` (decimal units, as hubs and disks use them)."""
    power = 0
    while power < len(_UNITS) - 1 and round(count / 1_000**power, 1) >= 1_000:
        power += 1
    return f"{count} bytes" if power == 0 else f"{count / 1_000**power:.1f} {_UNITS[power]}"
