"""The box in which one thing is picked: a line to type in, under it what is left, beside or below that what stands behind it.

It is drawn where the cursor is, in at most two thirds of the window, and erased when it is done: the scrollback keeps nothing of it.
What is in it, line by line, says picture.py; prompt-toolkit reads the keys, edits the line and draws.

- **Typing never waits.** The list, the texts that are searched and the previews are read in another thread, a bit at a time. What the
  newest line asks for is the only thing that is looked for.
- **Nothing that is typed is lost**: what was typed before the box stood there is typed into it, and what is typed behind the Enter is
  left for whoever reads next. An Enter on a list that is still being read or searched picks the first that comes.
- However it is left, by a key, a signal, or an error, the terminal is as it was, with its cursor.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from agentcli.ui.pick.choice import Choice, Found, Offer
from agentcli.ui.pick.picture import Shape, picture
from agentcli.ui.pick.source import Preview, Source
from agentcli.ui.region import fragments, rewraps
from agentcli.ui.sanitise import SUSPECT
from agentcli.ui.talk import colours
from agentcli.ui.theme import paint

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.key_binding.key_processor import KeyPress
    from prompt_toolkit.layout.dimension import Dimension
    from prompt_toolkit.layout.processors import Processor
    from prompt_toolkit.output import Output

__all__ = ["Box", "Stopped"]

_PAUSE = 0.12  # seconds without a key before texts are searched
_SLICE = 0.03  # seconds of searching at a time
_GLANCE = 0.03  # seconds that a selection must last before its preview is read
_KEPT = 100  # previews
_LINE = 8  # columns of the line that is typed in, at least
_FAR = 1 << 40  # rows
_ESCAPE = 0.1  # seconds after which an Escape was not the beginning of a key


class Stopped(Exception):  # noqa: N818  (not an error)
    """The person pressed Ctrl-C."""


class Box:
    """See the top of the file. `line` is typed into it from the start."""

    def __init__(self, source: Source, line: str = "") -> None:
        self.choice = Choice()
        self.source = source
        self._line = line
        self._early = ""
        self.loaded = False
        self._wanted = False  # Enter was pressed before there was anything to pick
        self.previews: OrderedDict[int, Preview] = OrderedDict()
        self._held: list[KeyPress] = []  # after that
        self._looking: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._read = -1  # the place whose preview is being read
        self._pictured: list[str] | None = None
        self._app: Application[str | None]

    @property
    def empty(self) -> bool:
        """Was there nothing to pick?"""
        return self.loaded and not self.choice.offers

    async def pick(self, early: str = "") -> str | None:
        """The name of what was picked; None if the person left. `early` are keys that were pressed before."""
        from prompt_toolkit.application import create_app_session
        from prompt_toolkit.input import create_input

        self._early = early
        output = _output()
        with create_app_session(input=create_input(sys.__stdin__), output=output):
            self._app = self._application(output)
            loading = self._begin(self._load())
            try:
                return await self._app.run_async(handle_sigint=False, set_exception_handler=False)
            except EOFError:  # the terminal is gone
                return None
            finally:
                for task in (loading, self._looking, self._reading):
                    if task:
                        task.cancel()

    @property
    def busy(self) -> bool:
        return not self.loaded or self._looking is not None

    # What happens to it

    def _move(self, by: int) -> None:
        self._typed()
        self.choice.move(by)

    def _enter(self) -> None:
        self._typed()
        if selected := self.choice.selected:
            self._end(selected)
        else:
            self._wanted = self.busy

    def _end(self, offer: Offer | None = None, *, stopped: bool = False) -> None:
        from prompt_toolkit.input.typeahead import store_typeahead

        if self._app.future and not self._app.future.done():
            if offer:
                store_typeahead(self._app.input, self._held)
            self._app.exit(exception=Stopped()) if stopped else self._app.exit(result=offer.name if offer else None)

    def _typed(self) -> None:
        """Take notice of what is in the line, if it is not the same any more."""
        line = self._app.current_buffer.text
        if self.loaded and line != self._line:
            self._look(line)

    def _look(self, line: str) -> None:
        self._line = line
        self.choice.type(line)
        if self._looking:
            self._looking.cancel()
            self._looking = None
        if any(len(word) > 1 or not word.isascii() for word in self.choice.words) and self.choice.others:
            self._looking = self._begin(self._search())

    async def _load(self) -> None:
        offers = await asyncio.to_thread(self.source.offers)
        self.choice = Choice(offers, last=self.source.last)
        self.loaded = True
        if not offers:
            self._end(None)
        self._look(self._app.current_buffer.text)
        self._come()

    async def _search(self) -> None:
        await asyncio.sleep(_PAUSE)
        hits = self.source.search(self.choice.others)
        more = True
        while more:
            found, more = await asyncio.to_thread(_some, hits)
            self.choice.add(found)
            if not more:
                self._looking = None
            if found or not more:
                self._come()

    def _come(self) -> None:
        """Something new is there: draw it, or take it if that is what was wanted."""
        if self._wanted and self.choice.selected:
            self._end(self.choice.selected)
        elif self._wanted and not self.busy:  # there was nothing: what was typed meanwhile goes into the line
            self._wanted = False
            held, self._held = self._held, []
            self._app.key_processor.feed_multiple(held)
            self._app.key_processor.process_keys()
        self._app.invalidate()

    def _glance(self) -> None:
        """Have the preview of what is selected read, if it is not there yet."""
        place = self.choice.found[self.choice.at].place if self.choice.found else -1
        if place in (-1, self._read) or place in self.previews or not self._previewed():
            return
        if self._reading:
            self._reading.cancel()
        self._read = place
        self._reading = self._begin(self._read_preview(place))

    def _previewed(self) -> bool:
        shape = self._shape()
        return bool(shape.side or shape.below)

    async def _read_preview(self, place: int) -> None:
        await asyncio.sleep(_GLANCE)
        self.previews[place] = await asyncio.to_thread(self.source.preview, place)
        if len(self.previews) > _KEPT:
            self.previews.popitem(last=False)
        self._read = -1
        self._app.invalidate()

    def _shape(self) -> Shape:
        size = self._app.output.get_size()
        return Shape.of(size.columns, size.rows, len(self.choice.offers), headed=bool(self.source.head(0)))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside the typing. If it fails, the box ends with that."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) and self._app.future and not self._app.future.done():
                self._app.exit(exception=error)

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        return task

    # prompt-toolkit

    def _application(self, output: Output) -> Application[str | None]:
        from prompt_toolkit.application import Application
        from prompt_toolkit.buffer import Buffer
        from prompt_toolkit.document import Document
        from prompt_toolkit.filters import Condition
        from prompt_toolkit.layout.containers import HSplit, VSplit, Window
        from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
        from prompt_toolkit.layout.dimension import Dimension
        from prompt_toolkit.layout.layout import Layout
        from prompt_toolkit.layout.processors import AfterInput, ConditionalProcessor
        from prompt_toolkit.output import ColorDepth

        buffer = Buffer(multiline=False, document=Document(" ".join(self._line.split())))
        hint = ConditionalProcessor(AfterInput(lambda: fragments([self._hint()])), Condition(lambda: not buffer.text))
        typed = BufferControl(buffer, input_processors=[_harmless(), hint])
        mark = paint("prompt", self.source.question)
        root = HSplit(
            [
                VSplit(
                    [
                        Window(FormattedTextControl(fragments([mark])), width=self._mark, dont_extend_width=True),
                        Window(typed, height=1),
                    ],
                    height=1,
                ),
                Window(FormattedTextControl(self._drawn), height=lambda: Dimension.exact(len(self._lines())), wrap_lines=False),
            ]
        )
        app: Application[str | None] = Application(
            Layout(root),
            key_bindings=self._keys(),
            erase_when_done=True,
            color_depth=None if colours(1) else ColorDepth.DEPTH_1_BIT,
            output=output,
        )
        app.ttimeoutlen = app.timeoutlen = _ESCAPE
        app.before_render += lambda app: self._before()
        app.after_render += lambda app: self._glance()
        app.pre_run_callables.append(self._type_early)
        app._on_resize = self._resized  # type: ignore[method-assign]
        return app

    def _before(self) -> None:
        self._typed()
        self._pictured = None

    def _lines(self) -> list[str]:
        if self._pictured is None:
            size = self._app.output.get_size()
            self._pictured = picture(self, size.columns, size.rows)
        return self._pictured

    def _drawn(self) -> StyleAndTextTuples:
        return fragments(self._lines())

    def _mark(self) -> Dimension:
        """What stands before the line gives way to it in a narrow window."""
        from prompt_toolkit.layout.dimension import Dimension

        return Dimension.exact(max(min(len(self.source.question), self._app.output.get_size().columns - _LINE), 0))

    def _hint(self) -> str:
        room = self._app.output.get_size().columns - len(self.source.question) - 1
        return paint("dim", self.source.hint) if len(self.source.hint) <= room else ""

    def _type_early(self) -> None:
        """Type what was typed before there was a box."""
        from prompt_toolkit.input.vt100_parser import Vt100Parser

        if self._early:
            Vt100Parser(self._app.key_processor.feed).feed(self._early)

    def _resized(self) -> None:
        """Draw it again, in a window of another size."""
        from prompt_toolkit.data_structures import Point

        renderer = self._app.renderer
        screen, width = renderer.last_rendered_screen, self._app.output.get_size().columns
        with _at_once(self._app.output):
            if screen and screen.width > width and rewraps(os.environ):
                at = renderer._cursor_pos
                renderer._cursor_pos = Point(x=at.x % width, y=at.y + at.x // width)  # the line that is typed in is the first
            renderer.erase(leave_alternate_screen=False)
            self._app._redraw()

    def _keys(self) -> KeyBindings:
        from prompt_toolkit.filters import Condition
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
        from prompt_toolkit.keys import Keys

        keys = KeyBindings()
        waiting = Condition(lambda: self._wanted)

        @keys.add(Keys.Any, filter=waiting, eager=True)
        def hold(event: KeyPressEvent) -> None:
            self._held += event.key_sequence

        for name in ("escape", "c-d", "c-g", "c-c"):
            leave = partial(self._end, stopped=name == "c-c")
            keys.add(name)(lambda event, leave=leave: leave())
            keys.add(name, filter=waiting, eager=True)(lambda event, leave=leave: leave())
        for name, step in _STEPS.items():
            keys.add(name)(lambda event, step=step: self._move(step(self._page())))
        keys.add("enter")(lambda event: self._enter())
        keys.add("c-z")(lambda event: event.app.suspend_to_background())
        for name in ("c-o", "c-q"):
            keys.add(name)(lambda event: None)

        @keys.add(Keys.BracketedPaste)
        def paste(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text(" ".join(event.data.split()))

        return keys

    def _page(self) -> int:
        """As many as can be seen."""
        return max(len(self.choice.shown(self._shape().height)), 1)


# How far a key goes, where this is a page.
_STEPS: dict[str, Callable[[int], int]] = {
    "up": lambda page: -1,
    "c-p": lambda page: -1,
    "down": lambda page: 1,
    "c-n": lambda page: 1,
    "pageup": lambda page: -page,
    "pagedown": lambda page: page,
    "c-home": lambda page: -_FAR,
    "c-end": lambda page: _FAR,
}


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


def _output() -> Output:
    """The terminal itself, also where something stands in for stdout."""
    if os.name == "nt":
        from prompt_toolkit.output import create_output

        return create_output(sys.__stdout__)
    from agentcli.ui.canvas import Canvas

    assert sys.__stdout__
    return Canvas(sys.__stdout__)


def _at_once(output: Output) -> AbstractContextManager[None]:
    from agentcli.ui.canvas import Canvas

    return output.at_once() if isinstance(output, Canvas) else nullcontext()


def _harmless() -> Processor:
    """What is typed or pasted is drawn without what could act on the terminal: a sign for each such character."""
    from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

    class Harmless(Processor):
        def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
            return Transformation([(style, SUSPECT.sub("\ufffd", text)) for style, text, *_ in transformation_input.fragments])

    return Harmless()
