"""When to try again: what a server asks for, how long to wait where it asks for nothing, and one gate for all who share a key.

A server that says "slow down" to one call says it to all that use the same key. So the one that was told shuts the gate, and the
others that want to begin wait as well; then they are let go spread out, a few at a time, and not in step. A call that nobody told to
wait (the connection failed, the server fell over) backs off alone, at random, each time up to twice as long.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic

__all__ = ["LONGEST", "Gate", "back_off", "gate", "retry_after"]

LONGEST = 120.0  # seconds that a server may ask to wait; more is a refusal
_FIRST, _MOST = 0.5, 30.0  # seconds of back-off
_APART = 0.02  # seconds between two that are let go, on average
_WINDOW = 10.0  # seconds in which all are let go


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait: `retry-after-ms`, or `Retry-After` as a number or a date."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", milliseconds):
        return float(milliseconds) / 1000
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", said):
        return float(said)
    with suppress(ValueError, OverflowError):  # a date that is none
        date = parsedate_to_datetime(said)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (date - datetime.now(UTC)).total_seconds())
    return None


def back_off(attempt: int) -> float:
    """Seconds to wait before the attempt (1, 2, …): anything up to a bound that doubles each time."""
    return random.uniform(0, min(_MOST, _FIRST * 2.0 ** min(attempt - 1, 16)))


class Gate:
    """Where all calls of a key begin."""

    def __init__(self) -> None:
        self._until = 0.0
        self._waiting = 0

    def shut(self, seconds: float) -> None:
        """Nobody begins for so long."""
        self._until = max(self._until, monotonic() + seconds)

    async def enter(self) -> None:
        """Wait until the gate is open. Whoever comes when it is, goes through at once."""
        while (left := self._until - monotonic()) > 0:
            spread = random.uniform(0, min(_WINDOW, self._waiting * _APART))
            self._waiting += 1
            try:
                await asyncio.sleep(left + spread)
            finally:
                self._waiting -= 1


_gates: dict[int, Gate] = {}


def gate(base_url: str, secrets: tuple[str, ...]) -> Gate:
    """The gate of this server and key. Neither is kept: a key may stand in the URL, too."""
    return _gates.setdefault(hash((base_url, secrets)), Gate())
