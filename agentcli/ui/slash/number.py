"""Which messages are meant: their numbers, counted from 1, as `/show` tells them."""

from __future__ import annotations

import re

from agentcli.errors import UserError
from agentcli.ui.sanitise import one_line

__all__ = ["number", "numbers"]

_NUMBERS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


def numbers(words: str, count: int) -> range:
    """`7`, or `3-7`, of so many messages."""
    found = _NUMBERS.fullmatch(words)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= count:
        raise _fault(words, count)
    return range(first, last + 1)


def number(words: str, count: int) -> int:
    """One message."""
    found = numbers(words, count)
    if len(found) != 1:
        raise _fault(words, count)
    return found.start


def _fault(words: str, count: int) -> UserError:
    if not count:
        return UserError("nothing has been said yet")
    return UserError(
        f"{one_line(words, 40)!r} is not the number of a message: there are {count}",
        hint="/show all shows them with their numbers.",
    )
