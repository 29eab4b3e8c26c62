"""The Messages API: what is sent, and what is made of whatever comes back."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.event import Retrying
from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, Usage, assistant, user
from agentcli.core.provider import Chunk, Draft, ProviderError, ReasoningChunk, Request, StopChunk, TextChunk, ToolSpec
from agentcli.core.thread import sendable
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.anthropic import Answer, encode
from agentcli.providers.anthropic.message import Before
from agentcli.providers.anthropic.model import Model
from agentcli.providers.anthropic.schema import held
from agentcli.providers.sse import LIMIT
from tests.model_server import ModelServer
from tests.providers.histories import CLOCK, HISTORIES, request, same_as_snapshot

SONNET = "claude-sonnet-5"
OLDER = "claude-sonnet-4-5"
MARK = {"type": "ephemeral"}


# --- what is sent ---


def ask(*messages: Any, model: str = SONNET, **more: Any) -> dict[str, Any]:
    """The body for this conversation."""
    said = messages or (user("Hello"),)
    return encode(Request(model=model, messages=sendable(said), asked=said[-1].parts, **more))


def plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages without the marks for the cache."""
    return [
        {
            **message,
            "content": [{key: value for key, value in block.items() if key != "cache_control"} for block in message["content"]],
        }
        for message in messages
    ]


def check(body: dict[str, Any]) -> None:
    """What the API refuses, beyond the shapes."""
    messages = body["messages"]
    marks = [block["cache_control"] for block in (*body.get("system", ()), *body.get("tools", ())) if "cache_control" in block]
    ids: set[str] = set()
    waiting: list[str] = []
    assert messages[0]["role"] == "user"
    for number, message in enumerate(messages):
        blocks = message["content"]
        assert blocks
        assert message["role"] == ("user", "assistant")[number % 2]
        kinds = [block["type"] for block in blocks]
        if message["role"] == "assistant":
            assert kinds[-1] not in ("thinking", "redacted_thinking")
        assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result")  # results come first
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert results == waiting
        waiting = []
        for block in blocks:
            if "cache_control" in block:
                assert block["type"] not in ("thinking", "redacted_thinking")
                marks.append(block["cache_control"])
            match block["type"]:
                case "text":
                    assert block["text"].strip()
                case "tool_use":
                    assert re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"])
                    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", block["name"])
                    assert isinstance(block["input"], dict)
                    assert block["id"] not in ids
                    ids.add(block["id"])
                    waiting.append(block["id"])
                case "tool_result":
                    assert block.get("content", "x").strip()
                case "thinking":
                    assert block["signature"]
    assert not waiting
    assert len(marks) <= 4


def test_every_history_is_sent_as_before() -> None:
    same_as_snapshot("anthropic", {history: encode(request(history, model=SONNET))["messages"] for history in HISTORIES})


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("model", [SONNET, OLDER, "qwen3"])
def test_every_history_is_one_that_a_strict_server_takes(history: str, model: str) -> None:
    for name in ("anthropic", "lab"):
        check(encode(request(history, model=model, settings={"thinking": 2_000}), name))


def test_a_request_says_what_is_wanted() -> None:
    body = encode(request("one question", model=SONNET))
    assert {key: body[key] for key in ("model", "stream", "max_tokens")} == {"model": SONNET, "stream": True, "max_tokens": 64_000}
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": MARK}]
    assert body["tools"][1] == {
        "name": "clock",
        "description": "The time of day.",
        "input_schema": {"type": "object", "properties": {}},
        "cache_control": MARK,
    }
    bare = ask()
    assert bare.keys() == {"model", "max_tokens", "stream", "messages", "thinking"}


def test_a_schema_that_is_a_choice_at_the_top_is_sent_without_it() -> None:
    spec = ToolSpec("t", "", {"properties": {"a": {}}, "oneOf": [{"required": ["a"]}]})
    assert ask(tools=(spec,))["tools"] == [
        {"name": "t", "input_schema": {"type": "object", "properties": {"a": {}}}, "cache_control": MARK}
    ]


@pytest.mark.parametrize(
    ("model", "most", "thinking"),
    [
        ("claude-3-opus-20240229", 4_096, 4_096),
        ("claude-3-5-haiku-20241022", 8_192, 8_192),
        ("claude-3-7-sonnet-20250219", 32_000, 64_000),
        ("claude-opus-4-20250514", 32_000, 32_000),
        ("claude-opus-4-1", 32_000, 32_000),
        ("claude-sonnet-4-20250514", 32_000, 64_000),
        ("claude-haiku-4-5-20251001", 32_000, 64_000),
        ("us.anthropic.claude-opus-4-5@20251101", 32_000, 64_000),
        ("claude-opus-4-6", 32_000, 64_000),
        ("claude-sonnet-5", 64_000, 64_000),
        ("claude-fable-5-1", 64_000, 64_000),
        ("claude-mythos-preview", 64_000, 64_000),
        ("qwen3", 8_192, 16_384),
    ],
)
def test_the_tokens_that_must_be_named(model: str, most: int, thinking: int) -> None:
    assert ask(model=model)["max_tokens"] == most
    assert ask(model=model, settings={"thinking": True})["max_tokens"] == thinking
    assert ask(model=model, settings={"max-tokens": 7})["max_tokens"] == 7
    assert ask(model=model, settings={"max-tokens": None})["max_tokens"] == most


SHOWN = {"type": "adaptive", "display": "summarized"}


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("model", "given", "thinking", "effort"),
    [
        # nobody asked: no word of it, but to models that think anyway
        ("claude-3-5-haiku-20241022", {}, None, None),
        ("claude-opus-4-8", {}, None, None),
        ("claude-sonnet-5", {}, SHOWN, None),
        ("qwen3", {}, None, None),
        # effort
        ("claude-3-5-haiku-20241022", {"effort": "high"}, None, None),
        ("claude-sonnet-4-5", {"effort": "low"}, budget(2_048), None),
        ("claude-sonnet-4-5", {"effort": "none"}, None, None),
        ("claude-opus-4-5", {"effort": "high"}, budget(24_576), "high"),
        ("claude-sonnet-4-6", {"effort": "high"}, SHOWN, "high"),
        ("claude-opus-4-8", {"effort": "xhigh"}, SHOWN, "xhigh"),
        ("claude-sonnet-5", {"effort": "minimal"}, SHOWN, "low"),
        ("claude-sonnet-5", {"effort": "none"}, {"type": "disabled"}, None),
        ("claude-sonnet-5", {"effort": None}, SHOWN, None),
        ("qwen3", {"effort": "medium"}, budget(8_192), None),
        # thinking
        ("claude-sonnet-4-5", {"thinking": 4_000}, budget(4_000), None),
        ("claude-sonnet-4-5", {"thinking": 4_000, "effort": "max"}, budget(4_000), None),
        ("claude-sonnet-4-5", {"thinking": 10}, budget(1_024), None),
        ("claude-sonnet-4-5", {"thinking": True}, budget(8_192), None),
        ("claude-sonnet-4-5", {"thinking": "on"}, budget(8_192), None),
        ("claude-sonnet-4-5", {"thinking": False}, None, None),
        ("claude-sonnet-4-5", {"thinking": float("inf")}, budget(8_192), None),
        ("claude-sonnet-4-5", {"thinking": 100_000}, budget(48_000), None),  # three quarters of what it can write
        ("claude-sonnet-4-5", {"thinking": 7_000, "max-tokens": 8_000}, budget(7_000), None),
        ("claude-sonnet-4-5", {"thinking": 8_000, "max-tokens": 8_000}, budget(6_000), None),
        ("claude-sonnet-4-5", {"thinking": 8_000, "max-tokens": 1_000}, None, None),
        ("claude-opus-4-6", {"thinking": 4_000}, budget(4_000), None),
        ("claude-opus-4-6", {"thinking": True}, SHOWN, None),
        ("claude-opus-4-8", {"thinking": 4_000}, SHOWN, None),
        ("claude-opus-4-8", {"thinking": 0}, None, None),
        ("claude-sonnet-5", {"thinking": 0}, {"type": "disabled"}, None),
        ("claude-sonnet-5", {"thinking": None}, None, None),
        ("claude-sonnet-5", {"thinking": {"type": "adaptive"}}, {"type": "adaptive"}, None),
        ("claude-sonnet-5", {"thinking": None, "effort": "low"}, None, "low"),
        ("qwen3", {"thinking": "adaptive"}, SHOWN, None),
    ],
)
def test_how_much_a_model_thinks(model: str, given: dict[str, Any], thinking: Any, effort: str | None) -> None:
    body = ask(model=model, settings=given)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    if isinstance(thinking, dict) and "budget_tokens" in thinking:
        assert thinking["budget_tokens"] < body["max_tokens"]


