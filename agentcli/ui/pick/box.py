"""The box in which one thing is picked: a line to type in, under it what is left, beside or below that what stands behind it.

It is drawn where the cursor is, in at most two thirds of the window, and erased when it is done: the scrollback keeps nothing of it.
What is in it, line by line, says picture.py; drawing.py puts it on the screen and takes the keys. Here is what they lead to.

- **Typing never waits.** The list, the texts that are searched and the previews are read in another thread, a bit at a time. What the
  newest line asks for is the only thing that is looked for.
- **Nothing that is typed is lost**: what was typed before the box stood there is typed into it, and what is typed behind the Enter is
  left for whoever reads next. An Enter on a list that is still being read or searched picks the first that comes.
- However it is left, by a key, a signal, or an error, the terminal is as it was, with its cursor.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Coroutine, Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from agentcli.core.apart import in_thread
from agentcli.ui.pick.choice import Choice, Found, Offer
from agentcli.ui.pick.source import Preview, Source

if TYPE_CHECKING:
    from prompt_toolkit.key_binding.key_processor import KeyPress

    from agentcli.ui.pick.drawing import Drawing

__all__ = ["Box", "Stopped"]

_PAUSE = 0.12  # seconds without a key before texts are searched
_SLICE = 0.03  # seconds of searching at a time
_GLANCE = 0.03  # seconds that a selection must last before its preview is read
_KEPT = 100  # previews


class Stopped(Exception):  # noqa: N818  (not an error)
    """The person pressed Ctrl-C."""


class Box:
    """See the top of the file. `line` is typed into it from the start."""

    def __init__(self, source: Source, line: str = "") -> None:
        self.choice = Choice()
        self.source = source
        self.loaded = False
        self.wanted = False  # Enter was pressed before there was anything to pick
        self.previews: OrderedDict[int, Preview] = OrderedDict()
        self._line = line
        self._held: list[KeyPress] = []  # pressed since something was wanted
        self._looking: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._read = -1  # the place whose preview is being read
        self._drawing: Drawing

    @property
    def empty(self) -> bool:
        """Was there nothing to pick?"""
        return self.loaded and not self.choice.offers

    @property
    def busy(self) -> bool:
        """May there be more?"""
        return not self.loaded or self._looking is not None

    async def pick(self, early: str = "") -> str | None:
        """The name of what was picked; None if the person left. `early` are keys that were pressed before."""
        from prompt_toolkit.application import create_app_session
        from prompt_toolkit.input import create_input

        from agentcli.ui.pick.drawing import Drawing, screen

        output = screen()
        with create_app_session(input=create_input(sys.__stdin__), output=output):
            self._drawing = Drawing(self, output, self._line, early)
            loading = self._begin(self._load())
            try:
                return await self._drawing.run()
            except EOFError:  # the terminal is gone
                return None
            finally:
                for task in (loading, self._looking, self._reading):
                    if task:
                        task.cancel()

    # What the keys lead to

    def type(self, line: str) -> None:
        """This is what is in the line now."""
        if self.loaded and line != self._line:
            self._look(line)

    def move(self, by: int) -> None:
        """Select another one."""
        self.choice.move(by)

    def enter(self) -> None:
        """Take what is selected, or what will be."""
        if selected := self.choice.selected:
            self._end(selected)
        else:
            self.wanted = self.busy

    def hold(self, keys: Sequence[KeyPress]) -> None:
        """Keep what is typed behind an Enter that has nothing to take yet."""
        self._held += keys

    def leave(self, *, stopped: bool = False) -> None:
        """Take nothing."""
        self._drawing.end(error=Stopped() if stopped else None)

    def glance(self) -> None:
        """Have the preview of what is selected read, if it is not there yet."""
        place = self.choice.found[self.choice.at].place if self.choice.found else -1
        if place in (-1, self._read) or place in self.previews:
            return
        if self._reading:
            self._reading.cancel()
        self._read = place
        self._reading = self._begin(self._read_preview(place))

    # What is read meanwhile

    async def _load(self) -> None:
        offers = await in_thread(self.source.offers)
        self.choice = Choice(offers, last=self.source.last)
        self.loaded = True
        if not offers:
            self.leave()
        self._look(self._drawing.line)
        self._come()

    def _look(self, line: str) -> None:
        self._line = line
        self.choice.type(line)
        if self._looking:
            self._looking.cancel()
            self._looking = None
        if any(len(word) > 1 or not word.isascii() for word in self.choice.words) and self.choice.others:
            self._looking = self._begin(self._search())

    async def _search(self) -> None:
        await asyncio.sleep(_PAUSE)
        hits = self.source.search(self.choice.others)
        more = True
        while more:
            found, more = await in_thread(_some, hits)
            self.choice.add(found)
            if not more:
                self._looking = None
            if found or not more:
                self._come()

    async def _read_preview(self, place: int) -> None:
        await asyncio.sleep(_GLANCE)
        self.previews[place] = await in_thread(self.source.preview, place)
        if len(self.previews) > _KEPT:
            self.previews.popitem(last=False)
        self._read = -1
        self._drawing.draw()

    def _come(self) -> None:
        """Something new is there: draw it, or take it if that is what was wanted."""
        if self.wanted and self.choice.selected:
            self._end(self.choice.selected)
        elif self.wanted and not self.busy:  # there was nothing: what was typed meanwhile goes into the line
            self.wanted = False
            held, self._held = self._held, []
            self._drawing.press(held)
        self._drawing.draw()

    def _end(self, offer: Offer) -> None:
        self._drawing.end(offer.name, behind=self._held)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside the typing. If it fails, the box ends with that."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                self._drawing.end(error=error)

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        return task


def _some(hits: Iterator[Found | None]) -> tuple[list[Found], bool]:
    """What is found in a moment, and whether there may be more."""
    end = monotonic() + _SLICE
    found: list[Found] = []
    for hit in hits:
        if hit:
            found.append(hit)
        if monotonic() > end:
            return found, True
    return found, False
