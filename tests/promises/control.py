"""P8 to P11: stopping a turn, leaving the program, and waits that end.

The real program runs on a real terminal and is stopped at random moments; what it gives back, keeps and leaves behind is looked at
from outside, in /proc and in its files.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import NamedTuple

from agentcli.core.thread import Thread
from agentcli.store.threads import Store
from tests.model_server import Asked, ModelServer, Reply, sse
from tests.promises import Outcome, promise
from tests.promises.program import (
    Home,
    Talk,
    ask,
    at_once,
    children_of,
    descriptors,
    each,
    left,
    new_home,
    settings_left,
    threads_of,
    wait_for,
)

TOOLS = '''
import asyncio, os, sys, time
from agentcli import tool

def slow_sync() -> str:
    """Takes half a second."""
    time.sleep(0.5)
    return "done"

async def slow_async() -> str:
    """Takes a minute."""
    await asyncio.sleep(60)
    return "done"

@tool(asks=True)
def risky() -> str:
    """Asks."""
    return "done"

def never() -> str:
    """Never ends."""
    time.sleep(3600)

async def stubborn() -> str:
    """Does not want to be stopped."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass

async def blocked() -> str:
    """Stops everything when it is stopped."""
    try:
        await asyncio.sleep(60)
    finally:
        time.sleep(60)

def broken() -> str:
    """Fails."""
    raise RuntimeError("broken")

def leaves() -> str:
    """Wants to end the program."""
    sys.exit(3)

async def cancels() -> str:
    """Cancels itself."""
    raise asyncio.CancelledError
