"""The box on the screen: prompt-toolkit reads the keys, edits the line that is typed in, and draws what picture.py says under it.

It is no full screen: the rows are taken at the cursor and given back. The window may change its size at any moment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.data_structures import Point
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.containers import HSplit, VSplit, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.layout import Layout
from prompt_toolkit.layout.processors import AfterInput, ConditionalProcessor
from prompt_toolkit.output import ColorDepth, Output, create_output

from agentcli.ui.canvas import Canvas
from agentcli.ui.draft import in_sight
from agentcli.ui.pick.picture import Shape, picture
from agentcli.ui.region import fragments, rewraps
from agentcli.ui.talk import colours
from agentcli.ui.theme import paint

if TYPE_CHECKING:
    from prompt_toolkit.key_binding.key_processor import KeyPress

    from agentcli.ui.pick.box import Box

__all__ = ["Drawing", "screen"]

_LINE = 8  # columns of the line that is typed in, at least
_FAR = 1 << 40  # rows
_ESCAPE = 0.1  # seconds after which an Escape was not the beginning of a key

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


class Drawing:
    """A box on a screen, with a line that is in it from the start, and the keys that were pressed `early`."""

    def __init__(self, box: Box, output: Output, line: str, early: str) -> None:
        self._box = box
        self._output = output
        self._early = early
        self._pictured: list[str] | None = None
        self._buffer = Buffer(multiline=False, document=Document(" ".join(line.split())))
        self._app: Application[str | None] = Application(
            Layout(self._laid_out()),
            key_bindings=self._keys(),
            erase_when_done=True,
            color_depth=None if colours(1) else ColorDepth.DEPTH_1_BIT,
            output=output,
        )
        self._app.ttimeoutlen = self._app.timeoutlen = _ESCAPE
        self._app.before_render += lambda app: self._before()
        self._app.after_render += lambda app: self._after()
        self._app.pre_run_callables.append(self._type_early)
        self._app._on_resize = self._resized  # type: ignore[method-assign]

    @property
    def line(self) -> str:
        """What is typed."""
        return self._buffer.text

    async def run(self) -> str | None:
        """What the box ends with."""
        return await self._app.run_async(handle_sigint=False, set_exception_handler=False)

    def end(self, name: str | None = None, *, behind: Sequence[KeyPress] = (), error: BaseException | None = None) -> None:
        """End, once: with a name or without, or with an error. The keys that are `behind` are left for whoever reads next."""
        if self._app.future and not self._app.future.done():
            store_typeahead(self._app.input, list(behind))
            self._app.exit(exception=error) if error else self._app.exit(result=name)

    def draw(self) -> None:
        """Draw it anew, soon."""
        self._app.invalidate()

    def press(self, keys: Sequence[KeyPress]) -> None:
        """Let these keys do what they do."""
        self._app.key_processor.feed_multiple(list(keys))
        self._app.key_processor.process_keys()

    # What is drawn

    def _laid_out(self) -> HSplit:
        hint = ConditionalProcessor(AfterInput(lambda: fragments([self._hint()])), Condition(lambda: not self.line))
        typed = BufferControl(self._buffer, input_processors=[in_sight(), hint])
        mark = FormattedTextControl(fragments([paint("prompt", self._box.source.question)]))
        below = FormattedTextControl(lambda: fragments(self._lines()))
        return HSplit(
            [
                VSplit([Window(mark, width=self._mark, dont_extend_width=True), Window(typed, height=1)], height=1),
                Window(below, height=lambda: Dimension.exact(len(self._lines())), wrap_lines=False),
            ]
        )

    def _mark(self) -> Dimension:
        """What stands before the line gives way to it in a narrow window."""
        return Dimension.exact(max(min(len(self._box.source.question), self._columns - _LINE), 0))

    def _hint(self) -> str:
        source = self._box.source
        return paint("dim", source.hint) if len(source.hint) < self._columns - len(source.question) else ""

    def _lines(self) -> list[str]:
        if self._pictured is None:
            self._pictured = picture(self._box, self._columns, self._rows)
        return self._pictured

    def _shape(self) -> Shape:
        return Shape.of(self._columns, self._rows, len(self._box.choice.offers), headed=bool(self._box.source.head(0)))

    @property
    def _columns(self) -> int:
        return self._output.get_size().columns

    @property
    def _rows(self) -> int:
        return self._output.get_size().rows

    def _before(self) -> None:
        self._box.type(self.line)
        self._pictured = None

    def _after(self) -> None:
        shape = self._shape()
        if shape.side or shape.below:
            self._box.glance()

    def _resized(self) -> None:
        """Draw it again, in a window of another size."""
        renderer = self._app.renderer
        drawn, width = renderer.last_rendered_screen, self._columns
        with _at_once(self._output):
            if drawn and drawn.width > width and rewraps(os.environ):
                at = renderer._cursor_pos
                renderer._cursor_pos = Point(x=at.x % width, y=at.y + at.x // width)  # the line that is typed in is the first
            renderer.erase(leave_alternate_screen=False)
            self._app._redraw()

    # The keys

    def _keys(self) -> KeyBindings:
        box = self._box
        keys = KeyBindings()
        waiting = Condition(lambda: box.wanted)

        @keys.add(Keys.Any, filter=waiting, eager=True)
        def hold(event: KeyPressEvent) -> None:
            box.hold(event.key_sequence)

        for name in ("escape", "c-d", "c-g", "c-c"):
            leave = partial(box.leave, stopped=name == "c-c")
            keys.add(name)(lambda event, leave=leave: leave())
            keys.add(name, filter=waiting, eager=True)(lambda event, leave=leave: leave())
        for name, step in _STEPS.items():
            keys.add(name)(lambda event, step=step: self._move(step))
        keys.add("c-z")(lambda event: event.app.suspend_to_background())
        for name in ("c-o", "c-q"):
            keys.add(name)(lambda event: None)

        @keys.add("enter")
        def enter(event: KeyPressEvent) -> None:
            box.type(self.line)
            box.enter()

        @keys.add(Keys.BracketedPaste)
        def paste(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text(" ".join(event.data.split()))

        return keys

    def _move(self, step: Callable[[int], int]) -> None:
        page = max(len(self._box.choice.shown(self._shape().height)), 1)  # as many as can be seen
        self._box.type(self.line)
        self._box.move(step(page))

    def _type_early(self) -> None:
        """Type what was typed before there was a box."""
        if self._early:
            Vt100Parser(self._app.key_processor.feed).feed(self._early)


def screen() -> Output:
    """The terminal itself, also where something stands in for stdout."""
    if os.name == "nt":
        return create_output(sys.__stdout__)
    assert sys.__stdout__
    return Canvas(sys.__stdout__)


def _at_once(output: Output) -> AbstractContextManager[None]:
    return output.at_once() if isinstance(output, Canvas) else nullcontext()