def test_an_effort_that_no_budget_is_known_for_is_an_error() -> None:
    for effort in ("enormous", 3, ["high"]):
        with pytest.raises(ProviderError, match="effort") as caught:
            ask(model=OLDER, settings={"effort": effort})
        assert caught.value.kind == "bad_request"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("claude-2.1", (2, 1)),
        ("claude-instant-1.2", (1, 2)),
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-3-7-sonnet-latest", (3, 7)),
        ("claude-4-opus-20250514", (4, 0)),
        ("anthropic/claude-sonnet-4.5", (4, 5)),
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("claude-sonnet-5-5", (5, 5)),
        ("claude-opus-12", (12, 0)),
        ("claude-latest", (99, 0)),
        ("qwen3", None),
    ],
)
def test_the_version_in_a_name(name: str, version: tuple[int, int] | None) -> None:
    assert Model.of(name).version == version


@pytest.mark.parametrize(
    ("model", "more", "left"),
    [
        (OLDER, {}, {"temperature", "top_p", "top_k"}),
        (OLDER, {"thinking": 2_000}, set()),
        (OLDER, {"thinking": 2_000, "top-p": 0.97}, {"top_p"}),
        ("claude-opus-4-6", {"effort": "high"}, set()),
        ("claude-opus-4-8", {}, set()),
        (SONNET, {"thinking": False}, set()),
        ("qwen3", {}, {"temperature", "top_p", "top_k"}),
    ],
)
def test_temperature_and_the_like_only_where_they_are_taken(model: str, more: dict[str, Any], left: set[str]) -> None:
    body = ask(model=model, settings={"temperature": 0.2, "top-p": 0.5, "top-k": 5, **more})
    assert body.keys() & {"temperature", "top_p", "top_k"} == left


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", {"type": "auto"}),
        ("any", {"type": "any"}),
        ("required", {"type": "any"}),
        ("none", {"type": "none"}),
        ("clock", {"type": "tool", "name": "clock"}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, None),
    ],
)
def test_a_choice_of_tools(choice: Any, sent: Any) -> None:
    assert ask(model=OLDER, tools=(CLOCK,), settings={"tool-choice": choice}).get("tool_choice") == sent
    thinking = ask(model=OLDER, tools=(CLOCK,), settings={"tool-choice": choice, "thinking": True}).get("tool_choice")
    assert thinking == (None if sent and sent["type"] in ("any", "tool") else sent)  # a thinking model cannot be forced
    assert "tool_choice" not in ask(model=OLDER, settings={"tool-choice": choice})


def test_settings_go_by_their_names_on_the_wire() -> None:
    body = ask(model=OLDER, settings={"stop": "\n\n", "metadata": {"user_id": "u"}, "some-new-thing": {"a": 1}, "stream": None})
    assert body["stop_sequences"] == ["\n\n"]
    assert body["metadata"] == {"user_id": "u"}
    assert body["some_new_thing"] == {"a": 1}
    assert "stream" not in body
    assert ask(settings={"stop": ["a", "b"]})["stop_sequences"] == ["a", "b"]
    assert ask(settings={"effort": "low", "output-config": {"x": 1}})["output_config"] == {"effort": "low", "x": 1}
    assert ask(settings={"messages": None})["messages"]


def test_a_servers_own_tools_take_the_place_of_ours() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert ask(tools=(CLOCK,), settings={"tools": [search]})["tools"] == [{**search, "cache_control": MARK}]
    assert "tools" not in ask(tools=(CLOCK,), settings={"tools": None})


# --- the cache ---


def marked(body: dict[str, Any]) -> list[tuple[int, int]]:
    """Where in the messages marks are."""
    return [
        (number, place)
        for number, message in enumerate(body["messages"])
        for place, block in enumerate(message["content"])
        if "cache_control" in block
    ]


def test_marks_for_the_cache() -> None:
    body = encode(request("after the tools", model=SONNET))
    assert marked(body) == [(2, 1), (4, 0)]
    assert [["cache_control" in block for block in body[key]] for key in ("tools", "system")] == [[False, True], [True]]
    assert marked(ask(user("Hello"))) == []  # nothing may ever read it again
    assert marked(ask(user("Hello"), tools=(CLOCK,))) == [(0, 0)]
    assert marked(ask(user("a"), assistant("b"), user("c"))) == [(0, 0), (2, 0)]


@pytest.mark.parametrize(
    ("cache", "mark"),
    [
        (False, None),
        ("off", None),
        (True, MARK),
        (None, MARK),
        ("1h", {**MARK, "ttl": "1h"}),
        ("5m", {**MARK, "ttl": "5m"}),
        ("?", MARK),
    ],
)
def test_the_cache_can_be_turned_off_or_kept_longer(cache: Any, mark: Any) -> None:
    body = encode(request("several turns", model=SONNET, settings={"cache": cache}))
    blocks = (body["tools"][-1], body["system"][-1], body["messages"][0]["content"][0], body["messages"][2]["content"][0])
    assert [block.get("cache_control") for block in blocks] == [mark] * 4
    assert "cache" not in body


# --- attachments ---


@pytest.mark.parametrize(
    ("blob", "block"),
    [
        (Blob("image/png", b"P"), {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "UA=="}}),
        (Blob("image/jpg", b"P"), {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "UA=="}}),
        (Blob("IMAGE/WEBP; x=1", b"P"), {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "UA=="}}),
        (Blob("image/gif", b"P"), {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "UA=="}}),
        (
            Blob("application/pdf", b"P", name="a.pdf"),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "UA=="}, "title": "a.pdf"},
        ),
        (
            Blob("application/pdf", b"P"),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "UA=="}},
        ),
        (Blob("text/csv", "ä,b\n".encode(), name="a.csv"), {"type": "text", "text": '<file name="a.csv">\nä,b\n</file>'}),
        (Blob("text/plain", b"\xff"), {"type": "text", "text": "\ufffd"}),
    ],
)
def test_attachments(blob: Blob, block: dict[str, Any]) -> None:
    assert ask(user("See", blob))["messages"][0]["content"][1:] == [block]


def test_an_empty_text_is_not_sent() -> None:
    assert ask(user("See", Blob("text/plain", b" \n")))["messages"][0]["content"] == [{"type": "text", "text": "See"}]


