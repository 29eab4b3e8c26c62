"""Chat completions: what is sent, and what is made of whatever comes back."""

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

from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, Usage, assistant, user
from agentcli.core.provider import Chunk, Draft, ProviderError, Request, StopChunk, TextChunk
from agentcli.core.thread import sendable
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.openai_chat import Server, encode
from agentcli.providers.openai_chat.answer import Answer
from agentcli.providers.sse import LIMIT
from tests.model_server import ModelServer
from tests.providers.histories import HISTORIES, request, same_as_snapshot

LAB = Server.at("http://127.0.0.1:8000/v1", "lab")
OPENAI = Server.at("https://api.openai.com/v1", "openai")
DEEPSEEK = Server.at("https://api.deepseek.com", "deepseek")
MISTRAL = Server.at("https://api.mistral.ai/v1", "mistral")


# --- what is sent ---


def test_every_history_is_sent_as_before() -> None:
    models = {
        "lab": (LAB, "qwen"),
        "openai": (OPENAI, "gpt-5.4"),
        "deepseek": (DEEPSEEK, "deepseek-v4"),
        "mistral": (MISTRAL, "small"),
    }
    same_as_snapshot(
        "openai_chat",
        {
            history: {name: encode(request(history, model=model), server)["messages"] for name, (server, model) in models.items()}
            for history in HISTORIES
        },
    )


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("server", [LAB, OPENAI, DEEPSEEK, MISTRAL], ids=lambda server: server.name)
def test_every_history_is_one_that_servers_take(history: str, server: Server) -> None:
    messages = encode(request(history), server)["messages"]
    waiting: list[str] = []
    for before, message in zip([None, *messages], messages, strict=False):
        assert message["content"] or message.get("tool_calls") or message["role"] == "tool", message
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert not waiting
        assert before is None or before["role"] != message["role"] or message["role"] == "assistant"
        if server is MISTRAL:
            assert (before or {}).get("role") != "tool" or message["role"] == "assistant"
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert len(call["id"]) <= 40
            assert server is not MISTRAL or re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"])
            waiting.append(call["id"])
    assert not waiting
    assert server is not MISTRAL or messages[-1]["role"] in ("user", "tool")


def test_a_request_asks_for_a_stream_with_usage_and_names_the_tools() -> None:
    body = encode(request("one question"), LAB)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert [tool["function"]["name"] for tool in body["tools"]] == ["weather", "clock"]
    assert body["tools"][1] == {
        "type": "function",
        "function": {"name": "clock", "description": "The time of day.", "parameters": {"type": "object", "properties": {}}},
    }
    assert "tools" not in encode(request("one question", tools=()), LAB)
    assert "stream_options" not in encode(request("one question"), MISTRAL)  # it refuses what it does not know


@pytest.mark.parametrize(
    ("server", "model", "role", "tokens"),
    [
        (OPENAI, "gpt-5.4", "developer", "max_completion_tokens"),
        (OPENAI, "o4-mini", "developer", "max_completion_tokens"),
        (OPENAI, "gpt-4.1-mini", "system", "max_tokens"),
        (OPENAI, "ft:gpt-4o-mini:me", "system", "max_tokens"),
        (Server.at("https://me.openai.azure.com/openai/v1", "azure"), "gpt-5.4", "developer", "max_completion_tokens"),
        (Server.at("https://me.openai.azure.com/openai/v1", "azure"), "prod-gpt-4o", "system", "max_tokens"),
        (
            Server.at("https://me.cognitiveservices.azure.com/openai/deployments/x", "azure"),
            "o3",
            "developer",
            "max_completion_tokens",
        ),
        (Server.at("https://me.services.ai.azure.com/openai/v1", "azure"), "DeepSeek-V3.1", "system", "max_tokens"),
        (Server.at("https://me.services.ai.azure.com/models", "azure"), "gpt-5.4", "system", "max_tokens"),
        (LAB, "gpt-5.4", "system", "max_tokens"),
        (Server.at("https://api.openai.com.example/v1", "openai"), "gpt-5.4", "system", "max_tokens"),
        (Server.at("", "nowhere"), "gpt-5.4", "system", "max_tokens"),
    ],
)
def test_only_openai_gets_what_only_openai_takes(server: Server, model: str, role: str, tokens: str) -> None:
    body = encode(request("one question", model=model, settings={"max-tokens": 7}), server)
    assert body["messages"][0]["role"] == role
    assert body[tokens] == 7


