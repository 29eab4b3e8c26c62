"""Questions to a person.

Outside of a chat there is one, which is answered with yes or no: `Delete this thread for good? [y/N]`. Enter is no, and so is a
terminal that goes away. What was typed before the question stood there is no answer to it. The person sees what is typed, also in a
chat, where echo is off; and whichever way the question is left, by a signal too, the terminal is as it was. Whether there is a person
at all, the caller has to know.

In a chat the screen asks, and `choose` says what there is to choose from: by first letters, or by numbers where the screen is one that
may be read aloud, and so too for yes or no if `ACCESSIBLE` is set. `[y/N]` is a picture, `1 yes, 2 no` is words.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from agentcli.ui.ability import accessible
from agentcli.ui.talk import say
from agentcli.ui.terminal import flush_typed, lines

__all__ = ["Asks", "choose", "confirm", "interruptible"]


def confirm(question: str) -> bool:
    """Is the answer yes?"""
    if sys.stdout:
        sys.stdout.flush()
    answer = ""
    numbered = accessible()
    try:
        with interruptible(), suppress(OSError, ValueError), lines():  # what is not even text is no yes
            flush_typed()
            say(f"{question} 1 yes, 2 no: " if numbered else f"{question} [y/N] ", end="")
            answer = sys.stdin.readline()
    finally:
        if not answer.endswith("\n"):
            say("")  # the cursor stands behind the question
    return answer.strip().lower() in ("y", "yes", *(["1"] if numbered else []))


class Asks(Protocol):
    """Who can be asked, and whether that is done in lines."""

    plain: bool

    async def ask(self, question: str) -> str: ...


async def choose(screen: Asks, question: str, choices: Sequence[str], *, words: str = "") -> str:
    """Which of the choices, or the words that were said instead of one. Enter is the last choice; the first letters must differ.
    `words` says what other words are for."""
    if screen.plain:
        offered = [f"{number} {choice}" for number, choice in enumerate(choices, 1)]
    else:
        offered = [f"[{choice[0]}]{choice[1:]}" for choice in choices[:-1]] + [f"[{choices[-1][0].upper()}]{choices[-1][1:]}"]
    if words:
        offered.append(f"or {words}")
    answer = (await screen.ask(f"{question} {', '.join(offered)}:")).strip()
    for number, choice in enumerate(choices, 1):
        if answer.lower() in (choice, choice[0]) or (screen.plain and answer == str(number)):
            return choice
    return answer or choices[-1]


@contextmanager
def interruptible() -> Iterator[None]:
    """Signals end the block by an exception, so that the terminal gets back what was taken from it."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    ours = {"SIGINT": signal.default_int_handler, "SIGTERM": leave, "SIGHUP": leave}
    before = {name: signal.signal(getattr(signal, name), handler) for name, handler in ours.items() if hasattr(signal, name)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
