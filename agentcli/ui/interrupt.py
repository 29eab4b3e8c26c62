"""Ctrl-C, and the other ways a program is told to stop.

Measured on a pseudo-terminal: asyncio.run's own SIGINT handling kills the process from the second Ctrl-C on, and
`loop.add_signal_handler` goes deaf after a prompt nested in a turn, because prompt-toolkit removes it. What works in every phase is
`signal.signal` with `loop.call_soon_threadsafe(task.cancel)`, so that is what this does.

The first Ctrl-C cancels the turn. A second one, while the turn is still cleaning up, cancels again, which skips whatever it waits
for. A third leaves at once; the journal has everything. SIGTERM and SIGHUP cancel the turn too; when it has been saved the program
ends with 128 + the signal, as those signals do. Without a turn, every one of them ends the program; but a program that `stays` (the
chat, where Ctrl-C at the prompt is a key) takes a Ctrl-C that comes between Enter and the turn for that turn's.

After a stop (Ctrl-Z) and `fg` the shell may have changed the terminal: SIGCONT calls `go_on`. The time for which the program was
stopped does not count for a turn: the loop's own time stands meanwhile, and with it every clock. How long that was is known from when
the loop was last seen at work.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from types import FrameType
from typing import Any, Self

from agentcli.errors import Exit
from agentcli.ui.terminal import leave_now

__all__ = ["Interrupts"]

_LOOK = 0.25  # seconds between two looks at whether the loop is at work

_ENDING = {"SIGINT": Exit.INTERRUPTED, "SIGTERM": Exit.TERMINATED, "SIGHUP": Exit.HUNG_UP}


class Interrupts:
    """Turns signals into cancellations for as long as it is entered. `ending` is the exit code once the program must end."""

    def __init__(
        self, *, stays: bool = False, go_on: Callable[[], None] = lambda: None, away: Callable[[], bool] = lambda: False
    ) -> None:
        self.ending: int | None = None
        self._go_on = go_on
        self._away = away
        self._stays = stays
        self._asked = False
        self._turn: asyncio.Task[Any] | None = None
        self._presses = 0
        self._previous: dict[signal.Signals, Any] = {}
        self._stood = 0.0  # seconds for which the program was stopped
        self._seen = 0.0  # when the loop was last at work in a turn
        self._looking: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        self._loop.time = lambda: monotonic() - self._stood  # type: ignore[method-assign]
        for name in _ENDING:
            if number := getattr(signal, name, None):  # Windows has no SIGHUP
                self._previous[number] = signal.signal(number, self._receive)
        if number := getattr(signal, "SIGCONT", None):
            self._previous[number] = signal.signal(number, self._continue)
        return self

    def __exit__(self, *exception: object) -> None:
        self._main = None
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        # what comes now only cleans up, and asyncio's own handling would end it with a traceback
        signal.signal(signal.SIGINT, lambda number, frame: leave_now(self.ending or Exit.INTERRUPTED))

    async def run(self, turn: Coroutine[Any, Any, Any]) -> bool:
        """Run a turn as a task that the signals cancel. True if it came to its own end; its exceptions are raised here."""
        self._turn = asyncio.create_task(turn)
        self._look()
        try:
            if self._asked:
                self._asked = False
                await asyncio.sleep(0)  # it begins, so that what was said is in the thread
                self._turn.cancel()
            await asyncio.wait({self._turn})
            if self._turn.cancelled():
                return False
            self._turn.result()
            return True
        finally:
            if not self._turn.done():  # this task was cancelled itself: take the turn along
                self._turn.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({self._turn}, timeout=5)
            if self._looking:
                self._looking.cancel()
            self._turn = None
            self._presses = 0

    def forget(self) -> None:
        """What was pressed before this moment was not meant for the next turn."""
        self._asked = False
        self._presses = 0

    def stop(self) -> None:
        """Cancel the turn, as Ctrl-C does."""
        if self._turn:
            self._turn.cancel()

    def press(self) -> None:
        """Ctrl-C was pressed where the terminal makes a key of it."""
        self._receive(signal.SIGINT, None)

    def _look(self) -> None:
        self._seen = monotonic()
        self._looking = self._loop.call_later(_LOOK, self._look)

    def _continue(self, number: int, frame: FrameType | None) -> None:
        now = monotonic()
        if self._turn and (gone := now - self._seen) > 2 * _LOOK:
            self._stood += gone
        self._seen = now
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._go_on)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._away():  # it was meant for the program that has the terminal now
            return
        self._presses += 1
        code = _ENDING[signal.Signals(number).name]
        if self._presses > 2:
            leave_now(self.ending or code)
        if number == signal.SIGINT and self._turn is None and self._stays:
            self._asked = True
            return
        if number != signal.SIGINT or self._turn is None:
            self.ending = code
        task = self._turn or self._main
        if task:
            with suppress(RuntimeError):  # the loop is closed already: we are on the way out
                self._loop.call_soon_threadsafe(self._cancel, task, code)

    def _cancel(self, task: asyncio.Task[Any], code: int) -> None:
        if self._main is None or task.cancel() or self._stays or task is self._main:
            return
        self.ending = code  # the turn had ended by itself in that very moment: then it is the program that was meant
        self._main.cancel()
