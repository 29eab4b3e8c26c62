"""The clock of a turn. It belongs to whoever pulls the turn: a generator never owns time.

    async with Clock(300) as clock: ...     TimeoutError once the time is over; 0: there is no limit

It stands while a person is asked (`standing()`), however many questions there are at once, and can be given more time at any moment
before it has run out (`extend()`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

__all__ = ["Clock"]


class Clock:
    """So many seconds. `limit` is all of them, those that were added too."""

    def __init__(self, seconds: float) -> None:
        self.limit = seconds
        self._questions = 0
        self._kept = 0.0  # seconds that are left for when it goes on

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(self.limit or None)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._timeout.__aexit__(kind, error, trace)

    @property
    def left(self) -> float | None:
        """Seconds; None if there is no limit, or while it stands."""
        ends = self._timeout.when()
        return None if ends is None else max(ends - self._loop.time(), 0.0)

    def extend(self, seconds: float) -> None:
        """Give it more time, unless it has run out."""
        if not self.limit or self._timeout.expired():
            return
        self.limit += seconds
        if self._questions:
            self._kept += seconds
        elif (ends := self._timeout.when()) is not None:
            self._timeout.reschedule(ends + seconds)

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Within the block no time passes."""
        if not self.limit or self._timeout.expired():
            yield
            return
        if not self._questions:
            self._kept = self.left or 0.0
            self._timeout.reschedule(None)
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions and not self._timeout.expired():
                self._timeout.reschedule(self._loop.time() + self._kept)
