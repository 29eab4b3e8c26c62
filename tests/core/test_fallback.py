"""Another model, when the one that was asked is overloaded or out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agentcli.core.agent import Agent, Options
from agentcli.core.event import Compacted, Event, Switched, TextDelta, TurnEnded
from agentcli.core.message import Usage
from agentcli.core.provider import CallChunk, Model, ProviderError, ReasoningChunk, TextChunk, UsageChunk
from agentcli.core.stream import collect
from agentcli.core.thread import Thread
from agentcli.core.tool import tool
from agentcli.errors import Exit
from tests.core.fake import Line, ScriptedProvider, calls, says
from tests.core.test_compact import conversation

BUSY = ProviderError("overloaded", "the first is busy", hint="Try again in a while.", status=529, retry_after=3.0)


class Named(ScriptedProvider):
    """A fake with a name of its own."""

    def __init__(self, name: str, *answers: Sequence[Line]) -> None:
        super().__init__(*answers)
        self.name = name


@tool
def look() -> str:
    """Look."""
    return "seen"


def agent_of(first: Sequence[Sequence[Line]], *others: Sequence[Sequence[Line]], **more: Any) -> tuple[Agent, list[Named]]:
    """An agent on `one/m`, with `two/m`, `three/m` … to fall back on."""
    providers = [Named(name, *answers) for name, answers in zip(("one", "two", "three"), (first, *others), strict=False)]
    return Agent(providers[0], "m", fallback=[(one, "m") for one in providers[1:]], tools=[look], **more), providers


def turn(agent: Agent, thread: Thread, message: str | None = "hi", options: Options = Options()) -> list[Event]:
    return asyncio.run(collect(agent.stream(message, thread, options)))


@pytest.mark.parametrize("kind", ["overloaded", "server", "unreachable", "rate_limit", "stalled", "cut"])
def test_an_outage_before_the_first_word_asks_the_next_model_and_says_so(kind: str) -> None:
    agent, (one, two) = agent_of(
        [[UsageChunk(Usage(5, 0)), ProviderError(kind, "no luck", status=500)]], [says("ok", usage=Usage(3, 4))]
    )
    thread = Thread()
    events = turn(agent, thread)
    assert [type(event).__name__ for event in events] == ["MessageAdded", "Switched", "TextDelta", "MessageAdded", "TurnEnded"]
    assert events[1] == Switched("agentcli", thread.id, model="two/m", instead_of="one/m", reason="no luck", status=500)
    assert thread.messages[-1].model == "two/m"
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert (ended.model, ended.stop, ended.text, ended.usage["total"]) == ("two/m", "done", "ok", 7)
    assert one.requests == two.requests
    assert (one.ended, two.ended) == (1, 1)


@pytest.mark.parametrize("kind", ["auth", "bad_request", "not_found", "context_length", "tls", "too_large", "protocol", "redirect"])
def test_what_is_no_outage_is_said_at_once(kind: str) -> None:
    error = ProviderError(kind, "no")
    agent, (_, two) = agent_of([[error]], [says("ok")])
    with pytest.raises(ProviderError) as caught:
        turn(agent, Thread())
    assert caught.value is error
    assert two.requests == []


@pytest.mark.parametrize(
    "chunk", [TextChunk("so"), ReasoningChunk("hm"), ReasoningChunk(private={"one": "sig"}), CallChunk(0, "a", "look", "{}")]
)
def test_after_the_first_content_nobody_else_is_asked(chunk: Line) -> None:
    agent, (_, two) = agent_of([[chunk, BUSY]], [says("ok")])
    thread = Thread()
    with pytest.raises(ProviderError) as caught:
        turn(agent, thread)
    assert caught.value is BUSY
    assert two.requests == []
    assert (thread.messages[1].model, thread.messages[1].stop) == ("one/m", "failed")


def test_an_answer_that_ends_before_it_began_is_a_cut() -> None:
    agent, _ = agent_of([[]], [says("ok")])
    events = turn(agent, Thread())
    assert [event.reason for event in events if isinstance(event, Switched)] == ["the answer was cut off"]


def test_for_the_rest_of_the_turn_and_the_next_one_begins_with_the_first_again() -> None:
    agent, (one, two) = agent_of([[BUSY], says("back")], [calls(("look", "{}")), says("ok")])
    thread = Thread()
    turn(agent, thread)
    assert (len(one.requests), len(two.requests)) == (1, 2)
    assert [message.model for message in thread.messages] == [None, "two/m", None, "two/m"]
    turn(agent, thread)
    assert thread.messages[-1].model == "one/m"
    assert agent.full_model == "one/m"


def test_a_model_that_breaks_down_later_in_a_turn_is_left_then() -> None:
    agent, (_, two) = agent_of([calls(("look", "{}")), [BUSY]], [says("ok")])
    thread = Thread()
    events = turn(agent, thread)
    assert [message.model for message in thread.messages] == [None, "one/m", None, "two/m"]
    assert events[-1].model == "two/m"  # type: ignore[union-attr]
    assert [message.role for message in two.requests[0].messages] == ["user", "assistant", "tool"]


def test_one_after_the_other() -> None:
    agent, _ = agent_of([[BUSY]], [[ProviderError("auth", "no key")]], [says("ok")])
    events = turn(agent, Thread())
    assert [(event.instead_of, event.model) for event in events if isinstance(event, Switched)] == [
        ("one/m", "two/m"),
        ("two/m", "three/m"),
    ]


def test_if_all_fail_it_is_the_first_ones_error_and_a_word_about_the_others() -> None:
    agent, providers = agent_of([[BUSY]], [[ProviderError("auth", "no key")]], [[ProviderError("unreachable", "no line")]])
    thread = Thread()
    with pytest.raises(ProviderError) as caught:
        turn(agent, thread)
    error = caught.value
    assert (error.kind, error.message, error.status, error.retry_after) == ("overloaded", "the first is busy", 529, 3.0)
    assert error.hint == "Try again in a while. The fallback failed too: two/m: no key; three/m: no line"
    assert error.exit_code == Exit.TRY_LATER
    assert [len(one.requests) for one in providers] == [1, 1, 1]
    assert [message.role for message in thread.messages] == ["user"]


def test_alone_it_is_the_error_itself() -> None:
    agent, _ = agent_of([[BUSY]])
    with pytest.raises(ProviderError) as caught:
        turn(agent, Thread())
    assert caught.value is BUSY


def test_a_half_answer_of_the_other_model_is_kept_as_its_own() -> None:
    async def main() -> Thread:
        agent, (_, two) = agent_of([[BUSY]], [[TextChunk("so far"), asyncio.Event()]])
        thread = Thread()
        task = asyncio.create_task(collect(agent.stream("hi", thread)))
        await two.arrived.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)
        return thread

    kept = asyncio.run(main()).messages[-1]
    assert (kept.text, kept.stop, kept.model) == ("so far", "interrupted", "two/m")


def test_a_switch_is_announced_before_the_other_is_asked() -> None:
    async def main() -> None:
        agent, (_, two) = agent_of([[BUSY]], [says("ok")])
        async for event in agent.stream("hi", Thread()):
            if isinstance(event, Switched):
                await asyncio.sleep(0)
                assert two.requests == []
            if isinstance(event, TextDelta):
                assert len(two.requests) == 1

    asyncio.run(main())


def test_options_may_say_other_models_or_none() -> None:
    agent, (_, two) = agent_of([[BUSY]], [says("ok")])
    three = Named("three", says("me"))
    thread = Thread()
    turn(agent, thread, options=Options(fallback=(Model(three, "x"),)))
    assert (thread.messages[-1].model, two.requests) == ("three/x", [])
    with pytest.raises(ProviderError):
        turn(agent, thread, options=Options(fallback=()))


def test_a_smaller_model_gets_a_shorter_conversation() -> None:
    summary = says("They asked.")
    one, two = Named("one", [BUSY]), Named("two", summary, says("ok"))
    agent = Agent(one, "m", window=100_000, fallback=[Model(two, "s", 12_000)])
    thread = conversation(turns=10)
    events = turn(agent, thread)
    assert [type(event).__name__ for event in events][1:4] == ["Switched", "Waiting", "Compacted"]
    assert [event.compaction.model for event in events if isinstance(event, Compacted)] == ["two/s"]
    assert len(one.requests[0].messages) == 21
    assert len(two.requests[1].messages) < 10


def test_every_provider_is_closed_once_even_if_one_fails() -> None:
    class Stuck(Named):
        async def aclose(self) -> None:
            await super().aclose()
            raise OSError("stuck")

    one, two, three = Named("one"), Stuck("two"), Named("three")
    agent = Agent(one, "m", fallback=[(one, "other"), (two, "m"), (three, "m")])
    with pytest.raises(OSError, match="stuck"):
        asyncio.run(agent.aclose())
    assert [provider.closed for provider in (one, two, three)] == [1, 1, 1]
