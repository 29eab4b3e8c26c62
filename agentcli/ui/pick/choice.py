"""What is offered, what was typed, what is left of the one by the other, and which of that is the one to take.

Only the state: nothing here draws, waits or reads. All typed words must be found, in any order, upper and lower case alike; a word may
also be the beginning of an id. What is found in the offers' own words comes first, in the order of the offers, and at once. What is
found elsewhere, in the texts of threads, is added behind it as it comes (`add`), in the same order; what somebody selected stays so.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple
from unicodedata import normalize

from msgspec import Struct

from agentcli.ui.sanitise import SUSPECT

__all__ = ["Choice", "Found", "Offer", "folded"]


_TELLING = 3  # letters of an id


class Offer(Struct, frozen=True):
    """Something to pick: its name, and the words it is found by, `folded`."""

    name: str
    words: str


class Found(NamedTuple):
    """An offer that is left: its place among all of them, and the line it was found in, if that is not its own words."""

    place: int
    line: str = ""


class Choice:
    """See the top of the file. `at` is the place of the selected one in `found`; `others` are the places of the offers that are not
    there, each with the words that its own do not have."""

    def __init__(self, offers: Sequence[Offer] = (), *, last: bool = False) -> None:
        self.offers = offers
        self.words: list[str] = []
        self.found: list[Found] = []
        self.others: list[tuple[int, list[str]]] = []
        self.at = 0
        self._last = last
        self._moved = False
        self._own = 0  # how many were found in their own words
        self._top = 0  # the first that is shown
        self.type("")

    @property
    def selected(self) -> Offer | None:
        return self.offers[self.found[self.at].place] if self.found else None

    def type(self, line: str) -> None:
        """Look for other words. The first of what is left is selected, or the last if that is where the choice begins."""
        lines = {found.place: found for found in self.found if found.line}
        self.words = folded(line).split()
        self.found, self.others = [], []
        still: list[Found] = []
        for place, offer in enumerate(self.offers):
            missing = [word for word in self.words if word not in offer.words and not _begins(offer.name, word)]
            if not missing:
                self.found.append(Found(place))
            elif place in lines and all(word in folded(lines[place].line) for word in missing):
                still.append(lines[place])  # need not be looked for again
            else:
                self.others.append((place, missing))
        self._own = len(self.found)
        self.found += still
        self.at = max(len(self.found) - 1, 0) if self._last else 0
        self._top = 0
        self._moved = False

    def add(self, found: Iterable[Found]) -> None:
        """What was found elsewhere."""
        for each in found:
            behind = bisect(self.found, each.place, lo=self._own, key=attrgetter("place"))
            if behind <= self.at and self._moved:
                self.at += 1
                self._top += 1
            self.found.insert(behind, each)

    def move(self, by: int) -> None:
        """Select another one: so many further on, but not beyond the ends."""
        self.at = max(0, min(len(self.found) - 1, self.at + by))
        self._moved = True

    def shown(self, height: int) -> range:
        """The places in `found` that fit into so many lines, the selected one among them; one with a line of its own takes two."""
        if not self.found or height < 1:
            return range(0)
        self._top = min(self._top, self.at)
        taken = 0
        first = self.at
        while first >= self._top and (taken := taken + self._lines(first)) <= height:
            first -= 1
        self._top = min(first + 1, self.at)
        end, taken = self._top, 0
        while end < len(self.found) and (taken := taken + self._lines(end)) <= height:
            end += 1
        while self._top and end == len(self.found) and taken + self._lines(self._top - 1) <= height:  # no gap at the end
            self._top -= 1
            taken += self._lines(self._top)
        return range(self._top, max(end, self._top + 1))

    def _lines(self, at: int) -> int:
        return 2 if self.found[at].line else 1


def _begins(name: str, word: str) -> bool:
    """Is the word the beginning of a name? One letter of an id says nothing."""
    return len(word) >= min(_TELLING, len(name)) and name.startswith(word)


def folded(text: str) -> str:
    """A text as it is compared: without case, without what cannot be seen, accents written in one way."""
    return text.lower() if text.isascii() else normalize("NFC", SUSPECT.sub("", text)).casefold()