@pytest.mark.parametrize(
    "blob",
    [Blob("image/png", ref="sha256-abc"), Blob("image/tiff", b"II"), Blob("audio/mpeg", b"ID3"), Blob("application/zip", b"PK")],
)
def test_an_attachment_that_cannot_be_sent_is_an_error_that_names_it(blob: Blob) -> None:
    with pytest.raises(ProviderError) as caught:
        ask(user("see", blob))
    assert caught.value.kind == "bad_request"
    assert blob.media_type in caught.value.message


def test_in_place_of_what_was_attached_earlier_and_cannot_be_sent_stand_words() -> None:
    heard = [user("Hear", Blob("audio/mpeg", b"ID3", name="a.mp3")), assistant("A bell."), user("Loud?")]
    words = {"type": "text", "text": "[a.mp3 (audio/mpeg) was here, which cannot be shown to you.]"}
    assert plain(ask(*heard)["messages"])[0]["content"][1] == words
    assert plain(ask(heard[0], user("Hello?"))["messages"])[0]["content"][1] == words  # unanswered, but not what is asked
    for now in (heard[0], user(Blob("audio/mpeg", b"ID3"), "Loud?")):  # in whatever order it is said
        with pytest.raises(ProviderError, match="audio/mpeg cannot be sent"):
            ask(now)


# --- histories ---


def test_ids_of_other_providers_are_made_fit_the_same_way_each_time() -> None:
    strange = ToolCall("chatcmpl-tool:1", "files.read/all", "{}")
    long = ToolCall("x" * 65, "n" * 70, "{}")
    messages = [user("?"), Message(role="assistant", parts=(strange, long)), Message(role="tool", parts=(ToolResult("x" * 65, "b"),))]
    body = ask(*messages)
    check(body)
    first, second = body["messages"][1]["content"]
    assert (first["name"], second["name"]) == ("files_read_all", "n" * 64)
    assert body == ask(*messages)
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == [first["id"], second["id"]]


def test_an_id_that_an_earlier_turn_had_is_another() -> None:
    turn = [
        Message(role="assistant", parts=(ToolCall("call_0", "clock", "{}"),)),
        Message(role="tool", parts=(ToolResult("call_0", "."),)),
    ]
    known = Message(role="assistant", parts=(ToolCall("call_0_2", "clock", "{}"),))
    body = ask(user("?"), *turn, known, Message(role="tool", parts=(ToolResult("call_0_2", "."),)), *turn)
    check(body)
    assert [block["id"] for message in body["messages"] for block in message["content"] if block["type"] == "tool_use"] == [
        "call_0",
        "call_0_2",
        "call_0_3",
    ]


def test_a_conversation_that_an_assistant_begins() -> None:
    body = ask(assistant("Welcome."), user("Hello"))
    check(body)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


def test_an_answer_at_the_end_ends_in_no_blank() -> None:
    body = ask(user("Count."), assistant("1, 2, \n"), model=OLDER)
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "1, 2,"}]}


@pytest.mark.parametrize(("model", "more"), [("claude-opus-4-6", {}), (SONNET, {}), (OLDER, {"thinking": 2_000})])
def test_a_model_that_does_not_go_on_from_an_answer_is_asked_to(model: str, more: dict[str, Any]) -> None:
    body = ask(user("Count."), assistant("1, 2, \n"), model=model, settings=more)
    check(body)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"][0]["text"] == "1, 2, \n"


def test_a_picture_that_a_model_made_is_left_out() -> None:
    body = ask(user("Draw."), Message(role="assistant", parts=(Blob("image/png", b"P"), Text("Here."))), user("Thanks"))
    check(body)
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Here."}]


def thought(text: str, signature: str = "c2ln", **more: Any) -> Reasoning:
    return Reasoning(text, {"anthropic": {"type": "thinking", "signature": signature, **more}})


def said(*parts: Any, model: str = f"anthropic/{SONNET}") -> Message:
    return Message(role="assistant", model=model, parts=parts)


CALL = ToolCall("toolu_1", "clock", "{}")
RESULT = Message(role="tool", parts=(ToolResult("toolu_1", "12:00"),))


def test_thinking_goes_back_as_it_came_before_the_call() -> None:
    hidden = Reasoning("", {"anthropic": {"type": "redacted_thinking", "data": "ZW5j"}})
    body = ask(user("?"), said(thought("Hm. "), hidden, thought("", "em9v"), Text("I look."), CALL), RESULT)
    check(body)
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm. ", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "thinking", "thinking": "", "signature": "em9v"},  # thinking that is not shown has a signature all the same
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}},
    ]


@pytest.mark.parametrize(
    "message",
    [
        said(thought("Hm."), Text("I look."), CALL, model="other/claude-sonnet-5"),
        said(thought("Hm."), Text("I look."), CALL, model="anthropic/claude-opus-5"),
        msgspec.structs.replace(said(thought("Hm."), Text("I look."), CALL), model=None),
        said(Reasoning("Hm."), Text("I look."), CALL),
        said(Reasoning("Hm.", {"anthropic": [{"type": "thinking", "signature": "c2ln"}]}), Text("I look."), CALL),
        said(Reasoning("Hm.", {"anthropic": {"type": "thinking"}}), Text("I look."), CALL),
        said(Reasoning("Hm.", {"anthropic": {"type": "redacted_thinking", "data": 5}}), Text("I look."), CALL),
        said(Reasoning("Hm.", {"openai-chat": {"field": "reasoning_content"}}), Text("I look."), CALL),
    ],
)
def test_thinking_that_is_not_this_models_or_has_no_signature_is_not_sent(message: Message) -> None:
    body = ask(user("?"), message, RESULT)
    check(body)
    assert [block["type"] for block in body["messages"][1]["content"]] == ["text", "tool_use"]


def test_an_answer_that_was_only_thinking_is_not_sent() -> None:
    assert [message["role"] for message in ask(user("?"), said(thought("Hm.")), user("Well?"))["messages"]] == ["user"]
    assert ask(user("?"), said(Text("So"), thought("Hm.")), user("Well?"))["messages"][1]["content"] == [
        {"type": "text", "text": "So"}
    ]


def test_thinking_holds_only_for_what_stood_before_it() -> None:
    first = ask(user("What time is it?"), instructions="Be brief.", tools=(CLOCK,))
    under = Before.of(first)
    answer = said(thought("Hm.", under=under), CALL)

    def kinds(*messages: Any, **more: Any) -> list[str]:
        body = ask(*messages, **{"instructions": "Be brief.", "tools": (CLOCK,), **more})
        check(body)
        return [block["type"] for block in body["messages"][1]["content"]]

    whole = ["thinking", "tool_use"]
    assert kinds(user("What time is it?"), answer, RESULT) == whole
    assert kinds(user("What time is it?"), answer, RESULT, assistant("12:00"), user("Thanks")) == whole
    assert kinds(user("What time is it?"), answer, RESULT, settings={"cache": False, "effort": "low"}) == whole
    assert kinds(user("What time is it?"), answer, RESULT, instructions="Be long.") == ["tool_use"]
    assert kinds(user("What time is it?"), answer, RESULT, tools=()) == ["tool_use"]
    assert kinds(user("What is the time?"), answer, RESULT) == ["tool_use"]


