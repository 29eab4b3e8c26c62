"""A conversation that has become too long: compacted in time, or when the server says so, or when a person wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

import pytest

from agentcli.core import need
from agentcli.core.agent import Agent, Options
from agentcli.core.compact import view
from agentcli.core.document import Compaction
from agentcli.core.event import (
    Compacted,
    Event,
    MessageAdded,
    NotCompacted,
    Retrying,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from agentcli.core.message import Message, Text, Usage, assistant, user
from agentcli.core.provider import ProviderError, TextChunk
from agentcli.core.stream import collect
from agentcli.core.thread import Thread, sendable
from agentcli.core.tool import tool
from agentcli.core.weight import weight
from agentcli.errors import UserError
from tests.core.fake import Line, ScriptedProvider, agent_of, calls, says
from tests.core.test_compact import conversation
from tests.core.test_thread import assert_valid

SUMMARY = says("They asked questions.", usage=Usage(900, 10))
TOO_LONG = ProviderError(
    "context_length", "This model's maximum context length is 8192 tokens.", hint="Begin a new thread.", status=400
)


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def of(kind: type[Any], events: Sequence[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def events_of(agent: Agent, message: str | None, thread: Thread, options: Options = Options()) -> list[Event]:
    return asyncio.run(collect(agent.stream(message, thread, options)))


# Before the limit


def test_a_turn_that_would_fill_the_window_sends_a_summary_and_the_newest_turns() -> None:
    agent, provider = agent_of(
        SUMMARY, says("ok", usage=Usage(3_000, 5)), window=12_000, instructions="Be kind.", settings={"rate": 0}
    )
    thread = conversation(turns=10)
    events = events_of(agent, "and now?", thread)
    assert kinds(events) == ["MessageAdded", "Waiting", "Compacted", "TextDelta", "MessageAdded", "TurnEnded"]
    assert events[1] == Waiting("agentcli", thread.id, "compacting")
    (compacted,) = of(Compacted, events)
    made = compacted.compaction
    assert (compacted.source, compacted.thread) == ("agentcli", thread.id)
    assert (made.summary, made.model, made.usage) == ("They asked questions.", "fake/model", Usage(900, 10))
    assert (made.count, made.through) == (14, thread.messages[13].id)
    assert 10_000 < made.before < 10_500
    assert made.after < 4_000
    asked, sent = provider.requests
    assert (len(asked.messages), asked.instructions, asked.settings) == (1, "", {"rate": 0})
    assert "User: question 0" in asked.messages[0].text
    assert "question 7" not in asked.messages[0].text
    assert sent.messages[0].text.count("They asked questions.") == 1
    assert sent.messages[1:] == thread.messages[15:-1]
    assert sent.instructions == "Be kind."
    assert len(thread.messages) == 22, "the thread keeps everything"
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert (ended.text, ended.usage["input"], ended.usage["output"]) == ("ok", 3_900, 15)

    events = events_of(agent, "and then?", thread)
    assert "Compacted" not in kinds(events), "it does not have to be done again"
    assert provider.requests[2].messages[0] == sent.messages[0]


@pytest.mark.parametrize(
    ("window", "settings", "compacts"),
    [
        (15_000, {}, False),
        (13_500, {}, True),
        (20_000, {"max-tokens": 8_000}, True),
        (20_000, {"max_tokens": 100}, False),
        (None, {}, False),
    ],
)
def test_there_has_to_be_room_for_the_answer(window: int | None, settings: dict[str, Any], compacts: bool) -> None:
    agent, provider = agent_of(SUMMARY, says("ok"), window=window, settings=settings)
    events_of(agent, "and now?", conversation(turns=10))
    assert (len(provider.requests) == 2) is compacts


@pytest.mark.parametrize(("total", "compacts"), [(79_000, True), (60_000, False)])
def test_what_the_last_usage_says_counts_more_than_an_estimate(total: int, compacts: bool) -> None:
    thread = conversation(turns=10)
    thread.messages[-1] = Message(role="assistant", stop="done", usage=Usage(total, 1_000), parts=(Text("x" * 3_500),))
    agent, provider = agent_of(SUMMARY, says("ok"), window=100_000)
    events = events_of(agent, "and now?", thread)
    assert len(of(Compacted, events)) == compacts
    if compacts:
        (made,) = of(Compacted, events)
        assert made.compaction.before > 25_000, "a token is more than was thought"
        assert len(provider.requests[1].messages) < 21


def test_results_of_tools_are_shortened_first_and_nobody_is_asked() -> None:
    agent, provider = agent_of(says("ok"), window=70_000)
    thread = conversation(turns=6, rounds=4, size=7_000)
    events = events_of(agent, "and now?", thread)
    assert kinds(events) == ["MessageAdded", "Compacted", "TextDelta", "MessageAdded", "TurnEnded"]
    (compacted,) = of(Compacted, events)
    assert (compacted.compaction.summary, compacted.compaction.usage) == ("", None)
    assert 0 < compacted.compaction.after < compacted.compaction.before
    lengths = [len(result.content) for message in provider.requests[0].messages for result in message.results]
    assert max(lengths[:8]) <= 1_200
    assert lengths[-4:] == [7_007] * 4
    assert all(len(result.content) == 7_007 for message in thread.messages for result in message.results)


def test_a_long_turn_of_tools_goes_on_and_on() -> None:
    """Two hundred rounds with a window for a dozen: no request is too large, and few are for summaries."""

    @tool
    def look(at: int) -> str:
        """Look."""
        return f"{at}: " + "word " * 800

    many = 200
    answers = [calls(("look", f'{{"at": {number}}}', f"c{number}")) for number in range(many)]

    class Counting(ScriptedProvider):
        """Summarises when it is asked to, and goes on with its script otherwise."""

        def __init__(self) -> None:
            super().__init__()
            self.summaries = 0
            self.largest = 0

        async def stream(self, request: Any, /) -> AsyncGenerator[Any, None]:
            self.largest = max(self.largest, weight(request.messages))
            if "=== record ===" in request.messages[0].text:
                self.summaries += 1
                for line in says("Looked at things."):
                    yield line
                return
            self.requests.append(request)
            lines = answers[len(self.requests) - 1] if len(self.requests) <= many else says("done")
            assert_valid(request.messages)
            for line in lines:
                yield line

    provider = Counting()
    agent = Agent(provider, "m", tools=[look], window=16_000, max_steps=many + 1)
    thread = Thread()
    events = events_of(agent, "look at everything", thread)
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert (ended.stop, ended.text) == ("done", "done")
    assert provider.largest < 16_000
    assert 1 < provider.summaries < 30
    assert len(thread.messages) == 2 * many + 2
    assert provider.requests[-1].messages[0].parts[-1] == Text("look at everything")
    assert NotCompacted not in map(type, events)


@pytest.mark.parametrize("size", [1_000, 2_800, 7_000])
@pytest.mark.parametrize("question", [0.5, 0.65, 0.9])
def test_a_question_that_nearly_fills_the_window_does_not_make_a_summary_of_every_step(question: float, size: int) -> None:
    @tool
    def look() -> str:
        """Look."""
        return "see " * (size // 4)

    window, many = 16_000, 30

    class Busy(ScriptedProvider):
        """Calls its tool again and again, and summarises when it is asked to."""

        summaries = 0
        largest = 0

        async def stream(self, request: Any, /) -> AsyncGenerator[Any, None]:
            self.requests.append(request)
            if "=== record ===" in request.messages[0].text:
                lines = says("Looked at things. " * 20)
            else:
                self.largest = max(self.largest, weight(request.messages))
                steps = sum("=== record ===" not in one.messages[0].text for one in self.requests)
                lines = calls(("look", "{}", f"c{steps}")) if steps <= many else says("done")
            for line in lines:
                yield line

    provider, thread = Busy(), Thread()
    asked = "q " * int(question * window * 3.5 / 2)
    events = events_of(Agent(provider, "m", tools=[look], window=window, max_steps=many + 1), asked, thread)
    assert len(thread.messages) == 2 * many + 2
    made = [one.compaction for one in of(Compacted, events)]
    assert 1 <= sum(bool(one.summary) for one in made) <= 4, "not one every second step"
    assert sum(not one.summary for one in thread.standing) <= 1
    assert len(thread.standing) <= 5
    assert view(thread)[0].parts[-1] == Text(asked), "the question stays whole"
    if question <= 0.5:
        assert provider.largest < window, "there was room for the rounds"


def test_a_summary_that_fails_is_told_and_the_turn_goes_on_with_everything() -> None:
    @tool
    def look() -> str:
        """Look."""
        return "seen"

    agent, provider = agent_of([ProviderError("overloaded", "busy")], calls(("look", "{}")), says("ok"), tools=[look], window=12_000)
    thread = conversation(turns=10)
    events = events_of(agent, "and now?", thread)
    assert of(NotCompacted, events) == [NotCompacted("agentcli", thread.id, "busy")]
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].stop == "done"
    assert len(provider.requests) == 3, "it is not tried again in this turn"
    assert thread.standing == []
    assert len(provider.requests[1].messages) == 21


def test_what_a_summary_waits_for_is_shown_and_its_words_are_not() -> None:
    agent, _ = agent_of([Waiting(what="connecting"), Retrying(attempt=1, reason="busy"), *SUMMARY], says("ok"), window=12_000)
    events = events_of(agent, "and now?", conversation(turns=10))
    assert [event.what for event in of(Waiting, events)] == ["compacting"]
    assert [event.reason for event in of(Retrying, events)] == ["busy"]
    assert [event.text for event in of(TextDelta, events)] == ["ok"]
    assert events[-1].retries == 1  # type: ignore[union-attr]


# When the server says so


def test_a_request_that_is_too_long_is_made_once_more_with_less() -> None:
    agent, provider = agent_of([TOO_LONG], SUMMARY, SUMMARY, says("ok"))
    thread = conversation(turns=10)
    events = events_of(agent, "and now?", thread)
    assert kinds(events) == ["MessageAdded", "Waiting", "Compacted", "TextDelta", "MessageAdded", "TurnEnded"]
    assert weight(provider.requests[3].messages) < 4_000, "its limit was in its words"
    assert thread.messages[-1].text == "ok"


def test_once_in_a_turn_and_then_it_is_said_what_helps() -> None:
    agent, provider = agent_of([TOO_LONG], SUMMARY, SUMMARY, [TOO_LONG])
    thread = conversation(turns=10)
    with pytest.raises(ProviderError) as caught:
        events_of(agent, "and now?", thread)
    assert (caught.value.kind, caught.value.status) == ("context_length", 400)
    assert "/compact, /new, or /model" in caught.value.hint
    assert len(provider.requests) == 4
    assert len(thread.standing) == 1
    agent, provider = agent_of([TOO_LONG], SUMMARY, SUMMARY, says("ok"))
    events_of(agent, None, thread)
    assert len(thread.standing) == 2, "the next turn may do it again"


@pytest.mark.parametrize("thread", [Thread(), conversation(turns=8, size=10)], ids=["new", "short"])
def test_what_cannot_be_shortened_is_the_servers_word(thread: Thread) -> None:
    agent, provider = agent_of([TOO_LONG])
    with pytest.raises(ProviderError) as caught:
        events_of(agent, "x" * 50_000, thread)
    assert caught.value is TOO_LONG
    assert len(provider.requests) == 1


def test_if_the_summary_fails_too_the_first_error_counts() -> None:
    agent, provider = agent_of([TOO_LONG], [ProviderError("overloaded", "busy")])
    with pytest.raises(ProviderError) as caught:
        events_of(agent, "and now?", conversation(turns=10))
    assert caught.value is TOO_LONG
    assert len(provider.requests) == 2


def test_after_the_first_word_it_is_too_late() -> None:
    agent, provider = agent_of([TextChunk("so"), TOO_LONG], says("ok"))
    thread = conversation(turns=10)
    with pytest.raises(ProviderError):
        events_of(agent, "and now?", thread)
    assert len(provider.requests) == 1
    assert (thread.messages[-1].text, thread.messages[-1].stop) == ("so", "failed")


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("This model's maximum context length is 8192 tokens. However, your messages resulted in 90000 tokens.", 8_192),
        ("prompt is too long: 210000 tokens > 9000 maximum", 9_000),
        ("the request exceeds the available context size (4096 tokens), try increasing it", 4_096),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (10,576).", 10_576),
        ("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4500 in the messages).", 4_096),
        ("too long", None),
    ],
)
def test_servers_name_their_limit_in_many_ways(said: str, limit: int | None) -> None:
    thread = conversation(turns=20)
    wanted = need.refused(thread, None, {}, 0, said)
    assert wanted.tail * wanted.ratio == pytest.approx(0.27 * (limit or need.size(thread)))


# When a person wants it


def test_a_person_may_have_it_compacted_at_once_and_say_how() -> None:
    agent, provider = agent_of(SUMMARY, says("ok"))
    thread = conversation(turns=10, size=700)

    async def main() -> list[Event]:
        return await collect(agent.compact(thread, "only the numbers"))

    events = asyncio.run(main())
    assert kinds(events) == ["Waiting", "Compacted", "TurnEnded"]
    assert "only the numbers" in provider.requests[0].messages[0].text
    assert len(thread.messages) == 20
    assert events[-1].usage["total"] == 910  # type: ignore[union-attr]
    events_of(agent, "go on", thread)
    assert "They asked questions." in provider.requests[1].messages[0].text


def test_with_nothing_to_leave_out_it_is_said_before_anything_begins() -> None:
    agent, provider = agent_of(SUMMARY)
    for thread in (Thread(), conversation(turns=1), conversation(turns=3, size=5)):
        with pytest.raises(UserError, match="nothing to leave out"):
            agent.compact(thread)
    assert provider.requests == []


def test_again_and_again_until_there_is_nothing_left() -> None:
    agent, _ = agent_of(SUMMARY)
    thread = conversation(turns=10)
    for _ in range(5):
        try:
            asyncio.run(collect(agent.compact(thread)))
        except UserError:
            break
    else:
        pytest.fail("there is no end to it")
    assert view(thread)[0].parts[1:] == (Text("question 9"),), "the newest turn stays"


def test_a_thread_compacts_or_answers_and_not_both() -> None:
    agent, _ = agent_of(SUMMARY)
    thread = conversation(turns=10)
    with thread.held(), pytest.raises(UserError, match="already answering"):
        asyncio.run(collect(agent.compact(thread)))


# The promises


class Slow:
    """A provider that is too long at first, and gives way to others all the time."""

    name = "fake"

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.open = 0

    async def stream(self, request: Any, /) -> AsyncGenerator[Any, None]:
        self.requests.append(request)
        lines: list[Line] = SUMMARY if "=== record ===" in request.messages[0].text else says("o", "k")
        self.open += 1
        try:
            if not any("=== record ===" in one.messages[0].text for one in self.requests):
                raise TOO_LONG
            for line in lines:
                await asyncio.sleep(0)
                assert not isinstance(line, BaseException | asyncio.Event)
                yield line
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                self.open -= 1

    async def aclose(self) -> None:
        """Nothing to close."""

    def answers(self) -> int:
        """How many requests were not for a summary."""
        return sum("=== record ===" not in one.messages[0].text for one in self.requests)


@pytest.mark.parametrize("window", [None, 12_000])
def test_cancelled_at_any_moment_the_thread_can_be_sent_and_is_compacted_or_not(window: int | None) -> None:
    async def main() -> tuple[int, set[int]]:
        moments = 0
        seen: set[int] = set()
        while True:
            provider, thread = Slow(), conversation(turns=10)
            task = asyncio.create_task(collect(Agent(provider, "m", window=window).stream("go", thread)))
            for _ in range(moments):
                await asyncio.sleep(0)
            if task.done():
                return moments, seen
            task.cancel()
            await asyncio.wait([task], timeout=5)
            assert task.cancelled()
            assert provider.open == 0
            assert_valid(view(thread))
            seen.add(len(thread.standing))
            assert thread.messages[:20] == sendable(thread.messages)[:20]
            moments += 1

    moments, seen = asyncio.run(main())
    assert moments > 8
    assert seen == {0, 1}


def test_a_compaction_is_announced_before_anything_is_sent_by_it() -> None:
    async def main() -> None:
        provider, thread = Slow(), conversation(turns=10)
        async with aclosing(Agent(provider, "m").stream("go", thread)) as events:
            async for event in events:
                before = len(provider.requests)
                for _ in range(20):
                    await asyncio.sleep(0)
                assert len(provider.requests) == before
                if isinstance(event, Waiting):
                    assert len(provider.requests) == 1
                if isinstance(event, Compacted):
                    assert thread.standing == [event.compaction]
                    assert provider.answers() == 1
        assert provider.answers() == 2

    asyncio.run(main())


def test_leaving_at_any_event_leaves_a_thread_that_can_be_sent() -> None:
    async def main(number: int) -> bool:
        provider, thread = Slow(), conversation(turns=10)
        async with aclosing(Agent(provider, "m").stream("go", thread)) as events:
            async for _ in events:
                number -= 1
                if number < 0:
                    break
        assert provider.open == 0
        assert_valid(view(thread))
        with suppress(UserError), thread.held():
            return number < 0
        return True

    assert [asyncio.run(main(number)) for number in range(7)] == [True] * 7


# How full it is


def test_the_fill_level_is_what_the_next_request_takes() -> None:
    thread = Thread()
    assert need.fill(thread, None) == (0, None)
    assert need.fill(thread, 1_000) == (0, 0.0)
    thread = Thread.of(user("x" * 350))
    assert need.fill(thread, 1_050) == (105, 0.1)
    thread.append(Message(role="assistant", stop="done", usage=Usage(400, 50, more_input=50), parts=(Text("a"),)))
    assert need.fill(thread, 1_000) == (500, 0.5)
    thread.append(user("x" * 350))
    assert need.fill(thread, 1_000) == (605, 0.605)
    thread.append(assistant("y" * 35))
    assert need.fill(thread, None) == (620, None)


def test_what_was_counted_before_a_compaction_does_not_count_after_it() -> None:
    thread = conversation(turns=4)
    thread.append(Message(role="assistant", stop="done", usage=Usage(90_000, 500), parts=(Text("a"),)))
    assert need.size(thread) == 90_500
    thread.compact(Compaction(through=thread.messages[5].id, count=6, summary="They asked."))
    assert need.size(thread, 100) == 100 + weight(view(thread)) < 2_000
    assert need.fill(thread, 10_000)[0] < 2_000
    thread.append(user("go on"))
    thread.append(Message(role="assistant", stop="done", usage=Usage(1_500, 100), parts=(Text("a"),)))
    assert need.size(thread) == 1_600
    thread.messages[-1] = Message(at=datetime(1, 1, 1), role="assistant", usage=Usage(7, 7), parts=(Text("a"),))  # noqa: DTZ001
    assert need.size(thread) < 2_000, "the time of a foreign document may be anything"


def test_the_tools_and_events_of_a_turn_are_the_same_with_a_window() -> None:
    @tool
    def look() -> str:
        """Look."""
        return "seen"

    agent, _ = agent_of(calls(("look", "{}")), says("ok"), tools=[look], window=100_000)
    events = events_of(agent, "go", Thread())
    assert [type(event) for event in events] == [
        MessageAdded, MessageAdded, ToolStarted, ToolFinished, MessageAdded, TextDelta, MessageAdded, TurnEnded,
    ]  # fmt: skip
