"""The answer of a server that speaks chat completions: bytes in, chunks out. It knows nothing of the network.

`decode()` reads one server-sent event; `Answer` reads a body. An answer is complete once `[DONE]` or a finish reason was seen: some
servers send only the one, some only the other. After a finish reason more may come: usage always does, text sometimes. An `error` that
is not empty, anywhere, ends the answer as an error; what came before it has been handed on. Only the first choice is read.

Tool calls come in pieces, which belong together by `index`; where that is missing, by `id`, or else to the last call; where it is the
same for several calls, a new id with a name begins another.

Half a surrogate pair at the end of a piece of text waits for the other half, so that every chunk can be written as UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from agentcli.core.message import Stop, Usage, speakable
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, StopChunk, TextChunk, UsageChunk
from agentcli.providers.openai_chat.completion import Call, Completion, Delta, Function, failure, loads, read, usage_of
from agentcli.providers.sse import LIMIT, ServerEvent, ServerEvents

__all__ = ["KIND", "Answer"]

KIND = "openai-chat"  # under which what has to be sent back is kept

Json: TypeAlias = dict[str, Any]

# What the servers call the end. Anything else is an ordinary one.
_STOPS: dict[str, Stop] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "refused",
    "refusal": "refused",
}
_BROKEN = {"error": "server", "insufficient_system_resource": "overloaded", "abort": "cut"}

_START = 4096  # bytes of a body that are looked at to see what it is, and quoted if it is none and ends within them
_FIELDS = (b":", b"data", b"event", b"id", b"retry", b"error")  # how a line of an event stream begins


class _Begun(Struct):
    """A tool call that has begun."""

    key: int
    id: str = ""
    arguments: list[str] = []


_Words: TypeAlias = type[TextChunk] | type[ReasoningChunk]


class State(Struct):
    """What has to be remembered from one event to the next."""

    seen: bool = False  # a completion came
    done: bool = False  # the stop chunk has been said
    finish: str | None = None
    refused: bool = False
    usage: Usage | None = None
    calls: list[_Begun] = []
    by_index: dict[int, _Begun] = {}
    details: list[Any] = []  # reasoning_details that wait for the end of the thinking
    echo: bool = False  # the thinking came as `reasoning_content`
    half: tuple[_Words, str] | None = None  # the first half of a surrogate pair, until the second comes


class Answer:
    """One body: an event stream, or a JSON document in place of one."""

    def __init__(self) -> None:
        self._events = ServerEvents()
        self._state = State()
        self._start = b""
        self._document: bytearray | None = None
        self._known = False  # which of the two it is

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The chunks that this piece completes. To be iterated to its end."""
        if not self._known:
            self._look(data)
        if self._document is not None:
            self._document += data
            if len(self._document) > LIMIT:
                raise ProviderError("too_large", f"the server sent an answer of more than {LIMIT >> 20} MiB in one piece")
            return
        state = self._state
        for event in self._events.feed(data):
            yield from decode(event, state)

    def end(self) -> Iterator[Chunk]:
        """What is left when the body has ended. An answer that was not complete is an error."""
        state = self._state
        if self._document is not None:
            yield from self._whole()
        elif not state.done and not state.finish:
            yield from _flush(state)
            if not state.seen and not self._is_stream():
                raise _not_an_answer(self._start.decode(errors="replace") if len(self._start) < _START else "…")
            raise _cut()
        if not state.done:
            yield from finish(state)

    def _look(self, data: bytes) -> None:
        self._start = (self._start + data)[:_START]
        start = self._start.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start or b"\xef\xbb\xbf".startswith(start):
            return  # nothing to tell it by yet
        self._known = len(self._start) >= _START or start[:1] in b"<{[" or start.startswith(_FIELDS)
        if start[:1] == b"<":
            raise ProviderError(
                "protocol",
                "the server sent a web page, not an answer",
                hint="Is the base URL right? It usually ends in /v1.",
            )
        if start[:1] in b"{[":
            self._document = bytearray()

    def _is_stream(self) -> bool:
        start = self._start.removeprefix(b"\xef\xbb\xbf").lstrip()
        return any(start.startswith(name) or name.startswith(start) for name in _FIELDS)

    def _whole(self) -> Iterator[Chunk]:
        text = bytes(self._document or b"").decode("utf-8-sig", errors="replace")
        try:
            value = loads(text)
        except ProviderError:
            raise _cut() from None
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = msgspec.json.encode(value[0]).decode()
        completion = read(text)
        yield from _chunks(completion, self._state)
        if not completion.choices:
            raise _unlike(text) or _not_an_answer(text)