def test_the_fingerprint_of_each_step_is_found_again_in_the_next() -> None:
    """As a loop makes them: every request's fingerprint, kept with its answer, is what the next request finds."""
    messages: list[Message] = [user("What time is it?")]
    for step in range(4):
        body = ask(*messages, tools=(CLOCK,))
        check(body)
        kept = [block["type"] for message in body["messages"] for block in message["content"]].count("thinking")
        assert kept == step
        call = ToolCall("call_0", "clock", "{}")  # the same id each time
        messages += [
            said(thought(f"{step}", under=Before.of(body)), Text(" "), call),
            Message(role="tool", parts=(ToolResult("call_0", " "),)),
        ]
        if step == 2:
            messages.append(user("Go on."))


def test_the_fingerprint_knows_what_was_added_to_a_turn_after_an_answer_of_which_nothing_is_sent() -> None:
    stopped = said(thought("Hm", under="0123456789abcdef"))  # and no word more: the next question is said in the same turn
    asked = [user("What time is it?"), stopped, user("Well?")]
    answer = said(thought("Hm.", under=Before.of(ask(*asked, tools=(CLOCK,)))), CALL)
    body = ask(*asked, answer, RESULT, tools=(CLOCK,))
    check(body)
    assert [block["type"] for block in body["messages"][1]["content"]] == ["thinking", "tool_use"]


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ([user("?")], True),
        ([user("?"), said(thought("Hm."), CALL, model=f"anthropic/{OLDER}"), RESULT], True),
        ([user("?"), said(CALL, model="lab/qwen"), RESULT], False),  # it begins without thinking, which the API refuses
        ([user("?"), said(CALL, model="lab/qwen"), RESULT, assistant("12:00"), user("Thanks")], True),
        (
            [
                user("?"),
                said(thought("Hm."), CALL, model=f"anthropic/{OLDER}"),
                RESULT,
                said(ToolCall("b", "clock", "{}"), model=f"anthropic/{OLDER}"),
                Message(role="tool", parts=(ToolResult("b", "."),)),
            ],
            True,
        ),
        (
            [  # words beside the results may begin a turn, and that one began without thinking
                user("?"),
                said(thought("Hm."), CALL, model=f"anthropic/{OLDER}"),
                RESULT,
                user("Well?"),
                said(ToolCall("b", "clock", "{}"), model="lab/qwen"),
                Message(role="tool", parts=(ToolResult("b", "."),)),
            ],
            False,
        ),
        (
            [
                user("?"),
                said(thought("Hm."), CALL, model=f"anthropic/{OLDER}"),
                RESULT,
                said(ToolCall("b", "clock", "{}"), model="lab/qwen"),
                Message(role="tool", parts=(ToolResult("b", "."),)),
                user("Well?"),
            ],
            True,
        ),
    ],
)
def test_no_budget_for_thinking_in_a_turn_that_began_without_it(messages: list[Message], thinks: bool) -> None:
    body = ask(*messages, model=OLDER, settings={"thinking": 2_000, "temperature": 0.2})
    assert ("thinking" in body, "temperature" in body) == (thinks, not thinks)
    assert "thinking" in ask(*messages, settings={"effort": "low"})  # a model that thinks as it likes takes both


# --- structured answers ---

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        (CLOSED, CLOSED),
        ({"properties": {"a": {"type": "string"}}, "required": ["a"]}, CLOSED),
        ({"$schema": "x", **CLOSED, "minProperties": 1}, CLOSED),
        (
            {
                "type": "object",
                "title": "T",
                "properties": {"a": {"type": "integer", "minimum": 1, "description": "d"}},
                "required": [],
            },
            {**CLOSED, "title": "T", "properties": {"a": {"type": "integer", "description": "d"}}, "required": []},
        ),
        (
            {**CLOSED, "properties": {"a": {"type": ["string", "null"], "format": "date"}}},
            {**CLOSED, "properties": {"a": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}}},
        ),
        (
            {**CLOSED, "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string", "enum": ["p", "q"]}}},
            {**CLOSED, "properties": {"a": {"enum": ["p", "q"]}}},
        ),
        (
            {
                **CLOSED,
                "properties": {"a": {"type": "array", "items": {"oneOf": [{"type": "number"}, {"const": "n"}]}, "maxItems": 2}},
            },
            {**CLOSED, "properties": {"a": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"const": "n"}]}}}},
        ),
        ({"type": "array", "items": {"type": "string"}}, None),
        ({"type": "object"}, None),
        ({**CLOSED, "additionalProperties": {"type": "string"}}, None),
        ({**CLOSED, "required": ["b"]}, None),
        ({**CLOSED, "required": [[]]}, None),
        ({**CLOSED, "if": {}}, None),
        ({**CLOSED, "properties": {"a": True}}, None),
        ({**CLOSED, "properties": {"a": {}}}, None),
        ({**CLOSED, "properties": {"a": {"enum": [{}]}}}, None),
        ({**CLOSED, "properties": {"a": {"$ref": "#"}}}, None),
        ({**CLOSED, "properties": {"a": {"$ref": "http://x"}}}, None),
        ({**CLOSED, "properties": {"a": {"$ref": 5}}}, None),
        ({**CLOSED, "properties": {"a": {"anyOf": 5}}}, None),
        ({"type": "object", "properties": {str(number): {"type": "string"} for number in range(25)}}, None),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": {"anyOf": [{"type": ["null"]}] * 20}}}}, None),
    ],
)
def test_a_schema_is_asked_for_where_the_api_can_hold_it(schema: dict[str, Any], form: dict[str, Any] | None) -> None:
    before = json.dumps(schema)
    assert held(schema) == form
    assert json.dumps(schema) == before
    wanted = None if form is None else {"format": {"type": "json_schema", "schema": form}}
    assert ask(schema=schema).get("output_config") == wanted
    assert "output_config" not in ask(schema=schema, model="claude-3-7-sonnet-20250219")


def test_a_schema_and_an_effort_go_together() -> None:
    assert ask(schema=CLOSED, settings={"effort": "low"})["output_config"].keys() == {"effort", "format"}


# --- what comes back ---


