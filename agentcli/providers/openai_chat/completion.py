"""What a server that speaks chat completions sends, as structs: a chunk of a stream, or a whole answer, which has the same shape.

A chunk that is as documented is decoded straight into the structs. Any other (numbers for texts, half of a surrogate pair, which JSON
may carry and UTF-8 may not) goes the slow way: Python's own decoder, and of what comes out whatever fits. Fields that are not named
here are not looked at.
"""

from __future__ import annotations

import json
from functools import cache
from types import UnionType
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from agentcli.core.message import Usage
from agentcli.core.provider import ProviderError
from agentcli.providers.fault import HINTS, Said, fault_of

__all__ = ["Call", "Completion", "Delta", "Function", "failure", "loads", "read", "usage_of"]

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


class _Cached(Struct):
    cached_tokens: int | None = None


class _Thought(Struct):
    reasoning_tokens: int | None = None


class Tokens(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Thought | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek


class _Groq(Struct):
    usage: Tokens | None = None


class Completion(Struct):
    choices: list[Choice] | None = None
    usage: Tokens | None = None
    error: Any = None
    x_groq: _Groq | None = None


_decode = msgspec.json.Decoder(Completion).decode


def read(data: str) -> Completion:
    """The completion in a JSON object."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return _fitting(loads(data), Completion) or Completion()


def loads(data: str) -> Any:
    """Whatever is in the JSON, as leniently as Python reads it."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ProviderError("protocol", f"the server sent something that is not JSON: {data}") from None


def usage_of(completion: Completion) -> Usage | None:
    """The tokens, if it says any."""
    tokens = completion.usage or (completion.x_groq.usage if completion.x_groq else None)
    if tokens is None or (tokens.prompt_tokens is None and tokens.completion_tokens is None):
        return None
    cached = tokens.prompt_tokens_details.cached_tokens if tokens.prompt_tokens_details else None
    thought = tokens.completion_tokens_details.reasoning_tokens if tokens.completion_tokens_details else None
    return Usage(
        _count(tokens.prompt_tokens),
        _count(tokens.completion_tokens),
        _count(cached) or _count(tokens.prompt_cache_hit_tokens),
        _count(thought),
    )


def failure(error: Any) -> ProviderError:
    """What a server means by an `error`, which may be an object, a text, or an object with either of these in it."""
    said = Said.in_value(error)
    kind = fault_of(said.status, said.codes, said.words)
    return ProviderError(kind, f"the model's server reported an error: {said.words}", hint=HINTS.get(kind, ""), status=said.status)


def _count(tokens: int | None) -> int:
    return tokens if tokens and 0 < tokens < 1 << 53 else 0


_hints = cache(get_type_hints)


def _fitting(value: Any, kind: Any) -> Any:
    """The value as this type, without the parts of it that do not fit; None if nothing does. A number may stand for a text."""
    for one in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        origin = get_origin(one) or one
        if origin is Any:
            return value
        if issubclass(origin, Struct):
            if isinstance(value, dict):
                return one(**{name: _fitting(value.get(name), hint) for name, hint in _hints(one).items()})
        elif origin is list:
            if isinstance(value, list):
                (inner,) = get_args(one)
                return [found for item in value if (found := _fitting(item, inner)) is not None]
        elif isinstance(value, bool):
            continue
        elif isinstance(value, origin):
            return value
        elif origin is str and isinstance(value, int | float):
            return str(value)
    return None
