"""The question whether a tool may run, at a terminal without a chat."""

from __future__ import annotations

import os
import sys
from time import sleep

import pytest

if os.name != "posix":
    pytest.skip("there are no pseudo-terminals on Windows", allow_module_level=True)

from tests.terminal import Terminal

PROGRAM = """
import asyncio, os, sys
from agentcli.core.message import ToolCall
from agentcli.core.tool import Tool, ToolSpec
from agentcli.ui.approve import at_the_terminal
from agentcli.ui.pipe import Pipe
from agentcli.ui.talk import through

async def run(arguments):
    yield ""

async def main():
    os.set_blocking(2, False)  # a line that is slow for long, in a short time
    aside = Pipe(2)
    with through(aside):
        call = ToolCall("1", "write", sys.argv[1] * int(sys.argv[2]))
        answer = await at_the_terminal()(call, Tool(ToolSpec("write", "", {}), run, asks=True))
        await aside.drain()
    print("answer", ascii(answer))

asyncio.run(main())
"""
QUESTION = "Run it? [y]es, [a]lways in this thread, [N]o, or say why not: "


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("y\r", "True"), ("always\r", "True"), ("\r", "False"), ("no\r", "False"), ("\x04", "False"), ("not there\r", "'not there'")],
)
def test_answers(typed: str, answer: str) -> None:
    with Terminal([sys.executable, "-c", PROGRAM, "some words", "1"]) as terminal:
        terminal.until(lambda terminal: terminal.raw.endswith(QUESTION.encode()))
        assert terminal.raw.decode() == f"\r\nwrite wants to run with:\r\nsome words\r\n{QUESTION}"
        terminal.send(typed)
        terminal.until(f"answer {answer}")
        assert terminal.wait() == 0


def test_it_is_asked_behind_all_of_the_call_and_what_was_typed_before_is_no_answer() -> None:
    lines = 20_000
    with Terminal([sys.executable, "-c", PROGRAM, "some words, and more\n", str(lines)]) as terminal:
        with terminal._changed:  # it takes nothing more for a while, as one behind a slow line
            terminal._changed.wait_for(lambda: terminal._bytes, 10)
            sleep(0.5)
            terminal.send("y\r")
        terminal.until(lambda terminal: len(terminal.raw) > 18 * lines, timeout=50)
        terminal.send("y\r")
        terminal.until(lambda terminal: QUESTION.encode() in terminal.raw, timeout=50)
        assert terminal.raw.endswith(QUESTION.encode())
        assert terminal.raw.replace(b"y\r\n", b"").count(b"some words, and more\r\n") == lines
        terminal.send("\r")
        terminal.until("answer False", timeout=50)
        assert terminal.wait() == 0
