"""A turn in a chat with a live prompt: what is finished goes above it, what is not stands in its rows.

It is drawn at most twenty times a second, and less often when drawing is slow: never for more than a tenth of the time. The first word
does not wait its turn. When nothing is due, an event costs no drawing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from agentcli.core.event import Event, MessageAdded, TextDelta, TurnEnded

if TYPE_CHECKING:
    from agentcli.ui.status import Status
from agentcli.ui.view import View

__all__ = ["LiveForm", "Rows"]

PACE = 1 / 20  # seconds between two drawings


class Rows(Protocol):
    """Where it is shown."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def room(self) -> int: ...

    def show(self, finished: str, tail: list[str], status: str) -> None: ...

    def heard(self) -> None: ...

    def over(self) -> None: ...


class LiveForm:
    """Shows the events of one turn in `rows`."""

    def __init__(self, rows: Rows, view: View, status: Status, *, clock: Callable[[], float] = monotonic) -> None:
        self._rows = rows
        self._view = view
        self._status = status
        self._clock = clock
        self._due = 0.0
        self._speaking = False
        self._asking = False

    def show(self, event: Event) -> None:
        """Show an event, now or when the next drawing is due."""
        self._view.width = self._rows.size[0]
        if isinstance(event, MessageAdded) and event.message.role == "user" and "/" not in event.source:
            self._rows.show(self._view.take(), [], "")
            self._rows.heard()
        self._view.show(event)
        self._status.show(event)
        now = self._clock()
        speaks = type(event) is TextDelta
        first, self._speaking = speaks and not self._speaking, speaks
        if first or now >= self._due or type(event) is TurnEnded:
            self._draw(now)

    def tick(self) -> None:
        """Draw what is due."""
        now = self._clock()
        if now >= self._due:
            self._draw(now)

    def pause(self) -> None:
        """A question comes: what is finished stands above it."""
        self._asking = True
        self._status.asking(True)
        self._draw(self._clock())

    def go_on(self) -> None:
        """It is answered."""
        self._asking = False
        self._status.asking(False)

    def close(self) -> None:
        """Finish what is unfinished."""
        self._view.close()
        self._rows.show(self._view.take(), [], "")
        self._rows.over()

    def _draw(self, now: float) -> None:
        columns = self._rows.size[0]
        self._view.width = columns
        finished = self._view.take()
        tail = [] if self._asking else self._view.tail_lines(columns, self._rows.room)  # the call stands above, whole
        self._rows.show(finished, tail, self._status.line(columns - 1))
        self._due = now + max(PACE, 10 * (self._clock() - now))
