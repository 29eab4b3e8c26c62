"""What is said while a turn runs: it gets into the turn at its next step, and is never lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from agentcli.core.agent import Agent, Options
from agentcli.core.event import Event, MessageAdded, TurnEnded
from agentcli.core.message import Blob, Message, user
from agentcli.core.provider import Chunk, ProviderError, Request, TextChunk
from agentcli.core.stream import collect
from agentcli.core.thread import Thread, sendable
from agentcli.core.tool import tool
from tests.core.fake import agent_of, calls, says
from tests.core.test_thread import assert_valid


@tool
def clock() -> str:
    """The time."""
    return "noon"


CALL = calls(("clock", "{}"))


class Mouth:
    """Says things while a turn runs: `lines` are taken from the front."""

    def __init__(self, *lines: str) -> None:
        self.lines = deque(user(line) for line in lines)

    def __call__(self) -> Message | None:
        return self.lines.popleft() if self.lines else None


def texts(thread: Thread) -> list[str]:
    return [f"{message.role}: {message.text}" for message in thread.messages]


def turn(agent: Agent, thread: Thread, mouth: Mouth, **more: Any) -> list[Event]:
    return asyncio.run(collect(agent.stream("go", thread, Options(meanwhile=mouth, **more))))


def test_it_is_said_after_the_tools_and_before_the_model_is_asked_again() -> None:
    agent, provider = agent_of(CALL, says("a"), tools=[clock])
    thread = Thread()
    events = turn(agent, thread, Mouth("quickly", "please"))
    assert texts(thread) == ["user: go", "assistant: ", "tool: ", "user: quickly", "user: please", "assistant: a"]
    assert [event.message for event in events if isinstance(event, MessageAdded)] == thread.messages
    assert [message.role for message in provider.requests[1].messages] == ["user", "assistant", "tool", "user"]
    assert provider.requests[1].messages[-1].text == "quicklyplease"


def test_at_the_end_of_an_answer_there_is_another_one() -> None:
    agent, provider = agent_of(says("a"), says("b"))
    thread = Thread()
    events = turn(agent, thread, Mouth("and?"))
    assert texts(thread) == ["user: go", "assistant: a", "user: and?", "assistant: b"]
    assert len(provider.requests) == 2
    assert isinstance(events[-1], TurnEnded)
    assert (events[-1].text, events[-1].stop) == ("b", "done")


def test_a_turn_takes_no_more_steps_for_it() -> None:
    agent, _ = agent_of(CALL, tools=[clock])
    mouth = Mouth("a", "b")
    thread = Thread()
    assert turn(agent, thread, mouth, max_steps=1)[-1]
    assert len(mouth.lines) == 2
    agent, _ = agent_of(says("x"))
    turn(agent, Thread(), mouth, max_steps=2)
    assert [message.text for message in mouth.lines] == []
    mouth = Mouth("a")
    turn(agent, Thread(), mouth, max_steps=1)
    assert [message.text for message in mouth.lines] == ["a"]


def test_an_answer_that_is_too_long_can_be_gone_on_with_first() -> None:
    agent, _ = agent_of(says("a", stop="length"))
    mouth = Mouth("b")
    thread = Thread()
    turn(agent, thread, mouth)
    assert thread.partial
    assert len(mouth.lines) == 1


def test_all_that_was_attached_is_asked_about() -> None:
    agent, provider = agent_of(CALL, says("a"), tools=[clock])
    mouth = Mouth()
    blobs = [Blob("image/png", bytes([number])) for number in range(2)]
    mouth.lines.extend(user("look", blob) for blob in blobs)
    turn(agent, Thread(), mouth)
    assert [part for part in provider.requests[1].asked if isinstance(part, Blob)] == blobs
    assert [part for part in provider.requests[0].asked if isinstance(part, Blob)] == []


def test_it_goes_into_an_answer_that_is_gone_on_with() -> None:
    agent, provider = agent_of(says(" world"), says("Yes."))
    thread = Thread.of(user("go"), Message(role="assistant", model="fake/model", stop="failed", parts=user("Hello").parts))
    asyncio.run(collect(agent.stream(None, thread, Options(meanwhile=Mouth("Sure?")))))
    assert texts(thread) == ["user: go", "assistant: Hello world", "user: Sure?", "assistant: Yes."]
    assert [request.begun for request in provider.requests] == [True, False]


class World:
    """A turn with tools, in which something is said all the time, and every part gives way."""

    name = "fake"

    def __init__(self, explode: int = 0) -> None:
        self.mouth = Mouth(*(f"{number}" for number in range(6)))
        self.all = [message.id for message in self.mouth.lines]
        self.thread = Thread()
        self.explode = explode
        self.points = 0
        self.asked = 0
        self.agent = Agent(self, "model", tools=[clock])

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        self.asked += 1
        for chunk in [TextChunk("Well, "), *(CALL if self.asked % 2 else says("so."))]:
            await asyncio.sleep(0)
            self.points += 1
            if self.points == self.explode:
                raise LookupError("here")
            assert not isinstance(chunk, BaseException | asyncio.Event)
            yield chunk

    async def aclose(self) -> None:
        """Nothing to close."""

    def hear(self) -> Message | None:
        """One thing a step."""
        heard = self.thread.messages[-1].role == "user"
        return None if heard else self.mouth()

    async def turn(self, leave: int = -1) -> None:
        async with aclosing(self.agent.stream("go", self.thread, Options(meanwhile=self.hear))) as events:
            number = 0
            async for _ in events:
                if number == leave:
                    return
                await asyncio.sleep(0)
                number += 1

    def assert_well(self) -> None:
        """Each thing is said once or still to be said, in its order; and the thread can be sent."""
        said = [message.id for message in self.thread.messages if message.id in self.all]
        assert said + [message.id for message in self.mouth.lines] == self.all
        assert_valid(sendable(self.thread.messages))
        assert self.thread.settle() == []
        with self.thread.held():
            pass


def test_leaving_at_any_event() -> None:
    async def main() -> int:
        event = -1
        while True:
            world = World()
            event += 1
            await world.turn(leave=event)
            world.assert_well()
            if not world.mouth.lines and world.thread.messages[-1].whole and world.thread.messages[-1].text == "Well, so.":
                return event

    assert asyncio.run(main()) > 30


@pytest.mark.parametrize("hurried", [False, True], ids=["once", "twice"])
def test_cancelling_at_any_moment(hurried: bool) -> None:
    async def main() -> int:
        moments = 0
        while True:
            world = World()
            task = asyncio.create_task(world.turn())
            for _ in range(moments):
                await asyncio.sleep(0)
            if task.done():
                return moments
            task.cancel()
            if hurried:
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task], timeout=5)
            for _ in range(10):
                await asyncio.sleep(0)
            world.assert_well()
            moments += 1

    assert asyncio.run(main()) > 30


def test_a_failure_at_any_point() -> None:
    async def main() -> int:
        point = 0
        while True:
            point += 1
            world = World(explode=point)
            with suppress(LookupError):
                await world.turn()
                return point
            world.assert_well()

    assert asyncio.run(main()) > 15


def test_what_a_failed_turn_did_not_come_to_stays() -> None:
    agent, _ = agent_of([TextChunk("a"), ProviderError("cut", "gone")])
    mouth = Mouth("b")
    with pytest.raises(ProviderError):
        turn(agent, Thread(), mouth)
    assert [message.text for message in mouth.lines] == ["b"]