def stream(*events: Any, start: bool = True, stop: bool = True, reason: str | None = None) -> bytes:
    """A body of these: objects as data, bytes as they are."""
    first = [{"type": "message_start", "message": {"type": "message", "role": "assistant", "content": []}}] if start else []
    last = [{"type": "message_delta", "delta": {"stop_reason": reason}}] if reason else []
    last += [{"type": "message_stop"}] if stop else []
    pieces = []
    for event in (*first, *events, *last):
        if isinstance(event, bytes):
            pieces.append(event)
        else:
            pieces.append(f"event: {event.get('type')}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode())
    return b"".join(pieces)


def begin(index: Any, kind: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: Any, kind: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def end(index: Any) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def text(*pieces: str, index: Any = 0) -> list[dict[str, Any]]:
    """A block of text."""
    return [begin(index, "text", text=""), *(delta(index, "text_delta", text=piece) for piece in pieces), end(index)]


def called(*pieces: Any, index: Any = 0, name: str = "clock", id: str = "toolu_1", **fields: Any) -> list[dict[str, Any]]:  # noqa: A002
    """A block of a tool call."""
    first = begin(index, "tool_use", id=id, name=name, **{"input": {}, **fields})
    return [first, *(delta(index, "input_json_delta", partial_json=piece) for piece in pieces), end(index)]


def read(body: bytes, *, size: int = 0, answer: Answer | None = None) -> tuple[list[Chunk], Message, ProviderError | None]:
    """The chunks, the message they make, and the error, of a body in pieces of this size."""
    answer, chunks, draft, failed = answer or Answer(), list[Chunk](), Draft(), None
    try:
        for start in range(0, len(body), size or max(1, len(body))):
            chunks.extend(answer.feed(body[start : start + size] if size else body))
        chunks.extend(answer.end())
    except ProviderError as error:
        failed = error
    for chunk in chunks:
        draft.add(chunk)
    return chunks, draft.message(author=None, model=None), failed


def good(body: bytes) -> Message:
    """The message of a body that is whole; the same however it is split."""
    _, message, error = read(body)
    assert error is None, error
    for size in (1, 3, 64):
        _, other, _ = read(body, size=size)
        assert shape(other) == shape(message)
    return message


def shape(message: Message) -> Any:
    calls = [(call.name, call.arguments) for call in message.calls]  # the ids of some are random
    kept = [(type(part), getattr(part, "private", None)) for part in message.parts]
    return message.text, message.reasoning, calls, message.stop, message.usage, kept


def bad(body: bytes) -> tuple[str, ProviderError]:
    """The text that came before the error, and the error; the same however it is split."""
    _, message, error = read(body)
    assert error is not None
    for size in (1, 3, 64):
        _, other, same = read(body, size=size)
        assert same is not None
        assert (other.text, same.kind, same.message) == (message.text, error.kind, error.message)
    return message.text, error


def test_text_usage_and_stop() -> None:
    first = {"type": "message_start", "message": {"usage": {"input_tokens": 12, "cache_read_input_tokens": 8, "output_tokens": 1}}}
    last = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 40, "cache_creation_input_tokens": 3, "output_tokens_details": {"thinking_tokens": 30}},
    }
    message = good(stream(first, *text("Hel", "lo"), last, start=False))
    assert (message.text, message.stop) == ("Hello", "done")
    assert message.usage == Usage(12, 40, 8, 30, cache_write=3, more_input=11)
    assert (message.usage.read, message.usage.written) == (23, 40)


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "done"),
        ("stop_sequence", "done"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "refused"),
        ("tool_use", "done"),  # without any
        ("something new", "done"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_stop_reasons(reason: str, stop: str, whole: bool) -> None:
    assert good(stream(*text("x"), reason=reason, stop=whole)).stop == stop


@pytest.mark.parametrize(("reason", "stop"), [("tool_use", "tools"), ("end_turn", "tools"), ("max_tokens", "length"), (None, "tools")])
def test_an_answer_with_calls_wants_tools_unless_it_was_cut_short(reason: str | None, stop: str) -> None:
    assert good(stream(*called("{}"), reason=reason)).stop == stop


def test_a_refusal_before_any_word() -> None:
    event = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "bio"}}}
    message = good(stream(event))
    assert (message.parts, message.stop) == ((), "refused")


def test_nothing_counts_after_the_end() -> None:
    message = good(stream(*text("x"), reason="end_turn") + stream(*text("y")) + b"data: [DONE]\n\ndata: {\n\n")
    assert (message.text, message.stop) == ("x", "done")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"event: ping\ndata: {}\n\n",
        b"da",
        stream(stop=False),
        stream(*text("half"), stop=False),
        stream(*text("half"), b'event: message_stop\ndata: {"type":"message_st', stop=False),
        stream(*text("half"), b'event: message_stop\ndata: {"type":"message_stop"}\n', stop=False),
    ],
)
def test_an_answer_without_an_end_is_cut_and_its_text_is_kept(body: bytes) -> None:
    said, error = bad(body)
    assert (said, error.kind, error.exit_code) == ("half" if b"half" in body else "", "cut", 75)


def test_cut_at_every_byte_is_never_whole_and_never_more_than_was_sent() -> None:
    body = stream(
        begin(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Hm 🐎"),
        delta(0, "signature_delta", signature="c2ln"),
        end(0),
        *text("Hel", "lo 🐎", index=1),
        *called('{"a": ', "1}", index=2),
        reason="tool_use",
    )
    whole = body.index(b"message_delta") + body[body.index(b"event: message_delta") :].index(b"\n\n") + 2 - len("event: ")
    for cut in range(len(body)):
        _, message, error = read(body[:cut])
        assert "Hello 🐎".startswith(message.text)
        assert "Hm 🐎".startswith(message.reasoning)
        assert (error is None) == (cut >= whole), body[:cut]
        assert error is None or error.kind == "cut"
        if message.text:
            assert message.parts[0] == Reasoning("Hm 🐎", {"anthropic": {"type": "thinking", "signature": "c2ln"}})


def test_pings_unknown_events_and_keep_alives_mean_nothing() -> None:
    noise = (
        b': keep-alive\n\nevent: ping\ndata: {"type": "ping"}\n\nevent: ping\ndata:\n\ndata: keepalive\n\n'
        b'event: news\ndata: {"type": "news", "delta": {"type": "text_delta", "text": "no"}}\n\ndata: {}\n\n'
    )
    assert good(stream(noise, *text("a"), noise, *text("b", index=1), noise, reason="end_turn")).text == "ab"


def test_events_whose_name_is_only_in_the_data_or_only_beside_it() -> None:
    body = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in (*text("a"), {"type": "message_stop"}))
    assert good(body).text == "a"
    body = b"".join(
        f"event: {event.pop('type')}\ndata: {json.dumps(event)}\n\n".encode() for event in (*text("a"), {"type": "message_stop"})
    )
    assert good(body).text == "a"


def test_the_last_count_of_each_holds_also_if_it_is_nought() -> None:
    def event(**usage: Any) -> dict[str, Any]:
        return {"type": "message_delta", "delta": {}, "usage": usage}

    first = {"type": "message_start", "message": {"usage": {"input_tokens": 100, "cache_read_input_tokens": 50, "output_tokens": 7}}}
    events = (event(input_tokens=181, cache_read_input_tokens=0, output_tokens=8), event(input_tokens=None, output_tokens=9), event())
    assert good(stream(first, *text("x"), *events, start=False)).usage == Usage(181, 9)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5}, Usage(5, 0)),
        ({"input_tokens": -5, "output_tokens": 10**30}, Usage(0, 0)),
        ({"input_tokens": "5", "output_tokens": 1}, Usage(0, 1)),
        ({"input_tokens": 5, "output_tokens": 1, "output_tokens_details": 7, "cache_read_input_tokens": [1]}, Usage(5, 1)),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_of_every_shape(usage: Any, expected: Usage | None) -> None:
    assert good(stream({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})).usage == expected


def test_separators_that_are_not_line_ends_stay_in_the_text() -> None:
    words = "a\u2028b\u2029c\u0085d\r\ne\u000bf"
    assert good(stream(*text(words))).text == words


# --- blocks ---


def test_every_block_is_a_part_and_citations_are_only_passed_over() -> None:
    cited = delta(1, "citations_delta", citation={"type": "web_search_result_location", "cited_text": "no"})
    message = good(stream(*text("a"), begin(1, "text", text="b", citations=[]), cited, delta(1, "text_delta", text="c"), end(1)))
    assert message.parts == (Text("a"), Text("bc"))


