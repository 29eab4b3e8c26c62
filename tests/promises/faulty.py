"""agentcli with a bug: `python -m tests.promises.faulty BUG chat|ask …`.

It is put together from the real parts, one of them exchanged for a faulty one. The trials start it in place of the real program to
show that they would see that bug.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import os
import signal
import socket
import subprocess
import sys
import termios
import time
import traceback
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, suppress
from typing import Any

import typer
from msgspec.structs import replace

from agentcli import assemble
from agentcli.cli import start
from agentcli.config import Loaded
from agentcli.core.event import TurnEnded
from agentcli.core.message import Message, Text
from agentcli.core.provider import Chunk, Provider, ProviderError, Request, StopChunk
from agentcli.core.thread import Thread
from agentcli.session import Session, Show
from agentcli.ui import terminal
from agentcli.ui.ask import ask
from agentcli.ui.repl import converse
from agentcli.ui.screen import Screen
from tests.promises.program import STALE

_kept: list[object] = []


class Faulty:
    """A provider, and something that goes wrong with every question."""

    def __init__(self, provider: Provider, bug: str) -> None:
        self.name = provider.name
        self._provider = provider
        self._stdout = os.dup(1)  # ask() takes number 1 away from everything but the answer
        self._bug = bug

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        match self._bug:
            case "keeps a socket":
                _kept.append(socket.socket())
            case "keeps a child":
                _kept.append(subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL))  # noqa: ASYNC220
            case "tells the key":
                raise RuntimeError(f"the server refuses {os.environ['OPENAI_API_KEY']}")
            case "keeps a task":
                _kept.append(asyncio.create_task(asyncio.sleep(3600)))
            case "hides the cursor":
                os.write(self._stdout, b"\x1b[?25l")
            case "keeps the signals":
                real = terminal.signal_keys
                terminal.signal_keys = lambda *, on: real(on=True)
            case "fills the memory":
                _kept.append(bytearray(300 << 20))
            case "talks on stdout":
                os.write(self._stdout, "Thinking…\n".encode())
        try:
            async with aclosing(self._provider.stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except asyncio.CancelledError:
            if self._bug == "stops slowly":
                await asyncio.sleep(2)
            raise
        except ProviderError:
            if self._bug != "takes any end":
                raise
            yield StopChunk("done")

    async def aclose(self) -> None:
        if self._bug == "ends slowly":
            time.sleep(3)  # noqa: ASYNC251
        await self._provider.aclose()


class Forgetful(Session):
    """Does not keep an answer that was stopped."""

    async def turn(self, *asked: Any, **more: Any) -> TurnEnded:
        try:
            return await super().turn(*asked, **more)
        except asyncio.CancelledError:
            del self.thread.messages[-1:]
            self.save()
            raise


class Deaf(Session):
    """Takes having been stopped for having ended."""

    async def turn(self, *asked: Any, **more: Any) -> TurnEnded:
        try:
            return await super().turn(*asked, **more)
        except asyncio.CancelledError:
            assert self.ended
            self.ended = replace(self.ended, stop="done", error=None)
            return self.ended


class Patient(Session):
    """Waits for its turn to clean up, whoever says that it should not."""

    async def turn(self, *asked: Any, **more: Any) -> TurnEnded:
        turn = asyncio.create_task(super().turn(*asked, **more))
        told = False
        while not turn.done():
            with suppress(asyncio.CancelledError):
                try:
                    await asyncio.shield(turn)
                except asyncio.CancelledError:
                    if not told:
                        turn.cancel()
                    told = True
        return turn.result()


class Noted(Session):
    """Writes the key into the thread."""

    async def turn(self, message: str | Message | None, show: Show, *rest: Any, **more: Any) -> TurnEnded:
        self.thread.messages.append(Message(role="user", parts=(Text(f"key {os.environ['OPENAI_API_KEY']}"),)))
        return await super().turn(message, show, *rest, **more)


class Twice(Session):
    """Takes a turn again that failed."""

    async def turn(self, message: str | Message | None, *rest: Any, **more: Any) -> TurnEnded:
        ended = await super().turn(message, *rest, **more)
        return await super().turn(message, *rest, **more) if ended.error else ended


_SESSIONS = {"takes a stop for an end": Deaf, "turns twice": Twice, "forgets": Forgetful, "waits": Patient, "notes the key": Noted}


def plant(session: Session, bug: str) -> Session:
    """The session with the bug."""
    session.agent.provider = Faulty(session.agent.provider, bug)
    session.__class__ = _SESSIONS.get(bug, Session)
    return session


def leave_terminal(bug: str) -> None:
    """What a program does to a terminal that it does not put back."""
    if bug == "deaf to Ctrl-Z":
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    elif bug == "no echo":
        modes = termios.tcgetattr(0)
        modes[3] &= ~termios.ECHO
        atexit.register(termios.tcsetattr, 0, termios.TCSANOW, modes)
    elif bug == "no cursor":
        atexit.register(os.write, 1, b"\x1b[?25l")
    elif bug == "paste mode":
        atexit.register(os.write, 1, b"\x1b[?2004h")


def spoil(screen: Screen, bug: str) -> None:
    """What a screen does not do any more."""
    if bug == "loses the draft":
        screen.hold = lambda: None  # type: ignore[method-assign]
    elif bug == "leaves the terminal alone":
        terminal.restore = lambda: None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bug")
    parser.add_argument("command", choices=["chat", "ask"])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--tool", action="append", default=[])
    parser.add_argument("--idle-timeout", type=float, default=5)
    parser.add_argument("--timeout", type=float, default=60)
    asked = parser.parse_intermixed_args()
    try:
        made = _made(asked)
    except Exception:  # not the bug that was planted: the parts have changed
        traceback.print_exc()
        sys.exit(STALE)
    try:
        start(lambda: made)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    finally:
        terminal.restore()


def _made(asked: argparse.Namespace) -> Coroutine[Any, Any, int]:
    changes = {"tools": asked.tool, "timeout": asked.timeout, "idle-timeout": asked.idle_timeout}
    if asked.bug == "has no clocks":
        changes |= {"timeout": 0, "idle-timeout": 0, "connect-timeout": 1000, "tool-timeout": 1000}
    loaded = assemble.config(None, changes)
    model = asyncio.run(assemble.choose(loaded)).name
    if asked.command == "ask":
        session = plant(assemble.session(loaded, Thread(), model, keep=False), asked.bug)
        return ask(session, " ".join(asked.words), None, form="piped", talk="normal")
    leave_terminal(asked.bug)
    terminal.hush()
    return _chat(loaded, model, asked.bug)


async def _chat(loaded: Loaded, model: str, bug: str) -> int:
    """A chat with the bug. Its screen is made within the loop."""
    try:
        screen = assemble.screen(loaded)
        chat = assemble.chat(loaded, Thread(), model, screen)
        plant(chat.session, bug)
        spoil(screen, bug)
    except Exception:
        traceback.print_exc()
        return STALE
    return await converse(lambda: chat, screen, banner="", new=True, wish=loaded.config)


if __name__ == "__main__":
    main()
