"""What is said: parts, messages and how many tokens they took.

All of these are values: frozen, equal by content, and the same in memory as in the thread document (`store/`), so encoding them is
one call of msgspec. A message is a role and a tuple of parts; the system prompt is not a message, because it belongs to the agent
and may change between turns. A tool's arguments stay the exact text that the model wrote: parsing and printing them again would
change what was said.

`private` holds what one provider needs to get back unchanged (thinking signatures, encrypted reasoning), keyed by the provider's
wire format, opaque to everyone else.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

__all__ = [
    "Blob",
    "Message",
    "Part",
    "Reasoning",
    "Role",
    "Stop",
    "Text",
    "ToolCall",
    "ToolResult",
    "Usage",
    "assistant",
    "new_id",
    "now",
    "speakable",
    "user",
]

Role: TypeAlias = Literal["user", "assistant", "tool"]

# How an answer, or a turn, came to its end. `done`, `tools`, `length` and `refused` are the model's word; the others are ours.
Stop: TypeAlias = Literal["done", "tools", "length", "refused", "interrupted", "timed_out", "failed", "crashed"]

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"  # no i, l, o, u: made to be read aloud and typed


def new_id() -> str:
    """Eight characters of Crockford base32: forty random bits."""
    number = int.from_bytes(os.urandom(5), "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(35, -1, -5))


def now() -> datetime:
    """The time of day that documents carry: UTC."""
    return datetime.now(UTC)


def speakable(text: str) -> str:
    """The text with halves of surrogate pairs replaced by U+FFFD: those cannot be written as UTF-8, stored, or sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Text(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="text"):
    """Words."""

    text: str
    private: dict[str, Any] = {}


class Reasoning(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="reasoning"):
    """What the model showed of its thinking. May be empty where a provider only sends something opaque to echo."""

    text: str
    private: dict[str, Any] = {}


class Blob(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="blob"):
    """An image, a PDF or another attachment: its bytes (`data`), or the place where the store keeps them (`ref`)."""

    media_type: str
    data: bytes | None = None
    ref: str | None = None
    name: str | None = None


class ToolCall(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="tool_call"):
    """The model wants a tool run. `arguments` is its exact JSON text, which may not even be JSON."""

    id: str
    name: str
    arguments: str
    private: dict[str, Any] = {}


class ToolResult(Struct, frozen=True, tag_field="type", tag="tool_result"):
    """What came of a tool call."""

    call_id: str
    content: str
    is_error: bool = False


Part: TypeAlias = Text | Reasoning | Blob | ToolCall | ToolResult


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens, as the provider counts them.

    `cached` were read from a cache and `cache_write` put into one; `reasoning` was thinking. Most providers count these within `input`
    and `output`. Some count them beside: then `more_input` and `more_output` say how many tokens those two leave out.
    """

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    more_input: int = 0
    more_output: int = 0

    @property
    def read(self) -> int:
        """Everything the model read."""
        return self.input + self.more_input

    @property
    def written(self) -> int:
        """Everything the model wrote, thinking included."""
        return self.output + self.more_output

    @property
    def total(self) -> int:
        return self.read + self.written

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, name) - getattr(other, name) for name in self.__struct_fields__))


class Message(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing said by one speaker. The order of the fields is the order of the keys in the thread document.

    An answer that was cut off and gone on with took several requests: `usage` is all of them, `earlier` all but the last.
    """

    id: str = field(default_factory=new_id)
    at: datetime = field(default_factory=now)
    role: Role
    author: str | None = None
    model: str | None = None
    stop: Stop | None = None
    usage: Usage | None = None
    earlier: Usage | None = None
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def results(self) -> tuple[ToolResult, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolResult))

    @property
    def latest(self) -> Usage | None:
        """What the last request for it took."""
        if not (self.usage and self.earlier):
            return self.usage
        return self.usage - self.earlier if self.usage != self.earlier else None

    @property
    def silent(self) -> bool:
        """True for an answer in which nothing is said and nothing called."""
        return self.role == "assistant" and not self.calls and not self.text.strip()

    @property
    def whole(self) -> bool:
        """False for an answer that was cut off, whatever the cause."""
        return self.stop in (None, "done", "tools", "refused")


def user(*parts: str | Part) -> Message:
    """What a person says: `user("What is in this picture?", Blob("image/png", data))`."""
    return Message(role="user", parts=_parts(parts))


def assistant(*parts: str | Part, author: str | None = None) -> Message:
    """What an assistant said earlier, for a thread that is made rather than held."""
    return Message(role="assistant", author=author, stop="done", parts=_parts(parts))


def _parts(parts: tuple[str | Part, ...]) -> tuple[Part, ...]:
    return tuple(Text(speakable(part)) if isinstance(part, str) else part for part in parts)
