"""The one question to a person that is answered with yes or no: `Delete this thread for good? [y/N]`.

Enter is no, and so is a terminal that goes away. What was typed before the question stood there is no answer to it. The person sees
what is typed, also in a chat, where echo is off; and whichever way the question is left, by a signal too, the terminal is as it was.
Whether there is a person at all, the caller has to know.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from agentcli.ui.talk import say
from agentcli.ui.terminal import flush_typed, lines

__all__ = ["confirm", "interruptible"]


def confirm(question: str) -> bool:
    """Is the answer yes?"""
    if sys.stdout:
        sys.stdout.flush()
    answer = ""
    try:
        with interruptible(), suppress(OSError, ValueError), lines():  # what is not even text is no yes
            flush_typed()
            say(f"{question} [y/N] ", end="")
            answer = sys.stdin.readline()
    finally:
        if not answer.endswith("\n"):
            say("")  # the cursor stands behind the question
    return answer.strip().lower() in ("y", "yes")


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
