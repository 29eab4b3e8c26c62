"""A chat without a terminal: a real session on a real store, and a screen that answers from a list and remembers what was asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from agentcli.core.agent import Agent
from agentcli.core.message import Message
from agentcli.core.provider import Provider
from agentcli.core.thread import Thread
from agentcli.core.tool import Tool
from agentcli.errors import Exit, UserError
from agentcli.session import Session
from agentcli.store.threads import Store
from agentcli.ui import slash
from agentcli.ui.approve import Asking
from agentcli.ui.chat import Chat
from agentcli.ui.cost import Pricing
from agentcli.ui.form import Form
from agentcli.ui.plain import Plain
from agentcli.ui.screen import Sent
from tests.core.fake import Line, agent_of, says

__all__ = ["Paper", "chat_on", "play", "turn", "until"]


class Paper:
    """A screen that only ever appends; `answers` are given to what is asked, one after the other, then nothing."""

    plain = True

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.back: list[str] = []  # what was put back on the input line
        self.asides = 0
        self.on_stop: Callable[[], None] = lambda: None
        self.on_add_time: Callable[[], None] = lambda: None
        self.on_take_back: Callable[[Sent], bool] = lambda sent: False
        self.meanwhile: Callable[[Sent], bool] | None = None
        self.facts: Callable[[], str] = lambda: ""
        self.left: Callable[[], float | None] = lambda: None
        self.drawn = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        pass

    async def begin(self) -> None:
        pass

    def doing(self, text: str) -> None:
        pass

    async def line(self) -> Sent | None:
        return None

    def form(self, model: str) -> Form:
        return Plain(sys.stdout)

    async def ask(self, question: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0) if self.answers else ""

    def put_back(self, text: str) -> None:
        self.back.append(text)

    def hold(self) -> None:
        pass

    def ring(self, *arguments: object) -> None:
        pass

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        self.asides += 1
        yield

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        yield

    def go_on(self) -> None:
        pass


class Cast:
    """The named agents of a chat: ada, whose model is ada's, and bob, who takes any."""

    def __init__(self, provider: Provider, tools: tuple[Tool, ...], instructions: str) -> None:
        self._make = partial(Agent, provider, tools=tools)
        self._instructions = instructions

    def rows(self) -> list[tuple[str, str]]:
        return [("ada", "counts"), ("bob", "")]

    def has(self, name: str) -> bool:
        return name in ("ada", "bob")

    def on(self, model: str, name: str | None) -> Agent:
        instructions = f"You are {name}." if name else self._instructions
        return self._make(model.removeprefix("fake/"), name=name or "agentcli", instructions=instructions)

    async def make(self, name: str | None, model: str) -> Agent:
        if name and not self.has(name):
            raise UserError(f"there is no agent {name!r}", exit_code=Exit.USAGE)
        return self.on("ada's" if name == "ada" else model, name)


def chat_on(
    folder: Path,
    screen: Any = None,
    *,
    answers: Iterable[Iterable[Line]] = (says("Hello."),),
    tools: tuple[Tool, ...] = (),
    thread: Thread | None = None,
    save: bool = True,
    instructions: str = "",
) -> Chat:
    """A chat whose model gives these answers. Its store is in the folder."""
    agent, provider = agent_of(*(list(answer) for answer in answers), tools=tools, instructions=instructions)
    store = Store(folder / "threads", folder / "blobs", folder / "cache")

    def on(agent: Agent, thread: Thread) -> Session:
        return Session(agent, thread, store.hold if save else None)

    screen = screen or Paper()
    return Chat(
        on(agent, thread or Thread()),
        screen,
        store=lambda: store,
        agents=lambda: Cast(provider, tools, instructions),
        on=on,
        approve=lambda: Asking(screen),
        takes=lambda model: lambda media_type: True,
        models=lambda: ["fake/model", "fake/other"],
        note=lambda agent: "",
        pricing=lambda: Pricing(folder / "cache", lambda name: None),
    )


async def play(chat: Chat, *lines: str) -> None:
    """Type these lines: commands, or messages, each with the turn that it leads to."""
    for line in lines:
        await turn(chat, await slash.run(chat, line) if slash.is_command(line) else Message(role="user", parts=_said(line, chat)))


async def turn(chat: Chat, outcome: slash.Outcome) -> None:
    """The turn that a command leads to, as the chat's loop takes it."""
    form, session = chat.form(), chat.session
    match outcome:
        case Message():
            await session.turn(outcome, form.show, chat.approve)
        case slash.Again():
            await session.again(form.show, chat.approve)
        case slash.GoOn():
            await session.go_on(form.show, chat.approve)
        case slash.Compact(words=words):
            await session.compact(form.show, words)
    form.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait until it is true; what another process does, no event of ours tells."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _said(line: str, chat: Chat) -> Any:
    from agentcli.core.message import user

    return user(line, *chat.take_attached()).parts
