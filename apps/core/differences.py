"""What differs between two sequences of words, in bounded time whatever they hold. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import Match, SequenceMatcher

#: (``equal``, ``replace``, ``delete`` or ``insert``, start and end on the left, start and end on the right)
Opcode = tuple[str, int, int, int, int]

# Comparisons of two words. The search is cubic where the same few words come again and again, and people who look at
# a comparison must not wait for a text that was written to take hours.
STEPS = 300_000


class _Bounded(SequenceMatcher[str]):
    """Looks for no more matches once its steps are used up; what is left then counts as replaced."""

    def __init__(self, left: Sequence[str], right: Sequence[str], steps: int) -> None:
        self.steps = steps
        self.left, self.right = left, right
        self.places = Counter(word for word in right if word.strip())
        # White space is everywhere: it goes with the words around it, and is no place to begin.
        super().__init__(lambda word: not word.strip(), left, right, autojunk=False)

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        """As the library, as long as there are steps."""
        ahi, bhi = len(self.left) if ahi is None else ahi, len(self.right) if bhi is None else bhi
        self.steps -= ahi - alo + sum(self.places[self.left[place]] for place in range(alo, ahi))
        return Match(alo, blo, 0) if self.steps < 0 else super().find_longest_match(alo, ahi, blo, bhi)


def opcodes(left: Sequence[str], right: Sequence[str], *, steps: int = STEPS) -> list[Opcode]:
    """How *left* becomes *right*, in order and without gaps, as ``difflib`` says it; coarser after so many *steps*."""
    most = min(len(left), len(right))
    head = next((place for place in range(most) if left[place] != right[place]), most)
    tail = next((place for place in range(most - head) if left[-1 - place] != right[-1 - place]), most - head)
    end, other_end = len(left) - tail, len(right) - tail
    found: list[Opcode] = [("equal", 0, head, 0, head)] if head else []
    for kind, start, stop, other, other_stop in _Bounded(left[head:end], right[head:other_end], steps).get_opcodes():
        found.append((kind, start + head, stop + head, other + head, other_stop + head))
    if tail:
        found.append(("equal", end, len(left), other_end, len(right)))
    return found
