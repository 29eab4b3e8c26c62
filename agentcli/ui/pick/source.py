"""What a box shows: the things that can be picked, and how each of them looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from agentcli.ui.pick.choice import Found, Offer

__all__ = ["Preview", "Source"]


class Preview(NamedTuple):
    """What stands behind an offer: a question, an answer, and what is to be known of them."""

    question: str
    answer: str
    note: str = ""


class Source(Protocol):
    """Where offers come from. What reads the disk is called by other threads."""

    question: str  # stands before what is typed
    hint: str  # stands there until something is typed
    verb: str  # what Enter does
    last: bool  # is the last one selected first?

    def offers(self) -> Sequence[Offer]:
        """All there is to pick. Reads the disk."""
        ...

    def head(self, width: int) -> str:
        """The names of the columns; empty if they have none."""
        ...

    def row(self, place: int, width: int, *, selected: bool) -> str:
        """An offer in one line, painted."""
        ...

    def search(self, wanted: Iterable[tuple[int, Sequence[str]]]) -> Iterator[Found | None]:
        """For each offer, one after the other: a line of its text, if all the words are in it. Reads the disk."""
        ...

    def preview(self, place: int) -> Preview:
        """What stands behind it. Reads the disk."""
        ...
