"""How prompt-toolkit's drawing reaches the terminal.

Its renderer draws the prompt as a region of a few rows and moves the cursor within them. What goes above the region takes three steps:
the region is erased, the text is written, the region is drawn again. A terminal that sees them one by one flickers, so here they are
one write (`at_once`), which terminals that know synchronised updates also show as one.

The cursor is never hidden and bracketed paste is not switched off between two drawings: however the program ends, the terminal can be
used, and no paste falls into a gap. Where the cursor is, the terminal is not asked: its answer comes as if it had been typed. A
terminal that is gone swallows what is written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from agentcli.ui.terminal import write_whole
from agentcli.ui.theme import current

__all__ = ["Canvas"]

_DEPTHS = {0: ColorDepth.DEPTH_1_BIT, 4: ColorDepth.DEPTH_4_BIT, 8: ColorDepth.DEPTH_8_BIT, 24: ColorDepth.DEPTH_24_BIT}
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"


class Canvas(Vt100_Output):
    """The terminal behind `file`."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(file, self._measured, term=os.environ.get("TERM"), enable_cpr=False)
        if sys.platform == "win32":
            _take_sequences()
        self._held = 0
        self._pasting = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is drawn within the block reaches the terminal in one write."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """From here to `release` is one write."""
        if not self._held:
            self.write_raw(_BEGIN)
        self._held += 1

    def release(self) -> None:
        self._held -= 1
        if not self._held:
            self.write_raw(_END)
            self.flush()

    def flush(self) -> None:
        if not self._held and self._buffer:
            text, self._buffer = "".join(self._buffer), []
            write_whole(self.stdout, text)

    def erase_down(self) -> None:
        """tmux takes an erasing from the very first cell for the command `clear`, and puts what is there into its scrollback first."""
        self.write_raw("\x1b[K\x1b[C\x1b[J\x1b[D")

    def hide_cursor(self) -> None:
        pass

    def enable_bracketed_paste(self) -> None:
        if not self._pasting:
            self._pasting = True
            super().enable_bracketed_paste()

    def disable_bracketed_paste(self) -> None:
        if not self._held:
            self._pasting = False
            super().disable_bracketed_paste()

    def get_default_color_depth(self) -> ColorDepth:
        """As many colours as all the rest is written in."""
        return _DEPTHS[current().depth]

    def _measured(self) -> Size:
        """The columns and rows; of a terminal that does not tell, 80 and 24."""
        columns = rows = 0
        with suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(self.stdout.fileno())
        return Size(rows=rows or 24, columns=columns or 80)


if sys.platform == "win32":

    def _take_sequences() -> None:
        """A console takes them since Windows 10, once it is told to."""
        from ctypes import byref, windll, wintypes

        console, mode = windll.kernel32.GetStdHandle(-11), wintypes.DWORD()
        if windll.kernel32.GetConsoleMode(console, byref(mode)):
            windll.kernel32.SetConsoleMode(console, mode.value | 0x0004)