def test_thinking_is_kept_with_its_signature() -> None:
    body = stream(
        begin(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Hm"),
        delta(0, "thinking_delta", thinking="m."),
        delta(0, "signature_delta", signature="c2ln"),
        end(0),
        begin(1, "redacted_thinking", data="ZW5j"),
        end(1),
        begin(2, "thinking", thinking="", signature=""),
        delta(2, "signature_delta", signature="em9v"),
        end(2),
        *text("Yes.", index=3),
        reason="end_turn",
    )
    assert good(body).parts == (
        Reasoning("Hmm.", {"anthropic": {"type": "thinking", "signature": "c2ln"}}),
        Reasoning("", {"anthropic": {"type": "redacted_thinking", "data": "ZW5j"}}),
        Reasoning("", {"anthropic": {"type": "thinking", "signature": "em9v"}}),
        Text("Yes."),
    )


def test_thinking_is_kept_with_what_stood_before_it_and_that_is_asked_only_once() -> None:
    asked: list[int] = []

    def under() -> str:
        asked.append(1)
        return "abc"

    signed = begin(0, "thinking", thinking="Hm.", signature="c2ln")
    _, message, error = read(stream(signed, begin(1, "redacted_thinking", data="ZW5j"), *text("x", index=2)), answer=Answer(under))
    assert error is None
    kept = [part.private["anthropic"]["under"] for part in message.parts if isinstance(part, Reasoning)]
    assert (kept, len(asked)) == (["abc", "abc"], 1)
    read(stream(*text("x")), answer=Answer(under))
    assert len(asked) == 1


def test_thinking_that_comes_whole_makes_as_many_parts_as_there_were_blocks() -> None:
    blocks = [begin(index, "thinking", thinking=f"{index}", signature=f"s{index}") for index in (0, 1)]
    parts = good(stream(*blocks, *text("x", index=2))).parts
    assert [(part.text, part.private["anthropic"]["signature"]) for part in parts[:2] if isinstance(part, Reasoning)] == [
        ("0", "s0"),
        ("1", "s1"),
    ]


def test_thinking_without_a_signature_is_shown_and_not_kept() -> None:
    message = good(stream(begin(0, "thinking", thinking="Hm."), end(0), *text("x", index=1)))
    assert message.parts == (Reasoning("Hm."), Text("x"))


@pytest.mark.parametrize(
    "events",
    [
        called('{"place"', ': "Rome"', "}"),
        called("", '{"place": "Rome"}', ""),
        called(input={"place": "Rome"}),
        called('{"place": "Rome"}', input={"place": "no"}),
        called({"place": "Rome"}),
        called(input='{"place": "Rome"}'),
        called(input={"place": "Rome"})[:-1],  # its end does not come
        [event | {"index": None} for event in called('{"place"', ': "Rome"}')],
        [{key: value for key, value in event.items() if key != "index"} for event in called('{"place"', ': "Rome"}')],
    ],
)
def test_calls_of_every_shape(events: list[Any]) -> None:
    message = good(stream(*events, reason="tool_use"))
    assert [(call.id, call.name, json.loads(call.arguments)) for call in message.calls] == [("toolu_1", "clock", {"place": "Rome"})]


@pytest.mark.parametrize("events", [called(), called(input=None), called(input={}), called("", ""), called("{}"), called(None)])
def test_a_call_without_arguments(events: list[Any]) -> None:
    assert [call.arguments for call in good(stream(*events)).calls] == ["{}"]


def test_parallel_calls_also_interleaved_and_under_one_index() -> None:
    one, two = called('{"a":', "1}", index=1, id="a"), called('{"b":', "2}", index=2, id="b", name="weather")
    expected = [("a", "clock", '{"a":1}'), ("b", "weather", '{"b":2}')]
    mixed = [one[0], two[0], one[1], two[1], two[2], one[2], one[3], two[3]]
    again = [event | {"index": 0} for event in (*one, *two)]
    for events in ((*one, *two), mixed, again):
        message = good(stream(*events, reason="tool_use"))
        assert [(call.id, call.name, call.arguments) for call in message.calls] == expected


def test_whole_calls_whose_ends_do_not_come() -> None:
    one, two = (begin(0, "tool_use", id=name, name="clock", input={"a": name}) for name in ("a", "b"))
    message = good(stream(one, two, reason="tool_use"))
    assert [(call.id, call.arguments) for call in message.calls] == [("a", '{"a": "a"}'), ("b", '{"a": "b"}')]


def test_blocks_under_one_index_stay_apart() -> None:
    message = good(stream(*text("a"), *called("{}"), *text("b")))
    assert [type(part) for part in message.parts] == [Text, ToolCall, Text]


def test_calls_as_llamacpp_sends_them() -> None:
    first = begin(0, "tool_use", id="fT20RA8Eof8PTM3RH6zPBtVaKwmI3huq", name="read_file")
    pieces = [delta(0, "input_json_delta", partial_json=piece) for piece in ("{", '"', "path", '":', ' "', "x", '"}')]
    message = good(stream(first, *pieces, end(0), reason="tool_use"))
    assert [(call.id, call.arguments) for call in message.calls] == [("fT20RA8Eof8PTM3RH6zPBtVaKwmI3huq", '{"path": "x"}')]


@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use", "web_search_tool_result", "compaction", "something_new", None])
def test_tools_of_the_servers_own_are_no_calls(kind: str | None) -> None:
    first = begin(1, kind, id="srvtoolu_1", name="web_search", input={"query": "x"}, content=[{"type": "text", "text": "no"}])
    events = [first, delta(1, "input_json_delta", partial_json='{"query": "x"}'), end(1)]
    message = good(stream(*text("a"), *events, *text("b", index=2), reason="end_turn"))
    assert (message.text, message.calls, message.stop) == ("ab", (), "done")


def test_a_block_whose_beginning_did_not_come() -> None:
    message = good(stream(delta(0, "thinking_delta", thinking="Hm."), delta(1, "text_delta", text="x")))
    assert (message.reasoning, message.text) == ("Hm.", "x")
    assert good(stream(delta(0, "input_json_delta", partial_json="{}"), *text("x", index=1))).calls == ()


# --- errors ---


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded"),
        ({"type": "rate_limit_error", "message": "slow down"}, "rate_limit"),
        ({"type": "api_error", "message": "Internal server error"}, "server"),
        ({"type": "timeout_error", "message": "too late"}, "server"),
        ({"type": "authentication_error", "message": "invalid x-api-key"}, "auth"),
        ({"type": "permission_error", "message": "no"}, "auth"),
        ({"type": "not_found_error", "message": "model: claude-x"}, "not_found"),
        ({"type": "invalid_request_error", "message": "what?"}, "bad_request"),
        ({"type": "invalid_request_error", "message": "prompt is too long: 3 tokens > 2 maximum"}, "context_length"),
        (
            {
                "type": "invalid_request_error",
                "message": "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
            },
            "context_length",
        ),
    ],
)
def test_an_error_in_mid_stream_keeps_the_text_and_says_what_it_is(error: dict[str, str], kind: str) -> None:
    said, failed = bad(stream(*text("half"), {"type": "error", "error": error, "request_id": "req_1"}))
    assert (said, failed.kind) == ("half", kind)
    assert error["message"] in failed.message
    assert bad(json.dumps({"type": "error", "error": error}).encode())[1].kind == kind


def test_errors_wherever_servers_put_them() -> None:
    inner = {"code": 500, "message": "boom", "type": "server_error"}
    for event in (
        b"event: error\ndata: " + json.dumps(inner).encode() + b"\n\n",
        b"event: error\ndata: " + json.dumps({"type": "error", "error": inner}).encode() + b"\n\n",
        b"event: error\ndata: boom\n\n",
        b"data: " + json.dumps({"type": "error", "error": inner}).encode() + b"\n\n",
        b"data: " + json.dumps({"error": inner}).encode() + b"\n\n",
        b"error: " + json.dumps({"error": {"message": "boom"}}).encode() + b"\n\n",
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "error": inner},
    ):
        said, failed = bad(stream(*text("half"), event))
        assert (said, failed.kind) == ("half", "server"), event
        assert "boom" in failed.message
    assert "did not say" in bad(stream(b"event: error\ndata:\n\n"))[1].message


