"""A turn on a terminal: finished lines are printed once, the unfinished tail is drawn below them and drawn again.

The drawing is careful in four ways.

- What is finished is never touched again, nor is anything above it: the cursor goes up by the rows of the tail that was drawn and no
  further, and everything from there down is erased. Nothing here scrolls, clears or leaves the screen.
- The tail is drawn with automatic wrapping switched off, so that a line is one row even where the terminal and we disagree about how
  wide a character is; and in one write, so that no other moment sees the switch. Finished lines wrap as usual.
- A tail is at most a screenful, and is drawn at most fifteen times a second, and less often when drawing is slow: never for more than
  a tenth of the time. When nothing is due, an event costs no write at all.
- The cursor is never hidden, and stands behind what was drawn last. However the program ends, the terminal is as it was.

If the window is made narrower while a tail is on the screen, some terminals wrap its lines anew and others cut them, and none says
which. Then the fewer rows are taken: a piece of the old tail may stay above, but no finished line is lost.

Under the tail stands the `Status`, dim: what is being waited for, or how fast the answer comes. It is a part of what is drawn again.

`tick()` is for a timer: it draws what became due while no event came. Before anything else is written to the terminal, `pause()`
takes the tail away; the next event brings it back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Literal, TextIO

from agentcli.core.event import Event, TextDelta, TurnEnded
from agentcli.ui import theme
from agentcli.ui.status import Status
from agentcli.ui.terminal import write_whole
from agentcli.ui.view import View

__all__ = ["Renderer"]

PACE = 1 / 15  # seconds between two drawings
TIGHT = 5  # rows below which the status line makes room for the tail


class Renderer:
    """Shows events on `file`, a terminal. `size` says how many columns and rows it has, now. `quiet` leaves the status line out."""

    def __init__(
        self,
        file: TextIO,
        *,
        size: Callable[[], tuple[int, int]] | None = None,
        model: str = "",
        color: bool | None = None,
        thinking: Literal["short", "full"] = "short",
        quiet: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._file = file
        self._size = size or (lambda: _size_of(file))
        self._clock = clock
        self._color = not os.environ.get("NO_COLOR") if color is None else color
        self._view = View(
            self._size()[0],
            color=self._color,
            thinking=thinking,
            clock=clock,
        )
        self._status = None if quiet else Status(model, clock=clock)
        self._printed = False  # something finished stands above
        self._tail: list[str] = []  # what is drawn
        self._width = 0  # and how wide the window was
        self._due = 0.0
        self._speaking = False
        self._paused = False

    def show(self, event: Event) -> None:
        """Show an event, now or when the next drawing is due."""
        self.go_on()
        if type(event) is not TextDelta:
            self._view.width = self._size()[0]
        self._view.show(event)
        if self._status:
            self._status.show(event)
        now = self._clock()
        speaks = type(event) is TextDelta
        first, self._speaking = speaks and not self._speaking, speaks  # the first word does not wait its turn
        if first or now >= self._due or type(event) is TurnEnded:
            self._draw(now)

    def tick(self) -> None:
        """Draw what is due."""
        now = self._clock()
        if now >= self._due and not self._paused:
            self._draw(now)

    def pause(self) -> None:
        """Leave the terminal to somebody else: everything finished is printed, nothing unfinished is on the screen."""
        self._draw(self._clock(), tail=False)
        self._paused = True
        if self._status:
            self._status.asking(True)

    def go_on(self) -> None:
        """The terminal is ours again; what comes next draws on it."""
        if self._paused:
            self._paused = False
            if self._status:
                self._status.asking(False)

    def close(self) -> None:
        """Finish what is unfinished."""
        self._view.close()
        self.pause()

    def _draw(self, now: float, *, tail: bool = True) -> None:
        width, height = self._size()
        self._view.width = width
        finished = self._view.take()
        self._printed = self._printed or bool(finished)
        lines = self._lines(width, height - 1) if tail else []
        if finished or lines != self._tail:
            same = 0 if finished or width != self._width else _same(self._tail, lines)
            keep = max(min(same, len(self._tail) - 1, len(lines) - 1), 0)  # the row where the new drawing begins
            self._write(_erased(len(self._tail) - 1 - keep if self._tail else -1) + finished + _drawn(lines[keep:]))
            self._tail, self._width = lines, width
        self._due = now + max(PACE, 10 * (self._clock() - now))

    def _lines(self, width: int, height: int) -> list[str]:
        """What is drawn: the tail, and the status line under it, if there is something to say and room to say it."""
        status = self._status.line(width) if self._status else ""
        if not status:
            return self._view.tail_lines(width, height)
        lines = self._view.tail_lines(width, height if height < TIGHT else height - 2)
        if height < TIGHT and (lines or not height):
            return lines
        if lines or self._printed:
            lines.append("")
        return [*lines, (theme.current() if self._color else theme.NONE).paint("dim", status)]

    def _write(self, text: str) -> None:
        write_whole(self._file, text)


def _erased(up: int) -> str:
    """Erase the row of the cursor, `up` rows above it, and everything below; nothing at all if that is negative."""
    if up < 0:
        return ""
    return f"\r\x1b[{up}A\x1b[J" if up else "\r\x1b[J"


def _same(old: list[str], new: list[str]) -> int:
    """How many lines they have in common at the beginning."""
    return next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new)))


def _drawn(lines: list[str]) -> str:
    return "\x1b[?7l" + "\n".join(lines) + "\x1b[?7h" if lines else ""


def _size_of(file: TextIO) -> tuple[int, int]:
    """The columns and rows of the terminal behind a file; of one that does not tell, what `COLUMNS` and `LINES` say, or 80 and 24."""
    columns = rows = 0
    with suppress(OSError, ValueError):
        columns, rows = os.get_terminal_size(file.fileno())
    return columns or _number("COLUMNS", 80), rows or _number("LINES", 24)


def _number(variable: str, otherwise: int) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isascii() and value.isdigit() and int(value) else otherwise
