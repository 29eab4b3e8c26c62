"""The terminal's own settings: who may echo, and putting them back.

In a chat, what is typed while there is no prompt must not appear in the middle of an answer, and must not be lost: it waits in the
terminal for the next prompt. So echo is off between prompts, and Enter stays what it is: the terminal's usual turning of CR into LF
would make it Ctrl-J, which is a new line and not the end of a message. `restore()` puts back what was found at the start, from
wherever the program leaves. Where there is no termios (Windows) all of this does nothing.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TextIO

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

__all__ = [
    "flush_typed",
    "hush",
    "leave_now",
    "lines",
    "restore",
    "set_again",
    "signal_keys",
    "typed_early",
    "write_all",
    "write_whole",
]

_found: list[Any] | None = None
_prompting: list[Any] | None = None  # as a prompt needs them
_early = b""
_PLAIN = b"\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[0m\r\x1b[J"  # as a terminal is


def hush() -> None:
    """Neither echo nor touch what is typed, until `restore`."""
    global _early, _found
    if termios and _found is None:
        with suppress(OSError, ValueError, termios.error):
            fd = sys.stdin.fileno()
            found = termios.tcgetattr(fd)
            _set(found, echo=False)
            _found = found
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # until Interrupts takes them over
                signal.signal(getattr(signal, name), lambda number, frame: leave_now(128 + number))
            while select.select((fd,), (), (), 0)[0] and (line := os.read(fd, 4096)):
                _early += line


def signal_keys(*, on: bool) -> None:
    """While a prompt has the terminal: does Ctrl-C send a signal, or is it a key? Ctrl-Z and Ctrl-\\ stay keys."""
    global _prompting
    if not termios:
        return
    with suppress(OSError, ValueError, termios.error):
        fd = sys.stdin.fileno()
        now = termios.tcgetattr(fd)
        ours = _prompting or now  # after a stop they may be the shell's for a moment
        characters = list(ours[6])
        for name in ("VSUSP", "VQUIT", "VDSUSP"):
            if (key := getattr(termios, name, None)) is not None:
                characters[key] = bytes([os.fpathconf(fd, "PC_VDISABLE")]) if on else _found[6][key] if _found else characters[key]
        flags = ours[3] | termios.ISIG | termios.NOFLSH if on else ours[3] & ~termios.ISIG
        _prompting = [*ours[:3], flags, *ours[4:6], characters]
        if _prompting != now:
            termios.tcsetattr(fd, termios.TCSANOW, _prompting)


def set_again() -> None:
    """The settings that a prompt had last."""
    if termios and _prompting is not None:
        with suppress(OSError, ValueError, termios.error):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, _prompting)


def typed_early() -> str:
    """The lines that were typed before `hush`, once. There, each LF was an Enter."""
    global _early
    lines, _early = _early, b""
    return lines.decode(errors="replace").replace("\n", "\r")


def restore() -> None:
    """Put the terminal back as it was found."""
    if termios and _found is not None:
        with suppress(OSError, ValueError, termios.error):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, _found)


def leave_now(code: int) -> NoReturn:
    """End the program without waiting for anything, not even for somebody to read what was printed last."""
    _clear_modes()
    restore()
    os._exit(code)


def _clear_modes() -> None:
    """Of a prompt: what it told the terminal, and what is drawn from its input line on."""
    if _prompting is not None and sys.__stdout__:
        with suppress(OSError, ValueError):
            fd = sys.__stdout__.fileno()
            if select.select((), (fd,), (), 0)[1]:  # nor for a terminal that takes nothing
                os.write(fd, _PLAIN)


@contextmanager
def lines() -> Iterator[None]:
    """Let a person type a line, seeing it, for the length of the block."""
    if not termios or not sys.stdin or not sys.stdin.isatty():
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    _set(before, echo=True)
    try:
        yield
    finally:
        with suppress(OSError, termios.error):  # the terminal may be gone
            termios.tcsetattr(fd, termios.TCSANOW, before)


def write_all(fd: int, data: bytes) -> None:
    """All of it. A single write may take only a part: when a signal comes, or the terminal does not block."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left[:65536]) :]
        except BlockingIOError:
            select.select((), (fd,), ())


def write_whole(file: TextIO, text: str, errors: str = "replace") -> None:
    """The whole text, as far as the file's encoding goes; nothing if the terminal is gone.

    Where Python does not buffer (`python -u`), `file.write` loses what a write that a signal cut short has not taken.
    """
    with suppress(OSError, ValueError):
        data = text.encode(file.encoding or "utf-8", errors)
        try:
            fd = file.buffer.fileno()
        except (AttributeError, OSError, ValueError):  # in memory
            fd = -1
        if fd < 0 or os.name == "nt":  # a console there takes characters, not bytes
            file.write(data.decode(file.encoding or "utf-8"))
            file.flush()
        else:
            file.flush()
            write_all(fd, data)


def flush_typed() -> None:
    """Forget what was typed ahead: it was not meant as the answer to what is asked now."""
    if termios:
        with suppress(OSError, ValueError, termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def _set(found: list[Any], *, echo: bool) -> None:
    settings = list(found)
    settings[0] = settings[0] | termios.ICRNL if echo else settings[0] & ~termios.ICRNL
    settings[3] = settings[3] | termios.ECHO if echo else settings[3] & ~termios.ECHO
    settings[3] |= termios.NOFLSH  # Ctrl-C does not take along what was typed before it
    termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, settings)
