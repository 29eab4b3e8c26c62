"""What a person types, line by line, as the terminal itself lets them edit it.

The terminal stays in its own mode for lines: it shows what is typed, takes Backspace and Ctrl-U, and hands over a line when it is
whole. Nothing is drawn here, so nothing here can confuse a screen reader. All lines are taken as soon as they come, also while an
answer does, because a terminal keeps no more than 4,096 characters for us; then they wait in a queue.

- **Hushed or listening** (`line_mode.py`). Hushed, the terminal does not show what is typed, and Ctrl-C is the signal that stops a
  turn. Listening, it shows it, and Ctrl-C is a character that ends a line, so that what was typed before it and after it stay apart.
- **The beginning of a line** that was typed unseen can be taken out of the terminal, by leaving its mode for lines for a moment. It is
  shown behind the prompt and stays the beginning of that line, though Backspace does not reach it any more (Ctrl-C does).
- **A paste** cannot be told from typing by what it is, but by its speed: lines that come within `GAP` are one.

Ctrl-D on an empty line is an end, and so is a terminal that goes away.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from agentcli.ui.line_mode import LineMode

__all__ = ["GAP", "LONGEST", "Ahead", "Typed", "Typing"]

GAP = 0.02  # seconds: nobody presses Enter and another key within that
LONGEST = 1024 if sys.platform == "darwin" else 4095  # bytes of a line: a terminal takes no more
_WATCHED = sys.platform != "win32"  # a loop of Windows cannot watch a console


class Typed(NamedTuple):
    """A line, or an end. `how` it ended: "enter", "stop" (Ctrl-C) or "end" (Ctrl-D on an empty line, or no terminal any more)."""

    text: str
    how: str = "enter"
    seen: bool = False  # the terminal has shown it
    after: bool = False  # it came at once behind another line
    more: bool = False  # something came at once behind it
    cut: bool = False  # as long as a line can be: there may have been more


class Ahead(NamedTuple):
    """What was typed before a question: whole lines, and the beginning of one."""

    lines: tuple[Typed, ...]
    begun: bytes


class Typing:
    """The lines that are typed at standard input. `on_stop` is called for a Ctrl-C that nobody listens for."""

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._lines: deque[Typed] = deque()
        self._burst: list[Typed] = []  # lines that came at once, until it is known that no more do
        self._begun = b""
        self._listening = False
        self._ended = False
        self._more = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._away = True

    def begin(self, early: str = "") -> None:
        """Take hold of the terminal. `early` are lines that were typed before."""
        self._loop = asyncio.get_running_loop()
        self._fd = sys.stdin.fileno()
        self._mode = LineMode(self._fd)
        *whole, begun = early.replace("\r", "\n").split("\n")
        self._lines.extend(Typed(line) for line in whole)
        self._begun += begun.encode(errors="replace")
        self.go_on()

    def end(self) -> None:
        """Leave the terminal as it was found."""
        self.leave()

    def leave(self) -> None:
        """Leave the terminal to somebody else, until `go_on`."""
        self._away = True
        self._release()
        self._watch(False)
        self._mode.give_back()

    def go_on(self) -> None:
        """Hushed, and with what was typed meanwhile."""
        self._away = self._listening = False
        self._take()
        self._burst_as_typed()
        if _WATCHED:
            self._watch(True)

    def listen(self) -> str:
        """From now on show what is typed. What was begun unseen is returned, to be shown by somebody else."""
        self._take()
        self._release()
        self._listening = True
        self._mode.take(listening=self._listening)
        return self._begun.decode(errors="replace")

    def hush(self) -> None:
        """From now on do not show what is typed."""
        if self._listening:
            self._listening = False
            self._mode.take(listening=self._listening)

    def set_again(self) -> None:
        """After Ctrl-Z and `fg` the shell may have changed the settings."""
        if not self._away and self._mode.ours:
            self._mode.take(listening=self._listening)

    @property
    def waits(self) -> bool:
        """Is there a line?"""
        return bool(self._lines)

    async def next(self) -> Typed:
        """The next line."""
        while not self._lines:
            if not self._away:
                self._watch(True)
            self._more.clear()
            await self._more.wait()
        return self._lines.popleft()

    def take_stops(self) -> bool:
        """Was Ctrl-C pressed behind the line that was taken last? Then it was meant for what that line began."""
        self._take()
        self._release()
        lines = [typed for typed in self._lines if typed.how != "stop"]
        found = len(lines) < len(self._lines)
        self._lines = deque(lines)
        return found

    def set_aside(self, *, begun: bool = True) -> Ahead:
        """What was typed up to now, with the line that was only `begun` or without: it is not there until it is given back."""
        self._take()
        self._release()
        ahead = Ahead(tuple(self._lines), self._begun if begun else b"")
        self._lines.clear()
        self._begun = b"" if begun else self._begun
        return ahead

    def give_back(self, ahead: Ahead) -> None:
        """Put what was set aside in front of everything else."""
        self._lines.extendleft(reversed(ahead.lines))
        self._begun = ahead.begun + self._begun
        if self._lines:
            self._more.set()

    # Reading

    def _watch(self, on: bool) -> None:
        if on == self._reading:
            return
        self._reading = on
        if _WATCHED:
            if on:
                self._loop.add_reader(self._fd, self._read)
            else:
                self._loop.remove_reader(self._fd)
        elif on:
            threading.Thread(target=self._read_in_a_thread, daemon=True).start()

    def _read(self) -> None:
        if not select.select((self._fd,), (), (), 0)[0]:  # `_take` was here since the loop looked: a read would wait
            return
        try:
            self._arrived(os.read(self._fd, 65536))
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:  # nobody has the other end any more
            self._arrived(b"")

    def _read_in_a_thread(self) -> None:
        """One line, when one is wanted: what is typed before that waits in the console, unseen."""
        try:
            line = sys.stdin.readline().encode(errors="replace")
        except (OSError, ValueError):
            line = b""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._arrived, line)

    def _arrived(self, data: bytes) -> None:
        if not _WATCHED:
            self._reading = False
        self._feed(data)
        if self._burst:
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_later(GAP, self._settle)

    def _settle(self) -> None:
        """Nothing came for a moment: what came before belongs together."""
        self._take()
        self._release()

    def _take(self) -> None:
        """All that is in the terminal: lines, and the beginning of one."""
        if not _WATCHED:
            return
        with suppress(OSError, ValueError):
            while select.select((self._fd,), (), (), 0)[0]:
                data = os.read(self._fd, 65536)
                self._feed(data)
                if not data:
                    return
            self._mode.take(listening=self._listening, lines=False)
            while data := os.read(self._fd, 65536):
                self._feed(data)
        self._mode.take(listening=self._listening)

    def _feed(self, data: bytes) -> None:
        if not data:
            if self._begun and not self._ended:  # Ctrl-D behind a word is nothing, unless it is pressed again
                self._ended = True
                return
            self._begun = b""
            self._release()
            self._lines.append(Typed("", "end"))
            self._more.set()
            self._watch(False)  # a terminal that has gone away would end without end
            return
        self._ended = False
        *whole, last = re.split(b"([\r\n" + re.escape(self._mode.stop) + b"])", self._begun + data)
        self._begun = b""
        for line, how in zip(whole[::2], whole[1::2], strict=True):
            self._begun += line
            self._put(how)
        self._begun += last

    def _put(self, how: bytes) -> None:
        if how == self._mode.stop and not self._listening:  # it stops a turn, and ends no line
            self._on_stop()
            return
        line, self._begun = self._begun, b""
        text = line.decode(errors="replace")
        if how == self._mode.stop:
            self._release()
            self._lines.append(Typed(text, "stop", seen=True))
            self._more.set()
        else:
            if self._burst:
                self._burst[-1] = self._burst[-1]._replace(more=True)
            self._burst.append(Typed(text, seen=self._listening, after=bool(self._burst), cut=len(line) >= LONGEST))

    def _release(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._burst:
            if self._begun:
                self._burst[-1] = self._burst[-1]._replace(more=True)
            self._lines.extend(self._burst)
            self._burst.clear()
            self._more.set()

    def _burst_as_typed(self) -> None:
        """What lay in the terminal before we looked may have come at any speed."""
        self._burst = [line._replace(after=False, more=False) for line in self._burst]
        begun, self._begun = self._begun, b""
        self._release()
        self._begun = begun
