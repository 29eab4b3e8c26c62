"""P10: however a chat is left, the terminal is as it was found, and the thread is kept.

It is left in every state, in every way: by its own keys, by signals, by the window being closed, by being killed. What the terminal is
like is asked of the terminal itself, and read from what was written to it.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from itertools import product
from time import monotonic, sleep

from agentcli.store.threads import Store
from tests.model_server import ModelServer
from tests.promises import Outcome, promise
from tests.promises.program import Home, at_once, each, left, new_home, processes_of
from tests.promises.scene import by_prompt, with_tools
from tests.promises.stop import partial
from tests.promises.talk import Talk

__all__ = ["STATES", "WAYS"]

_PATIENCE = 2.0  # seconds that a chat has to end when its window is closed


# The states of a chat


def _said(line: str) -> Callable[[Talk], None]:
    """A turn that comes to its end."""

    def bring(talk: Talk) -> None:
        before = talk.prompts
        talk.say(line)
        talk.until_prompt(before)

    return bring


def _saying(line: str, shown: str) -> Callable[[Talk], None]:
    """Something that goes on."""
    return lambda talk: talk.until(shown, talk.say(line))


def _stopped(talk: Talk) -> None:
    before = talk.prompts
    talk.until("half", talk.say("go half"))
    talk.terminal.send("\x03")
    talk.until_prompt(before)


def _typing(talk: Talk) -> None:
    talk.terminal.send("something")
    talk.terminal.until(lambda terminal: talk.typed() == "something")


def _asked(talk: Talk) -> None:
    talk.say("go risky")
    talk.until_asked()


def _command(talk: Talk) -> None:
    talk.say("!echo begun; sleep 60")
    talk.terminal.until(lambda terminal: "begun" in terminal.screen())


AT_REST: dict[str, Callable[[Talk], None]] = {
    "nothing": lambda talk: None,
    "a turn": _said("go"),
    "a stopped turn": _stopped,
    "broken": _said("go broken"),
    "leaves": _said("go leaves"),
    "cancels": _said("go cancels"),
    "timeout": _said("go half"),
    "typing": _typing,
}
BUSY: dict[str, Callable[[Talk], None]] = {
    "connecting": _saying("go before-headers", ""),
    "stream": _saying("go stream", "word0"),
    "in a tool": _saying("go slow_async", "slow_async"),
    "asking": _saying("go risky", "say why not"),
    "asked": _asked,
    "command": _command,
    "picker": _saying("/threads", "Which thread?"),
}
STATES = AT_REST | BUSY
_KEPT = {"stream": "stream", "in a tool": "slow_async", "asking": "risky", "asked": "risky"}  # turns of which something is kept


# The ways to leave it


def _by_keys(keys: str) -> Callable[[Talk, bool], str]:
    def leave(talk: Talk, busy: bool) -> str:
        before = talk.prompts
        if busy:
            talk.terminal.send("\x03")
            talk.until_prompt(before)
        if talk.typed():
            talk.terminal.send("\x03")
            talk.terminal.until(lambda terminal: not talk.typed())
        talk.terminal.send(keys)
        return talk.ended(0)

    return leave


def _by_signals(code: int, *numbers: int) -> Callable[[Talk, bool], str]:
    def leave(talk: Talk, busy: bool) -> str:
        for number in numbers:
            talk.terminal.signal(number)
            sleep(0.002 * (len(numbers) > 1))
        late = {-numbers[-1]} if len(numbers) > 1 else set()  # the second comes when there is nothing left that could take it
        return talk.ended(code, *late)

    return leave


def _by_storm(talk: Talk, busy: bool) -> str:
    """Somebody who does not look."""
    before = talk.prompts
    for _ in range(2 if busy else 8):
        talk.terminal.send("\x03")
        sleep(0.01)
    if busy:
        talk.until_prompt(before)
    talk.terminal.send("\x04")
    return talk.ended(0)


def _by_closing(talk: Talk, busy: bool) -> str:
    """The window is closed."""
    began = monotonic()
    talk.terminal.vanish()
    try:
        code = talk.terminal.process.wait(_PATIENCE * 5)
    except subprocess.TimeoutExpired:
        return "it went on without its window"
    if (seconds := monotonic() - began) > _PATIENCE:
        return f"it ended {seconds:.1f} s after its window"
    return "" if code == 129 else f"exit code {code}, not 129"


def _by_force(talk: Talk, busy: bool) -> str:
    """kill -9: what it told the terminal stays, and so it must not have told it to hide the cursor."""
    talk.terminal.signal(signal.SIGKILL)
    talk.terminal.wait()
    return "the cursor was hidden" if b"\x1b[?25l" in talk.terminal.raw else ""


WAYS: dict[str, Callable[[Talk, bool], str]] = {
    "Ctrl-D": _by_keys("\x04"),
    "/quit": _by_keys("/quit\r"),
    "SIGTERM": _by_signals(143, signal.SIGTERM),
    "SIGHUP": _by_signals(129, signal.SIGHUP),
    "hung up twice": _by_signals(129, signal.SIGHUP, signal.SIGCONT, signal.SIGHUP),
    "storm": _by_storm,
    "closed": _by_closing,
    "kill -9": _by_force,
}


def exits(case: tuple[str, str], bug: str = "") -> str:
    """Leave a chat in one way in one state; what is wrong with the terminal or the files then."""
    state, way = case
    with new_home() as home, ModelServer().decides(by_prompt) as server:
        flags = with_tools(home) + (["--timeout", "0.3"] if state == "timeout" else [])
        with Talk(home, server, *flags, bug=bug) as talk:
            if state == "picker":  # which needs something to pick from
                _said("go")(talk)
            STATES[state](talk)
            crashed = way == "kill -9"
            if wrong := WAYS[way](talk, state in BUSY) or left(home, crashed=crashed):
                return wrong
            if not crashed and (found := processes_of(home, talk.terminal.pid)):
                return f"processes are left: {found}"
            if way not in ("closed", "kill -9") and home.latest() and b"agentcli resume" not in talk.terminal.raw:
                return "it did not say how to come back"
            return _kept(home, state, crashed=crashed)


def _kept(home: Home, state: str, *, crashed: bool) -> str:
    """What is wrong with the thread."""
    if state not in _KEPT:
        return ""
    place = home.path / "home"
    store = Store(place / "threads", place / "blobs", place / "cache")
    latest = store.latest()
    if latest is None:
        return "nothing of the turn is on the disk"
    thread = store.open(latest)
    if crashed:
        return "" if thread.messages[0].role == "user" and not thread.settle() else f"kept: {thread.messages}"
    return partial(thread, _KEPT[state])


def _cases(count: int) -> list[tuple[str, str]]:
    """All states and ways, spread so that a few of them are of every kind."""
    every = list(product(STATES, WAYS))
    return [every[number * 53 % len(every)] for number in range(count)]


@promise(
    "P10",
    "The terminal is left as it was found",
    "every way to leave a chat, by keys, signals, a closed window, kill -9, in every state of it: settings, cursor, paste mode, files",
    quick=16,
    full=3 * len(STATES) * len(WAYS),
    planted=each(
        *(
            lambda bug=bug: at_once(lambda case: exits(case, bug), [("nothing", "Ctrl-D")])
            for bug in ("no echo", "no cursor", "paste mode")
        ),
        lambda: at_once(lambda case: exits(case, "hides the cursor"), [("stream", "kill -9")]),
        lambda: at_once(lambda case: exits(case, "ends slowly"), [("nothing", "closed")]),
    ),
)
def p10_exits(count: int) -> Outcome:
    return at_once(exits, _cases(count), 3)