def test_settings_go_by_their_names_on_the_wire() -> None:
    given = {
        "temperature": 0.2,
        "top-p": 0.9,
        "max-tokens": 100,
        "effort": "low",
        "stop": ["\n"],
        "seed": 1,
        "presence-penalty": 0.5,
        "frequency-penalty": 0.25,
        "some-new-thing": {"a": 1},
        "stream-options": None,
    }
    body = encode(Request(model="m", messages=[user("x")], settings=given), LAB)
    assert {key: value for key, value in body.items() if key not in ("model", "messages", "stream")} == {
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 100,
        "reasoning_effort": "low",
        "stop": ["\n"],
        "seed": 1,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "some_new_thing": {"a": 1},
    }
    assert encode(Request(model="m", messages=[user("x")], settings={"seed": 1}), MISTRAL)["random_seed"] == 1


def test_mistral_has_no_user_after_a_tool_and_none_but_a_user_or_a_tool_last() -> None:
    sent = encode(request("stopped in a call"), MISTRAL)["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert sent[-2]["content"]
    sent = encode(request("an assistant first and last"), MISTRAL)["messages"]
    assert [message["role"] for message in sent] == ["system", "assistant", "user", "assistant", "user"]
    assert [message["role"] for message in encode(request("stopped in a call"), LAB)["messages"]][-2:] == ["tool", "user"]


@pytest.mark.parametrize("model", ["mistralai/Devstral-Small-2", "Ministral-3-8B", "mistralai/mixtral-8x7b"])
def test_models_of_mistral_are_as_strict_elsewhere(model: str) -> None:
    sent = encode(request("stopped in a call", model=model), LAB)
    assert [message["role"] for message in sent["messages"]][-3:] == ["tool", "assistant", "user"]
    assert re.fullmatch(r"[a-zA-Z0-9]{9}", sent["messages"][2]["tool_calls"][0]["id"])
    assert "stream_options" in sent


def test_a_pdf_goes_as_the_server_wants_it() -> None:
    question = Request(model="m", messages=[user(Blob("application/pdf", b"%PDF", name="a.pdf"))])
    url = "data:application/pdf;base64,JVBERg=="
    assert encode(question, MISTRAL)["messages"][0]["content"] == [{"type": "document_url", "document_url": url}]
    assert encode(question, LAB)["messages"][0]["content"] == [{"type": "file", "file": {"filename": "a.pdf", "file_data": url}}]


@pytest.mark.parametrize("base", ["/openai/v1", "/openai/deployments/mine?api-version=2024-10-21"])
def test_an_address_with_a_path_and_a_query(server: ModelServer, base: str) -> None:
    server.says("Hi")

    async def main() -> None:
        provider = create("azure", Endpoint(kind="openai-chat", base_url=server.origin + base), Clocks(retries=0), keep=False)
        async with aclosing(provider.stream(request("one question"))) as chunks:
            assert [chunk async for chunk in chunks]
        await provider.aclose()

    asyncio.run(main())
    path, _, query = base.partition("?")
    assert [asked.path for asked in server.requests] == [f"{path}/chat/completions" + (f"?{query}" if query else "")]


@pytest.mark.parametrize("blob", [Blob("image/png", ref="sha256-abc"), Blob("application/zip", b"PK"), Blob("video/mp4", b"")])
def test_an_attachment_that_cannot_be_sent_is_an_error_that_names_it(blob: Blob) -> None:
    with pytest.raises(ProviderError) as caught:
        encode(Request(model="m", messages=[user("see", blob)]), LAB)
    assert caught.value.kind == "bad_request"
    assert blob.media_type in caught.value.message


def test_sound_is_sent_with_its_form() -> None:
    (message,) = encode(Request(model="m", messages=[user(Blob("audio/mpeg", b"ID3"))]), LAB)["messages"]
    assert message["content"] == [{"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}]


SEEN = [user("See", Blob("image/png", b"P", name="a.png")), assistant("A cat."), user("And?")]


def test_in_place_of_what_was_attached_earlier_and_cannot_be_sent_stand_words() -> None:
    film = [user("See", Blob("video/mp4", b"", name="a.mp4")), assistant("A cat."), user("And?")]
    message, *_ = encode(Request(model="m", messages=film), LAB)["messages"]
    assert message["content"] == "See\n\n[a.mp4 (video/mp4) was here, which cannot be shown to you.]"


async def answered(server: ModelServer, *requests: Request, retries: int = 0) -> list[str]:
    """The answers to these questions, or the kinds of error."""
    provider = create("lab", Endpoint(kind="openai-chat", base_url=server.url), Clocks(retries=retries), keep=False)
    answers = []
    for one in requests:
        draft = Draft()
        try:
            async with aclosing(provider.stream(one)) as chunks:
                async for chunk in chunks:
                    draft.add(chunk)
            answers.append(draft.message(author=None, model=None).text)
        except ProviderError as error:
            answers.append(error.kind)
    await provider.aclose()
    return answers


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "messages[1]: unknown variant `image_url`, expected `text` at line 1 column 460917"),  # DeepSeek
        (400, "this model does not support image input"),  # Ollama
        (400, "Model does not support images. Please use a model that does."),  # LM Studio
        (400, "'messages[0].content' must be a string"),  # Groq
        (400, "unsupported content[].type"),  # llama.cpp, of a PDF
        (400, "Qwen/Qwen3-8B is not a multimodal model"),  # vLLM
        (404, "No endpoints found that support image input"),  # OpenRouter
        (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),  # llama.cpp
    ],
)
@pytest.mark.parametrize("retries", [0, 4])
def test_a_model_that_does_not_see_is_asked_without_what_was_attached_earlier(
    server: ModelServer, status: int, words: str, retries: int
) -> None:
    server.fails(status, words).then.says("Hi")
    asked = Request(model="m", messages=SEEN)
    other = Request(model="n", messages=SEEN)
    assert asyncio.run(answered(server, asked, asked, other, retries=retries)) == ["Hi"] * 3
    first, second, third, fourth = [request.body["messages"][0]["content"] for request in server.requests]
    assert [part["type"] for part in first] == ["text", "image_url"]
    assert second == third == "See\n\n[a.png (image/png) was here, which cannot be shown to you.]"
    assert fourth == first  # each model is asked by itself


