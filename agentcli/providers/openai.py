"""What OpenAI's two APIs have in common: whose server it is, which models are of before, and the forms that names, ids and files have.

It knows nothing of either API; both import from here what they would otherwise say twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

from agentcli.core.message import Message, Text, ToolCall, speakable
from agentcli.core.thread import sendable
from agentcli.providers import Endpoint

__all__ = [
    "closed",
    "data_url",
    "headers_for",
    "host_of",
    "is_azure",
    "is_openai",
    "known_as",
    "older",
    "spoken",
    "storable",
    "tool_name",
]

Json: TypeAlias = dict[str, Any]

_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_OLDER = re.compile(r"(?<![a-z])(gpt-3|gpt-4|chatgpt)")


def host_of(base_url: str) -> str:
    """The host, behind a dot, so that `.example.com` at its end is that domain; "." for an address that is none."""
    with suppress(ValueError):  # said when it is asked
        return "." + (urlsplit(base_url).hostname or "")
    return "."


def is_openai(host: str) -> bool:
    return host.endswith(".api.openai.com")


def is_azure(host: str) -> bool:
    return host.endswith(_AZURE)


def headers_for(endpoint: Endpoint) -> dict[str, str]:
    """The endpoint's own, and the key: Azure has a header of its own for that."""
    headers = dict(endpoint.headers)
    if endpoint.key:
        azure = is_azure(host_of(endpoint.base_url))
        headers |= {"api-key": endpoint.key} if azure else {"authorization": f"Bearer {endpoint.key}"}
    return headers


def older(model: str) -> bool:
    """Is it one of OpenAI's models from before they thought? The name may have others around it: a vendor's, a deployment's."""
    return bool(_OLDER.search(model.lower()))


def spoken(messages: list[Message]) -> list[Message]:
    """The messages without the answers of which nothing can be sent: those that were stopped while thinking."""
    if all(map(_is_said, messages)):
        return messages
    return sendable(filter(_is_said, messages))


def _is_said(message: Message) -> bool:
    return message.role != "assistant" or any(isinstance(part, Text | ToolCall) for part in message.parts)


def known_as(name: str, form: re.Pattern[str]) -> str:
    """The id if it has this form, or nine letters and digits for it, the same each time: ids come from other providers too."""
    return name if form.fullmatch(name) else hashlib.sha256(name.encode(errors="replace")).hexdigest()[:9]


def tool_name(name: str) -> str:
    """The name of a tool, as a server takes it."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]


def data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


# What a schema may say and still be held strictly. Some servers take more, but not all.
_STRICT = set("type properties required additionalProperties items anyOf enum const $ref $defs $schema title description".split(" "))  # noqa: SIM905
_TYPED = {"type", "anyOf", "enum", "const", "$ref"}


def closed(schema: Any) -> bool:
    """May a server hold an answer, or arguments, to this schema strictly? It takes only objects that require all they may have."""
    if not isinstance(schema, dict) or not schema.keys() <= _STRICT or not schema.keys() & _TYPED:
        return False
    fields, required = schema.get("properties") or {}, schema.get("required") or []
    definitions, choices, kinds = schema.get("$defs") or {}, schema.get("anyOf") or [], schema.get("type")
    if not all(isinstance(one, kind) for one, kind in ((fields, dict), (required, list), (definitions, dict), (choices, list))):
        return False
    if "properties" in schema or "object" in (kinds if isinstance(kinds, list) else [kinds]):
        loose = schema.get("additionalProperties") is not False
        if loose or len(required) != len(fields) or any(name not in required for name in fields):
            return False
    inner = [*fields.values(), *definitions.values(), *choices, *([schema["items"]] if "items" in schema else [])]
    return all(map(closed, inner))


def storable(value: Any) -> Any:
    """Some JSON as it can be stored and sent back: with no half of a character in it."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.loads(speakable(json.dumps(value, ensure_ascii=False)))
    return value
