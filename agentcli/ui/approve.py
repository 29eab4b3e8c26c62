"""The one question a turn asks: may this tool run?

The whole call is shown, control characters visible, nothing left out. What was typed before the question is no answer to it, Enter
means no, and so does a terminal that goes away. Any words other than yes or no are a no that the model gets to read. How the question
is asked is the screen's: in a chat by the prompt that is there, for `ask` by a line at the terminal.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

from agentcli.core.agent import Approve
from agentcli.core.message import ToolCall
from agentcli.core.tool import Tool
from agentcli.ui.confirm import Asks, choose
from agentcli.ui.talk import heard, say
from agentcli.ui.terminal import flush_typed, lines

__all__ = ["Asking", "always", "at_the_terminal"]

_YES, _ALWAYS, _NO = "yes", "always in this thread", "no"


def always() -> Approve:
    """`--yes`."""

    async def approve(call: ToolCall, tool: Tool) -> bool | str:
        return True

    return approve


def at_the_terminal() -> Approve:
    """An approver that asks the person at the terminal."""
    return Asking(_Terminal())


class Asking:
    """An approver that asks, and remembers which tools were allowed for the rest of the thread."""

    def __init__(self, screen: Asks) -> None:
        self.allowed: set[str] = set()
        self._screen = screen

    async def __call__(self, call: ToolCall, tool: Tool) -> bool | str:
        if tool.name in self.allowed:
            return True
        say(f"\n{call.name} wants to run with:\n{call.arguments}\n", end="")  # exactly: no line of it is broken anew
        answer = await choose(self._screen, "Run it?", (_YES, _ALWAYS, _NO), words="say why not")
        if answer.lower() == "always":
            answer = _ALWAYS
        if answer == _ALWAYS:
            self.allowed.add(tool.name)
        return answer in (_YES, _ALWAYS) or (False if answer == _NO else answer)


class _Terminal:
    """The terminal, without a chat."""

    plain = False

    async def ask(self, question: str) -> str:
        """A line in answer to the question, which nobody typed before it was asked."""
        if sys.stdout:
            sys.stdout.flush()
        await heard()  # nobody can have answered before they could read
        with lines():
            flush_typed()
            say(f"{question} ", end="")
            try:
                return await _line()
            except asyncio.CancelledError:
                say("")  # what comes next does not stand behind the question
                raise


async def _line() -> str:
    """A line from the terminal, without holding up the loop; empty if the terminal is gone."""
    if sys.platform == "win32":  # its loop cannot watch a console
        return await asyncio.to_thread(sys.stdin.readline)
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()
    fd = sys.stdin.fileno()

    def read() -> None:
        typed = b""
        with suppress(OSError):
            typed = os.read(fd, 65536)
        if not line.done():
            line.set_result(typed.decode(errors="replace"))

    loop.add_reader(fd, read)
    try:
        return await line
    finally:
        loop.remove_reader(fd)
