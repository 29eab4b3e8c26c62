"""Messages: values, text that can be written, ids that can be typed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.message import (
    Blob,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    new_id,
    speakable,
    user,
)

any_text = st.text(st.characters(codec=None))  # with lone surrogates


@settings(deadline=None, derandomize=True, max_examples=200)
@given(any_text)
def test_speakable_text_can_be_encoded_and_whole_text_is_untouched(text: str) -> None:
    told = speakable(text)
    told.encode()
    assert speakable(told) == told
    try:
        text.encode()
    except UnicodeEncodeError:
        assert "�" in told or len(told) < len(text)  # replaced, or two halves joined
    else:
        assert told is text


def test_two_halves_of_a_pair_become_one_character() -> None:
    assert speakable("\ud83d\ude00") == "😀"
    assert speakable("a\ud83db") == "a�b"


def test_ids_are_eight_typable_characters_and_differ() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 8 and not set(one) - set("0123456789abcdefghjkmnpqrstvwxyz") for one in ids)


def test_properties_read_the_parts() -> None:
    call = ToolCall("1", "clock", "{}")
    said = Message(role="assistant", parts=(Reasoning("hm"), Text("a"), call, Text("b")))
    assert (said.text, said.reasoning, said.calls, said.results) == ("ab", "hm", (call,), ())
    assert Message(role="tool", parts=(ToolResult("1", "ok"),)).results == (ToolResult("1", "ok"),)


def test_user_and_assistant_take_words_and_parts() -> None:
    image = Blob("image/png", b"\x89PNG")
    assert user("look\ud800", image).parts == (Text("look�"), image)
    assert assistant("hello", author="chief").author == "chief"
    assert assistant("hello").whole


@pytest.mark.parametrize("stop", ["length", "interrupted", "timed_out", "failed", "crashed"])
def test_a_cut_answer_is_not_whole(stop: str) -> None:
    assert not msgspec.convert({"role": "assistant", "stop": stop, "parts": []}, Message).whole


def test_usage_adds_up() -> None:
    assert Usage(1, 2, 3, 4) + Usage(10, 20, 30, 40) == Usage(11, 22, 33, 44)


def test_a_message_is_the_same_after_json() -> None:
    said = Message(
        role="assistant",
        author="agentcli",
        model="openai/x",
        stop="tools",
        usage=Usage(3, 4),
        parts=(Text("a", {"openai-chat": {"k": 1}}), ToolCall("1", "f", '{"a": 1e400'), Blob("image/png", b"\x00\xff")),
    )
    encoded = msgspec.json.encode(said)
    assert msgspec.json.decode(encoded, type=Message) == said
    assert list(msgspec.json.decode(encoded)) == ["id", "at", "role", "author", "model", "stop", "usage", "parts"]
