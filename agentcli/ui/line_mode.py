"""A terminal's own mode for lines, as `typed.py` needs it: hushed or listening.

Hushed, it does not show what is typed, and Ctrl-C is a signal. Listening, it shows it, and Ctrl-C is a character that ends a line, as
Enter does. Where there is no termios (Windows) nothing is set.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

__all__ = ["LineMode"]


class LineMode:
    """The settings of the terminal at this descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._found: list[Any] | None = None
        if termios:
            with suppress(termios.error, OSError):
                self._found = termios.tcgetattr(fd)

    @property
    def stop(self) -> bytes:
        """The key that interrupts: Ctrl-C, for nearly everybody."""
        if not termios or not self._found:
            return b"\x03"
        key: bytes = self._found[6][termios.VINTR]
        return b"\x03" if key == self._disabled else key

    @property
    def ours(self) -> bool:
        """Are we in front? In the background the terminal is not ours to set."""
        try:
            return termios is not None and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False

    def take(self, *, listening: bool, lines: bool = True) -> None:
        """Set it. `lines=False`: for the moment in which the beginning of a line is taken out."""
        if not termios or not self._found:
            return
        wanted = [*self._found[:6], list(self._found[6])]
        wanted[0] = (wanted[0] | termios.ICRNL) & ~termios.IMAXBEL
        wanted[3] |= termios.ICANON | termios.ISIG
        wanted[3] |= termios.NOFLSH  # Ctrl-C does not take along what was typed before it
        wanted[3] |= termios.ECHOCTL  # a control character in a paste is shown, and does nothing
        wanted[3] = wanted[3] | termios.ECHO if listening else wanted[3] & ~termios.ECHO
        if listening:
            wanted[6][termios.VEOL], wanted[6][termios.VINTR] = self.stop, self._disabled
        if not lines:
            wanted[3] &= ~termios.ICANON
            wanted[6][termios.VMIN] = wanted[6][termios.VTIME] = 0
        self._set(wanted)

    def give_back(self) -> None:
        """Set it as it was found."""
        if self._found:
            self._set(self._found)

    @property
    def _disabled(self) -> bytes:
        return bytes([os.fpathconf(self._fd, "PC_VDISABLE")])

    def _set(self, settings: list[Any]) -> None:
        with suppress(OSError, termios.error):
            termios.tcsetattr(self._fd, termios.TCSANOW, settings)
