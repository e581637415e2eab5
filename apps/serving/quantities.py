"""Kubernetes quantities (``500m``, ``2``, ``4Gi``) as numbers."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"^(\d{1,12}(?:\.\d{1,6})?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
_FACTORS = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


def _parse(text: str) -> Decimal:
    found = _QUANTITY.match(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a quantity")
    return Decimal(found[1]) * _FACTORS[found[2]]


def cpu_cores(text: str) -> float:
    """Cores of a CPU quantity. Raises ``ValueError``; CPUs have no larger units than one."""
    cores = _parse(text)
    if not Decimal("0.01") <= cores <= 1024:
        raise ValueError(f"{text[:40]!r} is not between 10m and 1024 cores")
    return float(cores)


def memory_bytes(text: str) -> int:
    """Bytes of a memory quantity. Raises ``ValueError``."""
    size = int(_parse(text))
    if not 2**24 <= size <= 2**50:
        raise ValueError(f"{text[:40]!r} is not between 16Mi and 1024Ti")
    return size
