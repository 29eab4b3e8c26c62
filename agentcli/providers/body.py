"""A body as it comes, whatever the wire format: an event stream, or a JSON document in place of one. It knows nothing of the network.

A wire format is a subclass of `Answer`, which says what an event means, what a whole document means, and when the server has said that
the answer is complete. This file keeps what is the same for all: the bytes may be split anywhere; a web page is no answer; a body that
ends before the answer was complete is a cut, and one that never looked like an answer is a protocol error that quotes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentcli.core.provider import Chunk, ProviderError
from agentcli.providers.sse import LIMIT, ServerEvent, ServerEvents

__all__ = ["Answer", "cut", "not_an_answer"]

_START = 4096  # bytes of a body that are looked at to see what it is, and quoted if it is none and ends within them
_FIELDS = (b":", b"data", b"event", b"id", b"retry", b"error")  # how a line of an event stream begins
_MARK = b"\xef\xbb\xbf"


class Answer:
    """The answer in one body. `feed()` and `end()` are for whoever has the bytes; the rest is for the wire format to write."""

    speaks = "this API"  # what the server should speak, as a hint says it

    def __init__(self) -> None:
        self.seen = False  # something of the answer came
        self.done = False  # the stop chunk has been said
        self._events = ServerEvents()
        self._start = b""
        self._document: bytearray | None = None
        self._known = False  # which of the two it is

    def event(self, event: ServerEvent) -> Iterator[Chunk]:
        """The chunks in one event. Set `seen` when it is a part of an answer."""
        raise NotImplementedError

    def document(self, text: str) -> Iterator[Chunk]:
        """The chunks in a whole JSON document, which may not be JSON."""
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        """Has the server said that the answer is complete?"""
        return self.done

    def flush(self) -> Iterator[Chunk]:
        """What was held back and can wait no longer."""
        yield from ()

    def finish(self) -> Iterator[Chunk]:
        """What was held back, and the stop chunk, when the body of a complete answer has ended without it. Sets `done`."""
        yield from ()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The chunks that this piece completes. To be iterated to its end."""
        if not self._known:
            self._look(data)
        if self._document is not None:
            self._document += data
            if len(self._document) > LIMIT:
                raise ProviderError("too_large", f"the server sent an answer of more than {LIMIT >> 20} MiB in one piece")
            return
        for event in self._events.feed(data):
            if not self.done:
                yield from self.event(event)

    def end(self) -> Iterator[Chunk]:
        """What is left when the body has ended. An answer that was not complete is an error."""
        if self._document is not None:
            yield from self.document(bytes(self._document).decode("utf-8-sig", errors="replace"))
        if not self.complete:
            yield from self.flush()
            if self.seen or self._is_stream():
                raise cut()
            raise not_an_answer(self._start.decode(errors="replace") if len(self._start) < _START else "…", self.speaks)
        if not self.done:
            yield from self.finish()

    def _look(self, data: bytes) -> None:
        self._start = (self._start + data)[:_START]
        start = self._start.removeprefix(_MARK).lstrip()
        if not start or _MARK.startswith(start):
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
        start = self._start.removeprefix(_MARK).lstrip()
        return any(start.startswith(name) or name.startswith(start) for name in _FIELDS)


def cut() -> ProviderError:
    """The answer ended before the server said so."""
    return ProviderError("cut", "the answer was cut off", hint="Ask again, or go on from what there is.")


def not_an_answer(text: str, speaks: str) -> ProviderError:
    """What came is something else."""
    return ProviderError(
        "protocol",
        f"the server sent something that is not an answer: {text.strip()}",
        hint=f"Does this base URL speak {speaks}?",
    )
