"""How many tokens something takes, estimated.

Tokens are counted by the model's server, and only afterwards. Before, there is a rule of thumb: a token for every 3.5 bytes of UTF-8,
which is a little much for English, and about right for code and for scripts of several bytes a letter. Servers count pictures by their
pixels and documents by their pages, so those have a flat weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from agentcli.core.message import Blob, Message, Part, Reasoning, Text, ToolCall, ToolResult
from agentcli.core.provider import ToolSpec

__all__ = ["BYTES_A_TOKEN", "beside", "part_weight", "text_weight", "weight"]

BYTES_A_TOKEN = 3.5

_A_MESSAGE = 5  # tokens around what it says; the same for a call and a result
_A_PICTURE = 1_600  # about what the vendors count for a large one
_LARGEST_DOCUMENT = 200_000


def weight(messages: Iterable[Message]) -> int:
    """Tokens of messages."""
    return int(sum(_A_MESSAGE + sum(map(part_weight, message.parts)) for message in messages))


def beside(instructions: str, tools: Iterable[ToolSpec]) -> int:
    """Tokens of what a request carries beside the messages."""
    return int(text_weight(instructions) + sum(len(msgspec.json.encode(tool)) for tool in tools) / BYTES_A_TOKEN)


def text_weight(text: str) -> float:
    """Tokens of a text."""
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) / BYTES_A_TOKEN


def part_weight(part: Part) -> float:
    """Tokens of a part, with what is echoed to its provider."""
    private = getattr(part, "private", None)
    return _WEIGHTS[type(part)](part) + (len(msgspec.json.encode(private)) / BYTES_A_TOKEN if private else 0)


def _of_blob(blob: Blob) -> float:
    many = len(blob.data) if blob.data is not None else 0
    if blob.media_type.startswith("text/"):
        return many / BYTES_A_TOKEN
    if blob.media_type == "application/pdf":
        return min(max(many / 20, _A_PICTURE), _LARGEST_DOCUMENT)
    return _A_PICTURE


_WEIGHTS: dict[type, Callable[[Any], float]] = {
    Text: lambda part: text_weight(part.text),
    Reasoning: lambda part: text_weight(part.text),
    Blob: _of_blob,
    ToolCall: lambda part: _A_MESSAGE + text_weight(part.name) + text_weight(part.arguments),
    ToolResult: lambda part: _A_MESSAGE + text_weight(part.content),
}
