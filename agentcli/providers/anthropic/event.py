"""What a server that speaks the Messages API sends, as structs: an event of a stream, or a whole message.

A stream is `message_start`, then for each block of the answer `content_block_start`, deltas and `content_block_stop`, then
`message_delta` (how it ended, and the final counts) and `message_stop`. A whole message holds the same blocks. Fields that are not
named here are not looked at.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from agentcli.core.message import Usage
from agentcli.providers import lenient
from agentcli.providers.lenient import count

__all__ = ["Block", "Delta", "Event", "Message", "Tokens", "read_event", "read_message", "usage_of"]

Json: TypeAlias = dict[str, Any]


class Block(Struct):
    """A part of the answer, as it begins or as a whole."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None  # of thinking that is not shown
    id: str | None = None
    name: str | None = None
    input: str | Json | None = None


class Delta(Struct):
    """More of a block; or, in `message_delta`, how the answer ended."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | Json | None = None
    stop_reason: str | None = None


class _Thought(Struct):
    thinking_tokens: int | None = None


class Tokens(Struct):
    """Counts so far. What is null, or not there, is as it was."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _Thought | None = None


class Message(Struct):
    type: str | None = None
    content: str | list[Block] | None = None
    stop_reason: str | None = None
    usage: Tokens | None = None
    error: Any = None


class Event(Struct):
    type: str | None = None
    index: int | None = None
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Tokens | None = None
    error: Any = None


_events = msgspec.json.Decoder(Event)
_messages = msgspec.json.Decoder(Message)


def read_event(data: str) -> Event:
    """The event in a JSON object."""
    return lenient.read(data, _events)


def read_message(text: str) -> Message:
    """The message in a JSON object."""
    return lenient.read(text, _messages)


def usage_of(tokens: Tokens) -> Usage:
    """The counts, of which `input` leaves out what went through the cache."""
    cached, written = count(tokens.cache_read_input_tokens), count(tokens.cache_creation_input_tokens)
    thought = tokens.output_tokens_details
    return Usage(
        count(tokens.input_tokens),
        count(tokens.output_tokens),
        cached,
        count(thought.thinking_tokens) if thought else 0,
        cache_write=written,
        more_input=cached + written,
    )