def test_an_error_after_the_stop_reason_is_still_one() -> None:
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    assert bad(stream(*text("a"), last, overloaded))[1].kind == "overloaded"


@pytest.mark.parametrize("nothing", [None, "", {}, [], False])
def test_an_empty_error_is_none(nothing: Any) -> None:
    assert good(stream(*text("a"), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "error": nothing})).text == "a"


def test_an_event_that_is_not_json_is_an_error() -> None:
    said, failed = bad(stream(*text("half"), b'event: content_block_delta\ndata: {"type": }\n\n'))
    assert (said, failed.kind) == ("half", "protocol")


def test_an_event_of_more_than_16_mib() -> None:
    _, message, failed = read(stream(*text("half"), b"data: {" + b" " * LIMIT + b"}\n\n"))
    assert failed is not None
    assert (message.text, failed.kind) == ("half", "too_large")


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    assert bad(stream(b'data: {"error":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n"))[1].kind == "protocol"


# --- bodies that are no stream ---

WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "text", "text": "Hé"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {"zone": "é"}},
        {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


@pytest.mark.parametrize("before", [b"", b"\n\n ", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_answer_in_place_of_a_stream(before: bytes, indent: int | None) -> None:
    message = good(before + json.dumps(WHOLE, indent=indent, ensure_ascii=False).encode())
    assert message.parts == (
        Reasoning("Hm.", {"anthropic": {"type": "thinking", "signature": "c2ln"}}),
        Reasoning("", {"anthropic": {"type": "redacted_thinking", "data": "ZW5j"}}),
        Text("Hé"),
        ToolCall("toolu_1", "clock", '{"zone": "é"}'),
        ToolCall("toolu_2", "clock", "{}"),
    )
    assert (message.stop, message.usage) == ("tools", Usage(1, 2))
    assert good(json.dumps([WHOLE]).encode()).text == "Hé"
    assert good(json.dumps({**WHOLE, "content": "Hé"}).encode()).text == "Hé"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"type": "error", "error": {"type": "authentication_error", "message": "no"}}', "auth"),
        (b'{"error": {"message": "no", "code": 401}}', "auth"),
        (b'[{"error": {"message": "no", "code": 503}}]', "overloaded"),
        (b'{"detail": "no"}', "server"),
        (b'{"error": "no"}', "server"),
        (b'{"choices": []}', "protocol"),
        (b"[]", "protocol"),
        (b"<!doctype html><title>Welcome</title>", "protocol"),
        (b"Not found", "protocol"),
        (json.dumps(WHOLE).encode()[:-1], "cut"),
        (b'{"type": "message", "content": [{"type": "text", "text": "hal', "cut"),
    ],
)
def test_bodies_that_are_no_answer(body: bytes, kind: str) -> None:
    assert bad(body)[1].kind == kind


# --- shapes that are not documented ---

STRANGE = [None, 5, "x", [], {}, True, [1], {"type": 5}, {"type": "text", "text": 5, "index": "no"}]


@pytest.mark.parametrize("value", STRANGE)
def test_a_wrong_shape_is_no_crash(value: Any) -> None:
    events = [
        {"type": "message_start", "message": value},
        {"type": "content_block_start", "index": value, "content_block": value},
        {"type": "content_block_delta", "index": value, "delta": value},
        {"type": "content_block_stop", "index": value},
        {"type": "message_delta", "delta": value, "usage": value},
        {"type": "message_delta", "delta": {"stop_reason": value}},
        {"type": value},
        begin(7, value, text=value, id=value, name=value, input=value),
        begin(8, "tool_use", id=value, name=value, input=value),
        delta(8, "input_json_delta", partial_json=value),
        delta(8, value, text=value),
        begin(9, "thinking", thinking=value, signature=value),
        delta(9, "signature_delta", signature=value),
    ]
    message = good(stream(*events, *text("end", index=20), start=False))
    assert message.text.endswith("end")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10) | st.floats(allow_nan=True) | st.text("aé🐎\ud83d\ude00", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "type", "index", "id", "name", "input", "thinking", "data"]), inner, max_size=4)
    ),
    max_leaves=12,
)
KINDS = ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"]
DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature", "input_json_delta": "partial_json"}


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 2), st.sampled_from(sorted(DELTAS)), JSON), max_size=6), JSON, JSON)
def test_whatever_stands_in_a_field_gives_text_that_can_be_written(kind: str, pieces: list[Any], value: Any, other: Any) -> None:
    fields = {"text": value, "thinking": value, "signature": other, "data": other, "id": other, "name": value, "input": other}
    events = [begin(0, kind, **fields), *(delta(index, which, **{DELTAS[which]: one}) for index, which, one in pieces)]
    body = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in (*events, *text("end", index=9), {"type": "message_stop"}))
    chunks, message, error = read(body)
    assert error is None
    assert message.text.endswith("end")
    assert isinstance(chunks[-1], StopChunk)
    for chunk in chunks:
        msgspec.json.encode(chunk)
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message
    mine = msgspec.structs.replace(message, model=f"anthropic/{SONNET}")
    sent = ask(user("x"), mine, user("y"))
    msgspec.json.encode(sent)
    check(sent)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(1, 400), max_size=30))
def test_any_split_gives_the_same(sizes: list[int]) -> None:
    body = stream(
        begin(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Hm 🐎"),
        delta(0, "signature_delta", signature="c2ln"),
        *text("é🐎", " x", index=1),
        *called('{"a": "é', '🐎"}', index=2),
        reason="tool_use",
    )
    answer, draft, start = Answer(), Draft(), 0
    for size in (*sizes, len(body)):
        for chunk in answer.feed(body[start : start + size]):
            draft.add(chunk)
        start += size
    for chunk in answer.end():
        draft.add(chunk)
    assert shape(draft.message(author=None, model=None)) == shape(good(body))


# --- surrogates ---


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["a\\ud83d", "\\ude00b"], "a😀b"),
        (["a\\ud83d\\ude00b"], "a😀b"),
        (["a\\ud83d", "", "\\ude00b"], "a😀b"),
        (["a\\ud83d", "b"], "a\ufffdb"),
        (["a\\ud83d"], "a\ufffd"),
        (["\\ude00b"], "\ufffdb"),
        (["\\ud83d", "\\ud83d", "\\ude00"], "\ufffd😀"),
    ],
)
@pytest.mark.parametrize("kind", ["text", "thinking", "tool_use"])
def test_halves_of_a_surrogate_pair(pieces: list[str], expected: str, kind: str) -> None:
    which = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}[kind]
    events = [
        f'data: {{"type":"content_block_delta","index":0,"delta":{{"type":"{which}","{DELTAS[which]}":"{piece}"}}}}\n\n'.encode()
        for piece in pieces
    ]
    chunks, message, error = read(stream(begin(0, kind), *events, end(0), reason="end_turn"))
    assert error is None
    assert (message.text + message.reasoning + "".join(call.arguments for call in message.calls)) == expected
    for chunk in chunks:
        msgspec.json.encode(chunk)  # each of them can be written


