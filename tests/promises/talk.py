"""The real program, chatted with on a real terminal, and what is true of that terminal."""

from __future__ import annotations

import os
import re
import shlex
import termios
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Self

from tests.model_server import ModelServer
from tests.promises.program import STALE, Home, StaleError, program
from tests.terminal import Terminal

__all__ = ["Talk", "Window", "settings_left"]

_ON = b"\x1b[?2004h"  # bracketed paste: on while there is a prompt
_READY = b"\x1b[?2004h\x1b[?25h"  # what is written whenever the chat becomes ready again
_ECHO = b">\x1b[0m %b"  # a line that was taken, among what was said
_MARKS = (">", "> ", "+", "+ ", "?", "? ")  # before the input line


def settings_left(written: bytes) -> str:
    """Which of the terminal's modes is not as it was at first, going by what was written to it."""
    state: dict[int, bool] = {}
    for numbers, end in re.findall(rb"\x1b\[\?([\d;]+)([hl])", written):
        for number in numbers.split(b";"):
            state[int(number)] = end == b"h"
    usual = {25: True, 7: True, 12: False}
    return ", ".join(f"mode {number} left {'on' if on else 'off'}" for number, on in state.items() if on != usual.get(number, False))


class Window(Terminal):
    """A terminal, with questions about what was written that cost no copy of it all."""

    @property
    def size(self) -> int:
        """How much was written."""
        with self._changed:
            return len(self._bytes)

    def raw_since(self, since: int) -> bytes:
        with self._changed:
            return bytes(self._bytes[since:])

    def find(self, written: bytes, since: int = 0) -> int:
        """Where that was written, for the first time since then; -1 if it was not."""
        with self._changed:
            return self._bytes.find(written, since)

    def has(self, pattern: re.Pattern[bytes], since: int = 0) -> bool:
        with self._changed:
            return pattern.search(self._bytes, since) is not None

    def count(self, written: bytes) -> int:
        with self._changed:
            return self._bytes.count(written)

    def cursor(self) -> tuple[int, int]:
        """Column and row, from 0."""
        with self._changed:
            return self.display.cursor.x, self.display.cursor.y

    def vanish(self) -> None:
        """Close the window: whoever has the terminal is hung up on."""
        os.close(self._stopper)
        self._stopper = -1
        self._reader.join(10)
        os.close(self._stop)
        os.close(self._master)


class Talk:
    """A chat on a terminal, driven by what it writes. `under` is a shell in which it is started, `leader` a command that starts it."""

    def __init__(
        self,
        home: Home,
        server: ModelServer | None,
        *words: str,
        bug: str = "",
        under: Sequence[str] = (),
        leader: Sequence[str] = (),
        more: Mapping[str, str] = {},
    ) -> None:
        argv = [*leader, *program(bug), "chat", *words]
        self.home = home
        self.terminal = Window(under or argv, env=home.environment(server, PS1="$ ", **more), cwd=home.work)
        self.modes = _modes_of_a_new_terminal()
        if under:
            self.until_shell(0)
            self.modes = self.terminal.modes()
            self.terminal.send(shlex.join(argv) + "\r")

    def __enter__(self) -> Self:
        self.until_prompt(0)
        self.resting = self.terminal.modes()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close()

    @property
    def prompts(self) -> int:
        """How often the chat became ready for a line."""
        return self.terminal.count(_READY) + (self.terminal.find(_ON) >= 0)

    def until_prompt(self, before: int, timeout: float = 15) -> float:
        """Wait for one more prompt than there were; how long that took."""
        began = monotonic()
        self.terminal.until(lambda terminal: self.prompts > before or terminal.process.poll() is not None, timeout)
        if self.terminal.process.poll() == STALE:
            raise StaleError(self.terminal.text())
        if self.prompts <= before:
            raise AssertionError(f"the chat ended with {self.terminal.process.poll()}: {self.terminal.text()[-300:]!r}")
        return monotonic() - began

    def say(self, line: str) -> int:
        """Send a line at a prompt, and wait until it was taken; how much had been written by then."""
        before = self.terminal.size
        self.terminal.send(f"{line}\r")
        taken = _ECHO % line.encode()
        self.terminal.until(lambda terminal: self.terminal.find(taken, before) >= 0)
        return self.terminal.find(taken, before) + len(taken)

    def until(self, text: str, since: int, timeout: float = 15) -> None:
        """Wait until a text was written after that place."""
        self.terminal.until(lambda terminal: self.terminal.find(text.encode(), since) >= 0, timeout)

    def until_shell(self, since: int, timeout: float = 15) -> None:
        """Wait for the prompt of the shell."""
        self.terminal.until(lambda terminal: self.terminal.raw_since(since).endswith(b"$ "), timeout)

    def until_asked(self, timeout: float = 15) -> None:
        """Wait until the input line belongs to a question."""
        self.terminal.until(lambda terminal: self.mark() == "?", timeout)

    def mark(self) -> str:
        """What stands before the input line: `>` if nothing runs, `+` while something does, `?` for an answer."""
        return self._input()[0][:1]

    def typed(self) -> str:
        """What stands on the input line."""
        return "\n".join(row[2:] for row in self._input())

    def _input(self) -> list[str]:
        rows = self.terminal.screen()
        first = max((number for number, row in enumerate(rows) if row[:2] in _MARKS), default=0)
        last = max((number for number, row in enumerate(rows) if row), default=0)
        return rows[first : last + 1] or [""]

    def leave(self) -> str:
        """Ctrl-D; what is wrong about how it ended."""
        self.terminal.send("\x04")
        return self.ended(0)

    def ended(self, *codes: int, timeout: float = 15) -> str:
        """What is wrong with the end, and with the terminal after it."""
        try:
            code = self.terminal.wait(timeout)
        except AssertionError as error:
            return str(error)
        written = self.terminal.raw
        if code not in codes:
            return f"exit code {code}, not {codes}: {self.terminal.text()[-300:]!r}"
        if b"Traceback" in written:
            return f"a traceback: {self.terminal.text()[-600:]!r}"
        if self.terminal.modes() != self.modes:
            return f"the terminal's settings were {self.modes} and are {self.terminal.modes()}"
        return settings_left(written)


def _modes_of_a_new_terminal() -> list[Any]:
    ends = os.openpty()
    modes = termios.tcgetattr(ends[1])
    for end in ends:
        os.close(end)
    return modes
