"""The turn: what is asked, what is answered, and the five uses of an agent in a program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic, sleep
from typing import Any

import pytest

from agentcli.core.agent import Agent, Options
from agentcli.core.event import (
    Event,
    MessageAdded,
    ReasoningDelta,
    Retrying,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, Usage, assistant, user
from agentcli.core.provider import CallChunk, ProviderError, ReasoningChunk, StopChunk, TextChunk, ToolSpec
from agentcli.core.stream import collect
from agentcli.core.thread import MAY_HAVE_RUN, NOT_RUN, Thread
from agentcli.core.tool import Tool, tool
from agentcli.errors import UserError
from tests.core.fake import ScriptedProvider, agent_of, calls, says


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def events_of(agent: Agent, message: str | Message | None, thread: Thread | None = None, options: Options = Options()) -> list[Event]:
    return asyncio.run(collect(agent.stream(message, thread, options)))


def texts(messages: list[Message]) -> list[str]:
    return [f"{message.role}: {message.text}" for message in messages]


def test_a_turn_event_by_event() -> None:
    agent, provider = agent_of(
        [
            Waiting(what="connecting"),
            Retrying(attempt=1, reason="busy"),
            ReasoningChunk("hm"),
            *says("2", "+2 is 4", usage=Usage(3, 4)),
        ],
        name="chief",
    )
    thread = Thread()
    events = events_of(agent, "2+2?", thread)
    asked, answered = thread.messages
    assert all((event.source, event.thread) == ("chief", thread.id) for event in events)
    assert events[:-1] == [
        MessageAdded("chief", thread.id, message=asked),
        Waiting("chief", thread.id, "connecting"),
        Retrying("chief", thread.id, 1, reason="busy"),
        ReasoningDelta("chief", thread.id, "hm"),
        TextDelta("chief", thread.id, "2"),
        TextDelta("chief", thread.id, "+2 is 4"),
        MessageAdded("chief", thread.id, message=answered),
    ]
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert (ended.text, ended.reasoning, ended.stop, ended.model, ended.retries) == ("2+2 is 4", "hm", "done", "fake/model", 1)
    assert ended.usage == {"input": 3, "output": 4, "cached": 0, "reasoning": 0, "cache_write": 0, "total": 7}
    assert asked.parts == (Text("2+2?"),)
    assert answered.parts == (Reasoning("hm"), Text("2+2 is 4"))
    assert (answered.author, answered.model, answered.stop, answered.usage) == ("chief", "fake/model", "done", Usage(3, 4))
    assert provider.ended == 1


def test_the_request_is_what_the_agent_and_the_options_say() -> None:
    agent, provider = agent_of(says("ok"), instructions="Be kind.", tools=[add], settings={"temperature": 0, "effort": "low"})

    @tool
    def more() -> None:
        """More."""

    @tool(name="add")
    def other_add(a: int) -> int:
        """Add one."""
        return a + 1

    events_of(agent, "hi")
    events_of(agent, "hi", options=Options(instructions="Be brief.", tools=(more, other_add), settings={"effort": "high"}))
    first, second = provider.requests
    assert (first.model, first.instructions, first.settings) == ("model", "Be kind.", {"temperature": 0, "effort": "low"})
    assert first.tools == (add.spec,)
    assert second.instructions == "Be kind.\n\nBe brief."
    assert second.settings == {"temperature": 0, "effort": "high"}
    assert second.tools == (other_add.spec, more.spec)


# The five uses


def test_use_1_a_stateless_question() -> None:
    agent, provider = agent_of(says("4"), says("5"))

    async def main() -> None:
        ((answer, thread),) = await collect(agent.invoke("2+2?"))
        assert answer.text == "4"
        ((_, other),) = await collect(agent.invoke("2+3?"))
        assert thread is not other
        assert texts(provider.requests[1].messages) == ["user: 2+3?"]

    asyncio.run(main())


def test_use_2_turns_on_a_captured_thread() -> None:
    agent, provider = agent_of(says("Hello Ada."), says("Ada."))

    async def main() -> None:
        *_, (_, thread) = await collect(agent.invoke("I am Ada."))
        *_, (answer, same) = await collect(agent.invoke("Who am I?", thread))
        assert same is thread
        assert answer.text == "Ada."
        assert texts(provider.requests[1].messages) == ["user: I am Ada.", "assistant: Hello Ada.", "user: Who am I?"]

    asyncio.run(main())


def test_use_3_a_thread_with_a_history() -> None:
    agent, provider = agent_of(says("Ada."))
    thread = Thread.of(user("I am Ada.", Blob("image/png", b"x")), assistant("Hello."))
    events_of(agent, "Who am I?", thread)
    assert texts(provider.requests[0].messages) == ["user: I am Ada.", "assistant: Hello.", "user: Who am I?"]
    assert provider.requests[0].messages[0].parts[1] == Blob("image/png", b"x")


def test_use_4_a_loop() -> None:
    agent, provider = agent_of(says("1"), says("2"), says("3"))

    async def main() -> list[str]:
        thread, said = Thread(), []
        for question in ("a", "b", "c"):
            async for message, _ in agent.invoke(question, thread):
                said.append(message.text)
        return said

    assert asyncio.run(main()) == ["1", "2", "3"]
    assert len(provider.requests[2].messages) == 5


def test_use_5_a_time_limit() -> None:
    async def main() -> Thread:
        agent, _ = agent_of([TextChunk("so far"), asyncio.Event(), *says("never")], says("go on"))
        thread = Thread()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await collect(agent.invoke("a", thread))
        assert thread.messages[-1].stop == "interrupted"
        await collect(agent.invoke("b", thread))
        return thread

    assert texts(asyncio.run(main()).messages) == ["user: a", "assistant: so far", "user: b", "assistant: go on"]


def test_the_same_thread_carries_one_turn_at_a_time_and_many_threads_many() -> None:
    async def main() -> None:
        go = asyncio.Event()
        agent, provider = agent_of([go, *says("ok")])
        thread = Thread()
        first = asyncio.create_task(collect(agent.invoke("a", thread)))
        await provider.arrived.wait()
        with pytest.raises(UserError, match="already answering"):
            await collect(agent.invoke("b", thread))
        others = [asyncio.create_task(collect(agent.invoke(f"{number}"))) for number in range(100)]
        go.set()
        assert {item.message.text for (item,) in await asyncio.gather(first, *others)} == {"ok"}
        assert texts(thread.messages) == ["user: a", "assistant: ok"]
        await collect(agent.invoke("b", thread))

    asyncio.run(main())


def test_invoke_gives_the_messages_that_answer() -> None:
    agent, _ = agent_of(calls(("add", '{"a": 1, "b": 2}')), says("3"), tools=[add])

    async def main() -> list[str]:
        return [item.message.role for item in await collect(agent.invoke("1+2?"))]

    assert asyncio.run(main()) == ["assistant", "tool", "assistant"]


def test_no_message_asks_again_for_an_answer() -> None:
    agent, provider = agent_of(says("b"))
    thread = Thread.of(user("a"))
    events_of(agent, None, thread)
    assert texts(provider.requests[0].messages) == ["user: a"]
    assert texts(thread.messages) == ["user: a", "assistant: b"]


def test_an_agent_closes_its_provider() -> None:
    async def main() -> None:
        agent, provider = agent_of(says("a"))
        async with agent as same:
            assert same is agent
        assert provider.closed == 1

    asyncio.run(main())


def test_a_thread_that_was_left_with_open_calls_is_settled_first() -> None:
    agent, provider = agent_of(says("b"))
    thread = Thread.of(user("a"), assistant(ToolCall("1", "f", "{}")))
    events_of(agent, "well?", thread)
    assert [message.role for message in provider.requests[0].messages] == ["user", "assistant", "tool", "user"]


# Tools


def test_a_turn_with_a_tool_event_by_event() -> None:
    agent, provider = agent_of([TextChunk("see: "), *calls(("add", '{"a": 1, "b": 2}', "c1"))], says("It is 3."), tools=[add])
    thread = Thread()
    events = events_of(agent, "1+2?", thread)
    assert [type(event) for event in events] == [
        MessageAdded, TextDelta, MessageAdded, ToolStarted, ToolFinished, MessageAdded, TextDelta, MessageAdded, TurnEnded,
    ]  # fmt: skip
    assert events[3] == ToolStarted("agentcli", thread.id, "c1", "add", '{"a": 1, "b": 2}')
    assert thread.messages[2].parts == (ToolResult("c1", "3"),)
    assert provider.requests[1].messages == thread.messages[:3]
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert (ended.text, ended.tool_calls, ended.stop) == ("It is 3.", (), "done")


def tools_that_wait(seconds: float) -> tuple[Tool, Tool]:
    @tool
    def sync(number: int) -> int:
        """Wait."""
        sleep(seconds)
        return number

    @tool
    async def later(number: int) -> int:
        """Wait."""
        await asyncio.sleep(seconds)
        return number

    return sync, later


@pytest.mark.parametrize(("which", "count"), [("sync", 3), ("later", 3), ("sync", 50), ("later", 50)])
def test_the_tools_of_one_answer_run_side_by_side(which: str, count: int) -> None:
    agent, _ = agent_of(calls(*((which, f'{{"number": {n}}}') for n in range(count))), says("ok"), tools=tools_that_wait(0.2))
    thread = Thread()
    began = monotonic()
    events_of(agent, "go", thread)
    assert monotonic() - began < 0.2 + 0.5
    assert [result.content for result in thread.messages[2].results] == [str(n) for n in range(count)]


def test_results_come_as_they_finish_and_stand_in_the_order_of_the_calls() -> None:
    @tool
    async def wait(tenths: int) -> int:
        """Wait."""
        await asyncio.sleep(tenths / 50)
        return tenths

    agent, _ = agent_of(calls(*(("wait", f'{{"tenths": {n}}}') for n in (3, 1, 2, 0))), says("ok"), tools=[wait])
    thread = Thread()
    events = events_of(agent, "go", thread)
    assert [event.content for event in events if isinstance(event, ToolFinished)] == ["0", "1", "2", "3"]
    assert [result.content for result in thread.messages[2].results] == ["3", "1", "2", "0"]


def test_wrong_calls_are_answers_and_do_not_keep_the_others_from_running() -> None:
    @tool
    def fail() -> None:
        """Fail."""
        raise OSError("disk on fire")

    wanted = calls(
        ("add", '{"a": 1, "b": 2}'),
        ("subtract", "{}"),
        ("add", '{"a": "x", "b": 2}'),
        ("add", '{"a": 1'),
        ("fail", "{}"),
        ("add", "[]"),
    )
    agent, _ = agent_of(wanted, says("ok"), tools=[add, fail])
    thread = Thread()
    events_of(agent, "go", thread)
    results = thread.messages[2].results
    assert [result.is_error for result in results] == [False, True, True, True, True, True]
    assert results[1].content == "There is no tool called 'subtract'. The tools are: add, fail."
    assert "wrong arguments for add" in results[2].content
    assert "$.a" in results[2].content
    assert "not JSON" in results[3].content
    assert results[4].content == "OSError: disk on fire"
    assert "must be a JSON object" in results[5].content


def test_a_call_without_any_tools_says_so() -> None:
    agent, _ = agent_of(calls(("f", "{}")), says("ok"))
    thread = Thread()
    events_of(agent, "go", thread)
    assert thread.messages[2].results[0].content == "There is no tool called 'f'. The tools are: none."


def test_progress_of_a_tool_is_signed_by_its_agent() -> None:
    @tool
    async def count() -> AsyncGenerator[str, None]:
        """Count."""
        yield "1"
        yield "2"

    agent, _ = agent_of(calls(("count", "{}", "x")), says("ok"), tools=[count])
    thread = Thread()
    progress = [event for event in events_of(agent, "go", thread) if isinstance(event, ToolProgress)]
    assert progress == [ToolProgress("agentcli", thread.id, "x", "1"), ToolProgress("agentcli", thread.id, "x", "2")]
    assert thread.messages[2].results[0].content == "2"


def test_a_tool_has_its_time_and_no_more() -> None:
    agent, _ = agent_of(calls(("later", '{"number": 1}')), says("ok"), tools=tools_that_wait(30))
    thread = Thread()
    events_of(agent, "go", thread, Options(tool_timeout=0.05))
    assert "took longer than 0.05 s" in thread.messages[2].results[0].content


def test_the_finish_of_a_nested_agents_tool_is_not_taken_for_ones_own() -> None:
    """Both may be `call_0`."""

    async def run(_: dict[str, Any]) -> AsyncGenerator[Event | str, None]:
        yield ToolFinished("chief/inner", "k8", "call_0", "inner", "theirs")
        await asyncio.sleep(0.05)
        raise LookupError("mine")

    agent, _ = agent_of(calls(("nest", "{}", "call_0")), says("ok"), tools=[Tool(ToolSpec("nest", "", {}), run)])
    thread = Thread()
    events = events_of(agent, "go", thread)
    assert thread.messages[2].results == (ToolResult("call_0", "LookupError: mine", is_error=True),)
    assert [event.source for event in events if isinstance(event, ToolFinished)] == ["chief/inner", "agentcli"]

    async def leave() -> Thread:
        agent, _ = agent_of(calls(("nest", "{}", "call_0")), tools=[Tool(ToolSpec("nest", "", {}), run)])
        thread = Thread()
        async with aclosing(agent.stream("go", thread)) as events:
            async for event in events:
                if isinstance(event, ToolFinished):
                    break
        return thread

    assert asyncio.run(leave()).messages[2].results == (ToolResult("call_0", MAY_HAVE_RUN, is_error=True),)


def test_a_check_that_fails_in_its_own_way_is_an_answer() -> None:
    def check(_: dict[str, Any]) -> None:
        raise KeyError("x")

    agent, _ = agent_of(calls(("add", "{}")), says("ok"), tools=[Tool(add.spec, add.run, check=check)])
    thread = Thread()
    events_of(agent, "go", thread)
    assert thread.messages[2].results[0].content == "KeyError: 'x'"


# Approval


def asking() -> tuple[Tool, list[str]]:
    ran: list[str] = []

    @tool(asks=True)
    def write(text: str) -> str:
        """Write."""
        ran.append(text)
        return f"wrote {text}"

    return write, ran


def test_a_tool_that_asks_is_not_run_without_anyone_to_ask() -> None:
    write, ran = asking()
    agent, _ = agent_of(calls(("write", '{"text": "a"}')), says("ok"), tools=[write])
    thread = Thread()
    events = events_of(agent, "go", thread)
    assert ran == []
    assert thread.messages[2].results == (ToolResult("call_0", "This call was not allowed: there was nobody to ask.", is_error=True),)
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.denied == ("write",)


def test_approval_is_asked_one_at_a_time_with_words_and_runs_what_was_allowed() -> None:
    write, ran = asking()
    wanted = calls(
        *(("write", f'{{"text": "{text}"}}') for text in "abc"), ("add", '{"a": 1, "b": 2}'), ("write", "{}"), ("write", '{"text": 5}')
    )
    agent, _ = agent_of(wanted, says("ok"), tools=[write, add])
    answers: dict[str, bool | str] = {"a": True, "b": False, "c": "rather not"}
    asked: list[str] = []
    busy = False

    async def approve(call: ToolCall, which: Tool) -> bool | str:
        nonlocal busy
        assert not busy
        assert which is write
        assert ran == [], "nothing runs before all have been asked"
        busy = True
        await asyncio.sleep(0.01)
        busy = False
        asked.append(call.arguments[10])
        return answers[call.arguments[10]]

    thread = Thread()
    events = events_of(agent, "go", thread, Options(approve=approve))
    assert (asked, ran) == (["a", "b", "c"], ["a"]), "what is free or cannot run is not asked about"
    assert [result.content for result in thread.messages[2].results][:4] == [
        "wrote a",
        "The user did not allow this call.",
        "The user did not allow this call. They said: rather not",
        "3",
    ]
    assert [event.denied for event in events if isinstance(event, ToolFinished) and event.name == "write"].count(True) == 2


def test_an_empty_word_is_a_no() -> None:
    write, ran = asking()

    async def approve(call: ToolCall, which: Tool) -> bool | str:
        return ""

    agent, _ = agent_of(calls(("write", '{"text": "a"}')), says("ok"), tools=[write])
    events_of(agent, "go", options=Options(approve=approve))
    assert ran == []


def test_what_fails_while_asking_ends_the_turn_and_runs_nothing() -> None:
    write, ran = asking()

    async def approve(call: ToolCall, which: Tool) -> bool | str:
        if "b" in call.arguments:
            raise UserError("the terminal is gone")
        return True

    agent, _ = agent_of(calls(*(("write", f'{{"text": "{text}"}}') for text in "ab")), says("ok"), tools=[write])
    thread = Thread()
    with pytest.raises(UserError, match="terminal"):
        events_of(agent, "go", thread, Options(approve=approve))
    assert ran == []
    assert [result.content for result in thread.messages[2].results] == [NOT_RUN, NOT_RUN]


# The end


def test_the_limit_of_steps_ends_a_turn_that_would_go_on() -> None:
    agent, provider = agent_of(calls(("add", '{"a": 1, "b": 2}')), tools=[add], max_steps=3)
    thread = Thread()
    events = events_of(agent, "go", thread)
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.stop == "tools"
    assert [call["name"] for call in ended.tool_calls] == ["add"]
    assert len(provider.requests) == 3
    assert thread.messages[-1].results[0].content == NOT_RUN
    assert isinstance(events[-2], MessageAdded)
    assert events[-2].message == thread.messages[-1]
    events_of(agent, "go", Thread(), Options(max_steps=1))
    assert len(provider.requests) == 4


@pytest.mark.parametrize("stop", ["done", "length", "refused"])
def test_a_turn_ends_as_its_answer_did(stop: str) -> None:
    agent, _ = agent_of([TextChunk("a"), StopChunk(stop)])  # type: ignore[arg-type]
    ended = events_of(agent, "go")[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.stop == stop


def test_a_server_that_says_tools_and_calls_none_has_answered() -> None:
    agent, _ = agent_of(says("a", stop="tools"))
    ended = events_of(agent, "go")[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.stop == "done"


def test_calls_are_run_whatever_the_server_called_the_end() -> None:
    agent, _ = agent_of([CallChunk(0, "x", "add", '{"a": 1, "b": 2}'), StopChunk("done")], says("3"), tools=[add])
    thread = Thread()
    events_of(agent, "go", thread)
    assert thread.messages[2].results == (ToolResult("x", "3"),)


def test_an_answer_that_just_ends_is_a_cut() -> None:
    agent, _ = agent_of([TextChunk("half")], says("ok"))
    thread = Thread()
    with pytest.raises(ProviderError) as caught:
        events_of(agent, "go", thread)
    assert (caught.value.kind, caught.value.exit_code) == ("cut", 75)
    assert (thread.messages[-1].text, thread.messages[-1].stop) == ("half", "failed")
    events_of(agent, None, thread)


def test_an_empty_answer_is_kept_and_not_sent() -> None:
    agent, provider = agent_of([StopChunk("done")], says("ok"))
    thread = Thread()
    events_of(agent, "a", thread)
    events_of(agent, "b", thread)
    assert texts(provider.requests[1].messages) == ["user: ab"]


def test_leaving_invoke_early_closes_the_stream_below() -> None:
    async def main() -> None:
        agent, provider = agent_of(calls(("add", '{"a": 1, "b": 2}')), says("3"), tools=[add])
        thread = Thread()
        async with aclosing(agent.invoke("go", thread)) as items:
            async for _ in items:
                break
        assert provider.ended == 1
        assert thread.messages[-1].results[0].content == NOT_RUN
        with thread.held():
            pass

    asyncio.run(main())


def test_the_fake_is_a_provider() -> None:
    from agentcli.core.provider import Provider

    provider: Provider = ScriptedProvider(says("a"))
    assert provider.name == "fake"