def test_a_model_that_does_not_see_refuses_what_it_is_asked_about(server: ModelServer) -> None:
    server.fails(400, "this model does not support image input")
    asked = [Request(model="m", messages=SEEN[:1]), Request(model="m", messages=[*SEEN, *SEEN[:1]])]
    assert asyncio.run(answered(server, *asked)) == ["bad_request"] * 2
    assert len(server.requests) == 2


@pytest.mark.parametrize("words", ["this model does not support image input", "temperature must be below 2"])
def test_another_refusal_is_told(server: ModelServer, words: str) -> None:
    server.fails(400, words)
    messages = SEEN if "temperature" in words else [user("Hello")]
    assert asyncio.run(answered(server, Request(model="m", messages=messages))) == ["bad_request"]
    assert len(server.requests) == 1


def test_a_model_is_asked_to_go_on_by_somebody() -> None:
    assert encode(Request(model="m", messages=[user("Count."), assistant("1, 2,")]), LAB)["messages"][-1]["role"] == "user"


def test_a_vendor_is_as_strict_behind_another_address() -> None:
    behind = "http://127.0.0.1:8000/v1"
    assert Server.at(behind, "mistral") == MISTRAL
    assert Server.at(behind, "deepseek") == DEEPSEEK


# --- what comes back ---


def stream(*events: Any, done: bool = True) -> bytes:
    """A body of these: objects as data, bytes as they are."""
    pieces = [event if isinstance(event, bytes) else f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode() for event in events]
    return b"".join(pieces) + (b"data: [DONE]\n\n" if done else b"")


def delta(content: Any = None, *, finish: Any = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content, **fields}, "finish_reason": finish}]}


