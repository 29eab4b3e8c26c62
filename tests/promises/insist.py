"""P9: who presses Ctrl-C again is not kept waiting: by tools that will not stop, nor by tools that hold up everything."""

from __future__ import annotations

from time import monotonic, sleep

from agentcli.store.threads import Store
from tests.model_server import ModelServer
from tests.promises import Outcome, promise
from tests.promises.program import Home, at_once, each, new_home, wait_for
from tests.promises.scene import by_prompt, with_tools
from tests.promises.stop import partial
from tests.promises.talk import Talk

HOLDING = ("stuck", "blocked")  # nothing else goes on meanwhile: one from its beginning, the other when it is stopped


def insists(how: str, bug: str = "") -> str:
    """A turn whose tool will not stop, and a person who presses Ctrl-C again."""
    with new_home() as home, ModelServer().decides(by_prompt) as server, Talk(home, server, *with_tools(home), bug=bug) as talk:
        before, name = talk.prompts, how.split()[0]
        since = talk.say(f"go {name}")
        if name == "stuck":
            wait_for((home.work / name).exists)
        else:
            talk.until(name, since)
        sleep(0.1)
        if name in HOLDING:
            return _leave_at_once(talk, name)
        talk.terminal.send("\x03")
        sleep(0.2)
        if talk.prompts > before:
            return "the first Ctrl-C did not wait, so the second was not tried"
        talk.terminal.send("\x03")
        try:
            talk.until_prompt(before, 1)
        except AssertionError as error:
            return f"the second Ctrl-C did not give the prompt back: {error}"
        thread = home.latest()
        if wrong := partial(thread, name) if thread else "no thread was saved":
            return wrong
        before = talk.prompts
        if how.endswith("goes on"):
            since = talk.say("and now?")
            talk.until("ok", since)
            talk.until_prompt(before)
        talk.terminal.send("\x04")
        return talk.ended(0, timeout=3)


def _leave_at_once(talk: Talk, name: str) -> str:
    """The third Ctrl-C does not wait for anything."""
    for _ in range(3):
        talk.terminal.send("\x03")
        sleep(0.1)
    began = monotonic()
    if wrong := talk.ended(130, timeout=3):
        return wrong
    if (seconds := monotonic() - began) > 1:
        return f"the third Ctrl-C took {seconds:.1f} s"
    return _recovered(talk.home, name)


def _recovered(home: Home, name: str) -> str:
    """What is wrong with the thread of a program that left in mid-turn."""
    place = home.path / "home"
    store = Store(place / "threads", place / "blobs", place / "cache")
    latest = store.latest()
    if latest is None:
        return "nothing of the turn is on the disk"
    return partial(store.open(latest), name)


@promise(
    "P9",
    "A second Ctrl-C skips waits, a third leaves",
    "tools that will not stop, and that hold up everything: prompt back, or 130 with the terminal as it was; the answer is kept",
    quick=4,
    full=60,
    planted=each(
        lambda: at_once(lambda how: insists(how, "waits"), ["stubborn"]),
        lambda: at_once(lambda how: insists(how, "leaves the terminal alone"), ["stuck"]),
    ),
)
def p9_insists(count: int) -> Outcome:
    hows = ("stubborn", "blocked", "stubborn goes on", "stuck")
    return at_once(insists, [hows[number % len(hows)] for number in range(count)], 2)
