"""The one question a turn asks: may this tool run?

The whole call is shown, control characters visible, nothing left out. What was typed before the question is thrown away, Enter means
no, and so does a terminal that goes away. Any words other than yes or no are a no that the model gets to read.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

from agentcli.core.agent import Approve
from agentcli.core.message import ToolCall
from agentcli.core.tool import Tool
from agentcli.ui.sanitise import visible
from agentcli.ui.talk import colours
from agentcli.ui.terminal import flush_typed, lines

__all__ = ["always", "at_the_terminal"]

_ASK = "Run it? [y]es, [a]lways in this thread, [N]o, or say why not: "


def always() -> Approve:
    """`--yes`."""

    async def approve(call: ToolCall, tool: Tool) -> bool | str:
        return True

    return approve


def at_the_terminal() -> Approve:
    """An approver that asks the person at the terminal, and remembers which tools they allowed for the rest of the thread."""
    allowed: set[str] = set()

    async def approve(call: ToolCall, tool: Tool) -> bool | str:
        if tool.name in allowed:
            return True
        bold, plain = ("\x1b[1m", "\x1b[0m") if colours() else ("", "")
        sys.stdout.flush()
        print(f"\n{bold}{visible(call.name)}{plain} wants to run with:\n{visible(call.arguments)}", file=sys.stderr)
        with lines():
            flush_typed()
            print(_ASK, end="", file=sys.stderr, flush=True)
            try:
                answer = (await _line()).strip()
            except asyncio.CancelledError:
                print(file=sys.stderr)  # what comes next does not stand behind the question
                raise
        match answer.lower():
            case "y" | "yes":
                return True
            case "a" | "always":
                allowed.add(tool.name)
                return True
            case "" | "n" | "no":
                return False
        return answer

    return approve


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
