"""Going on with an answer that was cut off: one whole answer, byte for byte, wherever the rest is cut off too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentcli.core.agent import Agent, Options
from agentcli.core.begun import GO_ON, LEAST, MOST, joined, seamless
from agentcli.core.event import Event, MessageAdded, TextDelta, TurnEnded
from agentcli.core.message import Message, Reasoning, Stop, Text, ToolCall, ToolResult, Usage, assistant, user
from agentcli.core.need import size
from agentcli.core.provider import (
    CallChunk,
    Chunk,
    ProviderError,
    ReasoningChunk,
    Request,
    StopChunk,
    TextChunk,
    UsageChunk,
)
from agentcli.core.stream import collect
from agentcli.core.thread import Thread, sendable
from agentcli.core.tool import tool
from tests.core.fake import ScriptedProvider, agent_of, calls, says
from tests.core.test_thread import assert_valid

CUT: list[Stop] = ["interrupted", "timed_out", "failed", "crashed", "length"]


def partial(*parts: Any, stop: Stop = "interrupted", model: str = "fake/model", usage: Usage | None = None) -> Message:
    said = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Message(role="assistant", author="agentcli", model=model, stop=stop, usage=usage, parts=said)


def thread_of(*parts: Any, **more: Any) -> Thread:
    return Thread.of(user("Tell me a story."), partial(*parts, **more))


def events_of(agent: Agent, thread: Thread, options: Options = Options()) -> list[Event]:
    return asyncio.run(collect(agent.stream(None, thread, options)))


def shown(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


# One whole message


def test_one_message_comes_of_it_and_only_what_is_new_is_shown() -> None:
    agent, provider = agent_of(says(" upon ", "a time.", usage=Usage(10, 4)))
    thread = thread_of("Once", usage=Usage(3, 1))
    begun = thread.messages[-1]
    events = events_of(agent, thread)
    assert [message.text for message in thread.messages] == ["Tell me a story.", "Once upon a time."]
    whole = thread.messages[-1]
    assert (whole.id, whole.stop, whole.usage, whole.latest) == (begun.id, "done", Usage(13, 5), Usage(10, 4))
    assert shown(events) == " upon a time."
    assert [event.message for event in events if isinstance(event, MessageAdded)] == [whole]
    assert isinstance(events[-1], TurnEnded)
    assert (events[-1].text, events[-1].usage["total"]) == ("Once upon a time.", 14)
    (request,) = provider.requests
    assert [(message.role, message.text) for message in request.messages[1:]] == [("assistant", "Once"), ("user", GO_ON)]
    assert request.begun
    assert request.asked == thread.messages[0].parts


@pytest.mark.parametrize("stop", get_args(Stop))
def test_what_was_cut_off_is_gone_on_with_and_what_was_not_is_not(stop: Stop) -> None:
    agent, provider = agent_of(says("two"))
    thread = thread_of("one ", stop=stop)
    assert thread.partial == (thread.messages[-1] if stop in CUT else None)
    assert thread.unfinished == (stop in CUT)
    events_of(agent, thread)
    assert [message.text for message in thread.messages[1:]] == (["one two"] if stop in CUT else ["one ", "two"])
    assert provider.requests[0].begun == (stop in CUT)


def test_a_message_is_another_question() -> None:
    agent, provider = agent_of(says("two"))
    thread = thread_of("one ")
    asyncio.run(collect(agent.stream("And?", thread)))
    assert [message.text for message in thread.messages[1:]] == ["one ", "And?", "two"]
    assert not provider.requests[0].begun


def test_an_answer_that_was_cut_off_in_its_calls_is_asked_for_again() -> None:
    agent, provider = agent_of(says("done"))
    thread = thread_of("Let me ", ToolCall("c", "clock", "{"))
    events_of(agent, thread)
    assert [message.role for message in thread.messages] == ["user", "assistant", "tool", "assistant"]
    assert not provider.requests[0].begun
    assert not provider.requests[0].asked


@pytest.mark.parametrize("blank", [(), ("",), (" \n",), (Reasoning("Hm."),), (Reasoning("Hm."), " ")])
def test_an_answer_that_had_no_words_yet_is_asked_for_again_and_takes_its_place(blank: Any) -> None:
    agent, provider = agent_of([ReasoningChunk("Well."), *says("Once.")])
    thread = thread_of(*blank)
    text = thread.messages[-1].text
    events_of(agent, thread)
    assert [message.text for message in thread.messages] == ["Tell me a story.", text + "Once."]
    assert not provider.requests[0].begun
    assert GO_ON not in [message.text for message in provider.requests[0].messages]


def test_nothing_more_makes_it_whole() -> None:
    agent, _ = agent_of(says())
    thread = thread_of("All of it.")
    events_of(agent, thread)
    assert [(message.text, message.stop) for message in thread.messages[1:]] == [("All of it.", "done")]


def test_the_rest_may_call_tools() -> None:
    @tool
    def clock() -> str:
        """The time."""
        return "noon"

    agent, provider = agent_of([TextChunk(" see."), *calls(("clock", "{}"))], says("Noon."), tools=[clock])
    thread = thread_of("Let me")
    events = events_of(agent, thread)
    assert [message.text for message in thread.messages[1:]] == ["Let me see.", "", "Noon."]
    assert thread.messages[2].results == (ToolResult("call_0", "noon"),)
    assert [request.begun for request in provider.requests] == [True, False]
    assert shown(events) == " see.Noon."


def test_the_form_of_the_answer_is_not_asked_of_a_part_of_it() -> None:
    agent, provider = agent_of(says("1}"))
    events_of(agent, thread_of('{"a": '), Options(schema={"type": "object"}))
    assert provider.requests[0].schema is None


def test_another_model_goes_on_and_gets_nothing_that_is_not_its_own() -> None:
    agent, _ = agent_of(says(" world", usage=Usage(5, 5)))
    thread = thread_of(Reasoning("Hm.", {"x": 1}), Text("Hello", {"x": 2}), model="other/m", usage=Usage(1, 1))
    events_of(agent, thread)
    whole = thread.messages[-1]
    assert (whole.parts, whole.model) == ((Text("Hello world"),), "fake/model")


def test_what_was_thought_in_between_stands_before_the_words() -> None:
    more = partial(Reasoning("B", {"x": "b"}), Text(" world", {"x": "2"}), stop="done")
    begun = partial(Reasoning("A", {"x": "a"}), Text("Hello", {"x": "1"}), Reasoning("lost"))
    assert joined(begun, more).parts == (Reasoning("A"), Reasoning("B"), Text("Hello world"))


def test_where_tools_are_called_what_has_to_come_back_stays_as_it_came() -> None:
    call = ToolCall("c", "clock", "{}", {"x": "c"})
    more = partial(Reasoning("B", {"x": "b"}), Text(" world", {"x": "2"}), call, stop="tools")
    assert joined(partial(Text("Hello", {"x": "1"})), more).parts == (Text("Hello", {"x": "1"}), *more.parts)
    plain = partial(Reasoning("B"), Text(" world"), call, stop="tools")
    assert joined(partial("Hello"), plain).parts == (Reasoning("B"), Text("Hello world"), call)
    late = partial(Reasoning("B"), call, "!", stop="tools")
    assert joined(partial("Hello"), late).parts == (Text("Hello"), *late.parts)


def test_how_full_the_model_is_is_what_the_last_request_took() -> None:
    agent, _ = agent_of(says(" two", usage=Usage(120, 20)))
    thread = thread_of("one", usage=Usage(100, 20))
    events_of(agent, thread)
    assert thread.messages[-1].usage == Usage(220, 40)
    assert size(thread) == 140
    agent, _ = agent_of(says(" three"))  # says no usage
    thread.messages[-1] = joined(thread.messages[-1], partial(" three"))
    assert (thread.messages[-1].usage, thread.messages[-1].latest) == (Usage(220, 40), None)


def test_a_document_has_what_was_taken_before() -> None:
    agent, _ = agent_of(says(" two", usage=Usage(120, 20)))
    thread = thread_of("one", usage=Usage(100, 20))
    events_of(agent, thread)
    assert Thread.load(thread.dump()).messages == thread.messages


def test_a_long_conversation_is_made_shorter_and_gone_on_with() -> None:
    agent, provider = agent_of(says("They said x."), says(" two"), window=10_000)
    said = (make(f"{number} " + "x" * 3_500) for number in range(5) for make in (user, assistant))
    thread = Thread.of(*said, user("Well?"), partial("one"))
    events_of(agent, thread)
    assert (len(thread.messages), thread.messages[-1].text, len(thread.standing)) == (12, "one two", 1)
    assert [message.text for message in provider.requests[-1].messages[-2:]] == ["one", GO_ON]


# Cut off again


def test_cut_off_again_it_has_grown() -> None:
    agent, provider = agent_of([*says(" upon", usage=Usage(9, 1))[:-1], ProviderError("cut", "gone")], says(" a time"))
    thread = thread_of("Once", usage=Usage(3, 1))
    with pytest.raises(ProviderError):
        events_of(agent, thread)
    assert [(message.text, message.stop) for message in thread.messages[1:]] == [("Once upon", "failed")]
    assert thread.messages[-1].usage == Usage(12, 2)
    events_of(agent, thread)
    assert [(message.text, message.stop) for message in thread.messages[1:]] == [("Once upon a time", "done")]
    assert provider.requests[1].messages[-2].text == "Once upon"


@pytest.mark.parametrize("came", [[], [ReasoningChunk("Hm.")], [UsageChunk(Usage(1, 1))], [TextChunk("")]])
def test_if_nothing_comes_it_is_as_it_was(came: list[Chunk]) -> None:
    agent, _ = agent_of([*came, ProviderError("overloaded", "busy")])
    thread = thread_of("Once", stop="timed_out")
    before = list(thread.messages)
    with pytest.raises(ProviderError):
        events_of(agent, thread)
    assert all(one is other for one, other in zip(thread.messages, before, strict=True))


def test_another_model_is_asked_if_the_first_one_is_down() -> None:
    other = ScriptedProvider(says(" upon"))
    other.name = "other"
    agent, _ = agent_of([ProviderError("overloaded", "busy")], fallback=[(other, "m")])
    thread = thread_of("Once")
    events_of(agent, thread)
    assert (thread.messages[-1].text, thread.messages[-1].model) == ("Once upon", "other/m")
    assert other.requests[0].begun


# Repetition


def passed(said: str, *pieces: str) -> list[str]:
    async def main() -> list[str]:
        async def chunks() -> AsyncGenerator[Chunk, None]:
            for piece in pieces:
                yield TextChunk(piece)
            yield StopChunk("done")

        return [chunk.text for chunk in await collect(seamless(chunks(), said)) if isinstance(chunk, TextChunk)]

    return asyncio.run(main())


STORY = "Once upon a time there was a fox, and the fox was hungry. It met a crow"


@pytest.mark.parametrize(
    ("said", "more", "left"),
    [
        (STORY, " and spoke.", " and spoke."),
        (STORY, "It met a crow and spoke.", " and spoke."),
        (STORY, " It met a crow and spoke.", " and spoke."),
        (STORY, STORY + " and spoke.", " and spoke."),
        (STORY, " It met a crow", ""),
        (STORY, " It met a cr", " It met a cr"),  # that is no end of it
        (STORY, " a crow again", " a crow again"),  # too short to be sure
        ("word " * 1000 + STORY, "word " * 1000 + STORY + "!", "!"),
        ("short", "short", "short"),
        ("0, 0, 0, 0, 0, 1\n" * 2, "0, 0, 0, 0, 0, 1\n", "0, 0, 0, 0, 0, 1\n"),
        ("0, 0, 0, 0, 0, 1\n" * 5, "0, 0, 0, 0, 0, 1\n" * 3, "0, 0, 0, 0, 0, 1\n" * 3),
        ("-" * 40, "-" * 50, "-" * 50),
        ("\n" + " " * 20, " " * 20 + "x", " " * 20 + "x"),
        ("ha ha ha ha ha ha", "ha ha ha ha ha ha!", "ha ha ha ha ha ha!"),
        ("", "anything", "anything"),
    ],
)
def test_what_is_a_repetition(said: str, more: str, left: str) -> None:
    for length in (1, 2, 3, 7, 1000, len(more) or 1):
        pieces = [more[at : at + length] for at in range(0, len(more), length)]
        assert "".join(passed(said, *pieces)) == left


@pytest.mark.parametrize("said", ["a" * 1_000_000 + "b", "ab" * 500_000 + "c", ("a" * 5_000 + "b") * 200 + "c"])
def test_no_answer_takes_long(said: str) -> None:
    begun = time.process_time()
    assert len("".join(passed(said, said + "!"))) in (1, len(said) + 1)
    assert time.process_time() - begun < 5


def test_the_longest_repetition_is_the_one() -> None:
    said = "a long refrain, a long refrain, twice; a long refrain, a long refrain"
    assert "".join(passed(said, "a long refrain, a long refrain, and on")) == ", and on"


def test_text_waits_only_while_it_may_be_a_repetition() -> None:
    assert passed(STORY, " and", " spoke") == [" and", " spoke"]
    assert passed(STORY, " the", " dog", " ran") == [" the", " dog", " ran"]  # " the" stands there, " the dog" does not
    assert passed(STORY, " It", " met", " a", " cat") == [" It", " met", " a", " cat"]
    assert passed(STORY, " It met", " a crow!", " It", " met a crow") == ["!", " It", " met a crow"]


def test_what_goes_with_the_words_stays_with_them() -> None:
    async def main() -> list[Chunk]:
        async def chunks() -> AsyncGenerator[Chunk, None]:
            yield TextChunk(" It met a", {"x": 1}, "k")
            yield ReasoningChunk("hm")
            yield TextChunk(" crow and", key="k")
            yield CallChunk(0, "c", "clock", "{}")
            yield StopChunk("tools")

        return await collect(seamless(chunks(), STORY))

    assert asyncio.run(main()) == [
        ReasoningChunk("hm"),
        TextChunk("", {"x": 1}, "k"),
        TextChunk(" and", key="k"),
        CallChunk(0, "c", "clock", "{}"),
        StopChunk("tools"),
    ]


@pytest.mark.parametrize("end", [StopChunk("done"), CallChunk(0, "c", "x", "{}"), ProviderError("cut", "gone"), None])
def test_what_waits_is_said_at_the_end_whatever_the_end_is(end: Any) -> None:
    agent, _ = agent_of([TextChunk(" It met"), *([end] if end else [])], says("ok"))
    thread = thread_of(STORY)
    events: list[Event] = []

    async def main() -> None:
        async with aclosing(agent.stream(None, thread)) as turn:
            async for event in turn:
                events.append(event)  # noqa: PERF401  (they are wanted also if it fails)

    with suppress(ProviderError):
        asyncio.run(main())
    assert thread.messages[1].text == STORY + " It met"
    assert shown(events).startswith(" It met")


def test_what_waits_when_the_turn_is_left_was_never_said() -> None:
    async def main() -> None:
        agent, provider = agent_of([TextChunk(" It met"), asyncio.Event()])
        thread = thread_of(STORY)
        before = list(thread.messages)
        task = asyncio.create_task(collect(agent.stream(None, thread)))
        await provider.arrived.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert thread.messages == before

    asyncio.run(main())


texts = st.text("ab \n", max_size=60)


@settings(deadline=None, derandomize=True, max_examples=400)
@given(texts, texts, st.integers(0, 80), st.lists(st.integers(0, 120), max_size=8))
@example("-" * 30, "|", 20, [3, 9, 27])
@example("abab abba ab", "b", 12, [1])
def test_no_text_is_lost_and_the_pieces_do_not_matter(said: str, new: str, again: int, cuts: list[int]) -> None:
    more = said[max(len(said) - again, 0) :] + new if again else new
    edges = sorted({0, len(more), *(cut for cut in cuts if cut < len(more))})
    left = "".join(passed(said, *(more[start:end] for start, end in pairwise(edges))))
    assert left == "".join(passed(said, more))
    gone = more[: len(more) - len(left)]
    assert gone + left == more
    assert gone == "" or (len(gone) >= LEAST and said.endswith(gone))


def test_a_repetition_costs_no_more_than_it_is_long() -> None:
    said = "a" * 200_000
    assert "".join(passed(said, *["a"] * (MOST + 100))) == "a" * (MOST + 100)


# Wherever the rest is cut off


class Rest:
    """A world in which an answer is gone on with, and every part gives way to others."""

    name = "fake"
    PIECES: tuple[Chunk, ...] = (
        ReasoningChunk("hm"),
        TextChunk(" It met"),
        TextChunk(" a crow, "),
        TextChunk("and spoke."),
        UsageChunk(Usage(5, 5)),
        StopChunk("done"),
    )

    def __init__(self, explode: int = 0) -> None:
        self.thread = thread_of(STORY, usage=Usage(1, 1))
        self.explode = explode
        self.points = 0
        self.shown: list[str] = []
        self.agent = Agent(self, "model")

    async def point(self) -> None:
        await asyncio.sleep(0)
        self.points += 1
        if self.points == self.explode:
            raise LookupError("here")

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        assert request.messages[-2].text == STORY
        await self.point()
        for chunk in self.PIECES:
            yield chunk
            await self.point()

    async def aclose(self) -> None:
        """Nothing to close."""

    async def turn(self, leave: int = -1) -> None:
        async with aclosing(self.agent.stream(None, self.thread)) as events:
            number = 0
            async for event in events:
                if isinstance(event, TextDelta):
                    self.shown.append(event.text)
                if number == leave:
                    return
                await asyncio.sleep(0)
                number += 1

    def assert_well(self) -> bool:
        """Is it whole? What is there is what was, and what was shown."""
        assert_valid(sendable(self.thread.messages))
        assert len(self.thread.messages) == 2
        last = self.thread.messages[-1]
        assert last.text == STORY + "".join(self.shown)
        assert last.whole == (last.text == STORY + ", and spoke." and last.stop == "done")
        with self.thread.held():
            pass
        return last.whole


@pytest.mark.parametrize("hurried", [False, True], ids=["once", "twice"])
def test_cancelling_at_any_moment(hurried: bool) -> None:
    async def main() -> list[bool]:
        whole: list[bool] = []
        while True:
            world = Rest()
            task = asyncio.create_task(world.turn())
            for _ in range(len(whole)):
                await asyncio.sleep(0)
            if task.done():
                return whole
            task.cancel()
            if hurried:
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task], timeout=5)
            for _ in range(10):
                await asyncio.sleep(0)
            whole.append(world.assert_well())

    moments = asyncio.run(main())
    assert len(moments) > 8
    assert not moments[5]


def test_leaving_at_any_event() -> None:
    async def main() -> None:
        for event in range(8):
            world = Rest()
            await world.turn(leave=event)
            world.assert_well()

    asyncio.run(main())


def test_a_failure_at_any_point() -> None:
    async def main() -> int:
        point = 0
        while True:
            point += 1
            world = Rest(explode=point)
            with suppress(LookupError):
                await world.turn()
                assert world.assert_well()
                return point
            assert not world.assert_well()
            assert world.thread.messages[-1].stop in ("interrupted", "failed")

    assert asyncio.run(main()) == len(Rest.PIECES) + 2


def test_cut_off_over_and_over_it_becomes_the_whole() -> None:
    """Whatever is cut off where, it is gone on with until it is there."""
    whole = "".join(f"line {number} of the whole\n" for number in range(40))

    async def main() -> None:
        thread = thread_of(whole[:1], stop="crashed")
        for turn in range(1000):
            have = thread.messages[-1].text
            rest = whole[len(have) :][: 7 + turn % 23]
            repeated = have[-(12 + turn % 9) :] if turn % 3 == 0 and len(have) > 30 else ""
            end: Any = StopChunk("done") if have + rest == whole else ProviderError("cut", "gone")
            agent, _ = agent_of([*map(TextChunk, (repeated, rest)), UsageChunk(Usage(1, 1)), end])
            with suppress(ProviderError):
                await collect(agent.stream(None, thread))
                break
            assert thread.messages[-1].text == have + rest
        assert (thread.messages[-1].text, len(thread.messages)) == (whole, 2)
        assert thread.messages[-1].usage == Usage(turn + 1, turn + 1)

    asyncio.run(main())
