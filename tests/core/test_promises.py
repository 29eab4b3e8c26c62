"""The three promises of `core/agent.py`, at every point where a turn can be left."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.agent import Agent, Options
from agentcli.core.event import Event, MessageAdded, TextDelta, ToolFinished, ToolStarted
from agentcli.core.message import Message, Reasoning, ToolCall, ToolResult
from agentcli.core.provider import CallChunk, Chunk, ReasoningChunk, Request, StopChunk, TextChunk
from agentcli.core.stream import collect
from agentcli.core.thread import MAY_HAVE_RUN, NOT_RUN, Thread, sendable
from agentcli.core.tool import Tool, tool
from tests.core.fake import agent_of, says
from tests.core.test_thread import assert_valid

FINAL: list[Chunk] = [TextChunk("All "), TextChunk("done."), StopChunk("done")]
CALLING: list[Chunk] = [
    ReasoningChunk("hm"),
    TextChunk("Let me "),
    TextChunk("see."),
    CallChunk(0, "call_0", "quick", '{"number"'),
    CallChunk(1, "call_1", "slow", '{"number": 1}'),
    CallChunk(0, arguments=": 0}"),
    CallChunk(2, "call_2", "careful", '{"number": 2}'),
    CallChunk(3, "call_3", "missing", "{}"),
    StopChunk("tools"),
]
SCRIPT = [CALLING, CALLING, FINAL]  # the ids of the calls come again: some servers do that


class World:
    """An agent whose every part gives way to others, and notes what it does."""

    def __init__(self, explode: int | None = None) -> None:
        self.notes: list[str] = []
        self.requests: list[Request] = []
        self.began: list[tuple[int, str]] = []  # (step, call id)
        self.ended: list[tuple[int, str]] = []
        self.open = 0
        self.explode = explode  # at which of the points below to fail
        self.points = 0

        def working(name: str, turns: int, asks: bool) -> Tool:
            @tool(name=name, asks=asks)
            async def work(number: int) -> AsyncGenerator[str, None]:
                """Work."""
                me = (len(self.requests), f"call_{number}")
                self.began.append(me)
                self.notes.append(f"run {me}")
                self.open += 1
                try:
                    yield "working"
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    yield f"result of {me}"
                    self.ended.append(me)
                finally:
                    try:
                        await asyncio.sleep(0)  # cleaning up may take a moment, and be cancelled itself
                    finally:
                        self.open -= 1

            return work

        self.tools = (working("quick", 1, False), working("slow", 6, False), working("careful", 2, True))
        self.agent = Agent(self, "model", tools=self.tools)
        self.options = Options(approve=self.approve)

    name = "fake"

    async def point(self) -> None:
        """A place where this world may end."""
        await asyncio.sleep(0)
        self.points += 1
        if self.points == self.explode:
            raise LookupError("here")

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        self.notes.append(f"request {len(self.requests)}")
        self.open += 1
        try:
            await self.point()
            for chunk in SCRIPT[min(len(self.requests), len(SCRIPT)) - 1]:
                yield chunk
                await self.point()
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                self.open -= 1

    async def aclose(self) -> None:
        """Nothing to close."""

    async def approve(self, call: ToolCall, which: Tool) -> bool | str:
        self.notes.append(f"ask {call.id}")
        await self.point()
        return True

    async def turn(self, thread: Thread, each: Callable[[Event], Awaitable[bool]] | None = None) -> None:
        async with aclosing(self.agent.stream("go", thread, self.options)) as events:
            async for event in events:
                if each and await each(event):
                    return

    def assert_left_well(self, thread: Thread) -> None:
        """The second promise."""
        assert self.open == 0, "every generator has been closed"
        assert_valid(sendable(thread.messages))
        assert thread.settle() == [], "it is settled already"
        assert [call for call in self.began if self.began.count(call) > 1] == []
        step = 0
        for index, message in enumerate(thread.messages):
            if not message.calls:
                continue
            step += 1
            results = {result.call_id: result for follower in thread.messages[index + 1 : index + 2] for result in follower.results}
            assert list(results) == [call.id for call in message.calls]
            for call_id, result in results.items():
                self.assert_told_truly((step, call_id), result)
        with thread.held():
            pass

    def assert_told_truly(self, me: tuple[int, str], result: ToolResult) -> None:
        if result.content == f"result of {me}":
            assert me in self.ended
        elif me in self.began:
            assert result.content == MAY_HAVE_RUN
        elif result.content == MAY_HAVE_RUN:
            assert me not in self.ended, "a result that was there is lost"
        else:
            assert result.content == NOT_RUN or "no tool called" in result.content


def count_events() -> int:
    async def main() -> int:
        world = World()
        return len(await collect(world.agent.stream("go", None, world.options)))

    return asyncio.run(main())


async def assert_goes_on(world: World, thread: Thread) -> None:
    """After whatever happened, the next question is answered."""
    agent, provider = agent_of(says("next"))
    await collect(agent.stream("and now?", thread))
    assert_valid(provider.requests[0].messages)
    assert thread.messages[-1].text == "next"


def test_the_whole_turn_is_what_the_others_are_cut_from() -> None:
    async def main() -> None:
        world, thread = World(), Thread()
        await world.turn(thread)
        world.assert_left_well(thread)
        assert len(world.began) == len(world.ended) == 6
        assert [message.role for message in thread.messages] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
        assert [result.is_error for result in thread.messages[4].results] == [False, False, False, True]

    asyncio.run(main())


# 1: an event is yielded before what it announces takes effect


def test_promise_1_nothing_happens_before_it_was_announced() -> None:
    async def main() -> None:
        world, thread = World(), Thread()
        seen: list[Event] = []
        effects = 0

        async def each(event: Event) -> bool:
            nonlocal effects
            seen.append(event)
            before = list(world.notes)
            for _ in range(20):  # plenty of time for anything that would not wait for us
                await asyncio.sleep(0)
            if isinstance(event, MessageAdded | ToolStarted | TextDelta):
                assert world.notes == before, f"{event} had an effect while it was being written down"
            messages = [one.message for one in seen if isinstance(one, MessageAdded)]
            for request in world.requests:
                assert set(map(id_of, request.messages)) <= set(map(id_of, messages)), "a model was sent what was not on disk"
            started = [one.call_id for one in seen if isinstance(one, ToolStarted)]
            for note in world.notes:
                if note.startswith("ask "):
                    assert note.removeprefix("ask ") in started
            assert len(world.began) <= len(started)
            return False

        await world.turn(thread, each)
        assert [one.message for one in seen if isinstance(one, MessageAdded)] == thread.messages
        assert sum(isinstance(one, ToolStarted) for one in seen) == sum(isinstance(one, ToolFinished) for one in seen) == 8

    asyncio.run(main())


def id_of(message: Message) -> str:
    return message.id


# 2: however it ends, the thread can be sent again


@pytest.mark.parametrize("number", range(count_events()))
def test_promise_2_leaving_at_any_event(number: int) -> None:
    async def main() -> None:
        world, thread = World(), Thread()
        before = asyncio.all_tasks()
        left = number

        async def each(event: Event) -> bool:
            nonlocal left
            left -= 1
            return left < 0

        await world.turn(thread, each)
        world.assert_left_well(thread)
        assert asyncio.all_tasks() == before
        await assert_goes_on(world, thread)

    asyncio.run(main())


@pytest.mark.parametrize("hurried", [False, True], ids=["once", "twice"])
def test_promise_2_cancelling_at_any_moment(hurried: bool) -> None:
    async def main() -> int:
        moments = 0
        while True:
            world, thread = World(), Thread()
            before = asyncio.all_tasks()
            task = asyncio.create_task(world.turn(thread))
            for _ in range(moments):
                await asyncio.sleep(0)
            if task.done():
                return moments
            task.cancel()
            if hurried:  # a second Ctrl-C, while the first is cleaning up
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task], timeout=5)
            assert task.cancelled()
            for _ in range(10 if hurried else 0):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == before
            if thread.messages:
                world.assert_left_well(thread)
            await assert_goes_on(world, thread)
            moments += 1

    assert asyncio.run(main()) > 50


def test_promise_2_a_failure_at_any_point() -> None:
    async def main() -> int:
        point = 1
        while True:
            world, thread = World(explode=point), Thread()
            before = asyncio.all_tasks()
            with suppress(LookupError):
                await world.turn(thread)
                break
            world.assert_left_well(thread)
            assert asyncio.all_tasks() == before
            if thread.messages[-1].role == "assistant":
                assert thread.messages[-1].stop == "failed"
            await assert_goes_on(world, thread)
            point += 1
        return point

    assert asyncio.run(main()) > 20


def test_promise_2_leaving_without_closing_is_cleaned_up_by_the_loop() -> None:
    async def main() -> None:
        world, thread = World(), Thread()
        async for event in world.agent.stream("go", thread, world.options):
            if isinstance(event, TextDelta):
                break
        gc.collect()
        for _ in range(20):
            await asyncio.sleep(0)
        world.assert_left_well(thread)
        assert thread.messages[-1].stop == "interrupted"

    asyncio.run(main())


def test_promise_2_what_the_model_had_said_is_kept() -> None:
    async def main() -> None:
        agent, provider = agent_of([ReasoningChunk("hm"), TextChunk("half an "), TextChunk("answer"), asyncio.Event()])
        thread = Thread()
        task = asyncio.create_task(collect(agent.stream("go", thread)))
        await provider.arrived.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)
        kept = thread.messages[-1]
        assert (kept.text, kept.stop, kept.author, kept.model) == ("half an answer", "interrupted", "agentcli", "fake/model")
        assert kept.parts[0] == Reasoning("hm")
        assert provider.ended == 1

    asyncio.run(main())


def test_promise_2_nothing_is_added_when_nothing_was_said() -> None:
    async def main() -> None:
        agent, provider = agent_of([asyncio.Event()])
        thread = Thread()
        task = asyncio.create_task(collect(agent.stream("go", thread)))
        await provider.arrived.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert [message.role for message in thread.messages] == ["user"]

    asyncio.run(main())


def test_promise_2_cancelled_while_asking_nothing_has_run() -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def approve(call: ToolCall, which: Tool) -> bool | str:
            asked.set()
            await asyncio.Event().wait()
            return True

        world, thread = World(), Thread()
        task = asyncio.create_task(collect(world.agent.stream("go", thread, Options(approve=approve))))
        await asked.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert world.began == []
        assert [result.content for result in thread.messages[2].results] == [NOT_RUN] * 4

    asyncio.run(main())


def test_promise_2_a_result_that_is_there_is_kept_even_if_nobody_read_of_it() -> None:
    async def main() -> None:
        world, thread = World(), Thread()

        async def each(event: Event) -> bool:
            if isinstance(event, ToolFinished) and event.name == "quick":
                for _ in range(30):
                    await asyncio.sleep(0)
                assert (1, "call_2") in world.ended
                return True
            return False

        await world.turn(thread, each)
        contents = [result.content for result in thread.messages[2].results]
        assert contents[0] == "result of (1, 'call_0')"
        assert contents[2] == "result of (1, 'call_2')"

    asyncio.run(main())


def test_promise_2_results_of_an_earlier_answer_do_not_answer_a_later_one() -> None:
    """Found by review: the second answer, cut off, took over the first one's results, since the ids were the same."""

    async def main() -> None:
        call = CallChunk(0, "call_0", "quick", '{"number": 0}')
        world = World()
        agent, provider = agent_of([call, StopChunk("tools")], [call, asyncio.Event()], tools=world.tools)
        thread = Thread()
        task = asyncio.create_task(collect(agent.stream("go", thread)))
        await provider.arrived.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert [message.results[0].content for message in thread.messages if message.results][1:] == [NOT_RUN]

    asyncio.run(main())


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.sampled_from([*CALLING, *FINAL]), max_size=12), st.integers(0, 30), st.integers(0, 30))
def test_promise_2_any_chunks_left_after_any_event(chunks: list[Chunk], leave: int, explode: int) -> None:
    async def main() -> None:
        lines: list[Any] = [*chunks[:explode], LookupError("here"), *chunks[explode:]]
        agent, _ = agent_of(lines, says("ok"), tools=World().tools, max_steps=3)
        thread = Thread()
        with suppress(LookupError):
            async with aclosing(agent.stream("go", thread)) as events:
                number = 0
                async for _ in events:
                    number += 1
                    if number > leave:
                        break
        assert_valid(sendable(thread.messages))
        assert thread.settle() == []

    asyncio.run(main())