'''
NAMES = ("slow_sync", "slow_async", "risky", "never", "stubborn", "blocked", "broken", "leaves", "cancels")
WORDS = [f"word{number} " for number in range(200)]


def with_tools(home: Home) -> list[str]:
    """The flags that offer all the tools."""
    (home.work / "mine.py").write_text(TOOLS)
    return [word for name in NAMES for word in ("--tool", f"mine.py:{name}")]


def _event(delta: object, finish: str | None = None) -> bytes:
    return sse({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _called(name: str, text: str = "") -> Reply:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return Reply([_event({"content": text}), _event({"tool_calls": [call]}), _event({}, "tool_calls"), sse("[DONE]")])


def said(*words: str, **how: object) -> Reply:
    return Reply([*(_event({"content": word}) for word in words), _event({}, "stop"), sse("[DONE]")], **how)  # type: ignore[arg-type]


def by_prompt(asked: Asked) -> Reply:
    """What the last thing that was said asks the server to do."""
    last = asked.body["messages"][-1]
    if last["role"] == "tool":
        return said("I ", "see.")
    what = str(last["content"]).split()[-1]
    match what:
        case "before-headers":
            return said("x", stall="before headers")
        case "after-headers":
            return said("x", stall="after headers")
        case "stream":
            return said(*WORDS, pause=0.02)
        case "half":
            return said("half ", "whole", "x", "x", stall="mid-stream")
        case name if name in NAMES:
            return _called(name, "Some words first. ")
    return said("ok")


@contextmanager
def full_socket() -> Iterator[str]:
    """A base URL that takes no more connections and does not refuse them."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


# P8

MOMENTS = ("at-once", "before-headers", "stream", "slow_sync", "slow_async", "risky", "connecting", "after-headers")


class Stopped(NamedTuple):
    """One turn that was stopped: how long until the prompt was back, and what was wrong."""

    seconds: float
    wrong: str


def stop_one(talk: Talk, server: ModelServer, moment: str, chance: random.Random) -> Stopped:
    """Take a turn as far as the moment, stop it at a random instant of it, and look."""
    if moment == "connecting":
        before = talk.prompts
        talk.say("/model hole/x")
        talk.until_prompt(before)
    before, server_saw = talk.prompts, len(server.requests)
    since = talk.say(f"go {'stream' if moment in ('at-once', 'connecting') else moment}")
    match moment:
        case "stream":
            talk.until("word0", since)
        case "risky":
            talk.until("say why not", since)
        case name if name in NAMES:
            talk.until(name, since)
        case "before-headers" | "after-headers":
            wait_for(lambda: len(server.requests) > server_saw)
    sleep(chance.uniform(0, 0.01 if moment == "at-once" else 0.1))  # the moment is what is being tried
    talk.terminal.send("\x03")
    seconds = talk.until_prompt(before, 10)
    if moment == "connecting":
        before = talk.prompts
        talk.say("/model openai/any")
        talk.until_prompt(before)
    return Stopped(seconds, "a traceback" if b"Traceback" in talk.terminal.raw[since:] else "")


def partial(thread: Thread, moment: str) -> str:
    """What is wrong with what is kept of a turn that was stopped."""
    asked = max((number for number, one in enumerate(thread.messages) if one.role == "user"), default=-1)
    after = thread.messages[asked + 1 :]
    if thread.settle():
        return "a call has no result"
    if moment == "stream":
        if not after or after[-1].stop != "interrupted":
            return f"the stopped answer is kept as {after and after[-1].stop}"
        if not after[-1].text.startswith("word0 ") or not "".join(WORDS).startswith(after[-1].text):
            return f"the stopped answer is kept as {after[-1].text[:50]!r}"
    elif moment in NAMES:
        if [message.role for message in after] != ["assistant", "tool"]:
            return f"a stopped tool left {[message.role for message in after]}"
        if not after[0].text or not after[1].results[0].is_error:
            return "the stopped call is not marked, or the words before it are lost"
    return ""


def stops(count: int, bug: str = "", moments: tuple[str, ...] = MOMENTS) -> Outcome:
    """Turns of one chat, stopped one after the other."""
    chance = random.Random(count)
    failures: list[str] = []
    waits: list[float] = []
    if not Path("/proc/self/fd").exists():
        return Outcome(0, [], "/proc")
    with new_home() as home, ModelServer().decides(by_prompt) as server, full_socket() as hole:
        home.configure(f'[providers.hole]\nbase-url = "{hole}"\nkey-env = "HOLE_KEY"\n')
        with Talk(home, server, *with_tools(home), bug=bug, more={"HOLE_KEY": "x"}) as talk:
            found: tuple[list[str], int] | None = None
            for number in range(count):
                moment = moments[number % len(moments)]
                try:
                    one = stop_one(talk, server, moment, chance)
                    wrong = (
                        one.wrong
                        or next(
                            (partial(thread, moment) for thread in home.threads()),
                            "" if moment == "at-once" else "no thread was saved",
                        )
                        or left(home)
                    )
                except AssertionError as error:
                    failures.append(f"{number} {moment}: {error}")
                    break
                waits.append(one.seconds)
                if wrong:
                    failures.append(f"{number} {moment}: {wrong}")
                server.requests.clear()
                if number + 1 == min(len(moments), count // 2):
                    found = _settled(talk)
            else:
                failures += _gained(talk, found)
                wait_for(lambda: server.open <= 1)
                if wrong := talk.leave():
                    failures.append(wrong)
    waits.sort()
    limit = 0.3 if count >= 200 else 1.2  # a few are measured on whatever else the machine does
    if waits and (late := waits[min(len(waits) - 1, int(len(waits) * 0.99))]) > limit:
        failures.append(f"the prompt was back after {late:.3f} s (p99), {waits[len(waits) // 2]:.3f} s (median)")
    return Outcome(count, failures)


def _settled(talk: Talk) -> tuple[list[str], int]:
    """What is open, and how many threads there are, once the tools that run on have ended."""
    with suppress(AssertionError):
        wait_for(lambda: threads_of(talk.terminal.pid) <= 2, 3)
    return descriptors(talk.terminal.pid), threads_of(talk.terminal.pid)


def _gained(talk: Talk, found: tuple[list[str], int] | None) -> Iterator[str]:
    now = _settled(talk)
    if found and len(now[0]) > len(found[0]):
        yield f"descriptors were gained: {len(found[0])} became {len(now[0])}: {now[0]}"
    if found and now[1] > found[1]:
        yield f"threads were gained: {found[1]} became {now[1]}"
    if children := children_of(talk.terminal.pid):
        yield f"processes are left: {children}"


@promise(
    "P8",
    "Ctrl-C gives the prompt back",
    "Ctrl-C at a random moment of a turn, one chat: prompt back in 300 ms (p99), answer kept, nothing left over",
    quick=15,
    full=1_000,
    planted=each(
        lambda: stops(1, "stops slowly", ("stream",)),
        lambda: stops(1, "forgets", ("stream",)),
        lambda: stops(3, "keeps a socket", ("stream",)),
        lambda: stops(1, "keeps a child", ("stream",)),
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


# P9


def insists(how: str, bug: str = "") -> str:
    """A turn whose tool will not stop, and a person who presses Ctrl-C again."""
    with new_home() as home, ModelServer().decides(by_prompt) as server, Talk(home, server, *with_tools(home), bug=bug) as talk:
        before, name = talk.prompts, how.split()[0]
        since = talk.say(f"go {name}")
        talk.until(name, since)
        sleep(0.1)
        talk.terminal.send("\x03")
        if name == "blocked":
            sleep(0.1)
            talk.terminal.send("\x03")
            sleep(0.1)
            talk.terminal.send("\x03")
            return talk.ended(130, timeout=3) or _recovered(home)
        sleep(0.2)
        if talk.prompts > before:
            return "the first Ctrl-C did not wait, so the second was not tried"
        talk.terminal.send("\x03")
        try:
            talk.until_prompt(before, 1)
        except AssertionError as error:
            return f"the second Ctrl-C did not give the prompt back: {error}"
        if wrong := next((partial(thread, name) for thread in home.threads()), "no thread was saved"):
            return wrong
        before = talk.prompts
        if how.endswith("goes on"):
            since = talk.say("and now?")
            talk.until("ok", since)
            talk.until_prompt(before)
        talk.terminal.send("\x04")
        return talk.ended(0, timeout=3)


def _recovered(home: Home) -> str:
    """What is wrong with the thread of a program that left in mid-turn."""
    place = home.path / "home"
    store = Store(place / "threads", place / "blobs", place / "cache")
    name = store.latest()
    if name is None:
        return "nothing of the turn is on the disk"
    return partial(store.open(name), "blocked")


@promise(
    "P9",
    "A second Ctrl-C skips waits, a third leaves",
    "tools that will not stop: prompt back, or 130; the answer is kept",
    quick=3,
    full=60,
    planted=lambda: at_once(lambda how: insists(how, "waits"), ["stubborn"]),
)
def p9_insists(count: int) -> Outcome:
    hows = ("stubborn", "blocked", "stubborn goes on")
    return at_once(insists, [hows[number % 3] for number in range(count)], 2)


# P10

EXITS = ("ctrl-d", "/quit", "SIGTERM", "SIGHUP", "storm", "window")
BEFORE = ("nothing", "half a turn", "half a turn stopped", "a turn", "broken", "leaves", "cancels", "timeout", "typing")


def exits(case: tuple[str, str], bug: str = "") -> str:
    """Leave a chat in one way after something else; what is wrong with the terminal or the files then."""
    before, way = case
    busy = before == "half a turn"
    with new_home() as home, ModelServer().decides(by_prompt) as server:
        flags = with_tools(home) + (["--timeout", "0.3"] if before == "timeout" else [])
        with Talk(home, server, *flags, bug=bug) as talk:
            prompts = talk.prompts
            match before:
                case "half a turn" | "half a turn stopped":
                    talk.until("half", talk.say("go half"))
                    if not busy:
                        talk.terminal.send("\x03")
                case "typing":
                    talk.terminal.send("something")
                    talk.until("something", 0)
                    talk.terminal.send("\x15")
                case "timeout":
                    talk.say("go half")
                case "nothing":
                    pass
                case what:
                    talk.say(f"go {what}")
            if before not in ("nothing", "typing", "half a turn"):
                talk.until_prompt(prompts)
            return _leave(talk, way, busy) or left(home)


def _leave(talk: Talk, way: str, busy: bool) -> str:
    match way:
        case "SIGTERM" | "SIGHUP":
            number = signal.Signals[way]
            talk.terminal.signal(number)
            return talk.ended(128 + number)
        case "window":  # closed: everybody in it is told
            talk.terminal.signal(signal.SIGHUP)
            talk.terminal.signal(signal.SIGCONT)
            return talk.ended(129)
        case "storm":
            prompts = talk.prompts
            for _ in range(8 if not busy else 2):
                talk.terminal.send("\x03")
                sleep(0.01)
            if busy:
                talk.until_prompt(prompts)
    if busy and way != "storm":
        prompts = talk.prompts
        talk.terminal.send("\x03")
        talk.until_prompt(prompts)
    for _ in range(3):  # a Ctrl-D between two prompts is the terminal's own, and lost
        talk.terminal.send("/quit\r" if way == "/quit" else "\x04")
        with suppress(subprocess.TimeoutExpired):
            talk.terminal.process.wait(2)
            break
    return talk.ended(0)


@promise(
    "P10",
    "The terminal is left as it was found",
    "every way to leave a chat, in every state of it: settings, cursor, paste mode, files",
    quick=9,
    full=270,
    planted=each(
        *(
            lambda bug=bug: at_once(lambda case: exits(case, bug), [("nothing", "ctrl-d")])
            for bug in ("no echo", "no cursor", "paste mode")
        )
    ),
)
def p10_exits(count: int) -> Outcome:
    cases = [(BEFORE[number % len(BEFORE)], EXITS[(number + number // len(BEFORE)) % len(EXITS)]) for number in range(count)]
    return at_once(exits, cases, 3)


def suspends(where: str, bug: str = "") -> str:
    """Ctrl-Z and `fg`: nothing typed and nothing of the turn is lost, the shell has its terminal meanwhile."""
    with new_home() as home, ModelServer().decides(by_prompt) as server:
        with Talk(home, server, *with_tools(home), bug=bug, shell=True) as talk:
            prompts = talk.prompts
            if where == "prompt":
                talk.terminal.send("hello you")
                talk.until("hello you", 0)
                since = len(talk.terminal.raw)
            else:
                since = talk.say(f"go {where}")
                talk.until("word3" if where == "stream" else where, since)
            talk.terminal.send("\x1a")
            try:
                talk.until("Stopped", since, 3)
            except AssertionError:
                return "Ctrl-Z does not stop it"
            if wrong := settings_left(talk.terminal.raw):
                return f"while it is stopped: {wrong}"
            talk.terminal.send("stty -a; echo $((6 * 7)) ended\r")
            talk.until("42 ended", since)
            if b" -echo " in talk.terminal.raw[since:] or b" -icrnl " in talk.terminal.raw[since:]:
                return "the shell gets a terminal with other settings"
            since = len(talk.terminal.raw)
            talk.terminal.send("fg\r")
            if where == "prompt":
                talk.until("hello you", since)
                talk.terminal.send("\r")
                talk.until("ok", since)
            elif where == "stream":
                talk.until("word40", since)
                talk.terminal.send("\x03")
            talk.until_prompt(prompts + (where == "prompt"))
            since = len(talk.terminal.raw)
            talk.terminal.send("\x04")
            talk.until("agentcli resume", since)
            talk.terminal.until(lambda terminal: terminal.raw.endswith((b"$ ", b"# ")))
            talk.terminal.send("exit 7\r")
            return talk.ended(7) or left(home)


@promise(
    "P10",
    "The terminal is left as it was found",
    "Ctrl-Z and fg: the shell gets its terminal, and the chat goes on where it was",
    quick=2,
    full=20,
    planted=lambda: at_once(lambda where: suspends(where, "deaf to Ctrl-Z"), ["stream"]),
)
def p10_suspends(count: int) -> Outcome:
    if not shutil.which("bash"):
        return Outcome(0, [], "bash")
    return at_once(suspends, [("prompt", "stream", "slow_sync")[number % 3] for number in range(count)], 2)


# P11


class Wait(NamedTuple):
    """What is waited for, the flags and variables that bound it, and how it must end: code, a word of the message, seconds at most."""

    what: str
    words: tuple[str, ...]
    code: int
    names: str
    most: float


IDLE = ("--idle-timeout", "0.4")
TIME = ("--timeout", "0.6")
WAITS = (
    Wait("before headers", IDLE, 75, "0.4 s", 3),
    Wait("after headers", IDLE, 75, "0.4 s", 3),
    Wait("mid-stream", IDLE, 75, "0.4 s", 3),
    Wait("pings", IDLE, 75, "0.4 s", 3),
    Wait("empty pieces", IDLE, 75, "0.4 s", 3),
    Wait("byte by byte", IDLE, 75, "0.4 s", 3),
    Wait("byte by byte", TIME, 124, "0.6 s", 3),
    Wait("head byte by byte", IDLE, 75, "0.4 s", 3),
    Wait("error byte by byte", IDLE, 69, "", 4),
    Wait("mid-stream", TIME, 124, "0.6 s", 3),
    Wait("before headers", TIME, 124, "0.6 s", 3),
    Wait("slow words", TIME, 124, "0.6 s", 3),
    Wait("connecting", (), 69, "0.5 s", 3),
    Wait("connecting", ("--timeout", "0.3"), 124, "0.3 s", 3),
    Wait("tool never", (), 0, "took longer than 0.4 s", 3),
    Wait("tool slow_async", (), 0, "took longer than 0.4 s", 3),
    Wait("tool stubborn", (), 0, "took longer than 0.4 s", 9),
    Wait("tool never", TIME, 0, "took longer than 0.4 s", 3),
    Wait("tool stubborn", ("--timeout", "0.3"), 124, "0.3 s", 9),
    Wait("retry after", TIME, 124, "0.6 s", 3),
)


def waits(case: Wait, bug: str = "") -> str:
    with ExitStack() as stack:
        home, server = stack.enter_context(new_home()), stack.enter_context(ModelServer())
        more = {"AGENTCLI_CONNECT_TIMEOUT": "0.5", "AGENTCLI_TOOL_TIMEOUT": "0.4", "AGENTCLI_RETRIES": "0"}
        kind, _, name = case.what.partition(" ")
        match case.what:
            case "before headers" | "after headers" | "mid-stream":
                server.stalls(case.what, text="half whole")
            case "pings":
                server.stalls("mid-stream", ping=0.05)
            case "empty pieces":
                server.replies(Reply([_event({"content": ""})] * 200, pause=0.05))
            case "byte by byte":
                server.trickle(20)
            case "head byte by byte":
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                server.replies(Reply([head], framing="close", head=b"", rate=20))
            case "error byte by byte":
                server.replies(Reply([b'{"error": "' + b"x" * 200], status=500, rate=20))
            case "slow words":
                server.replies(said(*WORDS, pause=0.1))
            case "retry after":
                more["AGENTCLI_RETRIES"] = "3"
                server.fails(429, retry_after="60")
            case "connecting":
                more |= {"OPENAI_BASE_URL": stack.enter_context(full_socket())}
            case _:
                server.replies(_called(name)).then.says("It did not end.")
        done = ask(home, *with_tools(home), *case.words, "hi", server=server, bug=bug, limit=case.most + 1, more=more)
        if done.code != case.code:
            return f"exit code {done.code} after {done.seconds:.1f} s: {done.err[-300:]}"
        if done.seconds > case.most:
            return f"took {done.seconds:.1f} s"
        words = done.err
        if kind == "tool" and case.code == 0:
            words = home.threads()[0].messages[2].results[0].content
        if case.names not in words:
            return f"does not name the clock: {words[-200:]}"
        return left(home) or ("a traceback" if "Traceback" in done.err else "")


@promise(
    "P11",
    "No wait is unbounded",
    "servers that stall or drip anywhere, tools that never end: the right clock ends it and is named",
    quick=10,
    full=10 * len(WAITS),
    planted=lambda: at_once(lambda case: waits(case, "has no clocks"), WAITS[2:3]),
)
def p11_waits(count: int) -> Outcome:
    return at_once(waits, [WAITS[number * 7 % len(WAITS)] for number in range(count)], 4)
