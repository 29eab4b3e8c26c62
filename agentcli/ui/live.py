"""The screen of a chat where the prompt stays while the agent answers.

From top to bottom there are: what is finished, which belongs to the terminal and is never touched again; the unfinished end of the
answer; what waits to be sent; the status line; the input. All but the first is the region (`region.py`) that is drawn again and again.

- **Keys never end the prompt.** A message that is sent while a turn runs waits in the queue, in sight; it can be taken back, or sent
  into the running turn. So nothing that is typed falls into a gap, because there is none.
- **A question is not answered by accident** (`question.py`): it gets the input line only once no key has been pressed for a moment.
- **The region is small**: of the unfinished end of an answer it has at most a third of the window. A window that becomes narrower may
  make two rows of each of its rows, and what then does not fit would be in the scrollback for good.

Ctrl-C is a key while nobody answers. During a turn the terminal sends it as a signal again (`interruptible`), so that it works even
while a tool holds up the loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

from agentcli.errors import UserError
from agentcli.ui import prompt as prompts
from agentcli.ui import talk, terminal
from agentcli.ui.above import Above
from agentcli.ui.canvas import Canvas
from agentcli.ui.entry import Entry
from agentcli.ui.question import Question
from agentcli.ui.region import Region, fragments
from agentcli.ui.sanitise import one_line, visible
from agentcli.ui.screen import Sent
from agentcli.ui.theme import paint

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from agentcli.ui.complete import Words
    from agentcli.ui.live_form import LiveForm

__all__ = ["Live"]

_AWAY = 0.5  # seconds within which a program is stopped, once it asked for that
_MENU = 8  # rows of a menu of completions
TIGHT = 12  # rows of a window that has none to spare
_CURSOR = "\x1b[?25h"  # it is visible
_MODES = f"\x1b[?2004h{_CURSOR}"  # and pastes are told from typing
_ANSWER = 0.1  # seconds that a terminal is given to say what its background is
SHOWN = 3  # queued messages that are in sight


class Live:
    """See the top of the file. `keys` are those of each action, `verbose` shows all of the model's thinking."""

    plain = False

    def __init__(
        self,
        *,
        history: Path | None,
        keys: Mapping[str, Sequence[tuple[str, ...]]],
        vi: bool = False,
        verbose: bool = False,
        theme: str = "auto",
        file: TextIO | None = None,
    ) -> None:
        self.on_stop: Callable[[], None] = lambda: None  # Ctrl-C, while something runs
        self.on_add_time: Callable[[], None] = lambda: None
        self.on_take_back: Callable[[Sent], bool] = lambda sent: False  # what the turn was to hear; did it not yet?
        self.meanwhile: Callable[[Sent], bool] | None = None  # takes what is sent while a turn runs, or does not
        self.facts: Callable[[], str] = lambda: ""  # what the status line says while nothing runs
        self.left: Callable[[], float | None] = lambda: None  # seconds of the turn
        self.drawn = asyncio.Event()
        self.offers: Callable[[], tuple[Callable[[], Mapping[str, str]], Words]] | None = None  # what Tab completes
        self._told = asyncio.Event()  # the terminal owes no answer
        self._told.set()
        self._keys = keys
        self._verbose = verbose
        self._theme = theme
        self._queue: deque[Sent] = deque()
        self._held = False  # what waits is not sent by itself any more
        self._soon: deque[Sent] = deque()  # what the turn gets to hear at its next step
        self._wanted: asyncio.Future[None] | None = None  # somebody waits for a line
        self._began = False  # somebody has asked for a line, or something else
        self._left = False
        self._signalling = False
        self._suspended = False  # by our own key: then the terminal is lent
        self._came_back = asyncio.Event()
        self._tail: list[str] = []
        self._status = ""
        self._task: asyncio.Task[None] | None = None
        self._around = ExitStack()
        canvas = Canvas(file or sys.stdout)
        self._prompt = prompts.make(self, canvas, history=history, keys=keys, vi=vi)
        self._region = Region(self._prompt, canvas)
        self._entry = Entry(self._prompt)
        self._question = Question(self._entry, self._region.draw, lambda: self._region.stands)
        self._prompt.app.after_render += lambda app: self._rendered()
        self._prompt.app.key_processor.before_key_press += lambda processor: self._question.key()

    # While it is entered, the prompt stands, and what is said goes above it.

    async def __aenter__(self) -> Self:
        self._around.enter_context(talk.into(self._region.write, columns=lambda: self.size[0]))
        self._around.enter_context(redirect_stdout(Above(self._region.write, sys.stdout)))
        self._around.enter_context(redirect_stderr(Above(self._region.write, sys.stderr)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left = True
        app = self._prompt.app
        self.drawn.set()
        self._entry.keep()  # a draft is not lost
        try:
            await self._until_told()
            self._region.draw()
            if app.future and not app.future.done():
                app.exit()
            if self._task and not (await asyncio.wait({self._task}, timeout=2))[0]:
                self._task.cancel()
        finally:  # whoever is told twice to end does not wait
            self._around.close()
            self._region.end()

    def _stand(self) -> None:
        """From now on there is a prompt. What was said before stands above it."""
        if self._task is None:
            self._region.draw()
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            with suppress(EOFError):  # the terminal is gone
                await self._prompt.prompt_async(handle_sigint=False, set_exception_handler=False)
        finally:
            if self.busy and not self._left:
                self.on_stop()
            self._left = True
            self._wake()
            self._question.end()

    # What the chat asks of a screen

    async def begin(self) -> None:
        self._stand()
        await asyncio.sleep(0)  # it is drawn

    async def line(self) -> Sent | None:
        first, self._began = not self._began, True
        self._stand()
        if (self._held or not self._queue) and not self._left:
            self._wanted = asyncio.get_running_loop().create_future()
            self._region.draw()
            if self.drawn.is_set() and not first:
                self._region.send(_MODES)  # what has run may have left them otherwise
            try:
                await self._wanted
            finally:
                self._wanted = None
        if self._left or not self._queue:
            return None
        sent = self._queue.popleft()
        self._held = self._held and bool(self._queue)
        self.echo(sent)
        return sent

    def form(self, model: str) -> LiveForm:
        from agentcli.ui import theme
        from agentcli.ui.binding import spoken
        from agentcli.ui.live_form import LiveForm
        from agentcli.ui.status import Status
        from agentcli.ui.view import View

        key = next(map(spoken, self._keys.get("add-time", ())), "")
        view = View(self.size[0], color=theme.current().colours, thinking="full" if self._verbose else "short")
        return LiveForm(self, view, Status(model, facts=self.facts, left=self.left, key=key))

    async def ask(self, question: str) -> str:
        text = visible(question.strip())
        self._began = True
        self._stand()
        return await self._question.ask(text, lambda answer: self._region.write(f"{text} {visible(answer)}".rstrip() + "\n"))

    def doing(self, text: str) -> None:
        self.show("", self._tail, text)

    def put_back(self, text: str) -> None:
        self._entry.put_back(text)
        self._region.draw()

    def hold(self) -> None:
        self._held = bool(self._queue)

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        await self._until_told()
        async with self._region.aside():
            yield

    # What shows a turn

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the window."""
        return self._region.size

    @property
    def room(self) -> int:
        """Rows that the unfinished end of an answer may take."""
        columns, rows = self.size
        typed = min(max(self._entry.rows(columns, rows), _MENU if self._entry.completing else 1), rows // 2)
        return max(min(max((rows - 4) // 3, 3), rows - typed - len(self._below()) - 1), 0)

    def show(self, finished: str, tail: list[str], status: str) -> None:
        """Draw a turn: what became finished, what is not, and how it goes."""
        if finished:
            self._region.write(finished)
        if finished or tail != self._tail or status != self._status:
            self._tail, self._status = tail, status
            self._region.draw()

    def heard(self) -> None:
        """The turn has come to what was said to it meanwhile."""
        if self._soon:
            self.echo(self._soon.popleft())
            self._region.write("\n")

    def over(self) -> None:
        """The turn is over."""
        self._soon.clear()
        self.show("", [], "")

    def echo(self, sent: Sent) -> None:
        """Show what was sent, where the conversation is."""
        lines = visible(sent.shown or sent.text).split("\n")
        mark = paint("prompt", ">")
        self._region.write(
            "\n" + "\n".join(f"{mark if number == 0 else ' '} {line}".rstrip() for number, line in enumerate(lines)) + "\n"
        )

    def ring(self, sequence: str) -> None:
        self._region.send(sequence)

    @property
    def away(self) -> bool:
        return self._prompt.app._running_in_terminal

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within the block Ctrl-C is a signal and not a key."""
        self._signalling = True
        self._set_signals()
        try:
            yield
        finally:
            self._signalling = False
            self._set_signals()

    def go_on(self) -> None:
        self._came_back.set()
        if not self._suspended:  # by somebody else: the shell has had the terminal meanwhile
            self._region.begin_again()

    # What the prompt asks of its owner

    def mark(self) -> StyleAndTextTuples:
        if self.is_asking():
            return fragments([f"{paint('bold', '?')} "])
        return fragments([f"{paint('dim', '+')} " if self.busy else f"{paint('prompt', '>')} "])

    def rows(self) -> StyleAndTextTuples:
        room = self.room
        return fragments([*(self._tail[-room:] if room else ()), *self._below()])

    def has_rows(self) -> bool:
        return bool(self._tail or self._below())

    def is_asking(self) -> bool:
        return self._question.has_line

    def can_take_back(self) -> bool:
        return bool(self._queue or self._soon) and self._entry.empty and not self.is_asking()

    def press(self, action: str) -> None:
        _ACTIONS[action](self)

    # Keys

    @property
    def busy(self) -> bool:
        """Is what is sent now not taken at once?"""
        return self._began and (self._wanted is None or self._wanted.done())

    def _send(self, *, at_once: bool = False) -> None:
        if not self.is_asking():
            if sent := self._entry.take(at_once=at_once):
                self._deliver(sent)
            elif self._held:
                self._held = False
                self._wake()
        elif not at_once:
            self._question.give(self._entry.whole())

    def _deliver(self, sent: Sent) -> None:
        if self.meanwhile and self.meanwhile(sent):
            from agentcli.ui import slash

            if sent.at_once and not slash.is_command(sent.text):
                self._soon.append(sent)
            else:
                self.echo(sent)
            return
        if self._held and not self.busy:  # this is what they want now
            self._queue.appendleft(sent)
        else:
            self._queue.append(sent)
        self._wake()

    def _send_now(self) -> None:
        self._send(at_once=True)

    def _new_line(self) -> None:
        self._entry.new_line()

    def _stop(self) -> None:
        if self.busy:
            self.on_stop()
        elif self._entry.empty:
            talk.say("Ctrl-D or /quit leaves.", dim=True)
        else:
            self._entry.clear()

    def _leave(self) -> None:
        """Only on an empty line; elsewhere the key deletes."""
        if not self._entry.empty:
            self._entry.delete()
        elif self.is_asking():
            self._question.give("")
        else:
            self._left = True
            if self.busy:
                self.on_stop()
            self._wake()

    def _edit(self) -> None:
        try:
            self._entry.edit()
        except UserError as error:
            talk.say_error(error)

    def _suspend(self) -> None:
        if hasattr(signal, "SIGTSTP") and not self._suspended:  # Windows has none
            self._suspended = True
            self._prompt.app.create_background_task(self._away())

    async def _away(self) -> None:
        """Leave for the shell, which gets the terminal as it was found."""
        self._came_back.clear()
        try:
            async with self.aside():
                os.kill(0, signal.SIGTSTP)
                with suppress(TimeoutError):  # nothing stops a program that has no shell
                    async with asyncio.timeout(_AWAY):
                        await self._came_back.wait()
        finally:
            self._suspended = False

    def _add_time(self) -> None:
        self.on_add_time()

    def _take_back(self) -> None:
        if self._soon:
            if self.on_take_back(self._soon[-1]):
                self.put_back(self._soon.pop().text)
            return
        self.put_back(self._queue.pop().text)
        self._held = self._held and bool(self._queue)

    # The rest

    def _wake(self) -> None:
        if self._wanted and not self._wanted.done():
            self._wanted.set_result(None)

    def _rendered(self) -> None:
        if not self.drawn.is_set():
            self.drawn.set()
            self._region.send(_CURSOR)
            asyncio.get_running_loop().call_soon(self._furnish)
        self._set_signals()

    def _furnish(self) -> None:
        """What need not be there before the prompt is."""
        if self._left:
            return
        self._entry.furnish(
            self.offers() if self.offers else None,
            note=lambda text: talk.say(text, dim=True),
            open_keys=self._keys.get("open-paste", ()),
        )
        if self._theme == "auto":
            self._ask_for_background()

    def _ask_for_background(self) -> None:
        """The colours that suit it are used from its answer on."""
        from agentcli.ui import background, theme

        parser = getattr(self._prompt.app.input, "vt100_parser", None)
        if parser and theme.current().colours and background.can_be_asked(os.environ):

            def told(found: background.Colour | None) -> None:
                theme.use(background.suited(found))
                self._told.set()
                self._prompt.app.invalidate()

            self._told.clear()
            background.listen(parser, told)
            self._region.send(background.QUERY.decode())

    def _set_signals(self) -> None:
        if self._region.stands:
            terminal.signal_keys(on=self._signalling)

    async def _until_told(self) -> None:
        """What the terminal answers is not for whoever has it next."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER):
                await self._told.wait()
        self._told.set()

    def _below(self) -> list[str]:
        """The rows between the answer and the input."""
        columns, rows = self.size
        lines: list[str] = []
        waiting = list(self._queue)
        if (more := len(waiting) - SHOWN) > 0:
            lines.append(paint("dim", f"{more} more wait{'s' if more == 1 else ''} to be sent"))
        lines += [paint("dim", f"at the next step: {one_line(sent.shown or sent.text, columns - 19)}") for sent in self._soon]
        word = "held" if self._held else "next"
        lines += [paint("dim", f"{word}: {one_line(sent.shown or sent.text, columns - 7)}") for sent in waiting[-SHOWN:]]
        if self._held:
            lines.append(paint("dim", one_line("Enter sends what is held, Up takes it back", columns - 1)))
        if self._question.text:
            lines += [paint("bold", line) for line in _wrapped(self._question.text, columns)]
        elif said := self._status if self.busy else self.facts():
            lines.append(paint("dim", one_line(said, columns - 1)))
        return ["", *lines] if rows >= TIGHT else lines


def _wrapped(text: str, width: int) -> list[str]:
    from textwrap import wrap

    return [piece for line in text.split("\n") for piece in wrap(line, max(width - 1, 10)) or [""]]


_ACTIONS: dict[str, Callable[[Live], None]] = {
    "send": Live._send,
    "send-now": Live._send_now,
    "new-line": Live._new_line,
    "stop": Live._stop,
    "leave": Live._leave,
    "editor": Live._edit,
    "add-time": Live._add_time,
    "suspend": Live._suspend,
    "take-back": Live._take_back,
}
