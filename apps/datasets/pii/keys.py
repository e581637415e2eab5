"""Texts inside JSON values: values and the keys of objects, and where they stand.

A key can be an address as well as a value can. Where one is found, its text must not come back in the path of the
finding or of what lies below it, so there it is written by its number: ``.(key 2)`` is the second key of the object
itself, ``.(value of key 2)[0]`` leads on below it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from apps.datasets.types import REQUIRED_COLUMNS

# Names that we prescribe ourselves. They are nobody's data, and a copy without them would not be taken.
FIXED_NAMES = frozenset({name for ways in REQUIRED_COLUMNS.values() for way in ways for name in way}) | {
    "role",
    "content",
}
COLUMN_NAME = "(column name)"


class Place(NamedTuple):
    """A step into a value: of an object with its key and the number of that key from 1, of a list (number 0)."""

    parent: Place | None
    step: str | int
    number: int


class Leaf(NamedTuple):
    """A text with its place; ``is_key``: the key itself, not what stands below it."""

    place: Place | None
    is_key: bool
    text: str


def leaves(value: Any, place: Place | None = None) -> Iterator[Leaf]:
    """The texts inside a JSON value in order, a key before what is below it; numbers too, because a card number may be
    one. Keys that we prescribe are left out."""
    if isinstance(value, str):
        yield Leaf(place, False, value)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, (int, float)):
        yield Leaf(place, False, str(value))
    elif isinstance(value, dict):
        for number, (key, inner) in enumerate(value.items(), start=1):
            below = Place(place, key, number)
            if key not in FIXED_NAMES:
                yield Leaf(below, True, key)
            yield from leaves(inner, below)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from leaves(inner, Place(place, position, 0))


def written(leaf: Leaf, hidden: Collection[str] = ()) -> str:
    """The path to a leaf, such as ``[0].content``; empty for the value itself. Keys in ``hidden``, and the leaf when it
    is a key, are written by their number."""
    parts: list[str] = []
    place = leaf.place
    if leaf.is_key and place is not None:
        parts.append(f".(key {place.number})")
        place = place.parent
    while place is not None:
        if isinstance(place.step, int):
            parts.append(f"[{place.step}]")
        else:
            parts.append(f".(value of key {place.number})" if place.step in hidden else f".{place.step}")
        place = place.parent
    return "".join(reversed(parts))
