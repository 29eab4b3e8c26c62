"""The answer of a server that speaks generateContent: bytes in, chunks out. It knows nothing of the network.

It comes as events, or, where the server does not know `alt=sse`, as a JSON array of the same objects. An answer is complete once a
finish reason was seen, or the reason why the prompt was blocked; there is no other end than that of the body, and the usage may come
after. Calls end with STOP as well: an answer that has calls wants tools. Only the first candidate is read.

A part that carries a thought signature is a part of its own, also where its text is empty, since it must go back as it came. What the
server's own tools said (code that it ran, searches) is not shown, but kept whole for the same reason, as thinking without words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, field

from agentcli.core import document
from agentcli.core.message import Stop, Usage, speakable
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, StopChunk, TextChunk, UsageChunk
from agentcli.providers import body
from agentcli.providers.fault import HINTS, reported
from agentcli.providers.gemini.arguments import Arguments
from agentcli.providers.gemini.response import Feedback, Response, error_beside, objects, read, usage_of
from agentcli.providers.lenient import loads
from agentcli.providers.sse import ServerEvent
from agentcli.providers.words import Words

__all__ = ["KIND", "Answer"]

KIND = "gemini"  # under which what has to be sent back is kept

Json: TypeAlias = dict[str, Any]

_STOPS: dict[str, Stop] = {
    "STOP": "done",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "refused",
    "RECITATION": "refused",
    "LANGUAGE": "refused",
    "BLOCKLIST": "refused",
    "PROHIBITED_CONTENT": "refused",
    "SPII": "refused",
    "ESCALATION": "refused",
    "MODEL_ARMOR": "refused",
    "PUP_LIMITED_DISABLED": "refused",
    "IMAGE_SAFETY": "refused",
    "IMAGE_PROHIBITED_CONTENT": "refused",
    "IMAGE_RECITATION": "refused",
    "IMAGE_OTHER": "refused",
    "NO_IMAGE": "refused",
}
# Ends that are none: the model stumbled, which another try may heal, or the request was wrong. One that is not known is no end either.
_BROKEN = {
    "MALFORMED_FUNCTION_CALL": "server",
    "MALFORMED_RESPONSE": "server",
    "UNEXPECTED_TOOL_CALL": "server",
    "OTHER": "server",
    "TOO_MANY_TOOL_CALLS": "bad_request",
    "MISSING_THOUGHT_SIGNATURE": "bad_request",
}
_DEEPEST = 100  # levels of a part that is kept
_LAST = 16 << 10  # bytes at the end of a body that are looked at for an error that stands beside the events


class _Begun(Struct):
    """A call whose arguments come in pieces."""

    key: int
    id: str
    name: str
    arguments: Arguments = field(default_factory=Arguments)


class State(Struct):
    """What has to be remembered from one object to the next."""

    finish: str = ""
    why: str = ""  # the server's words about it
    blocked: str = ""
    said: bool = False
    usage: Usage | None = None
    calls: int = 0
    parts: int = 0  # that must be parts of their own
    open: _Begun | None = None
    words: Words = field(default_factory=Words)


class Answer(body.Answer):
    """One body: an event stream, or JSON in place of one."""

    speaks = "Gemini's generateContent"

    def __init__(self) -> None:
        super().__init__()
        self._state = State()
        self._last = b""

    @property
    def complete(self) -> bool:
        return self.done or bool(self._state.finish or self._state.blocked)

    def feed(self, data: bytes) -> Iterator[Chunk]:
        self._last = (self._last + data)[-_LAST:]
        return super().feed(data)

    def end(self) -> Iterator[Chunk]:
        if self._document is None and not self.complete and (error := error_beside(self._last)):
            yield from self.flush()
            raise reported(error)
        yield from super().end()

    def event(self, event: ServerEvent) -> Iterator[Chunk]:
        data = event.data
        if event.event == "error":
            raise reported(loads(data) if data.startswith(("{", "[")) else data or "it did not say which")
        if data.startswith("{"):
            self.seen = True
            yield from _chunks(read(data), self._state)
        elif data.startswith("[") and not data.startswith("[DONE]"):
            yield from self._objects(data)

    def document(self, text: str) -> Iterator[Chunk]:
        """One object, or an array of them, which may be cut off: those that are whole count."""
        yield from self._objects(text)
        if not self.seen:
            try:
                loads(text)
            except ProviderError:
                raise body.cut() from None
            raise body.not_an_answer(text, self.speaks)

    def _objects(self, text: str) -> Iterator[Chunk]:
        for one in objects(text):
            response = read(one)
            self.seen = self.seen or response.candidates is not None or response.prompt_feedback is not None
            yield from _chunks(response, self._state)

    def flush(self) -> Iterator[Chunk]:
        yield from self._state.words.flush()
        yield from _closed(self._state)

    def finish(self) -> Iterator[Chunk]:
        """The end, as the server has said it: what was held back, and how the answer ended."""
        self.done = True
        yield from self.flush()
        state = self._state
        if state.blocked:
            if not state.said:
                yield TextChunk(state.blocked)
            yield StopChunk("refused")
            return
        stop = _STOPS.get(state.finish)
        unheard = stop is None and state.finish not in _BROKEN  # servers that imitate the API have words of their own for calls
        if state.calls and (stop == "done" or unheard or state.finish == "UNEXPECTED_TOOL_CALL"):
            stop = "tools"  # perhaps of a tool that there is not: the agent will say so
        if stop is None:
            kind = _BROKEN.get(state.finish, "protocol")
            words = f": {state.why}" if state.why else ""
            raise ProviderError(kind, f"the model's server broke off the answer: {state.finish}{words}", hint=HINTS.get(kind, ""))
        yield StopChunk(stop)


def _chunks(response: Response, state: State) -> Iterator[Chunk]:
    for candidate in response.candidates or ():
        if candidate.index:
            continue
        for part in (candidate.content and candidate.content.parts) or ():
            if isinstance(part, dict):
                yield from _part(part, state)
        if candidate.finish_reason and not candidate.finish_reason.endswith("_UNSPECIFIED"):
            state.finish, state.why = candidate.finish_reason, candidate.finish_message or ""
    if response.usage_metadata:
        usage = usage_of(response.usage_metadata)
        if usage and usage != state.usage:
            state.usage = usage
            yield UsageChunk(usage)
    if response.prompt_feedback:
        state.blocked = _blocked(response.prompt_feedback) or state.blocked
    if response.error:
        raise reported(response.error)


def _blocked(feedback: Feedback) -> str:
    """That the prompt was blocked, in words."""
    reason = feedback.block_reason or ""
    if not reason or reason.endswith("_UNSPECIFIED"):
        return ""
    words = f" {feedback.block_reason_message}" if feedback.block_reason_message else ""
    return speakable(f"The prompt was blocked: {reason}.{words}")


def _part(part: Json, state: State) -> Iterator[Chunk]:
    """The chunks of one part, by what is in it. What is not known is skipped."""
    for name, chunks in _KINDS.items():
        if part.get(name) is not None:
            yield from chunks(part, state)
            return


def _text(part: Json, state: State) -> Iterator[Chunk]:
    text = part.get("text") or ""
    if not isinstance(text, str):
        return
    kind = ReasoningChunk if part.get("thought") is True else TextChunk
    if not (signature := _signature(part)):
        state.said = state.said or bool(text)
        yield from state.words.say(kind, text)
        return
    yield from state.words.flush()
    state.parts += 1
    state.said = state.said or bool(text)
    yield kind(speakable(text), {KIND: {"signature": signature}}, state.parts)


def _kept(part: Json, state: State) -> Iterator[Chunk]:
    yield from state.words.flush()
    if stored := _storable(part):
        state.parts += 1
        yield ReasoningChunk("", {KIND: {"part": stored}}, state.parts)


def _call(part: Json, state: State) -> Iterator[Chunk]:
    call = part["functionCall"]
    if not isinstance(call, dict):
        return
    yield from state.words.flush()
    name, id_ = (speakable(value) if isinstance(value := call.get(key), str) else "" for key in ("name", "id"))
    args, pieces = call.get("args"), call.get("partialArgs")
    goes_on = call.get("willContinue") is True
    begun = state.open
    if begun and name and not (pieces and name == begun.name and id_ in ("", begun.id)):
        yield from _closed(state)
        begun = None
    if begun is None:
        if not (name or args or pieces):
            return  # the end of one that has ended
        begun = _Begun(state.calls, id_, name)
        state.calls += 1
    private = {key: value for key, value in (("signature", _signature(part)), ("id", id_)) if value}
    yield CallChunk(begun.key, id_, name, private={KIND: private} if private else {})
    if isinstance(args, dict):
        begun.arguments.update(args)
    for piece in pieces if isinstance(pieces, list) else ():
        begun.arguments.add(piece)
    state.open = begun
    if not goes_on:
        yield from _closed(state)


# What stands in a part -> what to do with it. The first that is there counts.
_KINDS: dict[str, Callable[[Json, State], Iterator[Chunk]]] = {
    "functionCall": _call,
    "text": _text,
    "executableCode": _kept,
    "codeExecutionResult": _kept,
    "toolCall": _kept,
    "toolResponse": _kept,
    "thoughtSignature": _text,  # and nothing else
}


def _closed(state: State) -> Iterator[Chunk]:
    """The arguments of the call that is open: they can only be written down when they are all there."""
    if begun := state.open:
        state.open = None
        if arguments := begun.arguments.written():
            yield CallChunk(begun.key, arguments=speakable(arguments))


def _signature(part: Json) -> str:
    signature = part.get("thoughtSignature")
    return speakable(signature) if isinstance(signature, str) else ""


def _storable(part: Json) -> Json:
    """The part as it will come out of the document that it is stored in; nothing if it is too deep for one."""
    if not _is_flat(part, _DEEPEST):
        return {}
    stored: Json = msgspec.json.decode(document.encode(part))
    return stored


def _is_flat(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_flat(one, levels - 1) for one in inner)
