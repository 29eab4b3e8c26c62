"""What is sent to OpenAI's two APIs has the types that OpenAI publishes, without a field that they do not have.

The types are those of its SDK, which is for this test alone. They are made strict here: no unknown keys, and sequences are read to
their end rather than when somebody asks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from agentcli.core.message import Blob, user
from agentcli.core.provider import Request
from agentcli.providers import openai_chat, openai_responses
from tests.providers.histories import HISTORIES, PIXEL, request

CHAT = openai_chat.Server.at("https://api.openai.com/v1", "lab")  # the name of the provider that the histories come from
RESPONSES = openai_responses.Server.at("https://api.openai.com/v1", "lab")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def strict(module: str, name: str) -> Any:
    """The validator of a type, as strict as it can be made."""
    pytest.importorskip("openai")
    from pydantic import TypeAdapter
    from typing_extensions import is_typeddict

    kind = getattr(import_module(module), name)
    for one in [each for name, each in sys.modules.items() if name.startswith("openai.types")]:
        for lazy in ("Iterable", "SequenceNotStr"):
            if hasattr(one, lazy):
                setattr(one, lazy, list)
        for each in vars(one).values():
            if is_typeddict(each):
                each.__pydantic_config__ = {"extra": "forbid"}
    return TypeAdapter(kind)


@pytest.fixture(scope="module")
def chat() -> Any:
    return strict("openai.types.chat.completion_create_params", "CompletionCreateParamsStreaming")


@pytest.fixture(scope="module")
def responses() -> Any:
    return strict("openai.types.responses.response_create_params", "ResponseCreateParamsStreaming")


def _requests() -> Iterator[Any]:
    for history in HISTORIES:
        for model in ("qwen", "gpt-4o"):  # qwen is who thought in the histories
            yield pytest.param(request(history, model=model), id=f"{history}, {model}")
    yield pytest.param(request("one question", schema=SCHEMA), id="schema")
    yield pytest.param(request("one question", tools=(), instructions=""), id="nothing else")
    given = {"temperature": 0.2, "top-p": 0.9, "max-tokens": 100, "effort": "low", "verbosity": "low", "parallel-tool-calls": False}
    yield pytest.param(request("parallel tools", settings=given), id="settings")
    blobs = (Blob("image/jpeg", PIXEL), Blob("application/pdf", b"%PDF"), Blob("text/plain", b"x"))
    yield pytest.param(Request(model="gpt-5.4", messages=[user(*blobs)]), id="attachments")


REQUESTS = list(_requests())


@pytest.mark.parametrize("one", REQUESTS)
def test_chat_completions(chat: Any, one: Request) -> None:
    body = openai_chat.encode(one, CHAT)
    assert chat.validate_python(body) == body


@pytest.mark.parametrize("one", REQUESTS)
@pytest.mark.parametrize("extras", [openai_responses.Extras(), openai_responses.Extras(False, False)], ids=["everything", "plain"])
def test_responses(responses: Any, one: Request, extras: openai_responses.Extras) -> None:
    body = openai_responses.encode(one, RESPONSES, extras)
    assert responses.validate_python(body) == body


def test_sound_is_for_chat_completions(chat: Any) -> None:
    body = openai_chat.encode(Request(model="gpt-audio", messages=[user(Blob("audio/wav", b"RIFF"))]), CHAT)
    assert chat.validate_python(body) == body


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": [{"role": "user"}]},
        {"input": [{"role": "user", "content": "x", "new": 1}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "new": 1}]}]},
        {"input": [{"type": "function_call_output", "call_id": "x"}]},
        {"tools": [{"type": "function", "name": "x", "parameters": {}}]},
        {"text": {"format": {"type": "json_schema", "name": "x"}}},
        {"include": ["thoughts"]},
        {"new": 1},
    ],
)
def test_what_is_wrong_is_found(responses: Any, wrong: dict[str, Any]) -> None:
    body = openai_responses.encode(request("one question"), RESPONSES)
    with pytest.raises(ValueError, match="validation error"):
        responses.validate_python({**body, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": "x", "new": 1}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"new": 1},
    ],
)
def test_what_is_wrong_is_found_in_chat_completions_too(chat: Any, wrong: dict[str, Any]) -> None:
    body = openai_chat.encode(request("one question"), CHAT)
    with pytest.raises(ValueError, match="validation error"):
        chat.validate_python({**body, **wrong})
