"""Where a live prompt is drawn: the rows at the lower end of what was printed, and the text that goes above them.

`write()` puts finished text above the prompt, once and for good; pieces of a line wait for its end. Rows stand between that text and
the input line, and `draw()` draws them anew. Both are prompt-toolkit's work (`prompt.py`, `canvas.py`); what is added here is the
order of things, and two moments that it does not know:

- The prompt may be away: not begun, ended, or the terminal lent to an editor or a command. Then text waits, and goes out afterwards;
  to whom the terminal was lent by us (`aside`) may write directly.
- The window may be made narrower. Some terminals then wrap the rows anew and others cut them; most say by their variables which of
  the two they do. Of one that does not, the fewer rows are taken: a piece of the region may stay above, but nothing finished is lost.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agentcli.ui import terminal

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from agentcli.ui.canvas import Canvas

__all__ = ["Region", "fragments", "rewraps"]

# Variables by which a terminal says that it wraps its rows anew when it becomes narrower.
_REWRAPS = (
    "TMUX", "VTE_VERSION", "KITTY_WINDOW_ID", "WEZTERM_EXECUTABLE", "ALACRITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION",
    "GHOSTTY_RESOURCES_DIR",
)  # fmt: skip
_PROGRAMS = ("iTerm.app", "Apple_Terminal", "vscode", "ghostty", "WezTerm", "tmux")


_LONGEST = 1 << 16  # characters of a line that has not ended: nobody reads more of that as one


class Region:
    """The region of one prompt."""

    def __init__(self, prompt: PromptSession[None], canvas: Canvas) -> None:
        self._prompt = prompt
        self._canvas = canvas
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._above: list[str] = []
        self._piece = ""  # of a line that has not ended
        self._scheduled = False
        self._lent = False
        self._holding = False
        prompt.app._on_resize = self.draw  # type: ignore[method-assign]
        prompt.app.before_render += lambda app: self._before()
        prompt.app.after_render += lambda app: self._after()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the window."""
        size = self._canvas.get_size()
        return size.columns, size.rows

    @property
    def stands(self) -> bool:
        """Is the prompt there, to be drawn?"""
        return self._prompt.app.is_running and not self._prompt.app._running_in_terminal

    def write(self, text: str) -> None:
        """Finished text, which goes above the prompt. May be called by any thread."""
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self.write, text)
            return
        whole, _, self._piece = (self._piece + text).rpartition("\n")
        if len(self._piece) > _LONGEST:
            whole, self._piece = f"{whole}\n{self._piece}" if whole else self._piece, ""
        if whole or text.endswith("\n") or "\n" in text:
            self._above.append(f"{whole}\n")
            self._later()

    def draw(self) -> None:
        """Draw the prompt, and what waits to stand above it."""
        if self._above:
            self._flush()
        elif self.stands:
            self._prompt.app._redraw()

    def send(self, sequence: str) -> None:
        """Something for the terminal that is not text."""
        self._canvas.write_raw(sequence)
        self._canvas.flush()

    def end(self) -> None:
        """Nothing is drawn any more: what waits is written."""
        if self._piece:
            self.write("\n")
        self._flush()

    def begin_again(self) -> None:
        """The terminal was somebody else's for a while: set it as it was, and draw."""
        app = self._prompt.app
        if self.stands:
            terminal.set_again()
            app.renderer.reset()
            self._canvas.write_raw("\r")
            self._canvas.erase_down()
            self.draw()

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Lend the terminal, as it was found."""
        from prompt_toolkit.application import in_terminal

        self.draw()
        if not self._prompt.app.is_running:
            yield
            return
        try:
            async with in_terminal():
                self._lent = True
                terminal.restore()
                try:
                    yield
                finally:
                    self._lent = False
                    # a line that was left unended stays: the blanks reach the next row from anywhere but its beginning
                    self._canvas.write_raw(" " * (self.size[0] - 1) + "\r")
        finally:
            self._type_left_over()

    def _type_left_over(self) -> None:
        """Keys that another application of prompt-toolkit has read and not used."""
        from prompt_toolkit.input.typeahead import get_typeahead

        app = self._prompt.app
        if app.is_running and (keys := get_typeahead(app.input)):
            app.key_processor.feed_multiple(keys)
            app.key_processor.process_keys()

    def _later(self) -> None:
        if self._above and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        app = self._prompt.app
        if not self._above or (app.is_running and not self.stands and not self._lent):
            return
        text = "".join(self._above).replace("\n", "\r\n")
        self._above.clear()
        if not self.stands:
            self._canvas.write_raw(text)
            self._canvas.flush()
            return
        with self._canvas.at_once():
            self._before()
            app.renderer.erase()
            self._canvas.write_raw(text)
            app._redraw()

    def _before(self) -> None:
        """Whoever draws first after the window changed its size erases what stands there, before it is drawn anew."""
        renderer = self._prompt.app.renderer
        if renderer._last_size is None or renderer._last_size == self._canvas.get_size():
            return
        from prompt_toolkit.data_structures import Point

        self._canvas.hold()
        self._holding = True
        screen, width, columns = renderer.last_rendered_screen, self.size[0], renderer._last_size.columns
        if screen and columns > width and rewraps(os.environ):
            at = renderer._cursor_pos
            above = sum(_rows_of(screen.data_buffer[row], width) for row in range(at.y))
            renderer._cursor_pos = Point(x=at.x % width, y=above + at.x // width)
        renderer.erase(leave_alternate_screen=False)

    def _after(self) -> None:
        if self._holding:
            self._holding = False
            self._canvas.release()
        self._later()


def rewraps(environ: Mapping[str, str]) -> bool:
    """Does the terminal wrap its rows anew when it becomes narrower?"""
    return any(environ.get(name) for name in _REWRAPS) or environ.get("TERM_PROGRAM") in _PROGRAMS


def _rows_of(cells: Mapping[int, Any], width: int) -> int:
    """How many rows of this width a row of the screen becomes."""
    used = max((column + 1 for column, cell in cells.items() if cell.char.strip()), default=0)
    return max(-(-used // width), 1)


def fragments(lines: Sequence[str]) -> StyleAndTextTuples:
    """Lines with colours, as prompt-toolkit draws them."""
    found: StyleAndTextTuples = []
    for line in lines:
        if found:
            found.append(("", "\n"))
        found += _fragments(line)
    return found


@lru_cache(maxsize=400)
def _fragments(line: str) -> StyleAndTextTuples:
    from prompt_toolkit.formatted_text import ANSI, to_formatted_text

    if "\x1b" not in line:
        return [("", line)]
    runs: list[tuple[str, str]] = []
    for style, text, *_ in to_formatted_text(ANSI(line)):
        if runs and runs[-1][0] == style:
            runs[-1] = (style, runs[-1][1] + text)
        else:
            runs.append((style, text))
    return list(runs)