# 3: it never yields inside a timeout or task group


def test_promise_3_no_clock_of_a_turn_cancels_what_its_reader_awaits() -> None:
    async def main() -> None:
        @tool
        async def slow() -> AsyncGenerator[str, None]:
            """Be slow."""
            yield "begun"
            await asyncio.Event().wait()

        agent, _ = agent_of([CallChunk(0, "x", "slow", "{}"), StopChunk("tools")], says("ok"), tools=[slow])
        thread = Thread()
        async with aclosing(agent.stream("go", thread, Options(tool_timeout=0.02))) as events:
            async for _ in events:
                await asyncio.sleep(0.05)  # longer than the tool may take: a clock around the yield would strike here
        assert "took longer" in thread.messages[2].results[0].content

    asyncio.run(main())


def test_promise_3_a_failing_tool_cancels_nobody() -> None:
    async def main() -> None:
        @tool
        async def fail(after: int) -> str:
            """Fail."""
            await asyncio.sleep(after / 100)
            raise OSError(f"{after}")

        lines = [CallChunk(n, f"c{n}", "fail", f'{{"after": {n}}}') for n in range(3)]
        agent, _ = agent_of([*lines, StopChunk("tools")], says("ok"), tools=[fail])
        thread = Thread()
        async with aclosing(agent.stream("go", thread)) as events:
            async for _ in events:
                await asyncio.sleep(0.03)
        assert [result.content for result in thread.messages[2].results] == ["OSError: 0", "OSError: 1", "OSError: 2"]

    asyncio.run(main())


def test_promise_3_the_readers_own_clock_is_the_readers() -> None:
    async def main() -> None:
        world, thread = World(), Thread()
        struck = 0
        async with aclosing(world.agent.stream("go", thread, world.options)) as events:
            async for _ in events:
                try:
                    async with asyncio.timeout(0):
                        await asyncio.sleep(1)
                except TimeoutError:
                    struck += 1
        assert struck == count
        assert thread.messages[-1].text == "All done."

    count = count_events()
    asyncio.run(main())