def decode(event: ServerEvent, state: State) -> Iterator[Chunk]:
    """The chunks in one event. What is not JSON is a comment, or the end, or, in an event of that type, an error."""
    data = event.data
    if state.done:
        return
    if data.startswith("{"):
        if event.event == "error":
            raise failure(loads(data))
        state.seen = True
        completion = read(data)
        yield from _chunks(completion, state)
        if completion.choices is None and completion.usage is None and (error := _unlike(data)):
            raise error
    elif data.startswith("[DONE]"):
        yield from finish(state)
    elif event.event == "error":
        raise failure(data or "it did not say which")


def finish(state: State) -> Iterator[Chunk]:
    """The end, as the server has said it: what was held back, and how the answer ended."""
    state.done = True
    yield from _flush(state)
    reason = state.finish or ""
    if reason in _BROKEN:
        raise ProviderError(_BROKEN[reason], f"the model's server broke off the answer: {reason}")
    stop = _STOPS.get(reason, "done")
    if stop == "done":
        stop = "tools" if state.calls else "refused" if state.refused else "done"
    yield StopChunk(stop)


def _chunks(completion: Completion, state: State) -> Iterator[Chunk]:
    for choice in completion.choices or ():
        if choice.index:
            continue
        delta = choice.message if choice.delta is None else choice.delta
        if delta is not None:
            content = delta.content
            if (
                type(content) is str
                and not delta.reasoning_content
                and not delta.reasoning
                and not delta.reasoning_details
                and not state.details
                and not state.half
                and (content.isascii() or speakable(content) is content)
            ):
                if content:
                    yield TextChunk(content)
            else:
                yield from _words(delta, state)
            if delta.tool_calls or delta.function_call or delta.refusal:
                yield from _others(delta, state)
        if choice.finish_reason:
            state.finish = choice.finish_reason
        if choice.error:
            raise failure(choice.error)
    if completion.usage or completion.x_groq:
        usage = usage_of(completion)
        if usage and usage != state.usage:
            state.usage = usage
            yield UsageChunk(usage)
    if completion.error:
        raise failure(completion.error)


def _words(delta: Delta, state: State) -> Iterator[Chunk]:
    """Thinking and text, in whichever of their fields."""
    details = delta.reasoning_details or ()
    if delta.reasoning_content:
        state.echo = True
    if thought := delta.reasoning_content or delta.reasoning or "".join(map(_detail_text, details)):
        yield from _said(ReasoningChunk, thought, state)
    state.details.extend(details)
    content = delta.content
    for item in [content] if isinstance(content, str) else content or ():
        if isinstance(item, dict) and item.get("type") == "thinking":
            yield from _said(ReasoningChunk, _item_text(item.get("thinking")), state)
        else:
            yield from _said(TextChunk, _item_text(item), state)


def _others(delta: Delta, state: State) -> Iterator[Chunk]:
    if delta.refusal:
        state.refused = True
        yield from _said(TextChunk, delta.refusal, state)
    for call in delta.tool_calls or ():
        yield from _call(call, state)
    if delta.function_call:
        yield from _call(Call(function=delta.function_call), state)


def _said(kind: _Words, text: str, state: State) -> Iterator[Chunk]:
    """The text, but for the half of a surrogate pair at its end: that one waits for the other half."""
    if not text:
        return
    if state.half and state.half[0] is kind:
        text = state.half[1] + text
        state.half = None
    if kind is TextChunk or state.half:
        yield from _flush(state)
    if "\ud800" <= text[-1] <= "\udbff":
        state.half = kind, text[-1]
        text = text[:-1]
    if text := speakable(text):
        yield _chunk(kind, text, state)


def _chunk(kind: _Words, text: str, state: State) -> Chunk:
    return ReasoningChunk(text, {KIND: {"field": "reasoning_content"}}) if kind is ReasoningChunk and state.echo else kind(text)


