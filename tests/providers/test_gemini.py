"""Gemini's generateContent: what is sent, and what is made of whatever comes back."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.event import Retrying
from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, Usage, assistant, user
from agentcli.core.provider import CallChunk, Chunk, Draft, ProviderError, ReasoningChunk, Request, StopChunk, TextChunk, UsageChunk
from agentcli.core.thread import sendable
from agentcli.errors import Exit
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.fault import again
from agentcli.providers.gemini import encode
from agentcli.providers.gemini.answer import Answer
from tests.model_server import ModelServer
from tests.providers.histories import HISTORIES, WEATHER, request, same_as_snapshot

NEW, OLD = "gemini-3.5-flash", "gemini-2.5-flash"
UNSIGNED = "skip_thought_signature_validator"


# --- what is sent ---


def test_every_history_is_sent_as_before() -> None:
    names = {"gemini": NEW, "vertex": NEW, "gemini before 3": OLD}
    same_as_snapshot(
        "gemini",
        {
            history: {name: encode(request(history, model=model), name.partition(" ")[0])["contents"] for name, model in names.items()}
            for history in HISTORIES
        },
    )


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("name", ["gemini", "other"])
@pytest.mark.parametrize("model", [NEW, OLD])
def test_every_history_is_one_that_gemini_takes(history: str, name: str, model: str) -> None:
    body = encode(request(history, model=model, settings={"tools": [{"codeExecution": {}}]}), name)
    contents = body["contents"]
    assert [content["role"] for content in contents] == ["user", "model"] * (len(contents) // 2) + ["user"]
    waiting: list[Any] = []
    for content in contents:
        assert content["parts"]
        results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        assert [(result.get("id"), result["name"]) for result in results] == waiting
        assert all(isinstance(result["response"], dict) for result in results)
        calls = [part for part in content["parts"] if "functionCall" in part]
        assert not calls or content["role"] == "model"
        waiting = [(part["functionCall"].get("id"), part["functionCall"]["name"]) for part in calls]
        assert len({id_ for id_, _ in waiting if id_}) == sum(id_ is not None for id_, _ in waiting)
        if calls and model == NEW:
            assert "thoughtSignature" in calls[0]
        for part in content["parts"]:
            assert part.get("text") != "" or "thoughtSignature" in part
            assert len(part.keys() - {"thoughtSignature", "thought"}) == 1
    assert not waiting
    msgspec.json.encode(body)


def test_a_request_names_the_tools_and_the_instructions_and_not_the_model() -> None:
    body = encode(request("one question", model="qwen"))
    assert body == {
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "The weather in a place.", "parametersJsonSchema": WEATHER.schema},
                    {
                        "name": "clock",
                        "description": "The time of day.",
                        "parametersJsonSchema": {"type": "object", "properties": {}},
                    },
                ]
            }
        ],
    }
    assert encode(Request(model="qwen", messages=[user("x")])).keys() == {"contents"}


def test_a_signature_goes_back_on_its_own_part_and_only_where_it_came_from() -> None:
    def parts(model: str, name: str = "gemini") -> list[Any]:
        contents = encode(request("thinking that is signed where it led", model=model), name)["contents"]
        return [part for content in contents if content["role"] == "model" for part in content["parts"]]

    first, second, said, signed = parts("gemini-3.1-pro-preview")
    assert first == {"functionCall": {"id": "0b3pdf3o", "name": "weather", "args": {"place": "Rome"}}, "thoughtSignature": "c2lnMQ=="}
    assert second == {"functionCall": {"name": "weather", "args": {"place": "Oslo"}}}
    assert said == {"text": "25 °C in Rome."}
    assert signed == {"text": "", "thoughtSignature": "c2lnMg=="}
    first, second, said = parts(NEW, "vertex")
    assert first == {"functionCall": {"name": "weather", "args": {"place": "Rome"}}, "thoughtSignature": UNSIGNED}
    assert second == {"functionCall": {"name": "weather", "args": {"place": "Oslo"}}}
    first, second, said = parts(OLD)
    assert first == {"functionCall": {"name": "weather", "args": {"place": "Rome"}}}


def test_the_result_of_a_call_has_its_name_and_the_id_that_the_server_gave() -> None:
    contents = encode(request("thinking that is signed where it led", model=NEW))["contents"]
    assert contents[2]["parts"] == [
        {"functionResponse": {"id": "0b3pdf3o", "name": "weather", "response": {"output": "25 °C"}}},
        {"functionResponse": {"name": "weather", "response": {"error": "the station does not answer"}}},
    ]


def test_one_id_is_never_sent_twice_in_an_answer() -> None:
    kept = {"gemini": {"id": "same"}}
    said = Message(role="assistant", model=f"gemini/{NEW}", parts=(ToolCall("a", "x", "{}", kept), ToolCall("b", "x", "{}", kept)))
    result = Message(role="tool", parts=(ToolResult("a", "1"), ToolResult("b", "2")))
    contents = encode(Request(model=NEW, messages=[user("x"), said, result]))["contents"]
    assert [part["functionCall"].get("id") for part in contents[1]["parts"]] == ["same", None]
    assert [part["functionResponse"].get("id") for part in contents[2]["parts"]] == ["same", None]


def test_what_the_servers_own_tools_said_goes_back_while_it_has_them() -> None:
    def kinds(**more: Any) -> list[str]:
        contents = encode(request("thinking that is not shown", model=NEW, tools=(), **more))["contents"]
        return [next(iter(part)) for part in contents[1]["parts"]]

    assert kinds(settings={"tools": [{"codeExecution": {}}]}) == ["text", "executableCode", "codeExecutionResult", "text"]
    assert kinds() == ["text", "text"]


@pytest.mark.parametrize(
    ("name", "sent"),
    [("clock.now", "clock.now"), ("a b/c", "a_b_c"), ("1st", "_1st"), ("", "unknown"), ("é", "_"), ("n" * 70, "n" * 64)],
)
def test_the_name_of_a_call_is_one_that_gemini_takes(name: str, sent: str) -> None:
    said = Message(role="assistant", parts=(ToolCall("a", name, "{}"),))
    contents = encode(Request(model=NEW, messages=sendable([user("x"), said])))["contents"]
    assert contents[1]["parts"][0]["functionCall"]["name"] == sent
    assert contents[2]["parts"][0]["functionResponse"]["name"] == sent


@pytest.mark.parametrize(
    "private", [{"gemini": "x"}, {"gemini": {}}, {"gemini": {"signature": None, "id": None}}, {"other": {"id": "x"}}]
)
def test_what_was_kept_may_be_anything(private: dict[str, Any]) -> None:
    call = ToolCall("a", "clock", "{}", private)
    said = Message(role="assistant", model=f"gemini/{NEW}", parts=(Reasoning("Hm.", private), Text("So.", private), call))
    contents = encode(Request(model=NEW, messages=sendable([user("x"), said])))["contents"]
    assert contents[1]["parts"] == [{"text": "So."}, {"functionCall": {"name": "clock", "args": {}}, "thoughtSignature": UNSIGNED}]


def test_the_user_speaks_first_and_last() -> None:
    contents = encode(Request(model=NEW, messages=[assistant("Hello.")]))["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user"]
    assert encode(Request(model=NEW, messages=[]))["contents"] == []


@pytest.mark.parametrize("blob", [Blob("image/png", ref="sha256-abc"), Blob("application/zip", b"PK"), Blob("font/ttf", b"")])
def test_an_attachment_that_cannot_be_sent_is_an_error_that_names_it(blob: Blob) -> None:
    with pytest.raises(ProviderError) as caught:
        encode(Request(model=NEW, messages=[user("see", blob)]))
    assert caught.value.kind == "bad_request"
    assert blob.media_type in caught.value.message


def test_in_place_of_what_was_attached_earlier_and_cannot_be_sent_stand_words() -> None:
    seen = [user("See", Blob("image/gif", b"GIF89a", name="a.gif"), Blob("image/jpg", b"P")), assistant("A cat."), user("And?")]
    (_, words, image), *_ = [content["parts"] for content in encode(Request(model=NEW, messages=seen))["contents"]]
    assert words == {"text": "[a.gif (image/gif) was here, which cannot be shown to you.]"}
    assert image == {"inlineData": {"mimeType": "image/jpeg", "data": "UA=="}}  # Google knows only this name of it
    with pytest.raises(ProviderError) as caught:
        encode(Request(model=NEW, messages=seen[:1]))
    assert "image/gif" in caught.value.message


def test_a_picture_that_an_assistant_made() -> None:
    said = Message(role="assistant", parts=(Blob("image/png", b"ID3"),))
    contents = encode(Request(model=NEW, messages=[user("x"), said, user("y")]))["contents"]
    assert contents[1] == {"role": "model", "parts": [{"inlineData": {"mimeType": "image/png", "data": "SUQz"}}]}


def test_what_a_user_may_attach() -> None:
    media = ("image/webp", "application/pdf", "audio/mpeg", "video/mp4")
    blobs = [Blob(one, b"ID3") for one in media]
    (content,) = encode(Request(model=NEW, messages=[user(*blobs, Blob("text/csv; charset=utf-8", "é,1".encode()))]))["contents"]
    inline = [{"inlineData": {"mimeType": one, "data": "SUQz"}} for one in media]
    assert content["parts"] == [*inline, {"text": "é,1"}]


# --- settings ---


def sent(model: str = "qwen", **more: Any) -> dict[str, Any]:
    return {key: value for key, value in encode(Request(model=model, messages=[user("x")], **more)).items() if key != "contents"}


def test_settings_go_by_their_names_on_the_wire() -> None:
    given = {
        "temperature": 0.2,
        "top-p": 0.9,
        "top-k": 40,
        "max-tokens": 100,
        "stop": "\n",
        "seed": 1,
        "presence-penalty": 0.5,
        "response_logprobs": True,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "some-new-thing": {"a": 1},
        "safety-settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "service-tier": "flex",
    }
    assert sent(settings=given) == {
        "generationConfig": {
            "temperature": 0.2,
            "topP": 0.9,
            "topK": 40,
            "maxOutputTokens": 100,
            "stopSequences": ["\n"],
            "seed": 1,
            "presencePenalty": 0.5,
            "responseLogprobs": True,
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "someNewThing": {"a": 1},
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "serviceTier": "flex",
    }


def test_null_takes_out_what_would_be_sent() -> None:
    nothing = {"tools": None, "system-instruction": None, "thinking-config": None, "temperature": None, "response-mime-type": None}
    asked = sent(NEW, tools=(WEATHER,), instructions="Be brief.", schema={"type": "object"}, settings=nothing)
    assert asked == {"generationConfig": {"responseJsonSchema": {"type": "object"}}}
    assert sent(NEW, settings={"include-thoughts": None}) == {}


def test_tools_of_the_servers_own_are_added() -> None:
    tools = sent(tools=(WEATHER,), settings={"tools": [{"googleSearch": {}}]})["tools"]
    assert [list(tool) for tool in tools] == [["functionDeclarations"], ["googleSearch"]]


@pytest.mark.parametrize(
    ("model", "given", "thinking"),
    [
        # models that think show it; others are not told about thinking
        (NEW, {}, {"includeThoughts": True}),
        ("models/gemini-3-pro-preview", {}, {"includeThoughts": True}),
        ("gemini-10-flash", {}, {"includeThoughts": True}),
        ("gemini-pro-latest", {}, {"includeThoughts": True}),
        (OLD, {}, {"includeThoughts": True}),
        ("gemini-2.5-flash-lite", {}, None),
        ("gemini-2.5-flash-image", {}, None),
        ("gemini-3-pro-image-preview", {}, None),
        ("gemini-2.0-flash", {}, None),
        ("gemma-3-27b-it", {}, None),
        ("qwen", {}, None),
        # levels from Gemini 3 on
        (NEW, {"effort": "low"}, {"includeThoughts": True, "thinkingLevel": "low"}),
        (NEW, {"effort": "none"}, {"includeThoughts": True, "thinkingLevel": "minimal"}),
        (NEW, {"effort": "max"}, {"includeThoughts": True, "thinkingLevel": "high"}),
        (NEW, {"effort": 2048}, {"includeThoughts": True, "thinkingBudget": 2048}),
        ("qwen", {"effort": "high"}, {"includeThoughts": True, "thinkingLevel": "high"}),
        # budgets before
        (OLD, {"effort": "low"}, {"includeThoughts": True, "thinkingBudget": 1024}),
        (OLD, {"effort": "medium"}, {"includeThoughts": True, "thinkingBudget": 8192}),
        (OLD, {"effort": "high"}, {"includeThoughts": True, "thinkingBudget": 24576}),
        ("gemini-2.5-flash-lite", {"effort": "low"}, {"includeThoughts": True, "thinkingBudget": 1024}),
        (OLD, {"effort": "none"}, {"thinkingBudget": 0}),
        (OLD, {"effort": 0}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"effort": "none"}, {"includeThoughts": True, "thinkingBudget": 128}),
        # what is said by its name holds
        (NEW, {"include-thoughts": False, "effort": "low"}, {"includeThoughts": False, "thinkingLevel": "low"}),
        (OLD, {"thinking-budget": 0}, {"thinkingBudget": 0}),
        (OLD, {"thinking-budget": -1}, {"includeThoughts": True, "thinkingBudget": -1}),
        (NEW, {"thinking-level": "low", "effort": "high"}, {"includeThoughts": True, "thinkingLevel": "low"}),
        (NEW, {"thinking-config": {"thinkingBudget": 5}, "effort": "high"}, {"thinkingBudget": 5}),
        (NEW, {"effort": None}, {"includeThoughts": True}),
    ],
)
def test_thinking(model: str, given: dict[str, Any], thinking: dict[str, Any] | None) -> None:
    assert sent(model, settings=given).get("generationConfig", {}).get("thinkingConfig") == thinking


@pytest.mark.parametrize("model", [NEW, OLD, "gemini-2.0-flash", "gemini-flash-latest", "qwen"])
@pytest.mark.parametrize("tools", [(), (WEATHER,)])
def test_a_schema_is_asked_for_where_a_model_takes_it(model: str, tools: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False}
    body = sent(model, schema=schema, tools=tools, instructions="Be brief.")
    config = body.get("generationConfig", {})
    if tools and model in (OLD, "gemini-2.0-flash"):  # which refuse the two together
        assert config.keys() <= {"thinkingConfig"}
        words = body["systemInstruction"]["parts"][0]["text"]
        assert words.startswith("Be brief.\n\n")
        assert json.loads(words.rpartition("\n")[2]) == schema
    else:
        assert (config["responseMimeType"], config["responseJsonSchema"]) == ("application/json", schema)
        assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]


# --- what comes back ---


def stream(*objects: Any) -> bytes:
    """A body of these, as Google sends it: objects as data, bytes as they are."""
    pieces = [one if isinstance(one, bytes) else f"data: {json.dumps(one, ensure_ascii=False)}\r\n\r\n".encode() for one in objects]
    return b"".join(pieces)


def said(*parts: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    """A piece of an answer. A text stands for a part that has it."""
    content = {"role": "model", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}
    candidate = {"content": content, "index": 0, **({"finishReason": finish} if finish else {})}
    return {"candidates": [candidate], "modelVersion": NEW, "responseId": "r", **more}


def called(name: str, args: Any = ..., **more: Any) -> dict[str, Any]:
    signature = {"thoughtSignature": more.pop("signature")} if "signature" in more else {}
    return {"functionCall": {"name": name, **({} if args is ... else {"args": args}), **more}, **signature}


def read(body: bytes, *, size: int = 0) -> tuple[list[Chunk], Message, ProviderError | None]:
    """The chunks, the message they make, and the error, of a body in pieces of this size."""
    answer, chunks, draft, failed = Answer(), list[Chunk](), Draft(), None
    try:
        for start in range(0, len(body), size or max(1, len(body))):
            chunks.extend(answer.feed(body[start : start + size] if size else body))
        chunks.extend(answer.end())
    except ProviderError as error:
        failed = error
    for chunk in chunks:
        draft.add(chunk)
    return chunks, draft.message(author=None, model=None), failed


def shape(message: Message) -> Any:
    calls = [(call.name, call.arguments, call.private) for call in message.calls]  # the ids of some are random
    others = [part for part in message.parts if not isinstance(part, ToolCall)]
    return calls, others, message.stop, message.usage


def good(body: bytes) -> Message:
    """The message of a body that is whole; the same however it is split."""
    _, message, error = read(body)
    assert error is None, error
    for size in (1, 3, 64):
        assert shape(read(body, size=size)[1]) == shape(message)
    return message


def bad(body: bytes) -> tuple[str, ProviderError]:
    """The text that came before the error, and the error; the same however it is split."""
    _, message, error = read(body)
    assert error is not None
    for size in (1, 3, 64):
        _, other, same = read(body, size=size)
        assert same is not None
        assert (other.text, same.kind, same.message) == (message.text, error.kind, error.message)
    return message.text, error


def test_text_thinking_usage_and_stop() -> None:
    usages = [
        {"promptTokenCount": 12, "totalTokenCount": 12},
        {
            "promptTokenCount": 12,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 30,
            "totalTokenCount": 46,
            "trafficType": "ON_DEMAND",
        },
    ]
    message = good(
        stream(
            said({"text": "Hm", "thought": True}, usageMetadata=usages[0]),
            said({"text": "m.", "thought": True}),
            said("Hel"),
            said("lo", "", finish="STOP", usageMetadata=usages[1]),
        )
    )
    assert message.parts == (Reasoning("Hmm."), Text("Hello"))
    assert (message.stop, message.usage) == ("done", Usage(12, 4, reasoning=30, more_output=30))
    assert message.usage
    assert message.usage.total == 46


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"promptTokenCount": 9, "candidatesTokenCount": 1, "cachedContentTokenCount": 8, "totalTokenCount": 10},
            Usage(9, 1, cached=8),
        ),
        (
            {
                "promptTokenCount": 147,
                "candidatesTokenCount": 108,
                "thoughtsTokenCount": 168,
                "toolUsePromptTokenCount": 360,
                "totalTokenCount": 783,
            },
            Usage(147, 108, reasoning=168, more_input=360, more_output=168),
        ),
        # a proxy that counts the thinking as output
        (
            {"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 14},
            Usage(9, 5, reasoning=3),
        ),
        ({"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 3}, Usage(9, 5, reasoning=3, more_output=3)),
        ({"promptTokenCount": 9, "totalTokenCount": 9}, Usage(9, 0)),
        ({"promptTokenCount": -9, "candidatesTokenCount": 10**30, "totalTokenCount": 1}, Usage(0, 0)),
        ({"promptTokenCount": "9", "candidatesTokenCount": 1, "thoughtsTokenCount": []}, Usage(0, 1)),
        ({"trafficType": "ON_DEMAND"}, None),
        ([], None),
    ],
)
def test_usage_of_every_shape(usage: Any, expected: Usage | None) -> None:
    assert good(stream(said("a", finish="STOP", usageMetadata=usage))).usage == expected


def test_the_last_usage_holds_whole_and_one_without_counts_is_none() -> None:
    first = {"promptTokenCount": 17, "candidatesTokenCount": 241, "thoughtsTokenCount": 412, "totalTokenCount": 670}
    last = {"promptTokenCount": 87, "thoughtsTokenCount": 78, "totalTokenCount": 165}
    message = good(
        stream(said("a", usageMetadata=first), said(finish="STOP", usageMetadata=last), {"usageMetadata": {"trafficType": "x"}})
    )
    assert message.usage == Usage(87, 0, reasoning=78, more_output=78)


def test_a_usage_that_is_repeated_is_said_once() -> None:
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
    chunks, _, _ = read(stream(*(said("a", usageMetadata=usage) for _ in range(3)), said(finish="STOP", usageMetadata=usage)))
    assert chunks.count(UsageChunk(Usage(1, 2))) == 1


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("STOP", "done"),
        ("MAX_TOKENS", "length"),
        *((reason, "refused") for reason in ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")),
        *((reason, "refused") for reason in ("IMAGE_SAFETY", "MODEL_ARMOR", "ESCALATION")),
    ],
)
def test_finish_reasons(reason: str, stop: str) -> None:
    message = good(stream(said("x"), said(finish=reason)))
    assert (message.text, message.stop) == ("x", stop)


@pytest.mark.parametrize(
    ("reason", "kind", "retried"),
    [
        ("MALFORMED_FUNCTION_CALL", "server", True),
        ("MALFORMED_RESPONSE", "server", True),
        ("UNEXPECTED_TOOL_CALL", "server", True),
        ("OTHER", "server", True),
        ("TOO_MANY_TOOL_CALLS", "bad_request", False),
        ("MISSING_THOUGHT_SIGNATURE", "bad_request", False),
        ("SOMETHING_NEW", "protocol", False),  # who knows whether the answer is whole
    ],
)
def test_a_finish_reason_that_is_none(reason: str, kind: str, retried: bool) -> None:
    candidate = {"finishReason": reason, "finishMessage": "Malformed: print(x)", "index": 0}
    text, failed = bad(stream(said("half"), {"candidates": [candidate]}))
    assert (text, failed.kind, again(failed)) == ("half", kind, retried)
    assert reason in failed.message
    assert "print(x)" in failed.message


def test_an_unexpected_call_that_came_is_left_to_the_agent() -> None:
    message = good(stream(said(called("nothing_like_it", {})), said(finish="UNEXPECTED_TOOL_CALL")))
    assert (message.calls[0].name, message.stop) == ("nothing_like_it", "tools")


def test_an_end_that_nobody_knows_is_one_if_there_are_calls() -> None:
    """Servers that imitate the API have words of their own for it."""
    message = good(stream(said(called("clock", {})), said(finish="FUNCTION_CALL")))
    assert (message.stop, [call.name for call in message.calls]) == ("tools", ["clock"])


def test_a_finish_reason_that_says_nothing_is_no_end() -> None:
    assert bad(stream(said("x", finish="FINISH_REASON_UNSPECIFIED")))[1].kind == "cut"


@pytest.mark.parametrize("more", [{}, {"blockReasonMessage": "It names a person."}])
def test_a_prompt_that_was_blocked_is_a_refusal_that_says_why(more: dict[str, str]) -> None:
    usage = {"promptTokenCount": 8, "totalTokenCount": 8}
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT", **more}, "usageMetadata": usage}
    for body in (stream(blocked), json.dumps([blocked], indent=2).encode(), json.dumps(blocked).encode()):
        message = good(body)
        assert (message.stop, message.usage) == ("refused", Usage(8, 0))
        assert "PROHIBITED_CONTENT" in message.text
        assert more.get("blockReasonMessage", "") in message.text


def test_feedback_that_blocks_nothing() -> None:
    message = good(stream(said("x", promptFeedback={"safetyRatings": []}), said(finish="STOP")))
    assert (message.text, message.stop) == ("x", "done")
    message = good(stream(said("x"), {"promptFeedback": {"blockReason": "SAFETY"}}))
    assert (message.text, message.stop) == ("x", "refused")


@pytest.mark.parametrize("body", [stream(said("half")), stream(said("half"), b'data: {"candidates":[{"content":{"parts":[{"te')])
def test_an_answer_without_an_end_is_cut_and_its_text_is_kept(body: bytes) -> None:
    text, error = bad(body)
    assert (text, error.kind, error.exit_code) == ("half", "cut", 75)


@pytest.mark.parametrize("body", [b"", b": ping\r\n\r\n", b"da", stream({}), stream({"candidates": []})])
def test_nothing_at_all_is_a_cut(body: bytes) -> None:
    assert bad(body)[1].kind == "cut"


WHOLE = [said("Hel"), said("lo 🐎", called("clock", {"zone": "é"}, id="a1", signature="c2ln")), said(finish="STOP")]


def test_cut_at_every_byte_is_never_whole_and_never_more_than_was_sent() -> None:
    body = stream(*WHOLE, {"usageMetadata": {"promptTokenCount": 1}})
    whole = len(stream(*WHOLE)) - 1  # the last byte of its blank line is the LF of a CRLF
    for end in range(len(body)):
        _, message, error = read(body[:end])
        assert "Hello 🐎".startswith(message.text)
        assert (error is None) == (end >= whole), body[:end]
        assert error is None or error.kind == "cut"


def test_an_array_cut_at_every_byte_keeps_what_was_whole_in_it() -> None:
    body = json.dumps(WHOLE, indent=2, ensure_ascii=False).encode()
    whole = body.rindex(b"}") + 1
    texts = set()
    for end in range(len(body)):
        _, message, error = read(body[:end])
        texts.add(message.text)
        assert (error is None) == (end >= whole), body[:end]
        assert error is None or error.kind == "cut"
    assert texts == {"", "Hel", "Hello 🐎"}


def test_finish_twice_and_text_after_it() -> None:
    message = good(stream(said("a", finish="STOP"), said("b", finish="STOP"), said("c", finish="MAX_TOKENS")))
    assert (message.text, message.stop) == ("abc", "length")


def test_only_the_first_candidate_is_read() -> None:
    other = {"index": 1, "content": {"parts": [{"text": "B"}, called("x", {})]}, "finishReason": "MAX_TOKENS"}
    message = good(stream({"candidates": [other, *said("A")["candidates"]]}, {"candidates": [other]}, said(finish="STOP")))
    assert (message.text, message.calls, message.stop) == ("A", (), "done")


def test_keep_alive_comments_unknown_events_and_line_ends_of_every_kind() -> None:
    ping = b": keep-alive\r\n\r\nevent: ping\ndata: ping\n\ndata: [DONE]\r\rid: 1\nretry: 5\n\n"
    assert good(stream(ping, said("a"), ping, said("b\u2028\x85", finish="STOP"), ping)).text == "ab\u2028\x85"


# --- signatures, and parts that are not shown ---


def test_a_signed_part_is_one_of_its_own() -> None:
    message = good(
        stream(
            said({"text": "Hm.", "thought": True}),
            said({"text": "So.", "thought": True, "thoughtSignature": "c2lnMA=="}),
            said("Hel"),
            said({"text": "lo", "thoughtSignature": "c2lnMQ=="}, "!"),
            said({"text": "", "thoughtSignature": "c2lnMg=="}),
            said({"text": "", "thoughtSignature": "c2lnMw=="}, finish="STOP"),
        )
    )
    assert message.parts == (
        Reasoning("Hm."),
        Reasoning("So.", {"gemini": {"signature": "c2lnMA=="}}),
        Text("Hel"),
        Text("lo", {"gemini": {"signature": "c2lnMQ=="}}),
        Text("!"),
        Text("", {"gemini": {"signature": "c2lnMg=="}}),
        Text("", {"gemini": {"signature": "c2lnMw=="}}),
    )
    assert message.text == "Hello!"


def test_a_signature_may_stand_alone() -> None:
    assert good(stream(said("a", {"thoughtSignature": "c2ln"}, finish="STOP"))).parts[1] == Text("", {"gemini": {"signature": "c2ln"}})


def test_what_the_servers_own_tools_said_is_kept_and_not_shown() -> None:
    parts: list[dict[str, Any]] = [
        {"executableCode": {"language": "PYTHON", "code": "print(1)", "id": "x"}, "thoughtSignature": "c2ln"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n", "id": "x"}},
        {"toolCall": {"toolType": "GOOGLE_SEARCH", "args": {"queries": ["é"]}, "id": "y"}},
        {"toolResponse": {"toolType": "GOOGLE_SEARCH", "response": {}, "id": "y"}},
    ]
    message = good(stream(said(parts[0], ""), said(*parts[1:]), said("One.", finish="STOP")))
    assert message.parts == (*(Reasoning("", {"gemini": {"part": part}}) for part in parts), Text("One."))
    assert (message.reasoning, message.stop) == ("", "done")


def test_what_is_null_is_not_there() -> None:
    nothing = {"thought": None, "functionCall": None, "executableCode": None, "inlineData": None}
    message = good(
        stream(
            said({**nothing, "text": "a", "thoughtSignature": None}, {**nothing, "text": None, "thoughtSignature": "c2ln"}),
            said({"text": None, **called("clock", {}, id=None, partialArgs=None, willContinue=None)}, finish="STOP"),
        )
    )
    assert message.parts[:2] == (Text("a"), Text("", {"gemini": {"signature": "c2ln"}}))
    assert [(call.name, call.arguments, call.private) for call in message.calls] == [("clock", "{}", {})]


def test_parts_that_are_not_known_are_skipped() -> None:
    unknown = [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"fileData": {"fileUri": "x"}},
        {"novelty": 1},
        {},
        None,
        5,
        [],
    ]
    message = good(stream(said("a", *unknown[:4], finish="STOP"), {"candidates": [{"content": {"parts": unknown}}]}))
    assert message.parts == (Text("a"),)


def test_what_is_read_is_what_is_sent_back() -> None:
    parts: list[dict[str, Any]] = [
        {"text": "Let me see.", "thought": True, "thoughtSignature": "c2lnMA=="},
        {"text": "I will look."},
        called("clock", {"zone": "é", "n": 12345678901234567890123}, id="a1", signature="c2lnMQ=="),
        called("clock", {}, id="a2"),
        called("clock", {"a": [1.5, None, True]}),
        {"text": "", "thoughtSignature": "c2lnMg=="},
    ]
    answer = good(stream(*(said(part) for part in parts), said({"text": "Hm.", "thought": True}, finish="STOP")))
    assert answer.stop == "tools"
    said_so = msgspec.structs.replace(answer, model=f"gemini/{NEW}")
    assert msgspec.json.decode(msgspec.json.encode(said_so), type=Message) == said_so
    back = encode(Request(model=NEW, messages=sendable([user("x"), said_so])))["contents"]
    assert back[1] == {"role": "model", "parts": parts}
    assert [part["functionResponse"].get("id") for part in back[2]["parts"]] == ["a1", "a2", None]


# --- tool calls ---


def calls(*objects: Any, finish: str = "STOP") -> list[tuple[str, Any]]:
    message = good(stream(*objects, said(finish=finish)))
    assert message.stop == ("tools" if message.calls else "done")
    return [(call.name, json.loads(call.arguments)) for call in message.calls]


ROME = ("weather", {"place": "Rome"})


def piece(*values: Any, more: bool = True, **call: Any) -> dict[str, Any]:
    """A piece of a call: (path, value) pairs. A text that ends in … goes on."""
    partial = []
    for path, value in values:
        kind = "boolValue" if isinstance(value, bool) else "stringValue" if isinstance(value, str) else "numberValue"
        ends = {"willContinue": True} if str(value).endswith("…") else {}
        value = value.removesuffix("…") if isinstance(value, str) else value
        partial.append({"jsonPath": path, **({"nullValue": "NULL_VALUE"} if value is None else {kind: value}), **ends})
    return {"functionCall": {**call, **({"partialArgs": partial} if partial else {}), **({"willContinue": True} if more else {})}}


END: dict[str, Any] = {"functionCall": {}}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([said(called("weather", {"place": "Rome"}))], [ROME], id="whole"),
        pytest.param([said(called("weather", {"place": "Rome"}), called("clock", {}))], [ROME, ("clock", {})], id="two parts"),
        pytest.param([said(called("weather", {"place": "Rome"})), said(called("clock"))], [ROME, ("clock", {})], id="two chunks"),
        pytest.param([said(called(*ROME), called(*ROME))], [ROME, ROME], id="the same one twice"),
        pytest.param([said(called("clock", None))], [("clock", {})], id="null"),
        pytest.param([said(called("clock", "x")), said(called("clock", [1]))], [("clock", {}), ("clock", {})], id="no object"),
        pytest.param([said({"functionCall": {"args": {"a": 1}}})], [("", {"a": 1})], id="no name"),
        pytest.param([said({"functionCall": None}, {"functionCall": "x"}, {"functionCall": {}})], [], id="nothing"),
        pytest.param(
            [
                said(piece(name="weather")),
                said(piece(("$.place", "Ro…"))),
                said(piece(("$.place", "me…"))),
                said(piece(("$.place", ""))),
                said(END),
            ],
            [ROME],
            id="a text in pieces",
        ),
        pytest.param([said(piece(("$.place", "Rome"), more=False, name="weather"))], [ROME], id="a piece that is all"),
        pytest.param(
            [said(piece(("$.place", "Ro…"), name="weather"), piece(("$.place", "me"), name="weather"), END)], [ROME], id="named again"
        ),
        pytest.param(
            [said(piece(name="weather")), said(piece(("$.place", "Rome…"))), said(piece(name="clock")), said(END)],
            [ROME, ("clock", {})],
            id="another begins before the end",
        ),
        pytest.param(
            [said(piece(name="weather"), piece(("$.place", "Rome"))), said(called("clock", {}))],
            [ROME, ("clock", {})],
            id="a whole one after it",
        ),
        pytest.param([said(piece(name="weather"), piece(("$.place", "Ro…"))), said(piece(("$.place", "me")))], [ROME], id="no end"),
        pytest.param(
            [
                said(piece(("$.a.b[0].c", 1), ("$.a.b[0].d", "x…"), ("$.a.b[1].c", 2.5), name="f")),
                said(piece(("$.a.b[0].d", "y"), ("$.t", True), ("$.n", None), ("$['odd name']", False), ('$["a"]["e"]', "z"))),
                said(END),
            ],
            [("f", {"a": {"b": [{"c": 1, "d": "xy"}, {"c": 2.5}], "e": "z"}, "t": True, "n": None, "odd name": False})],
            id="every kind of place and value",
        ),
        pytest.param(
            [said(piece(("$.list[999999999]", "a"), ("$.list[5][0]", "b"), ("place", "c"), ("$", "d"), name="f"), END)],
            [("f", {"list": ["a", ["b"]], "place": "c", "$": "d"})],
            id="odd places",
        ),
        pytest.param([said(piece((f"${'.a' * 101}", "x"), name="f"), END)], [("f", {f"${'.a' * 101}": "x"})], id="a place far down"),
        pytest.param([said(piece(("$.a[0]", "x"), ("$.a.b", "y"), name="f"), END)], [("f", {"a": ["x", "y"]})], id="a name in a list"),
        pytest.param(
            [said(piece(("$.a", "x"), ("$.a.b", "y"), ("$.a[0]", "z"), name="f"), END)],
            [("f", {"a": {"b": "y", "0": "z"}})],
            id="a place that is two things",
        ),
        pytest.param(
            [said({"functionCall": {"name": "f", "partialArgs": [None, 5, {}, {"jsonPath": 5}, {"jsonPath": "$.a"}]}})],
            [("f", {})],
            id="pieces that are none",
        ),
    ],
)
def test_calls_of_every_shape(objects: list[Any], expected: list[Any]) -> None:
    assert calls(*objects) == expected


def test_the_ids_of_calls_are_the_servers_or_new_and_never_the_same() -> None:
    message = good(stream(said(called("a", {}, id="x"), called("b", {}, id="x"), called("c", {})), said(finish="STOP")))
    first, second, third = message.calls
    assert first.id == "x"
    assert len({first.id, second.id, third.id}) == 3
    assert third.private == {}


def test_every_piece_of_a_call_is_a_sign_of_life() -> None:
    answer = Answer()
    alive = [
        list(answer.feed(stream(said(one)))) for one in (piece(name="weather"), piece(("$.place", "Ro…")), piece(("$.place", "me")))
    ]
    assert all(any(isinstance(chunk, CallChunk) for chunk in chunks) for chunks in alive)
    assert list(answer.feed(stream(said(END, finish="STOP")))) == [CallChunk(0), CallChunk(0, arguments='{"place": "Rome"}')]


def test_a_call_that_was_cut_keeps_what_came_of_its_arguments() -> None:
    _, message, error = read(stream(said(piece(name="weather"), piece(("$.place", "Ro…")))))
    assert error is not None
    assert error.kind == "cut"
    assert [(call.name, call.arguments) for call in message.calls] == [("weather", '{"place": "Ro"}')]


def test_many_small_pieces_take_a_time_that_grows_with_them() -> None:
    body = stream(said(piece(name="write")), *(said(piece(("$.text", "word…"))) for _ in range(20_000)), said(END, finish="STOP"))
    _, message, error = read(body, size=1 << 16)
    assert error is None
    assert message.calls[0].arguments == json.dumps({"text": "word" * 20_000})


# --- errors ---


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}, "overloaded"),
        ({"code": 429, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}, "rate_limit"),
        ({"message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}, "rate_limit"),
        ({"code": 500, "message": "An internal error has occurred.", "status": "INTERNAL"}, "server"),
        ({"code": 504, "message": "Deadline exceeded.", "status": "DEADLINE_EXCEEDED"}, "server"),
        ({"code": 400, "message": "The input token count (9) exceeds the maximum", "status": "INVALID_ARGUMENT"}, "context_length"),
        ({"code": 400, "message": "Corrupted thought signature.", "status": "INVALID_ARGUMENT"}, "bad_request"),
        ({"code": 403, "message": "no", "status": "PERMISSION_DENIED"}, "auth"),
    ],
)
def test_an_error_in_mid_stream_keeps_the_text_and_says_what_it_is(error: dict[str, Any], kind: str) -> None:
    for body in (
        stream(said("half"), {"error": error}),
        stream(said("half"), f"data: {json.dumps([{'error': error}])}\r\n\r\n".encode()),
        stream(said("half"), f"event: error\r\ndata: {json.dumps({'error': error})}\r\n\r\n".encode()),
        stream(said("half"), json.dumps({"error": error}, indent=2).encode()),  # beside the events
        stream(said("half"), b"\r\n" + json.dumps([{"error": error}], indent=2).encode() + b"\n"),
        json.dumps([said("half"), {"error": error}]).encode(),
    ):
        text, failed = bad(body)
        assert (text, failed.kind) == ("half", kind), body
        assert error["message"] in failed.message


@pytest.mark.parametrize("rest", [b"\n{", b'\n{"error', b"\n[]", b"\n5", b'\n{"error": null}', b"{}"])
def test_what_stands_beside_the_events_may_be_anything(rest: bytes) -> None:
    text, failed = bad(stream(said("half"), rest))
    assert (text, failed.kind) == ("half", "cut")


def test_an_error_after_the_finish_reason_is_still_one() -> None:
    assert bad(stream(said("a", finish="STOP"), {"error": {"message": "no", "code": 500}}))[1].kind == "server"


@pytest.mark.parametrize("nothing", [None, "", {}, [], False])
def test_an_empty_error_is_none(nothing: Any) -> None:
    assert good(stream({**said("a", finish="STOP"), "error": nothing})).text == "a"


def test_a_chunk_that_is_not_json_is_an_error() -> None:
    text, failed = bad(stream(said("half"), b'data: {"candidates": [}\n\n', said("more", finish="STOP")))
    assert (text, failed.kind) == ("half", "protocol")


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert bad(stream(b'data: {"candidates":' + deep + b"}\n\n"))[1].kind == "protocol"
    _, _, error = read(b'{"candidates":' + deep + b"}")
    assert error is not None


@pytest.mark.parametrize("depth", [*range(50, 1100, 50), 100_000])
def test_a_part_that_is_nested_deeply_is_no_crash(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for part in (f'{{"functionCall": {{"name": "f", "args": {{"a": {deep}}}}}}}', f'{{"toolResponse": {deep}}}'):
        _, message, error = read(
            stream(f'data: {{"candidates": [{{"content": {{"parts": [{part}]}}}}]}}\n\n'.encode(), said(finish="STOP"))
        )
        assert error is None or error.kind == "protocol"
        assert msgspec.json.encode(message)


# --- bodies that are no stream ---


@pytest.mark.parametrize("before", [b"", b"\n\n ", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_in_place_of_a_stream(before: bytes, indent: int | None) -> None:
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
    pieces = [said("H"), said("é", called("clock", {}), finish="STOP", usageMetadata=usage)]
    message = good(before + json.dumps(pieces, indent=indent, ensure_ascii=False).encode())
    assert (message.text, message.stop, message.usage) == ("Hé", "tools", Usage(1, 2))
    message = good(before + json.dumps(pieces[1], indent=indent, ensure_ascii=False).encode())
    assert (message.text, message.stop, message.usage) == ("é", "tools", Usage(1, 2))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'[{"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}}]', "auth"),
        (b'{"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}', "overloaded"),
        (b'{"detail": "Not found"}', "protocol"),
        (b'{"models": []}', "protocol"),
        (b"[]", "protocol"),
        (b"[1, 2", "cut"),
        (b"<!doctype html><title>Welcome</title>", "protocol"),
        (b"Not found", "protocol"),
        (b'{"candidates": [{"content": {"parts": [{"text": "hal', "cut"),
    ],
)
def test_bodies_that_are_no_answer(body: bytes, kind: str) -> None:
    assert bad(body)[1].kind == kind


# --- shapes that are not documented ---


@pytest.mark.parametrize(
    ("piece", "text"),
    [
        ({"candidates": None}, ""),
        ({"candidates": "x"}, ""),
        ({"candidates": [None, 5, {}]}, ""),
        ({"candidates": [{"content": None}]}, ""),
        ({"candidates": [{"content": "x"}]}, ""),
        ({"candidates": [{"content": {"parts": None}}]}, ""),
        ({"candidates": [{"content": {"parts": {"text": "no"}}}]}, ""),
        ({"candidates": [{"content": {"parts": [None, 5, {"text": 5}, {"text": None}, {"text": "a", "thought": "x"}]}}]}, "a"),
        ({"candidates": [{"index": "zero", "content": {"parts": [{"text": "a", "thoughtSignature": 5}]}}]}, "a"),
        ({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": [1]}]}, "a"),
        ({"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": "much", "promptFeedback": 5}, "a"),
        ({"modelVersion": 5, "novelty": {"a": [1]}}, ""),
    ],
)
def test_a_wrong_shape_is_no_crash_and_costs_only_what_is_wrong(piece: Any, text: str) -> None:
    assert good(stream(piece, said("!", finish="STOP"))).text == f"{text}!"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10) | st.floats(allow_nan=True) | st.text("aé🐎\ud83d\ude00$.[0]", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["text", "thought", "thoughtSignature", "id", "name", "args", "partialArgs", "jsonPath", "stringValue", "willContinue"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
FIELDS = ["text", "thought", "thoughtSignature", "functionCall", "executableCode", "toolCall", "inlineData", "novelty"]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3), max_size=4))
def test_whatever_stands_in_a_part_gives_text_that_can_be_written(parts: list[Any]) -> None:
    objects = (f"data: {json.dumps(said(part))}\n\n".encode() for part in parts)
    chunks, message, error = read(stream(*objects, said("end", finish="STOP")))
    assert error is None
    assert message.text.endswith("end")
    assert isinstance(chunks[-1], StopChunk)
    for chunk in chunks:
        for value in (getattr(chunk, name, "") for name in ("text", "arguments", "name", "id")):
            str(value).encode()
        msgspec.json.encode(getattr(chunk, "private", {}))
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message
    said_so = msgspec.structs.replace(message, model=f"gemini/{NEW}")
    assert msgspec.json.encode(encode(Request(model=NEW, messages=sendable([user("x"), said_so]), settings={"tools": []})))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(0, 700), max_size=12), st.booleans())
def test_any_split_gives_the_same_answer(cuts: list[int], array: bool) -> None:
    objects = [
        said({"text": "Hm é", "thought": True}),
        said("Hello 🐎\r\n", {"text": "", "thoughtSignature": "c2ln"}),
        said(called("clock", {"zone": "é"}, id="a1")),
        said(finish="STOP", usageMetadata={"promptTokenCount": 3, "totalTokenCount": 3}),
    ]
    body = json.dumps(objects, ensure_ascii=False).encode() if array else stream(*objects)
    answer, draft = Answer(), Draft()
    edges = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
    for start, end in pairwise(edges):
        for chunk in answer.feed(body[start:end]):
            draft.add(chunk)
    for chunk in answer.end():
        draft.add(chunk)
    assert shape(draft.message(author=None, model=None)) == shape(read(body)[1])


# --- surrogates ---


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\\ud83d", "\\ude00b"], "a😀b"),
        (["a\\ud83d\\ude00b"], "a😀b"),
        (["a\\ud83d", "", "\\ude00b"], "a😀b"),
        (["a\\ud83d", "b"], "a\ufffdb"),
        (["a\\ud83d"], "a\ufffd"),
        (["\\ude00b"], "\ufffdb"),
        (["\\ude00", "\\ud83d"], "\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("thought", [False, True])
def test_halves_of_a_surrogate_pair(pieces: list[str], text: str, thought: bool) -> None:
    more = ',"thought":true' if thought else ""
    objects = [f'data: {{"candidates":[{{"content":{{"parts":[{{"text":"{one}"{more}}}]}}}}]}}\n\n'.encode() for one in pieces]
    chunks, message, error = read(stream(*objects, said(finish="STOP")))
    assert error is None
    assert (message.reasoning if thought else message.text) == text
    for chunk in chunks:
        str(getattr(chunk, "text", "")).encode()  # each of them can be written


def test_halves_in_arguments_and_signatures() -> None:
    body = (
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f\\ud83d","id":"\\ud83d","partialArgs":'
        b'[{"jsonPath":"$.a","stringValue":"\\ud83d"}],"willContinue":true},"thoughtSignature":"\\ud83d"},'
        b'{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"\\ude00"}]}},{"toolCall":{"id":"\\ud83d"}}]}}]}\n\n'
    )
    chunks, message, error = read(stream(body, said(finish="STOP")))
    assert error is None
    assert json.loads(message.calls[0].arguments) == {"a": "😀"}
    assert msgspec.json.encode(message)
    for chunk in chunks:
        msgspec.json.encode(getattr(chunk, "private", {}))


def test_half_a_character_before_a_call_comes_before_it() -> None:
    half = b'data: {"candidates":[{"content":{"parts":[{"text":"a\\ud83d"}]}}]}\n\n'
    message = good(stream(half, said(called("clock", {}), finish="STOP")))
    assert [type(part) for part in message.parts] == [Text, ToolCall]
    assert message.text == "a\ufffd"


def test_half_a_character_at_a_cut_is_kept_too() -> None:
    text, error = bad(stream(b'data: {"candidates":[{"content":{"parts":[{"text":"a\\ud83d"}]}}]}\n\n'))
    assert (text, error.kind) == ("a\ufffd", "cut")


def test_chunks_come_as_soon_as_their_event_has_ended() -> None:
    answer = Answer()
    body = stream(said({"text": "Hm", "thought": True}, "a"))
    assert list(answer.feed(body[:-2])) == []
    assert list(answer.feed(body[-2:])) == [ReasoningChunk("Hm"), TextChunk("a")]


# --- through HTTP ---


async def ask(
    endpoint: Endpoint, model: str = NEW, *, retries: int = 0, **more: Any
) -> tuple[Message, list[Chunk], ProviderError | None]:
    provider = create("gemini", endpoint, Clocks(connect=5, idle=5, retries=retries), keep=False)
    draft, chunks, failed = Draft(), list[Chunk](), None
    try:
        async with aclosing(provider.stream(Request(model=model, messages=[user("Hi")], **more))) as answer:
            async for chunk in answer:
                chunks.append(chunk)
                draft.add(chunk)
    except ProviderError as error:
        failed = error
    finally:
        await provider.aclose()
    return draft.message(author=None, model=None), chunks, failed


def test_a_question_and_its_answer() -> None:
    body = [stream(one) for one in (said({"text": "Hm.", "thought": True}), said("Hel"), said("lo", finish="STOP"))]
    with ModelServer().raw(body) as server:
        message, _, error = asyncio.run(
            ask(Endpoint(kind="gemini", base_url=server.origin, key="k-secret"), settings={"max-tokens": 5})
        )
        (asked,) = server.requests
    assert error is None
    assert (message.text, message.reasoning, message.stop) == ("Hello", "Hm.", "done")
    assert asked.path == f"/v1beta/models/{NEW}:streamGenerateContent?alt=sse"
    assert asked.headers["x-goog-api-key"] == "k-secret"
    assert "authorization" not in asked.headers
    assert asked.body == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"maxOutputTokens": 5, "thinkingConfig": {"includeThoughts": True}},
    }


VERTEX = "/v1/projects/p/locations/global/publishers/google"


@pytest.mark.parametrize(
    ("base", "model", "path"),
    [
        ("/", NEW, f"/v1beta/models/{NEW}"),
        ("/v1", NEW, f"/v1/models/{NEW}"),
        ("/v1beta/", f"models/{NEW}", f"/v1beta/models/{NEW}"),
        ("/v1beta1", "tunedModels/mine", "/v1beta1/tunedModels/mine"),
        ("/gateway/v1/me/google-ai-studio", NEW, f"/gateway/v1/me/google-ai-studio/v1beta/models/{NEW}"),
        (VERTEX, NEW, f"{VERTEX}/models/{NEW}"),
        ("/v1/projects/p/locations/l", "endpoints/12", "/v1/projects/p/locations/l/endpoints/12"),
        ("/v1", "projects/p/locations/l/publishers/google/models/m", "/v1/projects/p/locations/l/publishers/google/models/m"),
        ("/v1beta", "a b?c=#d/ü%", "/v1beta/models/a%20b%3Fc%3D%23d%2F%C3%BC%25"),
        ("/v1beta", "models/../x", "/v1beta/models/models%2F..%2Fx"),
        ("/v1beta", "models/", "/v1beta/models/models%2F"),
        ("/v1beta", "\ud83d", "/v1beta/models/%3F"),
    ],
)
def test_where_a_model_is_asked(base: str, model: str, path: str) -> None:
    with ModelServer().raw(stream(said("x", finish="STOP"))) as server:
        message, _, error = asyncio.run(ask(Endpoint(kind="gemini", base_url=server.origin + base), model))
        (asked,) = server.requests
    assert error is None
    assert message.text == "x"
    assert asked.path == f"{path}:streamGenerateContent?alt=sse"


def test_a_base_url_may_have_a_query_and_headers_may_let_in() -> None:
    bearer = {"Authorization": "Bearer token"}
    with ModelServer().raw(stream(said("x", finish="STOP"))) as server:
        asyncio.run(ask(Endpoint(kind="gemini", base_url=f"{server.origin}/v1?a=b", key="k-secret", headers=bearer)))
        (asked,) = server.requests
    assert asked.path.endswith("?a=b&alt=sse")
    assert asked.headers["authorization"] == "Bearer token"
    assert "x-goog-api-key" not in asked.headers


@pytest.mark.parametrize("url", ["http://[::1", "http://a b", "", "x", "http://h:99999"])
def test_an_address_that_is_none_is_said_when_it_is_asked(url: str) -> None:
    _, _, error = asyncio.run(ask(Endpoint(kind="gemini", base_url=url)))
    assert error is not None
    assert "base URL of gemini" in error.message


def test_a_key_that_is_wrong_is_named_and_not_shown() -> None:
    wrong = {
        "code": 400,
        "message": "API key not valid: k-secret.",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}],
    }
    for body in ({"error": wrong}, [{"error": wrong}]):
        with ModelServer().fails(400, body=body) as server:
            endpoint = Endpoint(kind="gemini", base_url=server.origin, key="k-secret", key_name="GEMINI_API_KEY")
            _, _, error = asyncio.run(ask(endpoint, retries=2))
            assert len(server.requests) == 1
        assert error is not None
        assert (error.kind, error.status, error.exit_code) == ("auth", 400, Exit.UNAVAILABLE)
        assert "GEMINI_API_KEY" in error.hint
        assert "k-secret" not in error.message


def test_the_wait_that_google_asks_for_is_waited_and_said() -> None:
    busy = {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.050s"}],
    }
    with (
        ModelServer()
        .fails(429, body={"error": busy})
        .then.raw(stream({"error": busy}))
        .then.raw(stream(said("x", finish="STOP"))) as server
    ):
        message, chunks, error = asyncio.run(ask(Endpoint(kind="gemini", base_url=server.origin), retries=2))
    assert error is None
    assert message.text == "x"
    assert [chunk.delay for chunk in chunks if isinstance(chunk, Retrying)] == [0.05, 0.05]


def test_a_call_that_the_model_got_wrong_is_asked_for_again() -> None:
    broken = {"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed", "index": 0}]}
    with ModelServer().raw(stream(broken)).then.raw(stream(said("x", finish="STOP"))) as server:
        message, chunks, error = asyncio.run(ask(Endpoint(kind="gemini", base_url=server.origin), retries=1))
    assert error is None
    assert message.text == "x"
    (retry,) = [chunk for chunk in chunks if isinstance(chunk, Retrying)]
    assert "MALFORMED_FUNCTION_CALL" in retry.reason