def piece(*, index: Any = ..., id: Any = ..., name: Any = ..., arguments: Any = ...) -> dict[str, Any]:  # noqa: A002
    """A chunk with a piece of one tool call; what is not given is not there."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not ...}
    call = {key: value for key, value in (("index", index), ("id", id)) if value is not ...}
    return delta(tool_calls=[{**call, "type": "function", "function": function}])


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
    return message.text, message.reasoning, calls, message.stop, message.usage, [type(part) for part in message.parts]


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
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 40,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    message = good(
        stream(delta("", role="assistant"), delta("Hel"), delta("lo"), delta(finish="stop"), {"choices": [], "usage": usage})
    )
    assert (message.text, message.stop, message.usage) == ("Hello", "done", Usage(12, 40, 8, 30))


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "done"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "refused"),
        ("tool_calls", "done"),  # without any
        ("eos", "done"),
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_finish_reasons(reason: str, stop: str, done: bool) -> None:
    assert good(stream(delta("x"), delta(finish=reason), done=done)).stop == stop


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call", "STOP", None])
def test_an_answer_with_calls_wants_tools_whatever_it_says(reason: str | None) -> None:
    assert good(stream(piece(index=0, id="a", name="clock", arguments="{}"), delta(finish=reason))).stop == "tools"


def test_done_without_a_finish_reason_is_an_end_and_nothing_after_it_counts() -> None:
    message = good(stream(delta("x"), b"data: [DONE]\n\n", delta("y"), {"error": "late"}, b"data: {\n\n"))
    assert (message.text, message.stop) == ("x", "done")


@pytest.mark.parametrize(
    "body", [stream(delta("half"), done=False), stream(delta("half"), b'data: {"choices":[{"delta":{"content":" more"', done=False)]
)
def test_an_answer_without_an_end_is_cut_and_its_text_is_kept(body: bytes) -> None:
    text, error = bad(body)
    assert (text, error.kind, error.exit_code) == ("half", "cut", 75)


@pytest.mark.parametrize("body", [b"", b": PROCESSING\n\n", b"da", stream({"id": "x", "choices": []}, done=False)])
def test_nothing_at_all_is_a_cut(body: bytes) -> None:
    assert bad(body)[1].kind == "cut"


def test_cut_at_every_byte_is_never_whole_and_never_more_than_was_sent() -> None:
    body = stream(delta("Hel"), delta("lo 🐎"), delta(finish="stop"))
    whole = body.index(b'"stop"') + len(b'"stop"}]}\n\n')
    for end in range(len(body)):
        _, message, error = read(body[:end])
        assert "Hello 🐎".startswith(message.text)
        assert (error is None) == (end >= whole), body[:end]
        assert error is None or error.kind == "cut"


def test_finish_twice_and_text_after_it() -> None:
    message = good(stream(delta("a", finish="stop"), delta("b", finish="stop"), delta("c", finish=""), delta("", finish="length")))
    assert (message.text, message.stop) == ("abc", "length")


def test_the_last_usage_holds() -> None:
    usages = [{"prompt_tokens": 1, "completion_tokens": number} for number in (1, 2)]
    message = good(
        stream({**delta("a"), "usage": usages[0]}, {**delta("b", finish="stop"), "usage": usages[1]}, {"choices": [], "usage": None})
    )
    assert message.usage == Usage(1, 2)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, Usage(5, 1, 4)),
        ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 3}}, Usage(5, 1, 0, 0, 3)),
        ({"prompt_tokens": 5}, Usage(5, 0)),
        ({"prompt_tokens": -5, "completion_tokens": 10**30}, Usage(0, 0)),
        ({"prompt_tokens": "5", "completion_tokens": 1}, Usage(0, 1)),
        ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": 7}, Usage(5, 1)),
        ({}, None),
        ([], None),
    ],
)
def test_usage_of_every_shape(usage: Any, expected: Usage | None) -> None:
    assert good(stream({**delta("a", finish="stop"), "usage": usage})).usage == expected


def test_usage_as_groq_sent_it() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    assert good(stream({**delta("a", finish="stop"), "x_groq": {"id": "r", "usage": usage}})).usage == Usage(3, 4)


def test_only_the_first_choice_is_read() -> None:
    other = {"index": 1, "delta": {"content": "B", "tool_calls": [{"index": 0, "id": "b"}]}, "finish_reason": "length"}
    first = {"index": 0, "delta": {"content": "A"}, "finish_reason": None}
    message = good(stream({"choices": [other, first]}, {"choices": [other]}, delta(finish="stop")))
    assert (message.text, message.calls, message.stop) == ("A", (), "done")


def test_keep_alive_comments_unknown_events_and_pings() -> None:
    ping = b': keep-alive\n\nevent: ping\ndata: {"type": "ping"}\n\ndata: keepalive\n\ndata:\n\nid: 1\nretry: 5\n\n'
    assert good(stream(ping, delta("a"), ping, delta("b", finish="stop"), ping)).text == "ab"


def test_separators_that_are_not_line_ends_stay_in_the_text() -> None:
    text = "a\u2028b\u2029c\u0085d\r\ne\u000bf"
    assert good(stream(delta(text, finish="stop"))).text == text


def test_a_refusal_is_text_and_the_answer_is_refused() -> None:
    message = good(stream(delta(refusal="I can't "), delta(refusal="do that."), delta(refusal=None, finish="stop")))
    assert (message.text, message.stop) == ("I can't do that.", "refused")


# --- thinking ---


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thinking_in_either_field(field: str) -> None:
    message = good(stream(delta(**{field: "Hm"}), delta("", **{field: "m."}), delta("Yes.", **{field: None}), delta(finish="stop")))
    assert (message.reasoning, message.text) == ("Hmm.", "Yes.")
    private = {"openai-chat": {"field": field}} if field == "reasoning_content" else {}
    assert message.parts[0].private == private  # type: ignore[union-attr]


def test_thinking_said_in_both_fields_is_said_once() -> None:
    assert good(stream(delta("", reasoning="Hm", reasoning_content="Hm"), delta("x", finish="stop"))).reasoning == "Hm"


def test_details_of_thinking_are_joined_and_stay_with_their_part() -> None:
    def part(text: str | None, **more: Any) -> dict[str, Any]:
        return {"type": "reasoning.text", "index": 0, "format": "f", "text": text, **more}

    encrypted = {"type": "reasoning.encrypted", "index": 1, "format": "f", "data": "ZW5j", "id": "call_1"}
    message = good(
        stream(
            delta("", reasoning="A ", reasoning_details=[part("A ")]),
            delta("", reasoning="B", reasoning_details=[part("B")]),
            delta("", reasoning_details=[part(None, signature="c2ln")]),
            delta("Text.", reasoning_details=[]),
            delta("", reasoning_details=[encrypted], finish="stop"),
        )
    )
    assert (message.reasoning, message.text) == ("A B", "Text.")
    assert [part.private for part in message.parts if not isinstance(part, Text)] == [  # type: ignore[union-attr]
        {"openai-chat": {"details": [part("A B", signature="c2ln")]}},
        {"openai-chat": {"details": [encrypted]}},
    ]


def test_a_signed_detail_is_closed() -> None:
    signed = [{"type": "reasoning.text", "text": text, "signature": text} for text in ("a", "b")]
    message = good(stream(delta(reasoning_details=signed), delta("x", finish="stop")))
    assert message.parts[0].private == {"openai-chat": {"details": signed}}  # type: ignore[union-attr]


def test_details_of_thinking_that_was_cut_off_are_not_kept() -> None:
    details = [{"type": "reasoning.text", "text": "Hm", "index": 0}]  # the signature has not come yet
    _, message, error = read(stream(delta(reasoning="Hm", reasoning_details=details), done=False))
    assert error is not None
    assert message.parts == (Reasoning("Hm"),)


def test_details_alone_are_thinking_too() -> None:
    details = [[{"type": "reasoning.text", "text": text}] for text in ("a", "b")]
    assert good(stream(*(delta(reasoning_details=one) for one in details), delta("x", finish="stop"))).reasoning == "ab"


def test_a_list_as_content() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]
    message = good(stream(delta(thinking), delta([{"type": "text", "text": "Y"}, "es"]), delta(".", finish="stop")))
    assert (message.reasoning, message.text) == ("Hm", "Yes.")


def test_what_is_read_is_what_is_sent_back() -> None:
    details = [{"type": "reasoning.text", "text": "Hm", "signature": "c2ln"}]
    _, answer, _ = read(
        stream(delta(reasoning_content="Hm", reasoning_details=details), piece(index=0, id="a", name="clock", arguments="{}"))
    )
    said = Message(role="assistant", model="lab/m", stop="tools", parts=answer.parts)
    result = request("parallel tools").messages[-1]
    sent = encode(Request(model="m", messages=[user("x"), said, result]), LAB)["messages"][1]
    assert sent["reasoning_content"] == "Hm"
    assert sent["reasoning_details"] == details
    elsewhere = encode(Request(model="m", messages=[user("x"), said, result]), OPENAI)["messages"][1]
    assert elsewhere.keys() == {"role", "content", "tool_calls"}
    other = encode(Request(model="n", messages=[user("x"), said, result]), LAB)["messages"][1]
    assert other.keys() == {"role", "content", "tool_calls", "reasoning_content"}  # details are one model's own


def test_thinking_goes_back_in_turns_with_tools_and_in_no_others() -> None:
    def turn(*, tools: bool, model: str = "lab/m") -> list[Message]:
        thought = Reasoning("Hm", {"openai-chat": {"field": "reasoning_content"}})
        call = Message(role="assistant", model=model, parts=(thought, ToolCall("a", "clock", "{}")))
        answer = Message(role="assistant", model=model, parts=(Text("Noon."),))
        return [user("x"), *([call, Message(role="tool", parts=(ToolResult("a", "12:00"),))] if tools else []), answer]

    def sent(messages: list[Message], server: Server) -> list[Any]:
        body = encode(Request(model="m", messages=messages), server)
        return [message.get("reasoning_content") for message in body["messages"] if message["role"] == "assistant"]

    assert sent([*turn(tools=False), *turn(tools=True), *turn(tools=False)], LAB) == [None, "Hm", "", None]
    assert sent(turn(tools=True, model="other/m"), LAB) == [None, None]
    assert sent(turn(tools=True, model="openai/m"), OPENAI) == [None, None]  # it was another server that had this name


# --- tool calls ---


def calls(*events: Any) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in good(stream(*events, delta(finish="tool_calls"))).calls]


ONE = [("a", "weather", '{"place": "Rome"}')]
TWO = [*ONE, ("b", "clock", "{}")]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([piece(index=0, id="a", name="weather", arguments='{"place": "Rome"}')], ONE, id="whole"),
        pytest.param(
            [
                piece(index=0, id="a", name="weather", arguments=""),
                piece(index=0, arguments='{"pla'),
                piece(index=0, id="", name="", arguments='ce": "Ro'),
                piece(index=0, id=None, name=None, arguments='me"}'),
            ],
            ONE,
            id="in pieces",
        ),
        pytest.param(
            [
                piece(index=0, id="a", name="weather", arguments='{"place": '),
                piece(index=1, id="b", name="clock", arguments="{"),
                piece(index=0, arguments='"Rome"}'),
                piece(index=1, arguments="}"),
            ],
            TWO,
            id="two, interleaved",
        ),
        pytest.param(
            [
                piece(index=0, id="a", name="weather", arguments='{"place": '),
                piece(index=0, id="a", name="weather", arguments='"Rome"}'),
                piece(index=0, id="a", name="weather", arguments=""),
            ],
            ONE,
            id="id and name in every piece",
        ),
        pytest.param(
            [
                piece(index=0, id="a", name="weather", arguments='{"place": '),
                piece(index=0, id="zzz", name="weather", arguments='"Rome"}'),
            ],
            ONE,
            id="another id in every piece",
        ),
        pytest.param(
            [
                piece(index=0, id="a", name="weather", arguments='{"place": "Rome"}'),
                piece(index=0, id="b", name="clock", arguments="{}"),
            ],
            TWO,
            id="one index for all",
        ),
        pytest.param(
            [
                piece(id="a", name="weather", arguments='{"place": '),
                piece(arguments='"Rome"}'),
                piece(id="b", name="clock"),
                piece(id="b", arguments="{}"),
            ],
            TWO,
            id="no index",
        ),
        pytest.param(
            [piece(index="0", id="a", name="weather", arguments='{"place": '), piece(index="0", arguments='"Rome"}')],
            ONE,
            id="index as text",
        ),
        pytest.param([piece(index=0, id="a", name="weather", arguments={"place": "Rome"})], ONE, id="an object"),
        pytest.param(
            [
                piece(index=0, id="a", name="weather", arguments={"place": "Rome"}),
                piece(index=0, id="a", name="weather", arguments={"place": "Rome"}),
            ],
            ONE,
            id="an object, twice",
        ),
        pytest.param([piece(index=0, id="b", name="clock", arguments=None)], [("b", "clock", "{}")], id="null"),
        pytest.param([piece(index=0, id="b", name="clock")], [("b", "clock", "{}")], id="no arguments"),
        pytest.param(
            [piece(index=0, id="b", name="clock", arguments=""), piece(index=0, arguments="{}")],
            [("b", "clock", "{}")],
            id="empty, then {}",
        ),
        pytest.param([piece(index=0, id="a", name="weather", arguments="Rome")], [("a", "weather", "Rome")], id="not JSON"),
        pytest.param([piece(index=5, id="b", name="clock", arguments="{}")], [("b", "clock", "{}")], id="an index of its own"),
        pytest.param([piece(index=0, id=7, name="clock", arguments="{}")], [("7", "clock", "{}")], id="a number as id"),
    ],
)
def test_calls_of_every_shape(events: list[Any], expected: list[Any]) -> None:
    assert calls(*events) == expected


def test_calls_as_vllm_sends_them() -> None:
    role = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}]}
    last = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "tool_calls", "stop_reason": None}]}
    pieces = [
        piece(index=0, id="chatcmpl-tool-1f", name="weather"),
        *(piece(index=0, arguments=text) for text in ('{"place"', ': "Rome"', "}")),
    ]
    message = good(stream(role, *pieces, last))
    assert [(call.id, call.name, call.arguments) for call in message.calls] == [("chatcmpl-tool-1f", "weather", '{"place": "Rome"}')]
    assert message.stop == "tools"


def test_a_call_without_an_id_gets_one() -> None:
    message = good(stream(piece(name="clock", arguments="{}"), delta(finish="tool_calls")))
    assert len(message.calls) == 1
    assert message.calls[0].id


def test_a_function_call_of_the_old_kind() -> None:
    old = [
        delta(function_call={"name": "clock", "arguments": ""}),
        delta(function_call={"arguments": "{}"}),
        delta(finish="function_call"),
    ]
    message = good(stream(*old))
    assert [(call.name, call.arguments) for call in message.calls] == [("clock", "{}")]
    assert message.stop == "tools"


# --- errors ---


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "type": "rate_limit_error", "code": None}, "rate_limit"),
        ({"message": "slow down", "code": 429}, "rate_limit"),
        ({"message": "too busy", "type": "overloaded_error"}, "overloaded"),
        ({"message": "too busy", "code": "503"}, "overloaded"),
        ({"message": "maximum context length is 5 tokens", "code": "context_length_exceeded"}, "context_length"),
        ({"message": "too long", "type": "exceed_context_size_error", "code": 400}, "context_length"),
        ({"message": "no", "code": 401}, "auth"),
        ({"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}, "auth"),
        ({"message": "who?", "code": "model_not_found", "type": "invalid_request_error"}, "not_found"),
        ({"message": "what?", "type": "invalid_request_error"}, "bad_request"),
        ({"message": "oops", "type": "server_error", "code": 500}, "server"),
        ({"message": "oops"}, "server"),
        ("oops", "server"),
        (["oops"], "server"),
        (True, "server"),
    ],
)
def test_an_error_in_mid_stream_keeps_the_text_and_says_what_it_is(error: Any, kind: str) -> None:
    text, failed = bad(stream(delta("half"), {"error": error}))
    assert (text, failed.kind) == ("half", kind)
    if isinstance(error, dict):
        assert error["message"] in failed.message


def test_errors_wherever_servers_put_them() -> None:
    inner = {"code": 500, "message": "boom", "type": "server_error"}
    for event in (
        {"error": inner},
        {**delta("", finish="stop"), "error": inner},
        {"choices": [{"index": 0, "delta": {"content": ""}, "error": inner}]},
        {"object": "error", **inner},
        b"event: error\ndata: " + json.dumps(inner).encode() + b"\n\n",
        b"event: error\ndata: " + json.dumps({"error": inner}).encode() + b"\n\n",
        b"error: " + json.dumps({"detail": "boom", "error": {"message": "boom"}}).encode() + b"\n\n",
        b"event: error\ndata: boom\n\n",
    ):
        text, failed = bad(stream(delta("half"), event))
        assert (text, failed.kind) == ("half", "server"), event
        assert "boom" in failed.message


def test_an_error_after_the_finish_reason_is_still_one() -> None:
    assert bad(stream(delta("a", finish="stop"), {"error": {"message": "no"}}))[1].kind == "server"


@pytest.mark.parametrize("nothing", [None, "", {}, [], False])
def test_an_empty_error_is_none(nothing: Any) -> None:
    assert good(stream({**delta("a", finish="stop"), "error": nothing})).text == "a"


@pytest.mark.parametrize(("reason", "kind"), [("error", "server"), ("insufficient_system_resource", "overloaded"), ("abort", "cut")])
def test_a_finish_reason_that_is_none(reason: str, kind: str) -> None:
    text, failed = bad(stream(delta("half"), delta(finish=reason)))
    assert (text, failed.kind) == ("half", kind)


def test_a_chunk_that_is_not_json_is_an_error() -> None:
    text, failed = bad(stream(delta("half"), b'data: {"choices": [}\n\n', delta("more", finish="stop")))
    assert (text, failed.kind) == ("half", "protocol")


def test_an_event_of_more_than_16_mib() -> None:
    _, message, failed = read(stream(delta("half"), b"data: {" + b" " * LIMIT + b"}\n\n"))
    assert failed is not None
    assert (message.text, failed.kind) == ("half", "too_large")


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    assert bad(stream(b'data: {"error":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n"))[1].kind == "protocol"


# --- bodies that are no stream ---


def whole(**message: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


@pytest.mark.parametrize("before", [b"", b"\n\n ", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_answer_in_place_of_a_stream(before: bytes, indent: int | None) -> None:
    message = good(before + json.dumps(whole(role="assistant", content="Hé"), indent=indent, ensure_ascii=False).encode())
    assert (message.text, message.stop, message.usage) == ("Hé", "done", Usage(1, 2))


def test_a_json_answer_with_calls() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    message = good(json.dumps(whole(content=None, reasoning_content="Hm", tool_calls=[call, {**call, "id": "b"}])).encode())
    assert [call.id for call in message.calls] == ["a", "b"]
    assert (message.reasoning, message.stop) == ("Hm", "tools")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error": {"message": "no", "code": 401}}', "auth"),
        (b'[{"error": {"message": "no", "status": "UNAVAILABLE", "code": 503}}]', "overloaded"),
        (b'{"detail": "no"}', "server"),
        (b'{"error": "no"}', "server"),
        (b'{"models": []}', "protocol"),
        (b"[]", "protocol"),
        (b"<!doctype html><title>Welcome</title>", "protocol"),
        (b"\r\n <html>", "protocol"),
        (b"Not found", "protocol"),
        (b'{"choices": [{"message": {"content": "hal', "cut"),
    ],
)
def test_bodies_that_are_no_answer(body: bytes, kind: str) -> None:
    assert bad(body)[1].kind == kind


def test_perplexity_repeats_the_whole_message_which_is_not_read() -> None:
    def event(new: str, so_far: str, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": {"content": new}, "message": {"content": so_far}, "finish_reason": finish}]}

    assert good(stream(event("a", "a"), event("b", "ab"), event("", "ab", "stop"), done=False)).text == "ab"


# --- shapes that are not documented ---


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"choices": None}, ""),
        ({"choices": "x"}, ""),
        ({"choices": [None, 5, {}]}, ""),
        ({"choices": [{"delta": None}]}, ""),
        ({"choices": [{"delta": "x"}]}, ""),
        ({"choices": [{"index": "zero", "delta": {"content": "a", "tool_calls": {"no": 1}, "reasoning": [1]}}]}, "a"),
        ({"choices": [{"delta": {"content": 5}}]}, "5"),
        ({"choices": [{"delta": {"content": {"text": "a"}}}]}, ""),
        ({"choices": [{"delta": {"content": [None, 5, {"type": "thinking"}, {"text": ["a"]}]}}]}, "a"),
        ({"choices": [{"delta": {"content": "a", "tool_calls": [None, 5]}}]}, "a"),
        ({"choices": [{"delta": {"content": "a", "reasoning_details": ["x", None, 5]}}]}, "a"),
        ({"choices": [{"delta": {"content": "a"}, "finish_reason": 5}]}, "a"),
        ({"choices": [{"delta": {"content": "a"}}], "usage": "much", "x_groq": 5}, "a"),
    ],
)
def test_a_wrong_shape_is_no_crash_and_costs_only_what_is_wrong(event: Any, text: str) -> None:
    assert good(stream(event, delta("!", finish="stop"))).text == f"{text}!"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10) | st.floats(allow_nan=True) | st.text("aé🐎\ud83d\ude00", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["content", "text", "type", "index", "id", "function", "name", "arguments", "message"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(["content", "reasoning", "reasoning_details", "tool_calls", "function_call", "refusal"]), JSON, JSON)
def test_whatever_stands_in_a_field_gives_text_that_can_be_written(field: str, value: Any, other: Any) -> None:
    events = (f"data: {json.dumps(delta(**{field: one}))}\n\n".encode() for one in (value, other))
    chunks, message, error = read(stream(*events, delta("end", finish="stop")))
    assert error is None
    assert message.text.endswith("end")
    assert isinstance(chunks[-1], StopChunk)
    for chunk in chunks:
        str(getattr(chunk, "text", "")).encode()
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message
    assert msgspec.json.encode(encode(Request(model="m", messages=sendable([user("x"), message])), LAB))


# --- surrogates ---


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\\ud83d", "\\ude00b"], "a😀b"),
        (["a\\ud83d\\ude00b"], "a😀b"),
        (["a\\ud83d", "", "\\ude00b"], "a😀b"),
        (["a\\ud83d", "b"], "a\ufffdb"),
        (["a\\ud83d", "é"], "a\ufffdé"),
        (["a\\ud83d"], "a\ufffd"),
        (["\\ude00b"], "\ufffdb"),
        (["\\ude00", "\\ud83d"], "\ufffd\ufffd"),
        (["\\ud83d", "\\ud83d", "\\ude00"], "\ufffd😀"),
    ],
)
@pytest.mark.parametrize("field", ["content", "reasoning"])
def test_halves_of_a_surrogate_pair(pieces: list[str], text: str, field: str) -> None:
    events = [f'data: {{"choices":[{{"delta":{{"{field}":"{piece}"}}}}]}}\n\n'.encode() for piece in pieces]
    chunks, message, error = read(stream(*events, delta(finish="stop")))
    assert error is None
    assert (message.text if field == "content" else message.reasoning) == text
    for chunk in chunks:
        str(getattr(chunk, "text", "")).encode()  # each of them can be written


def test_half_a_character_of_thinking_does_not_join_the_text() -> None:
    events = [b'data: {"choices":[{"delta":{"reasoning":"\\ud83d"}}]}\n\n', b'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n']
    message = good(stream(*events, delta(finish="stop")))
    assert (message.reasoning, message.text) == ("\ufffd", "\ufffd")


def test_half_a_character_at_a_cut_is_kept_too() -> None:
    text, error = bad(stream(b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n', done=False))
    assert (text, error.kind) == ("a\ufffd", "cut")


def test_chunks_come_as_soon_as_their_event_has_ended() -> None:
    answer = Answer()
    body = stream(delta("a"), done=False)
    assert list(answer.feed(body[:-1])) == []
    assert list(answer.feed(body[-1:])) == [TextChunk("a")]


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": [], "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, False),
        ({"type": "array", "items": {"type": "object", "properties": {"a": {}}}}, False),
        ({"type": "array", "items": {"type": "string"}}, True),
    ],
)
def test_a_schema_is_asked_for_and_strictly_where_a_server_can(schema: dict[str, Any], strict: bool) -> None:
    asked = encode(Request(model="m", messages=[], schema=schema))["response_format"]
    assert asked == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}