def _flush(state: State) -> Iterator[Chunk]:
    """What was held back and can wait no longer: half a character, and the details of the thinking that has ended."""
    if state.half:
        kind, half = state.half
        state.half = None
        yield _chunk(kind, speakable(half), state)
    if state.details:
        kept: Json = {"field": "reasoning_content"} if state.echo else {}
        kept["details"] = _joined(state.details)
        state.details = []
        yield ReasoningChunk(private={KIND: kept})


def _joined(pieces: list[Any]) -> list[Any]:
    """The details put together from their pieces: as a list that can be stored, and sent back."""
    details: list[Any] = []
    texts: list[str] = []
    for piece in pieces:
        last = details[-1] if details else None
        if isinstance(last, dict) and isinstance(piece, dict) and _goes_on(last, piece):
            last.update((key, value) for key, value in piece.items() if value is not None and key != _TEXT[last["type"]])
        else:
            _put_text(last, texts)
            details.append(dict(piece) if isinstance(piece, dict) else piece)
            texts = []
        if isinstance(piece, dict) and isinstance(text := piece.get(_TEXT.get(piece.get("type", ""), "")), str):
            texts.append(text)
    _put_text(details[-1] if details else None, texts)
    try:
        msgspec.json.encode(details)
    except (UnicodeEncodeError, OverflowError):
        details = json.loads(speakable(json.dumps(details, ensure_ascii=False)))
    return details


_TEXT = {"reasoning.text": "text", "reasoning.summary": "summary"}  # what comes in pieces, and where


def _goes_on(last: Json, piece: Json) -> bool:
    same = all(last.get(key) == piece.get(key) for key in ("type", "index", "format"))
    return same and last.get("type") in _TEXT and not last.get("signature")


def _put_text(detail: Any, texts: list[str]) -> None:
    if texts:
        detail[_TEXT[detail["type"]]] = "".join(texts)


def _detail_text(detail: Any) -> str:
    return _item_text(detail.get("text") or detail.get("summary")) if isinstance(detail, dict) else ""


def _item_text(item: Any) -> str:
    """The text in a list of contents, or in one of them."""
    match item:
        case str():
            return item
        case list():
            return "".join(map(_item_text, item))
        case {"text": text}:
            return _item_text(text)
    return ""


def _call(call: Call, state: State) -> Iterator[Chunk]:
    """One piece of a tool call, under the key of the call that it belongs to."""
    yield from _flush(state)
    function = call.function or Function()
    name, name_of_call = speakable(function.name or ""), speakable(call.id or "")
    arguments = function.arguments
    begun = _begun(call, name, state)
    if begun is None:
        begun = _Begun(len(state.calls))
        state.calls.append(begun)
    elif begun.arguments and not isinstance(arguments, str):
        arguments = None  # an object is whole: here it is said again
    if call.index is not None:
        state.by_index[call.index] = begun
    begun.id = begun.id or name_of_call
    text = arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
    if text:
        begun.arguments.append(text)
    yield CallChunk(begun.key, name_of_call, name, text)


def _begun(call: Call, name: str, state: State) -> _Begun | None:
    """The call that this piece goes on with, or None if it begins another."""
    if call.index is not None:
        begun = state.by_index.get(call.index)
        other = begun and name and call.id and begun.id and call.id != begun.id
        return None if begun and other and _is_whole("".join(begun.arguments)) else begun
    if call.id:
        return next((begun for begun in state.calls if begun.id == call.id), None)
    return state.calls[-1] if state.calls else None


def _is_whole(arguments: str) -> bool:
    try:
        return not arguments or isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.MsgspecError, RecursionError):
        return False


def _unlike(text: str) -> ProviderError | None:
    """The error in an object that is no completion and has no `error`, but looks like one."""
    value = loads(text)
    about = isinstance(value, dict) and (value.get("message") or value.get("detail"))
    return failure(value) if about else None


def _cut() -> ProviderError:
    return ProviderError("cut", "the answer was cut off", hint="Ask again, or go on from what there is.")


def _not_an_answer(text: str) -> ProviderError:
    return ProviderError(
        "protocol",
        f"the server sent something that is not an answer: {text.strip()}",
        hint="Does this base URL speak chat completions?",
    )
