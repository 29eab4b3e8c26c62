"""What a server that speaks chat completions sends, as structs: a chunk of a stream, or a whole answer, which has the same shape.

Fields that are not named here are not looked at.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from agentcli.core.message import Usage
from agentcli.providers import lenient
from agentcli.providers.lenient import count

__all__ = ["Call", "Completion", "Delta", "Function", "read", "usage_of"]

Json: TypeAlias = dict[str, Any]


class Function(Struct):
    name: str | None = None
    arguments: str | Json | list[Any] | None = None


class Call(Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None  # before there were `tool_calls`


class Choice(Struct):
    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None  # in an answer that is not a stream; some send both, then this one is the whole so far
    finish_reason: str | None = None
    error: Any = None


class _Read(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Thought(Struct):
    reasoning_tokens: int | None = None


class Tokens(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Read | None = None
    completion_tokens_details: _Thought | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek


class _Groq(Struct):
    usage: Tokens | None = None


class Completion(Struct):
    choices: list[Choice] | None = None
    usage: Tokens | None = None
    error: Any = None
    x_groq: _Groq | None = None


_decoder = msgspec.json.Decoder(Completion)


def read(data: str) -> Completion:
    """The completion in a JSON object."""
    return lenient.read(data, _decoder)


def usage_of(completion: Completion) -> Usage | None:
    """The tokens, if it says any."""
    tokens = completion.usage or (completion.x_groq.usage if completion.x_groq else None)
    if tokens is None or (tokens.prompt_tokens is None and tokens.completion_tokens is None):
        return None
    details = tokens.prompt_tokens_details or _Read()
    thought = count(tokens.completion_tokens_details.reasoning_tokens) if tokens.completion_tokens_details else 0
    read, written = count(tokens.prompt_tokens), count(tokens.completion_tokens)
    return Usage(
        read,
        written,
        count(details.cached_tokens) or count(tokens.prompt_cache_hit_tokens),
        thought,
        count(details.cache_write_tokens),
        more_output=thought if count(tokens.total_tokens) == read + written + thought else 0,  # xAI counts it beside
    )
