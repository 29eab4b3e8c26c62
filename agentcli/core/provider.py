"""What stands between an agent and a model: one verb.

A provider turns a `Request` into a stream of chunks. It must end the stream with a `StopChunk`, which it may only say when the wire
said that the answer is complete, or raise `ProviderError`. An answer that just ends is a cut, and the agent treats it so.

`Draft` is the fold of chunks into a message. The journal's replay and the agent use the same one, so that what is recovered after a
crash is what the live path would have kept.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

from msgspec import Struct, field

from agentcli.core.event import Retrying, Waiting
from agentcli.core.message import Message, Part, Reasoning, Stop, Text, ToolCall, Usage, new_id, speakable
from agentcli.errors import Exit, UserError

__all__ = [
    "CallChunk",
    "Chunk",
    "Draft",
    "Model",
    "Provider",
    "ProviderError",
    "ReasoningChunk",
    "Request",
    "StopChunk",
    "TextChunk",
    "ToolSpec",
    "UsageChunk",
]


LONGEST = 8 << 20  # characters of an answer: thinking, words and arguments
MOST_CALLS = 1_000  # tools that one answer may call


class ToolSpec(Struct, frozen=True):
    """What a model is told of a tool. `schema` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    schema: dict[str, Any]


class Request(Struct, frozen=True, kw_only=True):
    """One question to a model. `settings` are the user's, by their names on the command line: `max-tokens`, `temperature`, …"""

    model: str
    messages: list[Message]
    instructions: str = ""
    tools: tuple[ToolSpec, ...] = ()
    settings: dict[str, Any] = {}
    schema: dict[str, Any] | None = None  # the JSON Schema that the answer must fit
    asked: tuple[Part, ...] = ()  # the question that waits for an answer, as it was said: `messages` may join it with others
    begun: bool = False  # the last two messages are an answer that was cut off, and the words that ask to go on with it


class TextChunk(Struct, frozen=True):
    """Words. `private` is added to the part that they form; another `key` begins another part."""

    text: str
    private: dict[str, Any] = {}
    key: int | str | None = None


class ReasoningChunk(Struct, frozen=True):
    """Thinking; `private` and `key` as with words."""

    text: str = ""
    private: dict[str, Any] = {}
    key: int | str | None = None


class CallChunk(Struct, frozen=True):
    """A piece of a tool call. Pieces with the same `key` are one call: first id and name win, arguments are joined."""

    key: int | str
    id: str = ""
    name: str = ""
    arguments: str = ""
    private: dict[str, Any] = {}


class UsageChunk(Struct, frozen=True):
    """Tokens of this answer so far: the last one said holds."""

    usage: Usage


class StopChunk(Struct, frozen=True):
    """The wire said that the answer is complete."""

    stop: Stop


Chunk: TypeAlias = TextChunk | ReasoningChunk | CallChunk | UsageChunk | StopChunk | Waiting | Retrying


class Provider(Protocol):
    """A way to reach models. `name` is what stands before the slash in `openai/gpt-5.4`."""

    name: str

    def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]: ...

    async def aclose(self) -> None: ...


class Model(NamedTuple):
    """One model of a provider. `window` is how many tokens it holds, None if nobody knows; `find_window` finds out when needed."""

    provider: Provider
    name: str
    window: int | None = None
    find_window: Callable[[], int | None] | None = None

    @property
    def full_name(self) -> str:
        """The model as it is named everywhere: `openai/gpt-5.4`."""
        return f"{self.provider.name}/{self.name}"


# kind -> exit code. A kind is what a program can tell apart; the message and hint are what a person reads.
_EXIT_CODES = {
    "rate_limit": Exit.TRY_LATER,
    "overloaded": Exit.TRY_LATER,
    "stalled": Exit.TRY_LATER,
    "cut": Exit.TRY_LATER,
}


