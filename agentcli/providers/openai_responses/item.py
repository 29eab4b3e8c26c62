"""The items of an answer as they grow: which of them a piece belongs to, what of it is new, and what has to go back as it came.

Each item is begun, comes in pieces, and is said once more as a whole, twice: when it ends, and in the response at the end. Servers
leave out one or the other, so what has been said is remembered, and of the whole only the rest is handed on. Pieces belong to an item
by its id, or by its place (a proxy may give another id in every event, and some servers number nothing), or else to the newest of its
kind.

What must go back is kept in `private["openai-responses"]`: of thinking and of the server's own tools the whole `item`, of messages and
calls what is beside their words. An item of the server's own tools is a Reasoning without words. Where an item ends only after the
next has begun, the whole of it comes in a part of its own, and is put in its place by its id when it is sent back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from msgspec import Struct

from agentcli.core.message import speakable
from agentcli.core.provider import CallChunk, Chunk, ReasoningChunk, TextChunk
from agentcli.providers.openai import storable
from agentcli.providers.openai_responses.event import Item, arguments_in, item
from agentcli.providers.words import Words

__all__ = ["KIND", "Begun", "Items"]

KIND = "openai-responses"  # under which what has to be sent back is kept

Json: TypeAlias = dict[str, Any]
Slot: TypeAlias = tuple[str, int]  # which part of an item, and which of those

# What the server ran by itself and wants to see again.
_ITS_OWN = {"web_search_call", "file_search_call", "code_interpreter_call", "mcp_list_tools", "mcp_call", "compaction"}

# What an item has beside its words that has to be said again.
_BESIDE = {"message": ("id", "phase"), "function_call": ("id", "namespace", "caller"), "reasoning": ("id",)}

_ARGUMENTS: Slot = ("arguments", 0)


class Begun(Struct, eq=False):
    """An item that has begun. `said` has the pieces of each part of it, `private` goes with each of them."""

    key: int
    type: str
    said: dict[Slot, list[str]] = {}
    private: Json = {}
    form: str = ""  # of thinking: "summary" or "text". Some servers send both; the first one counts
    whole: str = ""  # arguments that came with the beginning: they count if no others come
    ended: bool = False


class Items:
    """Those of one answer."""

    def __init__(self) -> None:
        self.refused = False
        self._all: list[Begun] = []
        self._by_id: dict[tuple[str, str], Begun] = {}
        self._by_place: dict[tuple[str, int], Begun] = {}
        self._newest: dict[str, Begun] = {}
        self._last: Begun | None = None  # the one that spoke last
        self._thought = False
        self._lost = False  # thinking that cannot go back: then the ids of what it led to must not go either
        self._words = Words()

    @property
    def called(self) -> bool:
        """Does it call a tool of ours?"""
        return "function_call" in self._newest

    def of(self, kind: str, name: str | None, place: int | None) -> Begun:
        """The item that a piece, or a whole one, belongs to."""
        begun = self._known(kind, name, place)
        if begun is None and place is None and (newest := self._newest.get(kind)) and not newest.ended:
            begun = newest
        return begun or self._begin(kind, name, place)

    def say(self, begun: Begun, slot: Slot, piece: str) -> Iterator[Chunk]:
        """A piece of a message or of thinking."""
        if not piece:
            return
        kind = ReasoningChunk if begun.type == "reasoning" else TextChunk
        pieces = begun.said.get(slot)
        if pieces is None:
            pieces = begun.said[slot] = []
            if kind is ReasoningChunk:
                if self._thought:
                    yield from self._words.say(kind, "\n\n", begun.private, begun.key)
                self._thought = True
        pieces.append(piece)
        self._last = begun
        yield from self._words.say(kind, piece, begun.private, begun.key)

    def rest(self, begun: Begun, slot: Slot, whole: str) -> Iterator[Chunk]:
        """What is new in a part that is said as a whole."""
        said, whole = speakable("".join(begun.said.get(slot, ()))), speakable(whole)
        if len(whole) > len(said) and whole.startswith(said):
            yield from self.say(begun, slot, whole[len(said) :])

    def argue(self, begun: Begun, piece: str) -> Iterator[Chunk]:
        """A piece of the arguments of a call."""
        begun.said.setdefault(_ARGUMENTS, []).append(piece)
        yield from self._calling(CallChunk(begun.key, arguments=piece))

    def rest_of_arguments(self, begun: Begun, whole: str) -> Iterator[Chunk]:
        said = "".join(begun.said.get(_ARGUMENTS, ()))
        if len(whole) > len(said) and whole.startswith(said):
            yield from self.argue(begun, whole[len(said) :])

    def added(self, value: Any, place: int | None) -> Iterator[Chunk]:
        """An item begins."""
        one = item(value)
        if one.type not in _BESIDE:
            return
        begun = self._known(one.type, one.id, None)
        if begun is None or begun.ended:
            begun = self._begin(one.type, one.id, place)
        begun.private = self._beside(one.type, value)
        if one.type == "function_call":
            begun.whole = arguments_in(one.arguments)
            yield from self._calling(CallChunk(begun.key, one.call_id or "", one.name or "", "", begun.private))

    def ended(self, value: Any, place: int | None) -> Iterator[Chunk]:
        """An item has ended: this is the whole of it."""
        one = item(value)
        if one.type in _BESIDE:
            yield from self._whole(self.of(one.type, one.id, place), one, value)
        elif one.type in _ITS_OWN:
            yield from self._keep(value)

    def complete(self, output: list[Any]) -> Iterator[Chunk]:
        """All items, as the response at the end has them. Without events before, it is all there is."""
        alone = not self._all
        ones = [(place, item(value), value) for place, value in enumerate(output)]
        found = {place: begun for place, one, _ in ones if (begun := self._known(one.type or "", one.id, place))}
        taken = {begun.key for begun in found.values()}
        left = {kind: iter([each for each in self._all if each.type == kind and each.key not in taken]) for kind in _BESIDE}
        for place, one, value in ones:
            if one.type in _BESIDE:
                begun = found.get(place) or next(left[one.type], None) or self._begin(one.type, one.id, place)
                yield from self._whole(begun, one, value)
            elif one.type in _ITS_OWN and alone:
                yield from self._keep(value)
        for begun in self._all:
            yield from self.rest_of_arguments(begun, begun.whole)
        yield from self.flush()

    def flush(self) -> Iterator[Chunk]:
        """What was held back."""
        yield from self._words.flush()

    def _known(self, kind: str, name: str | None, place: int | None) -> Begun | None:
        begun = self._by_id.get((kind, name)) if name else None
        return begun or (self._by_place.get((kind, place)) if place is not None else None)

    def _begin(self, kind: str, name: str | None, place: int | None) -> Begun:
        begun = self._newest[kind] = Begun(len(self._all), kind)
        self._all.append(begun)
        if name:
            self._by_id[kind, name] = begun
        if place is not None:
            self._by_place[kind, place] = begun
        return begun

    def _calling(self, chunk: CallChunk) -> Iterator[Chunk]:
        yield from self.flush()
        self._last = None
        yield chunk

    def _keep(self, value: Json) -> Iterator[Chunk]:
        """An item of a tool that the server ran by itself: nothing to show, but it goes back."""
        yield from self.flush()
        self._last = self._begin("", None, None)
        yield ReasoningChunk(private={KIND: {"item": storable(value)}}, key=self._last.key)

    def _whole(self, begun: Begun, one: Item, value: Json) -> Iterator[Chunk]:
        """What an item says that was not said yet, and what has to be kept of it."""
        understood = {"message": self._message, "reasoning": self._thinking, "function_call": self._call}
        yield from understood[begun.type](begun, one, value)
        begun.ended = True

    def _message(self, begun: Begun, one: Item, value: Json) -> Iterator[Chunk]:
        parts = one.content or []
        self.refused = self.refused or any(part.refusal for part in parts)
        before, begun.private = begun.private, self._beside("message", value)
        told = bool(begun.said)
        yield from self._rests(begun, [(("text", number), part.text or part.refusal or "") for number, part in enumerate(parts)])
        if told and begun.private != before and self._last is begun:
            yield from self.flush()
            yield TextChunk("", begun.private, begun.key)

    def _thinking(self, begun: Begun, one: Item, value: Json) -> Iterator[Chunk]:
        summary = [(("summary", number), part.text or "") for number, part in enumerate(one.summary or ())]
        texts = [(("text", number), part.text or "") for number, part in enumerate(one.content or ())]
        form = begun.form or ("summary" if any(text for _, text in summary) else "text")
        yield from self._rests(begun, summary if form == "summary" else texts)
        if begun.ended:
            return
        if any(value.get(key) for key in ("encrypted_content", "content", "signature")):
            yield from self.flush()
            self._last = begun
            yield ReasoningChunk(private={KIND: {"item": _thought(value)}}, key=begun.key)
        else:
            self._lost = True

    def _call(self, begun: Begun, one: Item, value: Json) -> Iterator[Chunk]:
        if not begun.ended:
            private = self._beside("function_call", value)
            yield from self._calling(CallChunk(begun.key, one.call_id or one.id or "", one.name or "", "", private))
        yield from self.rest_of_arguments(begun, arguments_in(one.arguments))

    def _rests(self, begun: Begun, parts: list[tuple[Slot, str]]) -> Iterator[Chunk]:
        """What is new in all parts of an item at once: servers that do not number them say all in one."""
        said = "".join(speakable("".join(pieces)) for pieces in begun.said.values())
        parts = [(slot, speakable(text)) for slot, text in parts]
        if not "".join(text for _, text in parts).startswith(said):
            return
        skip = len(said)
        for slot, text in parts:
            yield from self.say(begun, slot, text[skip:])
            skip = max(0, skip - len(text))

    def _beside(self, kind: str, value: Json) -> Json:
        kept = {key: value[key] for key in _BESIDE[kind] if value.get(key) and not (key == "id" and self._lost)}
        return {KIND: storable(kept)} if kept else {}


def _thought(value: Json) -> Json:
    """Thinking as it goes back: without what it has none of, since servers say `null` and refuse to be told so."""
    kept: Json = storable({key: each for key, each in value.items() if each not in (None, "", []) and key != "status"})
    return {"summary": [], **kept}
