"""The terminal's own settings: who may echo, and putting them back.

While an answer streams in a chat without a prompt, what is typed must not appear in the middle of it, so echo is off; the typed
characters wait in the terminal for the next prompt. `restore()` puts back what was found at the start, from wherever the program
leaves. Where there is no termios (Windows) all of this does nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

__all__ = ["flush_typed", "quiet", "remember", "restore"]

_found: list[Any] | None = None


def remember() -> None:
    """Note the terminal's settings, for `restore`."""
    global _found
    if termios and _found is None:
        with suppress(OSError, ValueError, termios.error):
            _found = termios.tcgetattr(sys.stdin.fileno())


def restore() -> None:
    """Put the terminal back as it was found."""
    if termios and _found is not None:
        with suppress(OSError, ValueError, termios.error):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, _found)


@contextmanager
def quiet(echo: bool = False) -> Iterator[None]:
    """Without echo (or, inside that, with it again) for the length of the block."""
    if not termios or not sys.stdin or not sys.stdin.isatty():
        yield
        return
    fd = sys.stdin.fileno()
    try:
        before = termios.tcgetattr(fd)
        during = list(before)
        during[3] = during[3] | termios.ECHO if echo else during[3] & ~termios.ECHO
        termios.tcsetattr(fd, termios.TCSANOW, during)
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError, termios.error):  # the terminal may be gone
            termios.tcsetattr(fd, termios.TCSANOW, before)


def flush_typed() -> None:
    """Forget what was typed ahead: it was not meant as the answer to what is asked now."""
    if termios:
        with suppress(OSError, ValueError, termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