class ProviderError(UserError):
    """The model did not answer, or not to the end.

    Kinds: unreachable, tls, auth, not_found, bad_request, context_length, too_large, redirect, server, protocol, rate_limit,
    overloaded, stalled, cut.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        retry_after: float | None = None,
    ):
        super().__init__(message, hint=hint, exit_code=_EXIT_CODES.get(kind, Exit.UNAVAILABLE))
        self.kind = kind
        self.status = status
        self.retry_after = retry_after


class _Call(Struct):
    id: str = ""
    name: str = ""
    arguments: list[str] = []
    private: dict[str, Any] = {}


class _Words(Struct):
    kind: type[Text | Reasoning]
    key: int | str | None
    pieces: list[str] = field(default_factory=list)
    private: dict[str, Any] = {}


class Draft:
    """An answer as it grows. Parts keep the order in which they began."""

    def __init__(self) -> None:
        self._size = 0
        self.stop: Stop | None = None
        self.usage: Usage | None = None
        self._parts: list[_Words | _Call] = []
        self._words: _Words | None = None
        self._calls: dict[int | str, _Call] = {}

    def add(self, chunk: Chunk) -> None:
        if type(chunk) is TextChunk:
            words = self._words
            if words is None or words.kind is not Text or words.key != chunk.key or chunk.private:
                self._say(Text, chunk)
                return
            words.pieces.append(chunk.text)  # the short way, for nearly every piece of an answer
            self._size += len(chunk.text)
            if self._size > LONGEST:
                self._grow(0)
            return
        match chunk:
            case ReasoningChunk():
                self._say(Reasoning, chunk)
            case CallChunk():
                self._add_call(chunk)
            case UsageChunk(usage=usage):
                self.usage = usage
            case StopChunk(stop=stop):
                self.stop = stop

    def __bool__(self) -> bool:
        """True once there is anything worth keeping."""
        return any(isinstance(part, _Call) or any(part.pieces) or part.private for part in self._parts)

    @property
    def silent(self) -> bool:
        """True as long as nothing is said and nothing called."""
        return not any(isinstance(part, _Call) or (part.kind is Text and any(part.pieces)) for part in self._parts)

    def message(self, *, author: str | None, model: str | None, stop: Stop | None = None) -> Message:
        """What the draft holds, as a message that ended for the reason given, or for the wire's."""
        ids: set[str] = set()
        parts = (_call(part, ids) if isinstance(part, _Call) else _words(part) for part in self._parts)
        return Message(
            role="assistant",
            author=author,
            model=model,
            stop=stop or self.stop,
            usage=self.usage,
            parts=tuple(part for part in parts if part is not None),
        )

    def _grow(self, characters: int) -> None:
        self._size += characters
        if self._size > LONGEST:
            raise ProviderError("too_large", f"the answer is longer than {LONGEST >> 20} Mi characters")

    def _say(self, kind: type[Text | Reasoning], chunk: TextChunk | ReasoningChunk) -> None:
        words = self._words
        if words is None or words.kind is not kind or words.key != chunk.key:
            words = self._words = _Words(kind, chunk.key)
            self._parts.append(words)
        words.pieces.append(chunk.text)
        if chunk.private:
            words.private.update(chunk.private)
        self._grow(len(chunk.text))

    def _add_call(self, chunk: CallChunk) -> None:
        call = self._calls.get(chunk.key)
        if call is None:
            if len(self._calls) >= MOST_CALLS:
                raise ProviderError("too_large", f"the answer calls more than {MOST_CALLS} tools")
            call = self._calls[chunk.key] = _Call()
            self._parts.append(call)
            self._words = None  # text after a call is a part of its own
        call.id = call.id or chunk.id
        call.name = call.name or chunk.name
        call.arguments.append(chunk.arguments)
        self._grow(len(chunk.arguments))
        call.private.update(chunk.private)


def _call(call: _Call, taken: set[str]) -> ToolCall:
    """The call, with an id that no other call of the answer has: some servers send none, or the same one twice."""
    known = speakable(call.id)
    name = known if known and known not in taken else f"call_{new_id()}"
    taken.add(name)
    arguments = speakable("".join(call.arguments))
    return ToolCall(name, speakable(call.name), arguments if arguments.strip() else "{}", call.private)


def _words(words: _Words) -> Part | None:
    text = speakable("".join(words.pieces))
    return words.kind(text, words.private) if text or words.private else None
