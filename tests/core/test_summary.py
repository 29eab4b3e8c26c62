"""A summary of a record: in one request if it fits, in portions if not, and never in more than there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.event import Retrying
from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, Usage, assistant, user
from agentcli.core.provider import CallChunk, Model, ProviderError, ReasoningChunk, StopChunk, TextChunk
from agentcli.core.stream import collect
from agentcli.core.summary import MOST, SMALLEST, Summary, summarise, transcript
from agentcli.core.weight import BYTES_A_TOKEN
from tests.core.fake import Line, ScriptedProvider, says

TOO_LONG = ProviderError("context_length", "too long")


def ask(
    *answers: Sequence[Line], pieces: Sequence[str] = ("User: hi",), before: str = "", portion: float = 1_000, room: float = 500
) -> tuple[list[Retrying | Summary], ScriptedProvider]:
    provider = ScriptedProvider(*answers)
    stream = summarise(Model(provider, "m"), pieces, before=before, portion=portion, room=room, settings={})
    return asyncio.run(collect(stream)), provider


def records(provider: ScriptedProvider) -> list[str]:
    """What each request gave the model to read."""
    said = [asked.messages[0].text for asked in provider.requests]
    return [text.partition("=== record ===\n")[2].removesuffix("\n=== end of the record ===\n") for text in said]


def test_one_request_in_plain_text_without_anything_else() -> None:
    provider = ScriptedProvider([Retrying(attempt=1), ReasoningChunk("hm"), *says(" They ", "said hi. ", usage=Usage(70, 5))])
    settings = {"temperature": 0, "max-tokens": 5, "max_output_tokens": 5, "stop": ["."], "tool_choice": "required", "num_ctx": 8_000}
    pieces = ["User: hi", "Assistant: hello"]
    stream = summarise(Model(provider, "m"), pieces, before="", portion=1_000, room=500, wish="the numbers", settings=settings)
    assert asyncio.run(collect(stream)) == [Retrying(attempt=1), Summary("They said hi.", Usage(70, 5))]
    (asked,) = provider.requests
    assert (asked.model, asked.instructions, asked.tools, asked.schema) == ("m", "", (), None)
    assert asked.settings == {"temperature": 0, "num_ctx": 8_000}
    (message,) = asked.messages
    assert message.role == "user"
    assert "The user wants this of the summary: the numbers\n" in message.text
    assert records(provider) == ["User: hi\n\nAssistant: hello"]
    assert provider.ended == 1


def test_what_came_before_goes_along() -> None:
    _, provider = ask(says("All."), before="They had begun.")
    assert "=== summary of what was said before the record ===\nThey had begun.\n" in provider.requests[0].messages[0].text


def test_a_record_that_is_too_long_is_read_in_portions_each_with_the_summary_so_far() -> None:
    pieces = [f"User: {number} {'x' * 300}" for number in range(20)]
    found, provider = ask(
        says("At first.", usage=Usage(1, 2)), says("And then.", usage=Usage(1, 2)), says("three"), pieces=pieces, portion=800
    )
    assert found == [Summary("three", Usage(2, 4))]
    assert "".join(records(provider)).split("\n\n") == pieces
    assert [("At first." in asked.messages[0].text, "And then." in asked.messages[0].text) for asked in provider.requests] == [
        (False, False), (True, False), (False, True),
    ]  # fmt: skip


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.sampled_from([1, 50, 2_000, 70_000]), max_size=60), st.sampled_from([0.0, 300.0, 1_000.0]), st.integers(0, 9))
def test_however_much_there_is_there_are_so_many_requests_and_no_more(sizes: list[int], portion: float, refusals: int) -> None:
    provider = ScriptedProvider(*[[TOO_LONG]] * refusals, says("so"))
    pieces = ["x" * size for size in sizes]
    stream = summarise(Model(provider, "m"), pieces, before="", portion=portion, room=500, settings={})
    found: list[Any] = []
    with suppress(ProviderError):
        found = asyncio.run(collect(stream))
    assert found or refusals
    assert len(provider.requests) <= MOST
    most = max(portion * BYTES_A_TOKEN, SMALLEST)
    assert all(len(record) <= most for record in records(provider))


def test_a_portion_that_the_model_cannot_take_is_halved() -> None:
    pieces = [f"{number} {'x' * 300}" for number in range(20)]
    found, provider = ask([TOO_LONG], [TOO_LONG], says("so"), pieces=pieces, portion=2_000)
    assert found == [Summary("so", Usage(0, 0))]
    lengths = [len(record) for record in records(provider)]
    assert lengths[0] > 2 * lengths[2] - 400 > 1_000
    assert "".join(records(provider)[2:]).replace("\n", "") == "".join(pieces)


@pytest.mark.parametrize(
    "answer",
    [
        [StopChunk("done")],
        [ReasoningChunk("hm"), StopChunk("done")],
        says("I will not", stop="refused"),
        [TextChunk("half a summ")],
        [CallChunk(0, "a", "look", "{}"), StopChunk("tools")],
    ],
)
def test_no_summary_is_a_failure(answer: list[Line]) -> None:
    with pytest.raises(ProviderError, match="wrote no summary"):
        ask(answer)


def test_another_failure_is_the_callers_to_tell() -> None:
    with pytest.raises(ProviderError, match="busy"):
        ask([ProviderError("overloaded", "busy")])


def test_a_summary_takes_no_more_room_than_it_may() -> None:
    (found,), _ = ask(says("x" * 9_000, stop="length"), room=100)
    assert isinstance(found, Summary)
    assert 340 < len(found.text) <= 350
    (found,), _ = ask(says("字" * 9_000, stop="length"), room=100)
    assert isinstance(found, Summary)
    assert 90 < len(found.text) < 200


def test_portions_are_measured_in_tokens_whatever_the_script() -> None:
    _, provider = ask(says("so"), pieces=["字" * 3_000], portion=1_000)
    assert [len(record) for record in records(provider)] == [1_166, 1_166, 668]


def test_a_transcript_is_what_was_said_and_done_in_words() -> None:
    said = [
        user("look at this", Blob("image/png", b"x", name="a.png")),
        assistant(Reasoning("hm"), Text("I'll look."), ToolCall("c", "look", '{"at": 1}')),
        assistant(ToolCall("d", "see", "{}")),
    ]
    results = Message(role="tool", parts=(ToolResult("c", "y" * 5_000), ToolResult("d", "no", is_error=True)))
    lines = transcript([user("", "  "), *said, results])
    assert lines[:3] == [
        "User: look at this\nUser: [An attachment was here, and is left out now: a.png (image/png)]",
        'Assistant: I\'ll look.\n[The assistant calls look: {"at": 1}]',
        "[The assistant calls see: {}]",
    ]
    first, *_, last = lines[3].split("\n")
    assert first.startswith("[look answers: yyy")
    assert len(lines[3]) < 1_300
    assert last == "[see failed: no]"
