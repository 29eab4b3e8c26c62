"""The live prompt on an emulated terminal: what stands above it is the answer, whatever goes on below, and whatever the window does.

All is real but the terminal and the clock: keys come through a pipe, the window has the size of a pseudo-terminal and its change is
a signal, what is written goes to an emulator. The clock is moved by hand, so that a drawing is due when the dice say so.

A part of what can be tried is tried in the suite. AGENTCLI_TRIALS=N is for all of it, N times with other dice.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from typing import Any, cast

import pyte
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.input.vt100_parser import Vt100Parser

from agentcli.core.event import TextDelta, TurnEnded
from agentcli.ui.background import listen
from agentcli.ui.binding import ACTIONS, key_names
from agentcli.ui.live import Live
from agentcli.ui.live_form import LiveForm, Rows
from agentcli.ui.markdown import Stream
from agentcli.ui.paste import quick_pastes
from agentcli.ui.screen import Sent
from agentcli.ui.status import Status
from agentcli.ui.view import View
from tests.terminal import Screen, new_screen, screen_of, text_of
from tests.ui.texts import ANSWERS, HUGE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")

TRIALS = int(os.environ.get("AGENTCLI_TRIALS", "0"))  # read now: tests run in an environment of their own
KEYS = {name: [key_names(text) for text in action.keys] for name, action in ACTIONS.items()}
SIZES = ((80, 24), (40, 10), (200, 60))


class Emulator:
    """A terminal to write to. Its size is that of a pseudo-terminal that nobody writes to."""

    encoding = "utf-8"

    def __init__(self, size: tuple[int, int]) -> None:
        self._master, self._slave = os.openpty()
        self.screen = new_screen(*size)
        self._stream = pyte.Stream(self.screen)
        self.written: list[str] = []
        self._set(size)

    def write(self, text: str) -> int:
        self.written.append(text)
        self._stream.feed(text)
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._slave

    def resize(self, columns: int, rows: int) -> None:
        """As a person does it: the window changes, then the program is told."""
        cut(self.screen, columns, rows)
        self._set((columns, rows))
        os.kill(os.getpid(), signal.SIGWINCH)

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)

    def _set(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))


def cut(screen: Screen, columns: int, rows: int) -> None:
    """Change the size as xterm does: rows are cut and not wrapped anew, and the lowest stay, but for those below the cursor.

    (pyte drops the rows at the top, and leaves the cursor where it was.)
    """
    lost = max(screen.cursor.y + 1 - rows, 0)
    kept = {row - lost: screen.buffer[row] for row in range(lost, min(screen.lines, rows + lost))}
    screen.history.top.extend(screen.buffer[row] for row in range(lost))
    screen.buffer.clear()
    screen.buffer.update(kept)
    for row in kept.values():
        for column in [column for column in row if column >= columns]:
            del row[column]
    screen.lines, screen.columns = rows, columns
    screen.cursor.y -= lost
    screen.cursor.x = min(screen.cursor.x, columns - 1)
    screen.set_margins()


class Scene:
    """A chat without a model: what it would say is said by the test."""

    def __init__(self, live: Live, emulator: Emulator, keys: PipeInput, dice: random.Random) -> None:
        self.live = live
        self.emulator = emulator
        self.dice = dice
        self.now = 0.0
        self._keys = keys
        self._pressed = 0
        live._prompt.app.key_processor.after_key_press += self._count

    def _count(self, _: object) -> None:
        self._pressed += 1

    @property
    def screen(self) -> list[str]:
        return screen_of(self.emulator.screen)

    @property
    def top(self) -> int:
        """The row of the screen where the region begins."""
        renderer = self.live._prompt.app.renderer
        return int(self.emulator.screen.cursor.y) - renderer._cursor_pos.y

    @property
    def above(self) -> list[str]:
        """The last rows above the region, as many as the window has."""
        return last_rows(self.emulator.screen, self.top)

    @property
    def draft_is_in_sight(self) -> bool:
        """Is what is typed seen where the cursor is? (Where it fills the window, prompt-toolkit may scroll a row too little.)"""
        cursor, typed = self.emulator.screen.cursor, self.live._prompt.default_buffer.document.current_line_before_cursor
        if len(typed) > self.emulator.screen.columns * self.emulator.screen.lines // 4:
            return True
        row = self.emulator.screen.buffer[cursor.y]
        seen = "".join(row[column].data for column in range(2, cursor.x))
        return typed.endswith(seen) and (bool(seen) or cursor.x == 2)

    async def type(self, keys: str) -> None:
        """Press keys, and let the prompt have them."""
        before = self._pressed
        self._keys.send_text(keys)
        await self._until(lambda: self._pressed > before)
        await self.settle()

    async def settle(self) -> None:
        """Let everything that is due come."""
        for _ in range(6):
            await asyncio.sleep(0)
        await self._until(lambda: not self.live._prompt.app._invalidated)  # what a key changed is drawn when there is time

    async def _until(self, met: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not met():  # noqa: ASYNC110  (it is prompt-toolkit's and tells nobody)
                await asyncio.sleep(0)

    async def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, and let the prompt see it."""
        self.emulator.resize(columns, rows)
        await self._until(lambda: self.live._prompt.app.renderer._last_size == (rows, columns))
        await self.settle()

    @property
    def height(self) -> int:
        """The rows of the region down to the cursor."""
        return int(self.live._prompt.app.renderer._cursor_pos.y) + 1

    async def line(self, keys: str = "go\r") -> Sent:
        """What was sent next: what waits, or what is typed now."""
        async with asyncio.timeout(5):
            if not self.live._queue:
                sending = asyncio.create_task(self.live.line())
                await asyncio.sleep(0)
                await self.type(keys)
                sent = await sending
            else:
                sent = await self.live.line()
        assert sent
        return sent

    def form(self, rows: Rows | None = None) -> LiveForm:
        view = View(self.live.size[0], clock=self.clock)
        return LiveForm(rows or self.live, view, Status("lab/model", clock=self.clock), clock=self.clock)

    def clock(self) -> float:
        return self.now


