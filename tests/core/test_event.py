"""Events: their JSON is a contract with scripts, and a turn can be added up from them."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from agentcli.core.document import Compaction
from agentcli.core.event import (
    Compacted,
    Event,
    Failure,
    MessageAdded,
    NotCompacted,
    ReasoningDelta,
    Retrying,
    Switched,
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
    Switched: "switched",
    Compacted: "compacted",
    NotCompacted: "not_compacted",
    TurnEnded: "turn_ended",
}


def made(kind: type[Event]) -> Event:
    if kind is MessageAdded:
        return MessageAdded("me", "k7", message=user("a"))
    if kind is Compacted:
        return Compacted("me", "k7", compaction=Compaction(through="a", count=1))
    return kind("me", "k7")  # type: ignore[call-arg]


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
    assert ended.usage == {"input": 14, "output": 26, "cached": 0, "reasoning": 0, "cache_write": 0, "total": 40}
    assert (ended.retries, ended.denied, ended.model, ended.thread) == (1, ("f",), "fake/m", "k7")
    assert ended.first_token_seconds is not None
    assert 0 <= ended.first_token_seconds <= ended.seconds


def test_the_calls_that_end_a_turn_are_told() -> None:
    tally = Tally("me", "k7")
    tally.add(MessageAdded("me", "k7", message=answer(ToolCall("1", "f", '{"a":1}'))))
    assert tally.ended("tools").tool_calls == ({"id": "1", "name": "f", "arguments": '{"a":1}'},)
    assert tally.ended("tools").first_token_seconds is None


def test_what_a_summary_took_is_counted_and_the_model_that_answers_is_named() -> None:
    tally = Tally("me", "k7")
    tally.add(Compacted("me", "k7", compaction=Compaction(through="a", count=1, summary="s", usage=Usage(100, 10))))
    tally.add(Compacted("me", "k7", compaction=Compaction(through="b", count=2)))
    tally.add(Switched("me/inner", "k8", model="fake/inner"))
    assert tally.ended("failed").model is None
    tally.add(Switched("me", "k7", model="fake/other", instead_of="fake/m"))
    assert tally.ended("interrupted").model == "fake/other"
    assert tally.ended("interrupted").usage["total"] == 110
