"""Every request of ours is one by the vendor's own published types.

The types are read from its SDK, which is no part of the program. A field that they do not know is an error, too.
"""

from __future__ import annotations

from typing import Any

import pytest

from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, user
from agentcli.core.provider import Request
from agentcli.core.thread import sendable
from agentcli.providers.anthropic import encode
from tests.providers.histories import CLOCK, HISTORIES, WEATHER, request

pytest.importorskip("anthropic", reason="the vendor's SDK is not installed")
pydantic = pytest.importorskip("pydantic")

MODELS = ("claude-sonnet-5", "claude-opus-4-6", "claude-sonnet-4-5", "claude-3-5-haiku-20241022")
OLD = {"temperature", "top_p", "top_k"}  # taken by older models, and no longer in the types
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}}, "required": ["name"]}


@pytest.fixture(scope="module")
def published() -> Any:
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

    return pydantic.TypeAdapter(MessageCreateParamsStreaming)


def whole(value: Any) -> Any:
    """The value with everything in it that is checked only when it is looked at."""
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, str | bytes | int | float | None):
        return value
    return [whole(inner) for inner in value]


def valid(published: Any, body: dict[str, Any]) -> bool:
    """By the types, and with nothing in it that they do not name: what they do not name, they drop."""
    known = {key: value for key, value in body.items() if key not in OLD}
    try:
        return bool(whole(published.validate_python(known, strict=True)) == known)
    except pydantic.ValidationError as error:
        print(error)
        return False


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"thinking": 4_000, "cache": "1h"},
        {"effort": "high", "max-tokens": 9_000, "stop": "\n\n", "temperature": 0.5, "top-p": 0.9, "tool-choice": "any"},
        {"effort": "none", "tool-choice": "clock", "cache": False, "metadata": {"user_id": "u"}},
    ],
)
def test_every_history_is_valid(published: Any, history: str, model: str, settings: dict[str, Any]) -> None:
    assert valid(published, encode(request(history, model=model, settings=settings, schema=SCHEMA)))
    assert valid(published, encode(request(history, model=model, settings=settings, tools=(), instructions="")))


def test_everything_at_once_is_valid(published: Any) -> None:
    messages = [
        user(
            "See these",
            *(Blob(f"image/{form}", b"P") for form in ("png", "jpeg", "gif", "webp")),
            Blob("application/pdf", b"%PDF", name="a.pdf"),
            Blob("text/plain", b"note", name="a.txt"),
        ),
        Message(
            role="assistant",
            model="anthropic/claude-sonnet-5",
            parts=(
                Reasoning("Hm.", {"anthropic": {"type": "thinking", "signature": "c2ln"}}),
                Reasoning("", {"anthropic": {"type": "redacted_thinking", "data": "ZW5j"}}),
                Text("I look."),
                ToolCall("a:b", "weather", '{"place": "Rome", "days": [1, 2.5, null]}'),
                ToolCall("c", "clock", "{}"),
            ),
        ),
        Message(role="tool", parts=(ToolResult("a:b", "25 °C"), ToolResult("c", "", is_error=True))),
        user("And?"),
    ]
    asked = Request(
        model="claude-sonnet-5",
        messages=sendable(messages),
        instructions="Be brief.",
        tools=(WEATHER, CLOCK),
        settings={"effort": "max", "stop": ["a", "b"], "service-tier": "auto"},
        schema=SCHEMA,
    )
    body = encode(asked)
    assert [block["type"] for block in body["messages"][1]["content"]][:2] == ["thinking", "redacted_thinking"]
    assert valid(published, body)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.pop("max_tokens"),
        lambda body: body.update(bogus=1),
        lambda body: body["messages"][0]["content"][0].update(bogus=1),
        lambda body: body["messages"][0]["content"][0].pop("text"),
        lambda body: body["messages"][0].update(role="tool"),
        lambda body: body["tools"][0].pop("name"),
        lambda body: body.update(thinking={"type": "enabled"}),
    ],
)
def test_what_is_not_valid_is_seen(published: Any, spoil: Any) -> None:
    body = encode(request("one question", model="claude-sonnet-5"))
    assert valid(published, body)
    spoil(body)
    assert not valid(published, body)
