"""The answer of a server that speaks the Messages API: bytes in, chunks out. It knows nothing of the network.

An answer is complete at `message_stop`, or when its body ends after a stop reason. `error`, at any point, ends it as an error; what
came before has been handed on. A block of text or of thinking becomes a part of its own. Tools that the server runs by itself (a web
search, say) are not ours to run: their blocks are passed over, like every block that is not known.

Thinking comes with a signature, or not in words at all but encrypted. Either has to go back as it came (`message`), so it is kept in
`private["anthropic"]`, with `under`: a fingerprint of everything that stood before the answer. Thinking that was cut off has no
signature, and nothing is kept of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from agentcli.core.message import Stop, Usage, speakable
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, StopChunk, TextChunk, UsageChunk
from agentcli.providers import body
from agentcli.providers.anthropic.event import Block, Delta, Event, Message, Tokens, read_event, read_message, usage_of
from agentcli.providers.fault import reported
from agentcli.providers.lenient import loads
from agentcli.providers.sse import ServerEvent
from agentcli.providers.words import Words

__all__ = ["KIND", "Answer"]

KIND = "anthropic"  # under which what has to be sent back is kept

Json: TypeAlias = dict[str, Any]

# What the API calls the end. Anything else is an ordinary one. A pause means that a tool of the server's takes long: there is more.
_STOPS: dict[str, Stop] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "refused",
}


class _Begun(Struct):
    """A block that has begun. Indexes come twice and are left out: `number` is its own."""

    number: int
    kind: str = ""
    whole: str = ""  # arguments that came with the beginning: they count if none come in pieces
    half: str = ""  # the half of a character at the end of a piece of the arguments


class Answer(body.Answer):
    """One body: an event stream, or a JSON document in place of one. `under` tells the fingerprint when it is wanted."""

    speaks = "Anthropic's Messages API"

    def __init__(self, under: Callable[[], str] | None = None) -> None:
        super().__init__()
        self._under = under
        self._fingerprint: Json | None = None
        self._words = Words()
        self._blocks: dict[int, _Begun] = {}
        self._last = -1  # the index that was named last
        self._count = 0
        self._called = False
        self._stop = ""
        self._tokens = Tokens()
        self._usage: Usage | None = None

    @property
    def complete(self) -> bool:
        return self.done or bool(self._stop)

    def event(self, event: ServerEvent) -> Iterator[Chunk]:
        """What is not JSON, and what has a type that is not known, means nothing."""
        data = event.data
        if event.event == "error":
            yield from self._words.flush()
            raise reported((loads(data) if data.startswith("{") else data) or "it did not say which")
        if not data.startswith("{"):
            return
        said = read_event(data)
        kind = said.type or event.event
        if said.error or kind == "error":
            yield from self._words.flush()
            raise reported(loads(data))
        if read := _READ.get(kind):
            self.seen = True
            yield from read(self, said)

    def document(self, text: str) -> Iterator[Chunk]:
        try:
            value = loads(text)
        except ProviderError:
            raise body.cut() from None
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = msgspec.json.encode(value[0]).decode()
        said = read_message(text)
        if said.error or said.type == "error":
            raise reported(value)
        if said.content is None and not said.stop_reason:
            about = isinstance(value, dict) and (value.get("message") or value.get("detail"))
            raise reported(value) if about else body.not_an_answer(text, self.speaks)
        yield from self._message(said)
        yield from self.finish()

    def flush(self) -> Iterator[Chunk]:
        yield from self._words.flush()
        for begun in self._blocks.values():
            yield from _rest(begun)

    def finish(self) -> Iterator[Chunk]:
        """The end, as the server has said it: what was held back, and how the answer ended."""
        self.done = True
        yield from self.flush()
        yield StopChunk(_STOPS.get(self._stop, "tools" if self._called else "done"))

    def _message(self, said: Message) -> Iterator[Chunk]:
        """What is in a message: all of it, or as much as there is when it begins."""
        if isinstance(said.content, str):
            yield from self._words.say(TextChunk, said.content, key=0)
        else:
            for block in said.content or ():
                yield from self._begin(block, None)
        self._stop = said.stop_reason or self._stop
        yield from self._counted(said.usage)

    def _started(self, said: Event) -> Iterator[Chunk]:
        if said.message:
            yield from self._message(said.message)

    def _begun(self, said: Event) -> Iterator[Chunk]:
        yield from self._begin(said.content_block or Block(), said.index)

    def _begin(self, block: Block, index: int | None) -> Iterator[Chunk]:
        yield from self._words.flush()
        self._last = self._last + 1 if index is None else index
        if before := self._blocks.get(self._last):
            yield from _rest(before)
        begun = self._blocks[self._last] = _Begun(self._count, block.type or "")
        self._count += 1
        if begin := _BEGIN.get(begun.kind):
            yield from begin(self, block, begun)

    def _begin_text(self, block: Block, begun: _Begun) -> Iterator[Chunk]:
        yield from self._words.say(TextChunk, block.text or "", key=begun.number)

    def _begin_thinking(self, block: Block, begun: _Begun) -> Iterator[Chunk]:
        yield from self._words.say(ReasoningChunk, block.thinking or "", key=begun.number)
        yield from self._sign(block.signature, begun)

    def _begin_hidden(self, block: Block, begun: _Begun) -> Iterator[Chunk]:
        if block.data:
            yield self._kept({"type": "redacted_thinking", "data": speakable(block.data)}, begun)

    def _begin_call(self, block: Block, begun: _Begun) -> Iterator[Chunk]:
        self._called = True
        begun.whole = _text_of(block.input or "")
        yield CallChunk(begun.number, speakable(block.id or ""), speakable(block.name or ""))

    def _more(self, said: Event) -> Iterator[Chunk]:
        if said.delta is None:
            return
        if said.index is not None:
            self._last = said.index
        begun = self._blocks.get(self._last)
        if begun is None:
            begun = self._blocks[self._last] = _Begun(self._count)
            self._count += 1
        begun.kind = begun.kind or _KINDS.get(said.delta.type or "", "")
        more = _MORE.get(said.delta.type or "")
        if more and begun.kind in _BEGIN:
            yield from more(self, said.delta, begun)

    def _more_text(self, delta: Delta, begun: _Begun) -> Iterator[Chunk]:
        yield from self._words.say(TextChunk, delta.text or "", key=begun.number)

    def _more_thinking(self, delta: Delta, begun: _Begun) -> Iterator[Chunk]:
        yield from self._words.say(ReasoningChunk, delta.thinking or "", key=begun.number)

    def _more_signature(self, delta: Delta, begun: _Begun) -> Iterator[Chunk]:
        yield from self._sign(delta.signature, begun)

    def _more_arguments(self, delta: Delta, begun: _Begun) -> Iterator[Chunk]:
        if begun.kind != "tool_use" or not (text := begun.half + _text_of(delta.partial_json or "")):
            return
        begun.whole = ""
        begun.half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        if text := text.removesuffix(begun.half):
            yield CallChunk(begun.number, arguments=speakable(text))

    def _stopped(self, said: Event) -> Iterator[Chunk]:
        if begun := self._blocks.get(self._last if said.index is None else said.index):
            yield from _rest(begun)

    def _ending(self, said: Event) -> Iterator[Chunk]:
        if said.delta and said.delta.stop_reason:
            self._stop = said.delta.stop_reason
        yield from self._counted(said.usage)

    def _ended(self, _: Event) -> Iterator[Chunk]:
        yield from self.finish()

    def _sign(self, signature: str | None, begun: _Begun) -> Iterator[Chunk]:
        if signature and begun.kind == "thinking":
            yield self._kept({"type": "thinking", "signature": speakable(signature)}, begun)

    def _kept(self, block: Json, begun: _Begun) -> Chunk:
        if self._fingerprint is None:
            self._fingerprint = {"under": self._under()} if self._under else {}
        return ReasoningChunk("", {KIND: block | self._fingerprint}, begun.number)

    def _counted(self, tokens: Tokens | None) -> Iterator[Chunk]:
        """The counts, each of them the last that was said."""
        if tokens is None:
            return
        for name in Tokens.__struct_fields__:
            if (said := getattr(tokens, name)) is not None:
                setattr(self._tokens, name, said)
        usage = usage_of(self._tokens)
        if usage != self._usage and self._tokens != Tokens():
            self._usage = usage
            yield UsageChunk(usage)


def _rest(begun: _Begun) -> Iterator[Chunk]:
    """What was held back of the arguments of a call."""
    if left := begun.whole or begun.half:
        begun.whole = begun.half = ""
        yield CallChunk(begun.number, arguments=speakable(left))


def _text_of(arguments: str | Json) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


_READ = {
    "message_start": Answer._started,
    "content_block_start": Answer._begun,
    "content_block_delta": Answer._more,
    "content_block_stop": Answer._stopped,
    "message_delta": Answer._ending,
    "message_stop": Answer._ended,
}
_BEGIN = {
    "text": Answer._begin_text,
    "thinking": Answer._begin_thinking,
    "redacted_thinking": Answer._begin_hidden,
    "tool_use": Answer._begin_call,
}
_MORE = {
    "text_delta": Answer._more_text,
    "thinking_delta": Answer._more_thinking,
    "signature_delta": Answer._more_signature,
    "input_json_delta": Answer._more_arguments,
}
_KINDS = {"text_delta": "text", "thinking_delta": "thinking"}  # of a block that began without saying what it is
