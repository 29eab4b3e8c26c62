"""The answer of a server that speaks chat completions: bytes in, chunks out. It knows nothing of the network.

An answer is complete once `[DONE]` or a finish reason was seen: some servers send only the one, some only the other. After a finish
reason more may come: usage always does, text sometimes. An `error` that is not empty, anywhere, ends the answer as an error; what came
before it has been handed on. Only the first choice is read.

Tool calls come in pieces, which belong together by `index`; where that is missing, by `id`, or else to the last call; where it is the
same for several calls, a new id with a name begins another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, field

from agentcli.core.message import Stop, Usage, speakable
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, StopChunk, TextChunk, UsageChunk
from agentcli.providers import body
from agentcli.providers.fault import reported
from agentcli.providers.lenient import loads
from agentcli.providers.openai_chat.completion import Call, Completion, Delta, Function, read, usage_of
from agentcli.providers.sse import ServerEvent
from agentcli.providers.words import Words

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


class _Begun(Struct):
    """A tool call that has begun."""

    key: int
    id: str = ""
    arguments: list[str] = []


class State(Struct):
    """What has to be remembered from one event to the next."""

    finish: str | None = None
    refused: bool = False
    usage: Usage | None = None
    calls: list[_Begun] = []
    by_index: dict[int, _Begun] = {}
    details: list[Any] = []  # reasoning_details that wait for the end of the thinking
    echo: bool = False  # the thinking came as `reasoning_content`
    words: Words = field(default_factory=Words)


class Answer(body.Answer):
    """One body: an event stream, or a JSON document in place of one."""

    speaks = "chat completions"

    def __init__(self) -> None:
        super().__init__()
        self._state = State()

    @property
    def complete(self) -> bool:
        return self.done or self._state.finish is not None

    def event(self, event: ServerEvent) -> Iterator[Chunk]:
        """What is not JSON is a comment, or the end, or, in an event of that type, an error."""
        data = event.data
        if data.startswith("{"):
            if event.event == "error":
                raise reported(loads(data))
            self.seen = True
            completion = read(data)
            yield from _chunks(completion, self._state)
            if completion.choices is None and completion.usage is None and (error := _unlike(data)):
                raise error
        elif data.startswith("[DONE]"):
            yield from self.finish()
        elif event.event == "error":
            raise reported(data or "it did not say which")

    def document(self, text: str) -> Iterator[Chunk]:
        try:
            value = loads(text)
        except ProviderError:
            raise body.cut() from None
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = msgspec.json.encode(value[0]).decode()
        completion = read(text)
        yield from _chunks(completion, self._state)
        if not completion.choices:
            raise _unlike(text) or body.not_an_answer(text, self.speaks)
        yield from self.finish()

    def flush(self) -> Iterator[Chunk]:
        """Half a character; but no details: those of thinking that was cut off may lack their signature, and would be refused."""
        yield from self._state.words.flush()

    def finish(self) -> Iterator[Chunk]:
        """The end, as the server has said it: what was held back, and how the answer ended."""
        self.done = True
        state = self._state
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
                and not state.words.waits
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
            raise reported(choice.error)
    if completion.usage or completion.x_groq:
        usage = usage_of(completion)
        if usage and usage != state.usage:
            state.usage = usage
            yield UsageChunk(usage)
    if completion.error:
        raise reported(completion.error)


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


def _said(kind: type[TextChunk | ReasoningChunk], text: str, state: State) -> Iterator[Chunk]:
    if kind is TextChunk and text and state.details:
        yield from _flush(state)
    echo = kind is ReasoningChunk and state.echo
    yield from state.words.say(kind, text, {KIND: {"field": "reasoning_content"}} if echo else {})


def _flush(state: State) -> Iterator[Chunk]:
    """What was held back and can wait no longer: half a character, and the details of the thinking that has ended."""
    yield from state.words.flush()
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
    return reported(value) if about else None
