"""The screen of a chat that only ever appends: for screen readers, for dumb terminals, and for whoever says `--plain`.

Nothing is drawn twice and nothing moves the cursor. A line is edited by the terminal itself (`typed.py`); its prompt is written once.
While an answer comes what is typed is not shown; it waits, and becomes the next message, which is then written behind the prompt.

A message of several lines is written with `\\` at the end of each line that goes on, or between two lines of `\"\"\"`. A paste of
several lines is one message, and is not sent until Enter is pressed once more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO

from agentcli.core.message import speakable
from agentcli.store.disk import create_folder
from agentcli.ui.plain import Plain
from agentcli.ui.sanitise import visible
from agentcli.ui.screen import Sent
from agentcli.ui.talk import no_colours, say
from agentcli.ui.terminal import restore, typed_early, write_whole
from agentcli.ui.typed import LONGEST, Typed, Typing

if TYPE_CHECKING:
    from agentcli.ui.complete import Words

__all__ = ["Line"]

FIRST, FURTHER = "> ", ". "
QUOTES = '"""'


class Line:
    """A terminal that a person talks at, line by line."""

    plain = True
    away = False

    def __init__(self, *, history: Path | None = None, file: TextIO | None = None) -> None:
        no_colours()
        self.on_stop: Callable[[], None] = lambda: None
        self.on_add_time: Callable[[], None] = lambda: None  # there is no key for it here
        self.on_take_back: Callable[[Sent], bool] = lambda sent: False
        self.meanwhile: Callable[[Sent], bool] | None = None  # what is sent while a turn runs waits
        self.facts: Callable[[], str] = lambda: ""
        self.left: Callable[[], float | None] = lambda: None  # how many seconds a turn still has
        self.offers: Callable[[], tuple[Callable[[], Mapping[str, str]], Words]] | None = None  # nothing completes a line here
        self.drawn = asyncio.Event()  # the first prompt is on the screen
        self._file = file or sys.stdout
        self._history = history
        self._typing = Typing(self._stop)
        self._prompt = ""  # what stands on the screen and waits for a line
        self._offered = ""  # what an empty line sends
        self._turns: list[_Turn] = []
        self._busy = False

    async def __aenter__(self) -> Self:
        self._typing.begin(typed_early())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._typing.end()

    # What the chat asks of a screen

    async def begin(self) -> None:
        """The prompt is written when a line is wanted."""

    async def line(self) -> Sent | None:
        """What was sent next; None if the person leaves."""
        try:
            while (text := await self._message()) is not None:
                if text or self._offered:
                    text, self._offered = text or self._offered, ""
                    self._remember(text)
                    return Sent(speakable(text))
            return None
        finally:
            self._end_prompt()

    def form(self, model: str) -> Plain:
        """What shows the next turn."""
        turn = _Turn(self._file, self.left, self._turns)
        self._turns.append(turn)
        return turn

    async def ask(self, question: str) -> str:
        """A line in answer to a question. What was typed before is kept for later."""
        for turn in self._turns:
            turn.pause()
        ahead = self._typing.set_aside()
        answer: list[str] = []
        try:
            self._typing.listen()
            self._write(f"{visible(question).rstrip()} ")
            while True:
                typed = await self._typing.next()
                if typed.how == "stop" and self._busy:
                    self.on_stop()  # which cancels what asks
                elif typed.how != "enter":
                    self._write("\n")
                    return ""
                else:
                    answer.append(typed.text)
                    if not typed.more:
                        return speakable("\n".join(answer))
        except asyncio.CancelledError:
            self._write("\n")  # what comes next does not stand behind the question
            self._typing.set_aside()
            raise
        finally:
            self._typing.hush()
            self._typing.give_back(ahead)
            for turn in self._turns:
                turn.go_on()

    def doing(self, text: str) -> None:
        """It would have to be written again and again."""

    def put_back(self, text: str) -> None:
        """Offer a text again: there is no line here that it could be put on."""
        self._offered = f"{text}\n{self._offered}" if self._offered else text
        if self._prompt:
            self._write("\n")
        self._write(f"{visible(text)}\n")  # as it is: it may be copied
        say("Enter on an empty line sends this. Anything else you write takes its place.")
        if self._prompt:
            self._show_prompt()

    def ring(self, sequence: str) -> None:
        """Send the terminal something that is not text: the bell, if that was asked for."""
        self._write(sequence)

    def hold(self) -> None:
        """What was typed ahead is the next message, as everywhere where lines are typed."""

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Within the block the terminal is free for another program, as we found it."""
        self._typing.leave()
        restore()
        try:
            yield
        finally:
            self._typing.go_on()
            if self._prompt:
                self._show_prompt()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within the block Ctrl-C is a signal."""
        self._busy = True
        self._typing.hush()
        if self._typing.take_stops():
            self.on_stop()
        try:
            yield
        finally:
            self._busy = False

    def go_on(self) -> None:
        """The program was stopped and goes on."""
        self._typing.set_again()
        self._show_prompt()

    # A message, over as many lines as it takes

    async def _message(self) -> str | None:
        draft = _Draft()
        ended = False
        while True:
            typed = await self._next(FURTHER if draft.begun else FIRST)
            if typed.how == "stop":
                if not (typed.text or draft.begun or self._offered):
                    say("Ctrl-D or /quit leaves.")
                self._offered = ""
                return ""
            if typed.how == "end":
                if ended or not draft.begun:
                    return None
                say(f"This message is not finished: {f'a line of {QUOTES}' if draft.quoted else 'Enter'} sends it, Ctrl-C clears it.")
            elif draft.add(typed):
                return "\n".join(draft.lines)
            elif draft.held and not (typed.more and self._typing.waits):
                if typed.more and typed.seen:
                    self._write("\n")  # the beginning of a line stands there
                say(draft.why_held(typed))
            ended = typed.how == "end"

    async def _next(self, mark: str) -> Typed:
        """The next line, behind a prompt."""
        begun = "" if self._typing.waits else self._typing.listen()
        if not self._typing.waits:
            self._prompt = mark
            self._write(mark + visible(begun))
        self.drawn.set()
        typed = await self._typing.next()
        prompted, self._prompt = self._prompt, ""
        if typed.how == "enter" and not (typed.seen and (prompted or typed.after)):
            self._write(f"{'' if prompted else mark}{visible(typed.text)}\n")
        elif typed.how != "enter" and prompted:
            self._write("\n")
        return typed

    def _show_prompt(self) -> None:
        """Write the prompt once more, with what is typed behind it."""
        if self._prompt:
            self._write(self._prompt + visible(self._typing.listen()))

    def _end_prompt(self) -> None:
        if self._prompt:  # cancelled
            self._write("\n")
            self._prompt = ""
        self._typing.hush()

    def _stop(self) -> None:
        self.on_stop()  # whatever that is by then

    def _remember(self, text: str) -> None:
        """Keep what was sent in the history, as the other prompt does and reads it."""
        if self._history:
            from agentcli.ui.paste.fold import kept

            text = kept(text)
            entry = f"\n# {datetime.now(UTC)}\n" + "".join(f"+{line}\n" for line in speakable(text).split("\n"))
            with suppress(OSError):  # a full disk is no reason to end the chat
                create_folder(self._history.parent)
                descriptor = os.open(self._history, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                with open(descriptor, "ab") as file:
                    file.write(entry.encode())

    def _write(self, text: str) -> None:
        write_whole(self._file, text)


class _Turn(Plain):
    """A turn that is among the `others` until it is over."""

    def __init__(self, file: TextIO, left: Callable[[], float | None], others: list[_Turn]) -> None:
        super().__init__(file, left=left)
        self._others = others

    def close(self) -> None:
        super().close()
        if self in self._others:
            self._others.remove(self)


class _Draft:
    """A message that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.quoted = False  # between two lines of quotes
        self.held = False  # pasted: only Enter sends it

    @property
    def begun(self) -> bool:
        return bool(self.lines) or self.quoted

    def add(self, typed: Typed) -> bool:
        """Put a line to it. Is it finished?"""
        text, is_quotes = typed.text, typed.text.strip() == QUOTES
        if is_quotes and not self.begun:
            self.quoted = True
        elif self.quoted:
            if is_quotes and not typed.more:  # in a paste they are text
                return True
            self.lines.append(text)
        elif typed.after or typed.more or typed.cut:
            self.held = True
            self.lines.append(text)
        elif self.held:
            self.lines += [text] * bool(text)
            return True
        else:
            self.lines.append(text.removesuffix("\\"))
            return not text.endswith("\\")
        return False

    def why_held(self, typed: Typed) -> str:
        """Why it is not sent yet."""
        lines = len(self.lines)
        what = "A line pasted." if lines == 1 else f"{lines} lines pasted."
        if typed.cut:
            what = f"A terminal takes no more than {LONGEST:,} characters in a line: the end of this one may be missing."
        return f"{what} Enter sends, Ctrl-C clears."
