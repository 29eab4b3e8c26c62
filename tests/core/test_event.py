"""Events: their JSON is a contract with scripts, and a turn can be added up from them."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from agentcli.core.event import (
    Event,
    Failure,
    MessageAdded,
    ReasoningDelta,
    Retrying,
    Tally,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from agentcli.core.message import Message, Text, ToolCall, Usage, user

NAMES = {
    TextDelta: "text_delta",
    ReasoningDelta: "reasoning_delta",
    ToolStarted: "tool_started",
    ToolProgress: "tool_progress",
    ToolFinished: "tool_finished",
    MessageAdded: "message_added",
    Waiting: "waiting",
    Retrying: "retrying",
    TurnEnded: "turn_ended",
}


def made(kind: type[Event]) -> Event:
    return MessageAdded("me", "k7", message=user("a")) if kind is MessageAdded else kind("me", "k7")  # type: ignore[call-arg]


def test_every_event_is_in_this_table() -> None:
    assert set(NAMES) == set(get_args(Event))


@pytest.mark.parametrize(("kind", "name"), NAMES.items(), ids=NAMES.values())
def test_an_event_says_its_name_who_and_where_and_comes_back(kind: type[Event], name: str) -> None:
    event = made(kind)
    encoded = msgspec.json.encode(event)
    document = msgspec.json.decode(encoded)
    assert list(document)[:3] == ["event", "source", "thread"]
    assert document["event"] == name
    decoded: Event = msgspec.json.decode(encoded, type=Event)
    assert decoded == event


def test_the_last_line_has_the_fields_of_the_contract() -> None:
    ended = TurnEnded("me", "k7", error=Failure("cut", "cut off"))
    document = msgspec.json.decode(msgspec.json.encode(ended))
    wanted = [
        "thread",
        "model",
        "stop",
        "text",
        "reasoning",
        "tool_calls",
        "usage",
        "cost",
        "seconds",
        "first_token_seconds",
        "retries",
        "error",
    ]
    assert set(wanted) <= document.keys()
    assert document["error"] == {"kind": "cut", "message": "cut off", "hint": ""}


def answer(*parts: Text | ToolCall, usage: Usage | None = None) -> Message:
    return Message(role="assistant", model="fake/m", usage=usage, parts=parts)


def test_a_turn_adds_up_to_its_last_answer_and_all_its_tokens() -> None:
    tally = Tally("me", "k7")
    call = ToolCall("1", "f", "{}")
    for event in (
        MessageAdded("me", "k7", message=user("a")),
        Retrying("me", "k7", attempt=1),
        ReasoningDelta("me", "k7", "hm"),
        TextDelta("me", "k7", "let me see"),
        MessageAdded("me", "k7", message=answer(Text("let me see"), call, usage=Usage(1, 2))),
        ToolFinished("me", "k7", call_id="1", name="f", denied=True),
        TextDelta("me/inner", "k8", "not mine"),
        MessageAdded("me/inner", "k8", message=answer(Text("not mine"), usage=Usage(10, 20))),
        TextDelta("me", "k7", "it is "),
        TextDelta("me", "k7", "so"),
    ):
        tally.add(event)
    cut = tally.ended("interrupted")
    assert (cut.text, cut.reasoning, cut.tool_calls, cut.stop) == ("it is so", "", (), "interrupted")
    tally.add(MessageAdded("me", "k7", message=answer(Text("it is so"), usage=Usage(3, 4))))
    ended = tally.ended("done")
    assert ended.text == "it is so"
    assert ended.usage == {"input": 14, "output": 26, "cached": 0, "reasoning": 0}
    assert (ended.retries, ended.denied, ended.model, ended.thread) == (1, ("f",), "fake/m", "k7")
    assert ended.first_token_seconds is not None
    assert 0 <= ended.first_token_seconds <= ended.seconds


def test_the_calls_that_end_a_turn_are_told() -> None:
    tally = Tally("me", "k7")
    tally.add(MessageAdded("me", "k7", message=answer(ToolCall("1", "f", '{"a":1}'))))
    assert tally.ended("tools").tool_calls == ({"id": "1", "name": "f", "arguments": '{"a":1}'},)
    assert tally.ended("tools").first_token_seconds is None
