"""A real program on a real pseudo-terminal, with a terminal emulator for a screen.

    with Terminal([sys.executable, "-m", "agentcli"]) as terminal:
        terminal.until("> ")
        terminal.send("hello\r")
        terminal.until("Hello to you")
        assert terminal.wait() == 0

The program runs in a session of its own with the pseudo-terminal as its controlling terminal, so that Ctrl-C, Ctrl-Z, a hang-up and a
change of the window's size are what they are in life. A thread reads whatever it writes, feeds the emulator (pyte), and answers
what programs ask of a terminal (where is the cursor?). Nothing sleeps: `until` wakes when something was written, and every wait has
an end. Leaving the `with` block kills the whole session.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Self
from unicodedata import combining

import pyte
from wcwidth import wcwidth

__all__ = ["Screen", "Terminal", "new_screen", "replay", "screen_of", "scrollback_of", "text_of"]


class Screen(pyte.HistoryScreen):
    """The emulator's screen, with what pyte leaves out: dim text, a keyboard to answer on, and characters that have no width.

    (At one of those, like the joiner inside an emoji, pyte drops the rest of what was written.)
    """

    answer: Callable[[str], None] | None = None

    def write_process_input(self, data: str) -> None:
        if self.answer:
            self.answer(data)

    def draw(self, data: str) -> None:
        if not data.isascii():
            data = "".join(character for character in data if combining(character) or wcwidth(character) > 0)
        super().draw(data)

    def select_graphic_rendition(self, *attrs: int, **kwargs: Any) -> None:
        super().select_graphic_rendition(*attrs, **kwargs)
        for attribute in _not_colours(attrs):
            if attribute == 2 and self.cursor.attrs.fg == "default":
                self.cursor.attrs = self.cursor.attrs._replace(fg="dim")
            elif attribute == 22 and self.cursor.attrs.fg == "dim":
                self.cursor.attrs = self.cursor.attrs._replace(fg="default")


class Terminal:
    """`argv` on a pseudo-terminal of `size` columns and rows. With `emulate=False` only the bytes are kept."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        size: tuple[int, int] = (80, 24),
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        emulate: bool = True,
    ) -> None:
        self._master, self._slave = os.openpty()
        self._stop, self._stopper = os.pipe()
        self._changed = threading.Condition()
        self._bytes = bytearray()
        self.display = new_screen(*size)
        self.display.answer = self.send
        self._stream = pyte.ByteStream(self.display) if emulate else None
        self._set_size(*size)
        self._modes: list[Any] | None = None
        # The shell is there to open the terminal as the leader of a new session: that makes it the controlling one.
        script = 'exec "$@" <"$0" >"$0" 2>"$0"'
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", script, os.ttyname(self._slave), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**(os.environ if env is None else env), "TERM": (env or {}).get("TERM", "xterm-256color")},
            cwd=cwd,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def raw(self) -> bytes:
        """Every byte that the program has written."""
        with self._changed:
            return bytes(self._bytes)

    def send(self, keys: str | bytes) -> None:
        """Type. Enter is `\\r`, Ctrl-C is `\\x03`."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            data = data[os.write(self._master, data) :]

    def screen(self) -> list[str]:
        """What can be seen now, row by row, without trailing spaces."""
        with self._changed:
            return screen_of(self.display)

    def scrollback(self) -> list[str]:
        """The rows that have left the screen at its top."""
        with self._changed:
            return scrollback_of(self.display)

    def text(self) -> str:
        """All rows, those that have left the screen first, without the empty ones at the end."""
        with self._changed:
            return text_of(self.display)

    def until(self, what: str | Callable[[Terminal], object], timeout: float = 10) -> None:
        """Wait until a text can be seen or was seen, or until `what(terminal)` is true."""
        end = monotonic() + timeout
        with self._changed:
            while not (what in text_of(self.display) if isinstance(what, str) else what(self)):
                left = end - monotonic()
                if left <= 0:
                    raise AssertionError(f"not seen within {timeout:g} s: {what!r}\n{self._state()}")
                self._changed.wait(min(left, 0.5))

    def wait(self, timeout: float = 10) -> int:
        """Wait for the program to end. Returns its exit code, negative for a signal; everything it wrote has been read."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s\n{self._state()}") from None
        self.modes()
        self._hang_up()
        return code

    def modes(self) -> list[Any]:
        """The terminal's settings, to be compared with those of another moment. After the end: those it was left with."""
        if self._slave >= 0:
            self._modes = termios.tcgetattr(self._slave)
        assert self._modes is not None
        return self._modes

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size; the program gets SIGWINCH."""
        with self._changed:
            self.display.resize(rows, columns)
            self._set_size(columns, rows)

    def signal(self, number: int) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def close(self) -> None:
        """End the program and everything in its session that is left, by the process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._hang_up()
        if self._stopper >= 0:
            os.close(self._stopper)
            self._stopper = -1
            self._reader.join(10)
            os.close(self._stop)
            os.close(self._master)

    def _hang_up(self) -> None:
        """Let go of our own end, so that the reader comes to the end of what was written."""
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1
        self._reader.join(2)  # a process that the program left behind may hold the terminal open

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select((self._master, self._stop), (), ())
            if self._master not in ready:
                return
            try:
                data = os.read(self._master, 65536)
            except OSError:  # nobody has the other end open
                return
            with self._changed:
                self._bytes += data
                if self._stream:
                    self._stream.feed(data)
                self._changed.notify_all()

    def _state(self) -> str:
        rows = "\n".join(f"|{row}" for row in screen_of(self.display))
        return f"exit code: {self.process.poll()}\n{rows}\nlast bytes: {bytes(self._bytes[-300:])!r}"


def _not_colours(attributes: Sequence[int]) -> Iterator[int]:
    """The attributes without the numbers of a colour (`38;5;2`, `48;2;1;2;3`)."""
    rest = iter(attributes)
    for attribute in rest:
        if attribute in (38, 48):
            for _ in range(3 if next(rest, 0) == 2 else 1):
                next(rest, 0)
        else:
            yield attribute


def new_screen(columns: int = 80, rows: int = 24) -> Screen:
    """An emulated screen without a program: feed it with `pyte.Stream`."""
    return Screen(columns, rows, history=1_000_000)


def replay(text: str, size: tuple[int, int] = (80, 24)) -> Screen:
    """The screen after this was written to it by a program whose newlines the terminal completes."""
    screen = new_screen(*size)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    return screen


def screen_of(screen: Screen) -> list[str]:
    return [_row(screen.buffer[row], screen.columns) for row in range(screen.lines)]


def scrollback_of(screen: Screen) -> list[str]:
    return [_row(row, screen.columns) for row in screen.history.top]


def text_of(screen: Screen) -> str:
    return "\n".join(scrollback_of(screen) + screen_of(screen)).rstrip()


def _row(cells: Any, columns: int) -> str:
    return "".join(cells[column].data for column in range(columns)).rstrip()
