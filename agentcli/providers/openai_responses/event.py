"""What a server that speaks the Responses API sends, as structs: an event of a stream, and the items and the response in it.

Fields that are not named here are not looked at. An item stays as it came until it is known what it is (`item()`), because one that
has to go back goes back with all that it had.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from agentcli.core.message import Usage
from agentcli.providers import lenient
from agentcli.providers.lenient import count

__all__ = ["Event", "Item", "Response", "arguments_in", "item", "read", "usage_of"]

Json: TypeAlias = dict[str, Any]


class Content(Struct):
    """A piece of a message, of thinking, or of its summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class Item(Struct):
    type: str | None = None
    id: str | None = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | Json | list[Any] | None = None
    encrypted_content: str | None = None


class _Read(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Written(Struct):
    reasoning_tokens: int | None = None


class Tokens(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _Read | None = None
    output_tokens_details: _Written | None = None


class _Incomplete(Struct):
    reason: str | None = None


class Response(Struct):
    status: str | None = None
    output: list[Any] | None = None
    usage: Tokens | None = None
    error: Any = None
    incomplete_details: _Incomplete | None = None


class Event(Struct):
    type: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | Json | list[Any] | None = None
    item: Any = None
    response: Response | None = None
    error: Any = None


_event = msgspec.json.Decoder(Event)
_item = msgspec.json.Decoder(Item)


def read(data: str) -> Event:
    """The event in a JSON object."""
    return lenient.read(data, _event)


def item(value: Any) -> Item:
    """What is known of an item."""
    try:
        return lenient.read(json.dumps(value), _item) if isinstance(value, dict) else Item()
    except RecursionError:
        return Item()


def arguments_in(value: str | Json | list[Any] | None) -> str:
    """The arguments of a call as the text that they should be."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def usage_of(tokens: Tokens | None) -> Usage | None:
    """The tokens, if it says any."""
    if tokens is None or (tokens.input_tokens is None and tokens.output_tokens is None):
        return None
    details = tokens.input_tokens_details or _Read()
    thought = count(tokens.output_tokens_details.reasoning_tokens) if tokens.output_tokens_details else 0
    read, written = count(tokens.input_tokens), count(tokens.output_tokens)
    beside = thought and count(tokens.total_tokens) == read + written + thought
    return Usage(
        read,
        written,
        count(details.cached_tokens),
        thought,
        count(details.cache_write_tokens),
        more_output=thought if beside else 0,
    )
