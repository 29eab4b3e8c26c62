"""What generateContent sends, as structs: a piece of a stream, or a whole answer, which has the same shape.

Parts are left as they are: they come in many kinds, and some must go back unchanged. Fields that are not named here are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from agentcli.core.message import Usage
from agentcli.providers import lenient
from agentcli.providers.lenient import count

__all__ = ["Response", "error_beside", "objects", "read", "usage_of"]


class Content(Struct):
    parts: list[Any] | None = None


class Candidate(Struct, rename="camel"):
    index: int | None = None
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class Feedback(Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None  # Vertex


class Tokens(Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    total_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


class Response(Struct, rename="camel"):
    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Tokens | None = None
    error: Any = None


_BETWEEN = re.compile(r"[\s\[,]*")
_decoder = msgspec.json.Decoder(Response)


def read(data: str) -> Response:
    """The response in a JSON object."""
    return lenient.read(data, _decoder)


def usage_of(tokens: Tokens) -> Usage | None:
    """The tokens, if it says any. What is cached is part of the prompt; thinking and what the server's own tools read are beside."""
    if tokens.prompt_token_count is None and tokens.candidates_token_count is None and tokens.total_token_count is None:
        return None
    read, written = count(tokens.prompt_token_count), count(tokens.candidates_token_count)
    thought, tools = count(tokens.thoughts_token_count), count(tokens.tool_use_prompt_token_count)
    within = count(tokens.total_token_count) == read + tools + written  # a proxy that counts the thinking as output
    return Usage(
        read,
        written,
        count(tokens.cached_content_token_count),
        thought,
        more_input=tools,
        more_output=0 if within else thought,
    )


def objects(text: str) -> Iterator[str]:
    """The objects of an array, or the one object, as far as they are whole."""
    decoder = json.JSONDecoder()
    end = 0
    while (found := _BETWEEN.match(text, end)) and (at := found.end()) < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            yield text[at:end]


def error_beside(last: bytes) -> Any:
    """The error that a server has written into the stream without making an event of it: JSON, from the beginning of a line on."""
    start = max(last.rfind(b"\n{"), last.rfind(b"\n["))
    if start < 0:
        return None
    try:
        value = json.loads(last[start:])
    except (ValueError, RecursionError):
        return None
    value = value[0] if isinstance(value, list) and value else value
    return value.get("error") if isinstance(value, dict) else None
