"""The Responses API: what is sent, and whole questions to a server. What is made of answers: test_openai_responses_answer.py."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import aclosing
from typing import Any

import pytest

from agentcli.core.agent import Agent
from agentcli.core.message import Blob, Message, assistant, user
from agentcli.core.provider import Draft, ProviderError, Request
from agentcli.core.thread import Thread
from agentcli.core.tool import tool
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.openai import headers_for
from agentcli.providers.openai_responses import Extras, Server, encode
from tests.model_server import ModelServer, Reply
from tests.providers.histories import HISTORIES, request, same_as_snapshot
from tests.providers.responses import HELLO, LAB, THOUGHT, stream, turn

OPENAI = Server.at("https://api.openai.com/v1", "openai")
PLAIN = Extras(summary=False, thinking=False)


# --- what is sent ---


def test_every_history_is_sent_as_before() -> None:
    ways: dict[str, tuple[Server, str, Extras]] = {
        "lab": (LAB, "qwen", Extras()),
        "lab, which takes nothing back": (LAB, "qwen", PLAIN),
        "openai": (OPENAI, "gpt-5.4", Extras()),
    }
    same_as_snapshot(
        "openai_responses",
        {
            history: {
                way: encode(request(history, model=model), server, extras)["input"] for way, (server, model, extras) in ways.items()
            }
            for history in HISTORIES
        },
    )


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("model", ["qwen", "gpt-4o"])
@pytest.mark.parametrize("extras", [Extras(), PLAIN], ids=["everything", "nothing"])
def test_every_history_is_one_that_servers_take(history: str, model: str, extras: Extras) -> None:
    items = encode(request(history, model=model), LAB, extras)["input"]
    waiting: list[str] = []
    ids: list[str] = [
        item[key] for item in items for key in ("id", "call_id") if key in item and item["type"] != "function_call_output"
    ]
    assert len(ids) == len(set(ids))
    for item, after in zip(items, [*items[1:], None], strict=True):
        if "id" in item:
            assert re.fullmatch({"message": "msg_", "function_call": "fc_", "reasoning": "rs_"}[item["type"]] + r"\w+", item["id"])
        match item.get("type", "said"):
            case "said":
                assert not waiting
                assert item["content"]
                assert after is None or after.get("type") != "said"  # never a user twice
            case "message":
                assert item["role"] == "assistant"
                assert all(part["type"] == "output_text" and part["text"] for part in item["content"])
            case "reasoning":
                assert model == "qwen"
                assert extras.thinking
                assert after
                assert after["type"] in ("message", "function_call")
            case "function_call":
                assert isinstance(json.loads(item["arguments"]), dict)
                assert re.fullmatch(r"[\w-]{1,64}", item["call_id"])
                assert re.fullmatch(r"[\w-]{1,64}", item["name"])
                waiting.append(item["call_id"])
            case "function_call_output":
                assert item["call_id"] == waiting.pop(0)
    assert not waiting


def test_a_request_keeps_nothing_at_the_server_and_names_the_tools() -> None:
    body = encode(request("one question", model="gpt-5.4"), OPENAI)
    assert {key: value for key, value in body.items() if key != "tools"} == {
        "model": "gpt-5.4",
        "input": [{"role": "user", "content": "Hello"}],
        "instructions": "Be brief.",
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": "auto"},
    }
    assert body["tools"][1] == {
        "type": "function",
        "name": "clock",
        "description": "The time of day.",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }
    bare = encode(request("one question", tools=(), instructions=""), LAB)
    assert not bare.keys() & {"tools", "instructions", "text"}


@pytest.mark.parametrize(
    ("server", "model", "given", "include", "reasoning"),
    [
        (OPENAI, "gpt-5.4", {}, True, {"summary": "auto"}),
        (OPENAI, "o4-mini", {"effort": "low"}, True, {"summary": "auto", "effort": "low"}),
        (OPENAI, "gpt-5.4", {"effort": "none"}, True, {"effort": "none"}),
        (OPENAI, "gpt-5.4", {"summary": "detailed"}, True, {"summary": "detailed"}),
        (OPENAI, "gpt-5.4", {"summary": None}, True, None),
        (OPENAI, "gpt-4o", {}, False, None),
        (OPENAI, "gpt-4.1-mini", {}, False, None),
        (OPENAI, "ft:gpt-4o-mini:me", {}, False, None),
        (OPENAI, "chatgpt-4o-latest", {}, False, None),
        (OPENAI, "gpt-5-chat-latest", {}, False, None),
        (OPENAI, "gpt-5.4-chat-latest", {}, False, None),
        (LAB, "qwen", {}, True, None),
        (LAB, "qwen", {"effort": "high"}, True, {"summary": "auto", "effort": "high"}),
        (LAB, "openai/gpt-4o", {}, False, None),
        (LAB, "grok-4-1", {}, True, None),
        (Server.at("https://me.openai.azure.com/openai/v1", "azure"), "gpt-5.4", {}, True, {"summary": "auto"}),
        (Server.at("https://me.services.ai.azure.com/openai/v1", "azure"), "prod-gpt-4o", {}, False, None),
    ],
)
def test_only_models_that_think_are_asked_for_thinking(
    server: Server, model: str, given: dict[str, Any], include: bool, reasoning: dict[str, Any] | None
) -> None:
    body = encode(Request(model=model, messages=[user("x")], settings=given), server)
    assert ("include" in body) is include
    assert body.get("reasoning") == reasoning


def test_settings_go_to_their_places_on_the_wire() -> None:
    given = {
        "temperature": 0.2,
        "top-p": 0.9,
        "max-tokens": 100,
        "effort": "low",
        "verbosity": "high",
        "parallel-tool-calls": False,
        "some-new-thing": {"a": 1},
        "include": None,
        "store": True,
    }
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    body = encode(Request(model="m", messages=[user("x")], settings=given, schema=schema), LAB)
    assert {key: value for key, value in body.items() if key not in ("model", "input", "stream")} == {
        "temperature": 0.2,
        "top_p": 0.9,
        "max_output_tokens": 100,
        "reasoning": {"summary": "auto", "effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}, "verbosity": "high"},
        "parallel_tool_calls": False,
        "some_new_thing": {"a": 1},
        "store": True,
    }


@pytest.mark.parametrize(
    ("given", "reasoning"),
    [
        ({"reasoning": {"effort": "low"}}, {"summary": "auto", "effort": "low"}),
        ({"reasoning": {"summary": None}}, None),
        ({"reasoning": None}, None),
        ({"reasoning": None, "effort": "low"}, {"effort": "low"}),
        ({"reasoning": "much", "effort": "low"}, {"effort": "low"}),
        ({"reasoning": "much"}, "much"),
        ({"effort": None}, {"summary": "auto"}),
    ],
)
def test_a_setting_in_its_own_form_is_joined_with_ours(given: dict[str, Any], reasoning: Any) -> None:
    assert encode(Request(model="gpt-5.4", messages=[user("x")], settings=given), OPENAI).get("reasoning") == reasoning


STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (STRICT, True),
        ({**STRICT, "properties": {"a": {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]}}}, True),
        ({**STRICT, "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": STRICT}}, True),
        ({**STRICT, "properties": {"a": {"type": "array", "items": STRICT}}}, True),
        ({"type": "object", "properties": {}}, False),
        ({**STRICT, "required": []}, False),
        ({**STRICT, "properties": {"a": {"type": "string", "default": "x"}}}, False),
        ({**STRICT, "properties": {"a": {"type": "string", "minLength": 1}}}, False),
        ({**STRICT, "properties": {"a": {}}}, False),
        ({**STRICT, "properties": {"a": True}}, False),
        ({**STRICT, "properties": {"a": {"type": "object"}}}, False),
        ({**STRICT, "properties": {"a": {"type": ["object", "null"]}}}, False),
        ({**STRICT, "properties": {"a": {"type": "array", "items": {"type": "object"}}}}, False),
        ({**STRICT, "properties": {"a": {"anyOf": [{"type": "object"}]}}}, False),
        ({**STRICT, "$defs": {"b": {"type": "object"}}}, False),
        ({**STRICT, "allOf": [STRICT]}, False),
        ({**STRICT, "required": [{}]}, False),
        ({**STRICT, "required": "a"}, False),
        ({**STRICT, "properties": ["a"]}, False),
        ({**STRICT, "anyOf": 5}, False),
        (True, False),
    ],
)
def test_a_schema_is_strict_only_where_a_server_can_hold_to_it(schema: Any, strict: bool) -> None:
    body = encode(Request(model="m", messages=[user("x")], schema=schema), LAB)
    assert body["text"]["format"]["strict"] is strict


def test_a_tool_of_typed_parameters_is_strict() -> None:
    @tool
    def weather(place: str, days: int) -> str:
        """The weather in a place."""
        return ""

    (sent,) = encode(Request(model="m", messages=[], tools=(weather.spec,)), LAB)["tools"]
    assert sent["strict"] is True


def test_attachments() -> None:
    office = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    (item,) = encode(
        Request(
            model="m", messages=[user("See:", Blob("image/png", b"P"), Blob("text/csv", b"a,b"), Blob(office, b"D", name="d.docx"))]
        ),
        LAB,
    )["input"]
    assert item["content"] == [
        {"type": "input_text", "text": "See:"},
        {"type": "input_image", "image_url": "data:image/png;base64,UA==", "detail": "auto"},
        {"type": "input_text", "text": "a,b"},
        {"type": "input_file", "filename": "d.docx", "file_data": f"data:{office};base64,RA=="},
    ]


@pytest.mark.parametrize(
    "blob", [Blob("image/png", ref="sha256-abc"), Blob("application/zip", b"PK"), Blob("video/mp4", b""), Blob("audio/mpeg", b"ID3")]
)
def test_an_attachment_that_cannot_be_sent_is_an_error_that_names_it(blob: Blob) -> None:
    with pytest.raises(ProviderError) as caught:
        encode(Request(model="m", messages=[user("see", blob)]), LAB)
    assert caught.value.kind == "bad_request"
    assert blob.media_type in caught.value.message


def test_in_place_of_what_was_attached_earlier_and_cannot_be_sent_stand_words() -> None:
    heard = [user("Hear", Blob("audio/mpeg", b"ID3", name="a.mp3")), assistant("A bell."), user("Loud?")]
    item, *_ = encode(Request(model="m", messages=heard), LAB)["input"]
    assert item["content"] == "Hear\n\n[a.mp3 (audio/mpeg) was here, which cannot be shown to you.]"


def test_a_model_is_asked_to_go_on_by_somebody() -> None:
    items = encode(Request(model="m", messages=[user("Count."), assistant("1, 2,")]), LAB)["input"]
    assert items[-1] == {"role": "user", "content": "Go on."}


# --- with a server ---


def reply(*events: Any) -> Reply:
    return Reply([stream(event) for event in events])


async def ask(server: ModelServer, *requests: Request, **how: Any) -> list[tuple[Message, ProviderError | None]]:
    """What comes of these questions, one after the other."""
    provider = create(
        "lab", Endpoint(kind="openai-responses", base_url=server.url, key="sk-secret", **how), Clocks(retries=0), keep=False
    )
    answers: list[tuple[Message, ProviderError | None]] = []
    try:
        for one in requests:
            draft, failed = Draft(), None
            try:
                async with aclosing(provider.stream(one)) as chunks:
                    async for chunk in chunks:
                        draft.add(chunk)
            except ProviderError as error:
                failed = error
            answers.append((draft.message(author=None, model="lab/m"), failed))
    finally:
        await provider.aclose()
    return answers


def test_a_turn_with_a_tool_through_a_server(server: ModelServer) -> None:
    @tool
    def clock() -> str:
        """The time of day."""
        return "12:00"

    server.raw([turn()]).then.replies(reply(*HELLO))

    async def main() -> Thread:
        place = Endpoint(kind="openai-responses", base_url=server.url, key="sk-secret")
        thread = Thread()
        async with Agent(create("lab", place, Clocks(retries=0), keep=True), "qwen", instructions="Be brief.", tools=[clock]) as agent:
            async for _ in agent.invoke("What time is it?", thread):
                pass
        return thread

    thread = asyncio.run(main())
    assert [(one.role, one.text) for one in thread.messages] == [
        ("user", "What time is it?"),
        ("assistant", "Let me see."),
        ("tool", ""),
        ("assistant", "Hello 🐎"),
    ]
    first, second = server.requests
    assert first.path == "/v1/responses"
    assert first.headers["authorization"] == "Bearer sk-secret"
    assert first.body["input"] == [{"role": "user", "content": "What time is it?"}]
    assert [item.get("type") for item in second.body["input"]] == [
        None,
        "reasoning",
        "message",
        "function_call",
        "function_call_output",
    ]
    assert second.body["input"][1] == THOUGHT
    assert second.body["input"][-1]["output"] == "12:00"
    assert Thread.load(thread.dump()).messages == thread.messages


QUESTION = Request(model="gpt-5-mini", messages=[user("x")], settings={"effort": "low"})


@pytest.mark.parametrize(
    ("status", "refusal", "left"),
    [
        (400, "Encrypted content is not supported with this model.", {"reasoning": {"effort": "low"}}),
        (
            400,
            "Your organization must be verified to generate reasoning summaries.",
            {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]},
        ),
        (400, "The encrypted content gAAA could not be verified.", {"reasoning": {"effort": "low"}}),
        (
            404,
            "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.",
            {"reasoning": {"effort": "low"}},
        ),
        (
            400,
            "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item",
            {"reasoning": {"effort": "low"}},
        ),
        (400, "Invalid 'input[1].id': 'chatcmpl-1'. Expected an ID that begins with 'msg'.", {"reasoning": {"effort": "low"}}),
        (400, "item['content'] is not an array", {"reasoning": {"effort": "low"}}),
        (422, "include: unknown field", {"reasoning": {"effort": "low"}}),
    ],
)
def test_a_server_that_refuses_what_nobody_asked_for_is_asked_without(
    server: ModelServer, status: int, refusal: str, left: dict[str, Any]
) -> None:
    server.fails(status, refusal).then.replies(reply(*HELLO))
    answers = asyncio.run(ask(server, QUESTION, QUESTION))
    assert [(answer.text, failed) for answer, failed in answers] == [("Hello 🐎", None)] * 2
    first, second, third = (asked.body for asked in server.requests)
    assert first["include"] == ["reasoning.encrypted_content"]
    assert first["reasoning"] == {"summary": "auto", "effort": "low"}
    assert {key: value for key, value in second.items() if key in ("include", "reasoning")} == left
    assert second == third  # it is remembered


def test_one_refusal_after_another(server: ModelServer) -> None:
    server.fails(400, "no reasoning summaries here").then.fails(400, "no encrypted content either").then.replies(reply(*HELLO))
    ((answer, failed),) = asyncio.run(ask(server, QUESTION))
    assert (answer.text, failed) == ("Hello 🐎", None)
    assert [sorted(asked.body.keys() & {"include"}) for asked in server.requests] == [["include"], ["include"], []]


@pytest.mark.parametrize(
    ("status", "refusal", "asked"),
    [
        (400, "Unsupported value: 'reasoning.effort' does not support 'low' with this model.", 2),
        (400, "no reasoning summaries here", 3),
        (400, "The model `gpt-5-mini` cannot do this.", 1),
        (400, "The reasoning exceeds the context length of this model.", 1),
        (401, "This key is not for reasoning.", 1),
        (500, "reasoning failed", 1),
    ],
)
def test_any_other_refusal_is_told(server: ModelServer, status: int, refusal: str, asked: int) -> None:
    server.fails(status, refusal)
    ((_, failed),) = asyncio.run(ask(server, QUESTION))
    assert failed is not None
    assert refusal in failed.message
    assert len(server.requests) == asked


def test_what_did_not_help_is_not_remembered(server: ModelServer) -> None:
    server.fails(400, "Invalid 'input[0].content'").then.fails(400, "Invalid 'input[0].content'").then.replies(reply(*HELLO))
    (_, failed), (answer, _) = asyncio.run(ask(server, QUESTION, QUESTION))
    assert failed is not None
    assert answer.text == "Hello 🐎"
    assert ["include" in asked.body for asked in server.requests] == [True, False, True]


def test_nothing_is_asked_again_once_the_answer_has_begun(server: ModelServer) -> None:
    broken = {"type": "error", "code": "invalid_request_error", "message": "reasoning went wrong"}
    server.replies(reply(*HELLO[:5], broken)).then.replies(reply(broken)).then.replies(reply(*HELLO))
    (half, failed), (answer, _) = asyncio.run(ask(server, QUESTION, QUESTION))
    assert failed is not None
    assert (half.text, failed.kind, answer.text) == ("Hello 🐎", "bad_request", "Hello 🐎")
    assert len(server.requests) == 3


def test_azure_has_a_header_of_its_own_and_older_addresses_a_query() -> None:
    for host in ("me.openai.azure.com", "me.cognitiveservices.azure.com", "me.services.ai.azure.com"):
        place = Endpoint(kind="openai-responses", base_url=f"https://{host}/openai/v1", key="k", headers={"x-team": "blue"})
        assert headers_for(place) == {"x-team": "blue", "api-key": "k"}
    for url in ("https://azure.com.example/v1", "http://[::1", ""):
        assert headers_for(Endpoint(kind="openai-responses", base_url=url, key="k")) == {"authorization": "Bearer k"}
    assert headers_for(Endpoint(kind="openai-responses", base_url="https://api.openai.com/v1")) == {}


def test_the_query_of_an_address_stays_behind_the_path(server: ModelServer) -> None:
    server.replies(reply(*HELLO))
    place = Endpoint(kind="openai-responses", base_url=f"{server.origin}/openai?api-version=2025-03-01-preview")

    async def main() -> None:
        provider = create("azure", place, Clocks(retries=0), keep=False)
        async with aclosing(provider.stream(QUESTION)) as chunks:
            assert [chunk async for chunk in chunks]
        await provider.aclose()

    asyncio.run(main())
    assert [asked.path for asked in server.requests] == ["/openai/responses?api-version=2025-03-01-preview"]
