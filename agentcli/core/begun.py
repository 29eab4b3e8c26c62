"""Going on with an answer that was cut off, so that one whole answer comes of it.

A model is shown what it has said as its own last words, and after them `GO_ON`, which is said for this one request and kept nowhere.
(`Request.begun` tells the provider; one whose model can go on from its own words leaves `GO_ON` out.) What comes is put behind what
was there, byte for byte: `joined()`.

Models are asked to repeat nothing, and some do it all the same. `seamless()` takes that out: the longest end of what was there, of at
least `LEAST` characters, that the new words begin with. The whole of what was there counts, and every end that is not longer than
`MOST`. One that is the same over and over ("-----", "ha ha ha", a line twice) may as well be new, and is left. Text is held back only
while it can still turn out to be such an end. What is held back when a turn is left was never said: neither is it shown, nor kept.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from agentcli.core.event import Event, MessageAdded, Retrying, Waiting
from agentcli.core.message import Message, Part, Reasoning, Text
from agentcli.core.provider import Chunk, ProviderError, ReasoningChunk, TextChunk, UsageChunk
from agentcli.core.thread import alike

__all__ = ["GO_ON", "LEAST", "MOST", "counted", "joined", "seamless"]

GO_ON = (
    "Your answer was cut off. Go on with the very next character after your last one, be it a space, a line end or the rest of a word."
    " Repeat nothing of it, and say nothing about this."
)
LEAST = 12  # characters
MOST = 2_000
_TRIES = 10  # lengths of a piece that are tried


def joined(begun: Message, more: Message) -> Message:
    """The answer that was begun, with what came after it.

    The words at the seam become one part, so that it reads as one answer, and what was thought in between stands before them. By then
    they are no more what a provider has sent, so what it would know them and their thinking by is left out. Only where tools are
    called it has to come back: there everything stays as it came.
    """
    parts = alike(begun, more.model)
    thoughts = 0
    while thoughts < len(more.parts) and isinstance(more.parts[thoughts], Reasoning):
        thoughts += 1
    new, rest = more.parts[:thoughts], more.parts[thoughts:]
    as_it_came = more.calls and any(_bare(part) is not part for part in (*parts, *more.parts))
    if parts and isinstance(last := parts[-1], Text) and rest and isinstance(first := rest[0], Text) and not as_it_came:
        parts = tuple(map(_bare, (*parts[:-1], *new, Text(last.text + first.text), *rest[1:])))
    else:
        parts += more.parts
    usage = begun.usage + more.usage if begun.usage and more.usage else begun.usage or more.usage
    return replace(more, id=begun.id, usage=usage, earlier=begun.usage, parts=parts)


def _bare(part: Part) -> Part:
    return replace(part, private={}) if isinstance(part, Text | Reasoning) and part.private else part


def counted(event: Event) -> Event:
    """The event as it counts in this turn: of an answer that was gone on with, only what was asked for now."""
    if isinstance(event, MessageAdded) and event.message.earlier:
        return replace(event, message=replace(event.message, usage=event.message.latest, earlier=None))
    return event


async def seamless(chunks: AsyncGenerator[Chunk, None], said: str) -> AsyncGenerator[Chunk, None]:
    """The chunks, without the end of what was said if they begin with it."""
    seam = _Seam(said)
    async with aclosing(chunks):
        try:
            async for chunk in chunks:
                if type(chunk) is TextChunk and not seam.decided:
                    for one in seam.add(chunk):
                        yield one
                    continue
                if not isinstance(chunk, Waiting | Retrying | ReasoningChunk | UsageChunk):
                    for one in seam.end():
                        yield one
                yield chunk
        except ProviderError:
            for one in seam.end():
                yield one
            raise
        for one in seam.end():
            yield one


class _Seam:
    """Where new words begin: decides which of them are a repetition."""

    def __init__(self, said: str) -> None:
        self._said = said
        end = len(said) - LEAST + 1
        self._places = list(dict.fromkeys((0, *range(max(len(said) - MOST, 0), end)))) if end > 0 else []  # where an end begins
        self._held: list[TextChunk] = []
        self._heard = 0  # characters
        self._repeated = 0
        self.decided = not self._places

    def add(self, chunk: TextChunk) -> list[TextChunk]:
        """What can be said now."""
        said, heard, text = self._said, self._heard, chunk.text
        self._held.append(chunk)
        self._heard += len(text)
        left = []
        for place in self._places:
            if len(said) - place - heard > len(text):
                if said.startswith(text, place + heard):
                    left.append(place)
            elif text.startswith(said[place + heard :]) and not _monotonous(said, place):
                self._repeated = max(self._repeated, len(said) - place)
        self._places = left
        return [] if left else self.end()

    def end(self) -> list[TextChunk]:
        """What was held back and is no repetition."""
        cut, held = self._repeated, self._held
        self._held, self._repeated, self.decided = [], 0, True
        said = []
        for chunk in held:
            text = chunk.text[cut:]
            cut = max(cut - len(chunk.text), 0)
            if text or chunk.private:
                said.append(chunk if text == chunk.text else replace(chunk, text=text))
        return said


def _monotonous(said: str, place: int) -> bool:
    """Is the end that begins there one piece over and over, or has it come right before, too?"""
    end = said[place:]
    if said.endswith(end, 0, place):
        return True
    half = end[: len(end) - len(end) // 2]
    period = 0
    for _ in range(_TRIES):
        period = end.find(half, period + 1)
        if period < 0 or end.startswith(end[period:]):
            return period > 0
    return False  # the first half recurs that often: it is a short piece over and over itself, and all of it is not
