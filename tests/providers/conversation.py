"""Conversations with all vendors' servers at once: the servers on the loopback, and an agent for each, all alike."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Self

from agentcli.core.agent import Agent
from agentcli.core.message import Message
from agentcli.core.provider import Chunk, Provider, Request
from agentcli.core.thread import Thread
from agentcli.core.tool import tool
from agentcli.providers import Clocks, Endpoint, create
from tests.model_server import Asked, ModelServer, Reply
from tests.providers.strict import Question, complaints
from tests.providers.vendors import FLAVOURS, Flavour, Said, answer, flavour_of, numbers_in

__all__ = ["Servers", "Stopped", "agents", "clock", "turn", "weather"]


class Servers:
    """All vendors' servers on one. What they complained about is in `complaints`; `cut` ends the next answer after so many pieces.

    To refuse what a model cannot see is no complaint, and `questions` are those that were not refused for that.
    """

    def __init__(self) -> None:
        self.said: dict[int, Said] = {}
        self.complaints: list[str] = []
        self.questions: list[Question] = []
        self.cut: int | None = None
        self.server = ModelServer().decides(self._decide)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.pop("HTTP_PROXY", None)
        self.server.__exit__(None, None, None)

    def afresh(self) -> None:
        """Forget what was said, and be the proxy from here on."""
        os.environ["HTTP_PROXY"] = self.server.origin
        self.said.clear()
        del self.complaints[:], self.questions[:]

    def _decide(self, asked: Asked) -> Reply:
        flavour = flavour_of(asked)
        question = Question(flavour, asked.body, dict(self.said))
        if flavour.blind and any(turn.of("media") for turn in question.turns):
            return _no(*flavour.blind)
        self.questions.append(question)
        if wrong := complaints(question):
            self.complaints += [f"{flavour}: {one}" for one in wrong]
            return _no(400, wrong[0])
        number = len(self.said) + 1
        said, reply = answer(number, flavour, asked.body, question.step)
        self.said[number] = said
        cut, self.cut = self.cut, None
        return reply if cut is None or cut > len(reply.pieces) else replace(reply, cut=sum(map(len, reply.wire[:cut])))


def _no(status: int, words: str) -> Reply:
    return Reply([json.dumps({"error": {"message": words}}).encode()], status, framing="length")


@tool
async def weather(place: str) -> str:
    """The weather in a place."""
    return f"25 °C in {place}"


@tool
async def clock(zone: str) -> str:
    """The time of day: nothing, or a failure, or the time."""
    (number,) = numbers_in(zone) or {0}
    if number % 3 == 1:
        raise ValueError(f"there is no {zone}")
    return f"12:00 {zone}" if number % 3 else ""


class Stopped(Provider):
    """A provider that cancels its task once `when` is true of a chunk."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        self.provider = provider
        self.when: Callable[[Chunk], object] | None = None

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        async with aclosing(self.provider.stream(request)) as chunks:
            async for chunk in chunks:
                yield chunk
                if self.when and self.when(chunk):
                    self.when = None
                    task = asyncio.current_task()
                    assert task
                    task.cancel()
                    await asyncio.sleep(0)

    async def aclose(self) -> None:
        await self.provider.aclose()


@asynccontextmanager
async def agents() -> AsyncIterator[dict[Flavour, Agent]]:
    """An agent for each flavour, all alike."""
    made = {}
    for flavour in FLAVOURS:
        endpoint = Endpoint(kind=flavour.kind, base_url=flavour.base_url, key="sk-test")
        provider = Stopped(create(flavour.name, endpoint, Clocks(retries=0), keep=True))
        made[flavour] = Agent(provider, flavour.model, instructions="Be brief.", tools=[weather, clock], settings=flavour.settings)
    try:
        yield made
    finally:
        for agent in made.values():
            await agent.aclose()


async def turn(agent: Agent, thread: Thread, message: str | Message | None) -> list[Message]:
    """A whole turn; what was added to the thread."""
    return [item.message async for item in agent.invoke(message, thread)]
