"""What is sent to Gemini must fit the types that Google itself publishes: those of its SDK, which refuse fields that they do not know.

The SDK is for development only: without it these tests are skipped.
"""

from __future__ import annotations

import warnings
from typing import Any

import msgspec
import pytest

from agentcli.core.message import Blob, user
from agentcli.core.provider import Request
from agentcli.providers.gemini import encode
from tests.providers.histories import CLOCK, HISTORIES, WEATHER, request

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the SDK imports is not ours to mend
    types = pytest.importorskip("google.genai.types")
    generation_config: Any = types.GenerateContentConfig

# What stands beside `contents` on the wire -> the field of the SDK's configuration, which holds it all.
BESIDE = {
    "systemInstruction": "system_instruction",
    "tools": "tools",
    "toolConfig": "tool_config",
    "safetySettings": "safety_settings",
    "cachedContent": "cached_content",
    "serviceTier": "service_tier",
    "labels": "labels",
}
MODELS = ["gemini-3.5-flash", "gemini-2.5-pro", "gemini-2.0-flash"]
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    "type": "object",
    "properties": {
        "kind": {"const": "x"},
        "size": {"type": ["integer", "null"], "exclusiveMinimum": 0},
        "list": {"$ref": "#/$defs/node"},
    },
    "required": ["kind"],
    "additionalProperties": False,
}


def check(body: dict[str, Any]) -> None:
    """Raise if a part of the body is not of Google's types. What they are given is the JSON that goes over the wire."""
    sent = msgspec.json.decode(msgspec.json.encode(body))
    for content in sent.pop("contents"):
        read = types.Content.model_validate_json(msgspec.json.encode(content))
        assert read.model_dump(mode="json", by_alias=True, exclude_none=True)["role"] == content["role"]
        for part in read.parts:
            one_of = part.model_dump(exclude_none=True).keys() - {"thought", "thought_signature"}
            assert len(one_of) == 1, part
    config = sent.pop("generationConfig", {})
    types.GenerationConfig.model_validate(config)
    together = {**config, **{BESIDE[key]: value for key, value in sent.items()}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generation_config.model_validate(together)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["gemini", "vertex"])
def test_every_history_is_of_googles_types(history: str, model: str, name: str) -> None:
    check(encode(request(history, model=model), name))
    check(encode(request(history, model=model, tools=(), settings={"tools": [{"codeExecution": {}}]}), name))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max", 0, 1024, None])
def test_every_effort_is_of_googles_types(model: str, effort: Any) -> None:
    check(encode(request("parallel tools", model=model, settings={"effort": effort})))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tools", [(), (WEATHER, CLOCK)])
def test_schemas_are_of_googles_types(model: str, tools: Any) -> None:
    odd = msgspec.structs.replace(WEATHER, schema=SCHEMA)
    check(encode(request("after the tools", model=model, tools=(*tools, odd) if tools else (), schema=SCHEMA)))


def test_settings_are_of_googles_types() -> None:
    given = {
        "temperature": 0.2,
        "top-p": 0.9,
        "top-k": 40,
        "max-tokens": 100,
        "stop": "\n",
        "seed": 1,
        "presence-penalty": 0.5,
        "frequency-penalty": 0.5,
        "response-logprobs": True,
        "logprobs": 3,
        "candidate-count": 1,
        "media-resolution": "MEDIA_RESOLUTION_LOW",
        "response-modalities": ["TEXT"],
        "thinking-budget": -1,
        "include-thoughts": False,
        "tools": [{"googleSearch": {}}, {"urlContext": {}}],
        "tool-config": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["clock"]}},
        "safety-settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cached-content": "cachedContents/x",
        "service-tier": "flex",
    }
    check(encode(request("parallel tools", model="gemini-2.5-flash", settings=given)))


def test_attachments_are_of_googles_types() -> None:
    media = ("image/png", "image/jpeg", "image/webp", "application/pdf", "audio/wav", "video/mp4", "text/plain")
    check(encode(Request(model="gemini-3.5-flash", messages=[user("x", *(Blob(one, b"\xfb\xff") for one in media))])))


@pytest.mark.parametrize(
    "body",
    [
        {"contents": [{"role": "user", "parts": [{"txt": "x"}]}]},
        {"contents": [{"role": "user", "parts": [{"functionResponse": {"call_id": "x"}}]}]},
        {"contents": [{"role": "model", "parts": [{"text": "", "thoughtSignature": "not base64"}]}]},
        {"contents": [], "generationConfig": {"maxTokens": 5}},
        {"contents": [], "tools": [{"functionDeclarations": [{"name": "x", "inputSchema": {}}]}]},
    ],
)
def test_the_types_are_strict(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        check(body)