@asynccontextmanager
async def scene(size: tuple[int, int] = (80, 24), seed: int | str = 0) -> AsyncIterator[Scene]:
    emulator, faults = Emulator(size), list[object]()
    try:
        with create_pipe_input() as keys, create_app_session(input=keys):
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
            live = Live(history=None, keys=KEYS, theme="neutral", file=cast("Any", emulator))
            async with live:
                yield Scene(live, emulator, keys, random.Random(seed))
    finally:
        emulator.close()
    assert not faults


def said(text: str) -> TextDelta:
    return TextDelta("agentcli", "t", text)


def ended(stop: str = "done") -> TurnEnded:
    return TurnEnded("agentcli", "t", stop=cast("Any", stop))


def pieces(text: str, dice: random.Random) -> Iterator[str]:
    """The text in pieces, of about one size each time."""
    count = min(dice.choice((0, 2, 10, 30, 60)), len(text))
    cuts = sorted(dice.randrange(len(text) + 1) for _ in range(count)) if text else []
    for begin, end in pairwise([0, *cuts, len(text)]):
        yield text[begin:end]


class Paper:
    """What must stand above the prompt: the same text on an emulator of its own, without a prompt."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.screen = new_screen(*size)
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str) -> None:
        self._stream.feed(text.replace("\n", "\r\n"))

    def sent(self, sent: Sent) -> None:
        self.write(
            "\n" + "\n".join(f"{'>' if number == 0 else ' '} {line}" for number, line in enumerate(sent.text.split("\n"))) + "\n"
        )

    @property
    def last(self) -> list[str]:
        """Its last rows, as many as the window has."""
        return last_rows(self.screen, self.screen.cursor.y)


def last_rows(screen: Screen, end: int) -> list[str]:
    """The rows before this row of the screen, as many as the window has."""
    passed = list(islice(reversed(screen.history.top), screen.lines))[::-1]
    rows = [*passed, *(screen.buffer[row] for row in range(end))]
    return ["".join(row[column].data for column in range(screen.columns)).rstrip() for row in rows[-screen.lines :]]


async def answered(names: list[str], size: tuple[int, int], seed: int) -> None:
    """Each of these answers, in pieces, while somebody types and sends more; in the end all of it stands there once."""
    typed, taken = "", ""
    paper = Paper(size)
    async with scene(size, f"{names} {size} {seed}") as chat:
        dice = chat.dice
        for name in names:
            typed += "go\n" if not chat.live._queue else ""
            sent = await chat.line()
            taken += sent.text + "\n"
            paper.sent(sent)
            form, stream = chat.form(), Stream(size[0])
            for piece in pieces(ANSWERS[name], dice):
                form.show(said(piece))
                paper.write(stream.feed(piece))
                chat.now += dice.choice((0, 0, 0.01, 0.06))
                if dice.random() < 0.1:
                    keys = dice.choice(("a", "bc", "words of it ", "漢字", "x\r", "next one\r", "long " * 20, "\x1b\r"))
                    typed += keys.replace("\x1b\r", "\n").replace("\r", "\n")
                    await chat.type(keys)
                if dice.random() < 0.1:
                    chat.now += 1
                    form.tick()
                    assert chat.above == paper.last, f"in the middle of {name}"
                    assert chat.draft_is_in_sight, f"in the middle of {name}"
            form.show(ended())
            form.close()
            paper.write(stream.finish())
            await chat.settle()
            assert chat.above == paper.last, f"at the end of {name}"
        taken += "\n".join([*(sent.text for sent in chat.live._queue), chat.live._prompt.default_buffer.text])
    assert text_of(chat.emulator.screen) == text_of(paper.screen)
    assert taken.split() == typed.split()


_GROUPS = [[name for name in ANSWERS if name not in HUGE][at::20] for at in range(20)] + [[name] for name in HUGE]


def trials() -> Iterator[Any]:
    for number, names in enumerate(_GROUPS):
        for seed in range(max(TRIALS, 1)):
            for place, size in enumerate(SIZES):
                if TRIALS or place == number % len(SIZES):
                    yield pytest.param(names, size, seed, id=f"{names[0]}-{size[0]}x{size[1]}-{seed}")


@pytest.mark.parametrize(("names", "size", "seed"), list(trials()))
def test_above_the_prompt_stands_the_answer_and_nothing_else(names: list[str], size: tuple[int, int], seed: int) -> None:
    asyncio.run(answered(names, size, seed))


class Noted:
    """The rows of a live prompt, with a note of what is written above them, at the width that the window has then."""

    def __init__(self, live: Live, paper: Paper) -> None:
        self._live = live
        self._paper = paper

    @property
    def size(self) -> tuple[int, int]:
        return self._live.size

    @property
    def room(self) -> int:
        return self._live.room

    def show(self, finished: str, tail: list[str], status: str) -> None:
        if self._live.size != (self._paper.screen.columns, self._paper.screen.lines):
            cut(self._paper.screen, *self._live.size)
        self._paper.write(finished)
        self._live.show(finished, tail, status)

    def heard(self) -> None:
        self._live.heard()

    def over(self) -> None:
        self._live.over()


def numbered(count: int) -> str:
    """Small blocks of all kinds, none like another."""
    forms = (
        "Paragraph {0}, with a few words, wrapped in a narrow window, {0}.\n\n",
        "- item {0}\n- item {0}b with **some** words\n\n",
        "```py\nvalue_{0} = {0}\n```\n\n",
        "| a{0} | b |\n|---|---|\n| {0} | 2 |\n\n",
        "## Heading {0}\n\n",
        "> quote {0}\n\n",
        "漢字の段落 {0} です\n\n",
    )
    return "".join(forms[number % len(forms)].format(number) for number in range(count))


def all_rows(screen: Screen, end: int) -> list[str]:
    """All rows before this one of the screen, with what was cut off while they were out of sight."""
    rows = [*screen.history.top, *(screen.buffer[row] for row in range(end))]
    return ["".join(row[column].data for column in range(max(row, default=-1) + 1)).rstrip() for row in rows]


def assert_alike(chat: Scene, paper: Paper) -> None:
    """Above the region there is what was written, row by row, but for what the window cut off."""
    found, written = all_rows(chat.emulator.screen, chat.top), all_rows(paper.screen, paper.screen.cursor.y)
    assert len(found) == len(written), (found[-20:], written[-20:])
    for one, other in zip(found, written, strict=True):
        assert one == other or ((one.startswith(other) or other.startswith(one)) and min(len(one), len(other)) >= 10)


RESIZES = ((80, 24), (60, 24), (40, 10), (100, 30), (33, 12), (20, 24), (200, 60), (80, 9))


async def resized(seed: int, *, idle: bool) -> None:
    for name in ("TMUX", "VTE_VERSION", "KITTY_WINDOW_ID", "TERM_PROGRAM", "WT_SESSION"):
        os.environ.pop(name, None)
    paper = Paper((80, 24))
    async with scene(seed=seed) as chat:
        dice = chat.dice
        sent = await chat.line()
        paper.sent(sent)
        form = chat.form(Noted(chat.live, paper))
        typed, changes = "", 0
        for piece in [] if idle else pieces_of(numbered(60), dice):
            form.show(said(piece))
            chat.now += dice.choice((0, 0.01, 0.06))
            if dice.random() < 0.1:
                keys = dice.choice(("a", "word ", "漢字", "more words "))
                typed += keys
                await chat.type(keys)
            if dice.random() < 0.15:
                size = dice.choice([size for size in RESIZES if size[1] > chat.height])
                changes += 1
                if dice.random() < 0.5:
                    await chat.resize(*size)
                else:  # more comes before the signal does
                    chat.emulator.resize(*size)
        form.show(ended())
        form.close()
        await chat.settle()
        for size in dice.sample(RESIZES, 5) if idle else ():
            typed += "draft "
            await chat.type("draft ")
            await chat.resize(*size)
            cut(paper.screen, *size)
            assert chat.draft_is_in_sight
            changes += 1
        assert changes > 4
        assert_alike(chat, paper)
        assert chat.live._prompt.default_buffer.text == typed
        await chat.type(" end\r")
        assert chat.live._queue[-1].text == f"{typed} end"


def pieces_of(text: str, dice: random.Random) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = dice.randint(1, 40)
        yield text[at : at + size]
        at += size


@pytest.mark.parametrize("seed", range(max(6, TRIALS * 100)))
def test_a_window_that_changes_while_an_answer_comes_loses_and_doubles_nothing(seed: int) -> None:
    asyncio.run(resized(seed, idle=False))


@pytest.mark.parametrize("seed", range(max(3, TRIALS * 30)))
def test_a_window_that_changes_while_nothing_happens_leaves_the_draft_and_what_is_above_it(seed: int) -> None:
    asyncio.run(resized(seed, idle=True))


async def hardly_seen(seed: int) -> None:
    paper = Paper((80, 24))
    async with scene(seed=seed) as chat:
        dice = chat.dice
        await chat.line()
        form = chat.form(Noted(chat.live, paper))
        for piece in pieces_of(numbered(40), dice):
            form.show(said(piece))
            chat.now += 0.06
            if dice.random() < 0.2:
                await chat.resize(dice.choice((1, 2, 8, 10, 80)), dice.choice((1, 2, 3, 24)))
            if dice.random() < 0.2:
                await chat.type("x")
        await chat.resize(80, 24)
        form.show(said("\n\nThe end of it.\n\nAnd"))
        await chat.type("y")
        assert chat.screen[chat.top - 1] == "The end of it."
        assert chat.draft_is_in_sight
        form.close()
        await chat.settle()
        assert chat.screen[chat.top - 1] == "And"
        assert chat.live._prompt.default_buffer.text.strip("x") == "y"


@pytest.mark.parametrize("seed", range(max(3, TRIALS * 30)))
def test_a_window_that_is_too_small_for_anything_can_be_used_again_when_it_has_grown(seed: int) -> None:
    asyncio.run(hardly_seen(seed))


def test_a_paragraph_is_wrapped_for_the_window_in_which_it_ends() -> None:
    view = View(80)
    view.show(said("words " * 10))
    view.width = 30
    view.show(said("and the end.\n\n"))
    assert max(map(len, view.take().split("\n"))) <= 30


PASTES = "a\x1b[200~one\x1b[201~\r\x1b[A\x1b[200~\x1b[201~b\x1b[200~\x1b[200~two\x1b[201~\r"


@pytest.mark.parametrize("answer", ["", "\x1b]11;rgb:0000/0000/0000\x07\x1b[?6c"])
def test_pastes_that_come_before_the_terminal_has_answered_stay_pastes(answer: str) -> None:
    """However the pieces are cut. Two stand before prompt-toolkit's parser: what takes in long pastes, what waits for answers."""

    class Read:
        def __init__(self) -> None:
            self.keys: list[tuple[str, str]] = []
            self.vt100_parser = Vt100Parser(lambda press: self.keys.append((str(press.key), press.data)))

    expected = Read()
    expected.vt100_parser.feed(PASTES)
    sent = PASTES.replace("\r\x1b[A", f"\r{answer}\x1b[A")
    for first in range(len(sent)):
        for second in range(first, len(sent)):
            read = Read()
            quick_pastes(cast("Any", read))
            listen(read.vt100_parser, lambda colour: None)
            for piece in (sent[:first], sent[first:second], sent[second:]):
                read.vt100_parser.feed(piece)
            assert read.keys == expected.keys, (first, second)
