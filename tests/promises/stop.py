"""P8: Ctrl-C, at any moment, as often as somebody likes.

The real program runs on a real terminal and is stopped at random moments; what it gives back, keeps and leaves behind is looked at
from outside: on the screen, in the terminal's settings, in /proc and in the program's files. What was typed meanwhile, and what waited
to be sent, must stand on the input line afterwards.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

from agentcli.core.thread import Thread
from tests.model_server import ModelServer
from tests.promises import Outcome, promise
from tests.promises.program import (
    ask,
    at_once,
    children_of,
    descriptors,
    each,
    left,
    new_home,
    processes_of,
    threads_of,
    wait_for,
)
from tests.promises.scene import NAMES, WORDS, by_prompt, full_socket, with_tools
from tests.promises.talk import Talk

__all__ = ["MOMENTS", "partial"]

LIMIT, LAX = 0.3, 1.2  # seconds; a few times are measured on whatever else the machine does
_THREAD = 40  # turns of a thread, then a new one
_MORE = re.compile(rb"Ctrl-D or /quit leaves")


class Play:
    """A chat that is stopped again and again."""

    def __init__(self, talk: Talk, server: ModelServer, chance: random.Random) -> None:
        self.talk = talk
        self.server = server
        self.chance = chance
        self.since = 0  # what was written before this moment began
        self.waits: list[str] = []  # messages
        self.draft = ""

    def type(self, *, seen: bool = True) -> None:
        """While something runs: send messages that wait, and begin one."""
        if self.chance.random() < 0.3:
            self.waits = [f"wait{number}" for number in range(self.chance.randint(1, 2))]
            self.talk.terminal.send("".join(f"{text}\r" for text in self.waits))
        if self.chance.random() < 0.5:
            self.draft = self.chance.choice(("a draft", "dräft ü", "x", "日本"))
            self.talk.terminal.send(self.draft)
        if seen and self.draft and self.chance.random() < 0.7:
            self.talk.terminal.until(lambda terminal: self.talk.typed() == self.draft)


Moment = Callable[[Play], None]
MOMENTS: dict[str, Moment] = {}


def moment(name: str) -> Callable[[Moment], Moment]:
    def register(bring: Moment) -> Moment:
        MOMENTS[name] = bring
        return bring

    return register


@moment("nothing")
def _nothing(play: Play) -> None:
    pass


@moment("typing")
def _typing(play: Play) -> None:
    text = play.chance.choice(("something", "eins zwei", "日本語", "/thr", "!ls"))
    play.talk.terminal.send(text)
    play.talk.terminal.until(lambda terminal: play.talk.typed() == text)


@moment("at once")
def _at_once(play: Play) -> None:
    play.talk.terminal.send("go stream\r")


@moment("connecting")
def _connecting(play: Play) -> None:
    before = play.talk.prompts
    play.talk.say("/model hole/x")
    play.talk.until_prompt(before)
    play.talk.say("go stream")
    play.type()


def _asked_for(what: str) -> Moment:
    def bring(play: Play) -> None:
        saw = len(play.server.requests)
        play.talk.say(f"go {what}")
        wait_for(lambda: len(play.server.requests) > saw)
        play.type()

    return bring


for _what in ("before-headers", "after-headers", "late"):
    moment(_what)(_asked_for(_what))


@moment("stream")
def _stream(play: Play) -> None:
    play.talk.until("word0", play.talk.say("go stream"))
    play.type()


def _in_tool(name: str) -> Moment:
    def bring(play: Play) -> None:
        play.talk.until(name, play.talk.say(f"go {name}"))
        play.type(seen=name != "holds")

    return bring


for _what in ("slow_sync", "slow_async", "reluctant", "holds", "starts", "risky"):
    moment(_what)(_in_tool(_what))


@moment("asked")
def _asked(play: Play) -> None:
    play.talk.until("say why not", play.talk.say("go risky"))
    play.type(seen=False)
    play.talk.until_asked()
    if play.chance.random() < 0.5:
        play.talk.terminal.send("y")
        play.talk.terminal.until(lambda terminal: play.talk.typed() == "y")


@moment("picker")
def _picker(play: Play) -> None:
    since = play.talk.say("/threads")
    if play.chance.random() < 0.7:
        play.talk.until("Which thread?", since)
        play.talk.terminal.send(play.chance.choice(("", "word", "\x1b[B")))


@moment("command")
def _command(play: Play) -> None:
    play.talk.say("!sleep 5")
    play.type()


ALONE = ("nothing", "typing", "picker", "command")  # no turn of the model


def stop_one(play: Play, name: str) -> float:
    """Take the chat as far as the moment, and press Ctrl-C at a random instant of it: how long until the prompt is back."""
    talk = play.talk
    play.since, play.waits, play.draft = talk.terminal.size, [], ""
    before = talk.prompts
    MOMENTS[name](play)
    if name == "connecting":
        before += 1
    sleep(play.chance.uniform(0, {"at once": 0.01, "holds": 0.3}.get(name, 0.1)))  # the moment is what is being tried
    pressed, written = monotonic(), talk.terminal.size
    talk.terminal.send("\x03")
    if name == "nothing":
        talk.terminal.until(lambda terminal: talk.terminal.has(_MORE, written))
    elif name == "typing":
        talk.terminal.until(lambda terminal: not talk.typed())
    else:
        talk.until_prompt(before, 10)
    return monotonic() - pressed


def look(play: Play, name: str) -> str:
    """What is wrong once the prompt is back."""
    talk, home = play.talk, play.talk.home
    written = talk.terminal.raw_since(play.since)
    if b"Traceback" in written:
        return "a traceback"
    if b"\x1b[?25l" in written:
        return "the cursor was hidden"
    if (now := talk.terminal.modes()) != talk.resting:
        return f"the terminal's settings at a prompt were {talk.resting} and are {now}"
    try:
        talk.terminal.until(lambda terminal: talk.mark() == ">" and talk.typed() == play.draft and held(talk) == play.waits, 2)
    except AssertionError:
        return f"{talk.mark()!r} {talk.typed()!r} is typed and {held(talk)} held, and not {play.draft!r} and {play.waits}"
    if found := [*children_of(talk.terminal.pid), *processes_of(home, talk.terminal.pid)]:
        return f"processes are left: {found}"
    if name in ALONE:
        return ""
    thread = home.latest()
    if thread is None:
        return "" if name == "at once" else "no thread was saved"
    return partial(thread, name) or left(home)


def held(talk: Talk) -> list[str]:
    """The messages that are not sent by themselves any more, as the screen has them."""
    return [row.removeprefix("held: ") for row in talk.terminal.screen() if row.startswith("held: ")]


def partial(thread: Thread, name: str) -> str:
    """What is wrong with what is kept of a turn that was stopped."""
    asked = max((number for number, one in enumerate(thread.messages) if one.role == "user"), default=-1)
    after = thread.messages[asked + 1 :]
    if thread.settle():
        return "a call has no result"
    if name == "stream":
        if not after or after[-1].stop != "interrupted":
            return f"the stopped answer is kept as {after and after[-1].stop}"
        if not after[-1].text.startswith("word0 ") or not "".join(WORDS).startswith(after[-1].text):
            return f"the stopped answer is kept as {after[-1].text[:50]!r}"
    elif name in NAMES or name == "asked":
        if [message.role for message in after] != ["assistant", "tool"]:
            return f"a stopped tool left {[message.role for message in after]}"
        if not after[0].text or not after[1].results[0].is_error:
            return "the stopped call is not marked, or the words before it are lost"
    return ""


def stops(count: int, bug: str = "", moments: tuple[str, ...] = tuple(MOMENTS)) -> Outcome:
    """One chat, stopped again and again."""
    chance = random.Random(count)
    failures: list[str] = []
    waited: list[float] = []
    if not Path("/proc/self/fd").exists():
        return Outcome(0, [], "/proc")
    with new_home() as home, ModelServer().decides(by_prompt) as server, full_socket() as hole:
        home.configure(f'[providers.hole]\nbase-url = "{hole}"\nkey-env = "HOLE_KEY"\n')
        with Talk(home, server, *with_tools(home), bug=bug, more={"HOLE_KEY": "x"}) as talk:
            play = Play(talk, server, chance)
            found: Held | None = None
            for number, name in enumerate(_in_rounds(moments, count, chance)):
                try:
                    waited.append(stop_one(play, name))
                    wrong = look(play, name)
                    _tidy(play, name, number)
                except AssertionError as error:
                    failures.append(f"{number} {name}: {error}")
                    break
                if wrong:
                    failures.append(f"{number} {name}: {wrong}")
                server.requests.clear()
                if number + 1 == min(len(moments), count // 2):
                    found = _held(talk)
            else:
                failures += _gained(talk, found)
                wait_for(lambda: server.open <= 1)
                if wrong := talk.leave():
                    failures.append(wrong)
    if waited and (late := _share(waited, 0.99)) > (LIMIT if count >= 200 else LAX):
        failures.append(f"the prompt was back after {late:.3f} s (p99), {_share(waited, 0.5):.3f} s (median)")
    return Outcome(count, failures, note=_figures(waited))


def _in_rounds(moments: tuple[str, ...], count: int, chance: random.Random) -> list[str]:
    """All of them, again and again, in another order each time."""
    found: list[str] = []
    while len(found) < count:
        found += chance.sample(moments, len(moments))
    return found[:count]


def _tidy(play: Play, name: str, number: int) -> None:
    """An empty line, the model that answers, and now and then a thread of its own."""
    talk = play.talk
    if play.draft:
        _until_typed(talk, "\x03", "")
    for text in reversed(play.waits):
        _until_typed(talk, "\x1b[A", text)
        _until_typed(talk, "\x03", "")
    lines = ["/model openai/any"] if name == "connecting" else []
    for line in [*lines, "/new"] if number % _THREAD == _THREAD - 1 else lines:
        before = talk.prompts
        talk.say(line)
        talk.until_prompt(before)


def _until_typed(talk: Talk, keys: str, text: str) -> None:
    talk.terminal.send(keys)
    talk.terminal.until(lambda terminal: talk.typed() == text)


def _share(waited: list[float], share: float) -> float:
    return sorted(waited)[min(len(waited) - 1, int(len(waited) * share))]


def _figures(waited: list[float]) -> str:
    if len(waited) < 10:
        return ""
    return ", ".join(f"{name} {_share(waited, share) * 1000:.0f} ms" for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1)))


class Held(NamedTuple):
    """What a chat holds at rest: what is open, its threads, its tasks."""

    descriptors: list[str]
    threads: int
    tasks: int


def _held(talk: Talk) -> Held:
    """Once the tools that run on have ended."""
    with suppress(AssertionError):
        wait_for(lambda: threads_of(talk.terminal.pid) <= 2, 3)
    before = talk.prompts
    talk.say("go census")
    talk.until_prompt(before)
    thread = talk.home.latest()
    told = thread.messages[-2].results[0].content if thread else ""
    return Held(descriptors(talk.terminal.pid), threads_of(talk.terminal.pid), int(told.split()[0]))


def _gained(talk: Talk, found: Held | None) -> Iterator[str]:
    now = _held(talk)
    if found and len(now.descriptors) > len(found.descriptors):
        yield f"descriptors were gained: {len(found.descriptors)} became {len(now.descriptors)}: {now.descriptors}"
    if found and now.threads > found.threads:
        yield f"threads were gained: {found.threads} became {now.threads}"
    if found and now.tasks > found.tasks:
        yield f"tasks were gained: {found.tasks} became {now.tasks}"
    if children := children_of(talk.terminal.pid):
        yield f"processes are left: {children}"


@promise(
    "P8",
    "Ctrl-C gives the prompt back",
    "Ctrl-C in one chat, typing, connecting, streaming, in a tool, an approval, a command, a list: prompt back in 300 ms (p99), "
    "answer, draft and waiting messages kept, settings as before, nothing left over",
    quick=60,
    full=1_000,
    planted=each(
        lambda: stops(1, "stops slowly", ("stream",)),
        lambda: stops(1, "forgets", ("stream",)),
        lambda: stops(4, "keeps a socket", ("stream",)),
        lambda: stops(4, "keeps a task", ("stream",)),
        lambda: stops(1, "keeps a child", ("stream",)),
        lambda: stops(1, "hides the cursor", ("stream",)),
        lambda: stops(1, "keeps the signals", ("stream",)),
        lambda: stops(2, "loses the draft", ("stream",)),
    ),
)
def p8_stops(count: int) -> Outcome:
    return stops(count)


def asks_stopped(count: int, bug: str = "", within: tuple[float, float] = (0, 0.4)) -> Outcome:
    """`ask`, stopped at a random moment after its first, `within` so many seconds."""
    chance = random.Random(count)

    def one(case: tuple[str, float]) -> str:
        what, after = case
        with new_home() as home, ModelServer().decides(by_prompt) as server:
            done = ask(home, *with_tools(home), f"go {what}", server=server, bug=bug, interrupt_after=after)
            if done.code != 130:
                return f"exit code {done.code}: {done.err[-300:]}"
            if "Traceback" in done.err:
                return f"a traceback: {done.err[-300:]}"
            return left(home)

    kinds = ("stream", "before-headers", "slow_async", "slow_sync", "half")
    return at_once(one, [(kinds[number % len(kinds)], chance.uniform(*within)) for number in range(count)], 2)


@promise(
    "P8",
    "Ctrl-C gives the prompt back",
    "`ask` stopped at a random moment: 130, thread kept and whole",
    quick=6,
    full=300,
    planted=lambda: asks_stopped(3, "takes a stop for an end", (1, 1.5)),  # in the turn, where that bug is
)
def p8_asks(count: int) -> Outcome:
    return asks_stopped(count)