def test_half_a_character_does_not_join_another_block() -> None:
    half = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}\n\n'
    other = b'data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"\\ude00"}}\n\n'
    assert good(stream(begin(0, "text"), half, begin(1, "text"), other)).parts == (Text("\ufffd"), Text("\ufffd"))


def test_half_a_character_at_a_cut_or_before_an_error_is_kept_too() -> None:
    half = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\\ud83d"}}\n\n'
    assert bad(stream(half, stop=False))[0] == "a\ufffd"
    assert bad(stream(half, {"type": "error", "error": {"message": "no"}}))[0] == "a\ufffd"


def test_chunks_come_as_soon_as_their_event_has_ended() -> None:
    answer = Answer()
    body = stream(*text("a")[:2], stop=False)
    assert list(answer.feed(body[:-1])) == []
    assert list(answer.feed(body[-1:])) == [TextChunk("a", key=0)]


# --- over the wire ---


def anthropic(url: str, **more: Any) -> Any:
    endpoint = Endpoint(kind="anthropic", base_url=url, key="sk-ant-secret", key_name="ANTHROPIC_API_KEY", **more)
    return create("anthropic", endpoint, Clocks(idle=10, retries=1), keep=False)


async def collect(provider: Any, request: Request) -> tuple[list[Chunk], Draft, ProviderError | None]:
    chunks: list[Chunk] = []
    draft = Draft()
    try:
        async with aclosing(provider.stream(request)) as stream:
            async for chunk in stream:
                chunks.append(chunk)
                draft.add(chunk)
    except ProviderError as error:
        return chunks, draft, error
    finally:
        await provider.aclose()
    return chunks, draft, None


LOOP = stream(
    begin(0, "thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="I should look."),
    delta(0, "signature_delta", signature="c2ln"),
    end(0),
    *called("{}", index=1),
    reason="tool_use",
)


def test_a_loop_through_a_real_server() -> None:
    """Two steps of one turn, the second with what the first has thought; then instructions that are others."""
    question = Request(model=SONNET, messages=[user("What time is it?")], instructions="Be brief.", tools=(CLOCK,))
    with ModelServer().raw([LOOP[:50], LOOP[50:]]).then.raw(stream(*text("12:00"), reason="end_turn")) as server:

        async def main() -> None:
            _, draft, error = await collect(anthropic(server.origin), question)
            assert error is None
            answer = draft.message(author=None, model=f"anthropic/{SONNET}")
            assert answer.stop == "tools"
            messages = [user("What time is it?"), answer, Message(role="tool", parts=(ToolResult("toolu_1", "12:00"),))]
            for instructions in ("Be brief.", "Be long."):
                more = msgspec.structs.replace(question, messages=messages, instructions=instructions)
                _, draft, error = await collect(anthropic(f"{server.url}/", headers={"Anthropic-Version": "2099-01-01"}), more)
                assert error is None
                assert draft.message(author=None, model=None).text == "12:00"

        asyncio.run(main())
        first, second, third = server.requests
        assert {asked.path for asked in server.requests} == {"/v1/messages"}
        assert (first.headers["x-api-key"], first.headers["anthropic-version"]) == ("sk-ant-secret", "2023-06-01")
        assert second.headers["anthropic-version"] == "2099-01-01"
        assert "authorization" not in first.headers
        for asked in server.requests:
            check(asked.body)
        thinking = {"type": "thinking", "thinking": "I should look.", "signature": "c2ln"}
        assert second.body["messages"][1]["content"][0] == thinking
        assert plain(second.body["messages"])[:1] == plain(first.body["messages"])
        assert [block["type"] for block in third.body["messages"][1]["content"]] == ["tool_use"]


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/", "/anthropic", "/v1beta", "/v1?x=1"])
def test_the_version_in_the_base_url_is_not_said_twice(base: str) -> None:
    with ModelServer().raw(stream(*text("Hello"), reason="end_turn")) as server:
        _, draft, error = asyncio.run(collect(anthropic(server.origin + base), Request(model=SONNET, messages=[user("Hi")])))
        assert error is None
        assert draft.message(author=None, model=None).text == "Hello"
        expected = {"/anthropic": "/anthropic/v1/messages", "/v1beta": "/v1beta/messages", "/v1?x=1": "/v1/messages?x=1"}
        assert server.requests[0].path == expected.get(base, "/v1/messages")


def test_a_server_of_ones_own_needs_no_key() -> None:
    with ModelServer().raw(stream(*text("Hello"), reason="end_turn")) as server:
        provider = create("lab", Endpoint(kind="anthropic", base_url=server.url), Clocks(idle=10), keep=True)
        _, _, error = asyncio.run(collect(provider, Request(model="qwen3", messages=[user("Hi")])))
        assert error is None
        assert not {"x-api-key", "authorization"} & server.requests[0].headers.keys()


def test_an_address_that_is_none_is_said_when_it_is_asked() -> None:
    _, _, error = asyncio.run(collect(anthropic("http://[bad"), Request(model=SONNET, messages=[user("Hi")])))
    assert error is not None
    assert error.kind == "unreachable"


def test_an_overload_before_the_first_word_is_tried_again_and_after_it_is_not() -> None:
    overloaded = stream({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    late = stream(*text("half"), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    question = Request(model=SONNET, messages=[user("Hi")])
    with ModelServer().raw(overloaded).then.raw(late) as server:
        chunks, draft, error = asyncio.run(collect(anthropic(server.url), question))
    assert len([chunk for chunk in chunks if isinstance(chunk, Retrying)]) == 1
    assert draft.message(author=None, model=None).text == "half"
    assert error is not None
    assert (error.kind, error.exit_code) == ("overloaded", 75)


def test_a_limit_is_waited_for_as_its_headers_say() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "too much"}, "request_id": "req_1"}
    headers = [
        ("date", "Wed, 19 Aug 2026 14:34:02 GMT"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-08-19T14:34:02.250Z"),
    ]
    question = Request(model=SONNET, messages=[user("Hi")])
    with ModelServer().fails(429, body=body, headers=headers).then.raw(stream(*text("Hello"), reason="end_turn")) as server:
        chunks, _, error = asyncio.run(collect(anthropic(server.url), question))
    assert error is None
    assert [(chunk.delay, chunk.status) for chunk in chunks if isinstance(chunk, Retrying)] == [(0.25, 429)]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, {"type": "authentication_error", "message": "invalid x-api-key"}, "auth"),
        (400, {"type": "invalid_request_error", "message": "prompt is too long: 3 tokens > 2 maximum"}, "context_length"),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low"}, "auth"),
        (404, {"type": "not_found_error", "message": "model: claude-x"}, "not_found"),
        (413, {"type": "request_too_large", "message": "Request exceeds the maximum size"}, "too_large"),
        (529, {"type": "overloaded_error", "message": "Overloaded"}, "overloaded"),
    ],
)
def test_http_errors(status: int, error: dict[str, str], kind: str) -> None:
    with ModelServer().fails(status, body={"type": "error", "error": error, "request_id": "req_1"}) as server:
        _, _, failed = asyncio.run(collect(anthropic(server.url), Request(model=SONNET, messages=[user("Hi")])))
    assert failed is not None
    assert (failed.kind, failed.status) == (kind, status)
    assert error["message"] in failed.message


def test_thinking_counts_as_content_and_a_ping_does_not() -> None:
    chunks, _, _ = read(LOOP)
    assert isinstance(chunks[0], ReasoningChunk)
    assert read(b'event: ping\ndata: {"type": "ping"}\n\n')[0] == []
