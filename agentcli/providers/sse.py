"""Server-sent events: bytes in, events out, by the WHATWG standard (html.spec.whatwg.org, "Server-sent events").

Bytes may be split anywhere: inside a character, a CRLF, the byte-order mark. Lines end in LF, CR or CRLF and in nothing else: a
decoder that reads "lines of text" also splits at U+2028, U+2029 and U+0085, which are ordinary characters in JSON. No byte of a
longer UTF-8 sequence is a CR or LF, so lines are found in the bytes and each event is decoded whole, which gives what an incremental
decoder would give. An event counts when the blank line after it has come; what is left at the end is not one.

Two things are ours. An event is at most 16 MiB, so that a server cannot fill the memory. And the field `error`, which the standard
would ignore, is read as an event of that type with that data: llama.cpp sent its errors so until 2026, and to ignore it would be to
take a broken answer for a cut one.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from agentcli.core.provider import ProviderError

__all__ = ["LIMIT", "ServerEvent", "ServerEvents"]

LIMIT = 16 << 20  # bytes of one event


class ServerEvent(Struct, frozen=True, gc=False):
    """One event: its data, its type ("" is "message"), and the last id that was said."""

    data: str
    event: str = ""
    id: str = ""


class ServerEvents:
    """The decoder of one body."""

    def __init__(self) -> None:
        self._tail = bytearray()  # the line that has not ended
        self._data: list[bytes] = []
        self._size = 0
        self._event = b""
        self._id = ""
        self._after_cr = False  # a LF that comes now belongs to the line end before it
        self._at_start = True

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        """The events that end in this piece. To be iterated to its end."""
        if self._at_start:
            data = self._without_mark(data)
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if not data:
            return
        lines = data.splitlines()
        last = data[-1]
        self._after_cr = last == 13
        rest = lines.pop() if last not in (10, 13) else b""
        if self._tail and lines:
            lines[0] = bytes(self._tail) + lines[0]
            self._tail.clear()
        for line in lines:
            if line.startswith(b"data: "):
                self._data.append(line[6:])
                self._grow(len(line))
            elif line:
                self._field(line)
            elif self._data:
                yield self._take()
            else:
                self._event = b""
        if rest:
            self._tail += rest
            self._grow(0)

    def _take(self) -> ServerEvent:
        lines, self._data, self._size = self._data, [], 0
        data = (lines[0] if len(lines) == 1 else b"\n".join(lines)).decode(errors="replace")
        if not self._event:
            return ServerEvent(data, "", self._id)
        event, self._event = self._event.decode(errors="replace"), b""
        return ServerEvent(data, event, self._id)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._grow(len(line))
        elif name == b"event":
            self._event = value
        elif name == b"error":
            self._event = name
            self._data.append(value)
            self._grow(len(line))
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size + len(self._tail) > LIMIT:
            self._data.clear()
            self._tail.clear()
            raise ProviderError("too_large", f"the server sent an event of more than {LIMIT >> 20} MiB")

    def _without_mark(self, data: bytes) -> bytes:
        """Without the byte-order mark that may stand before everything, once enough has come to know."""
        data = bytes(self._tail) + data
        self._tail.clear()
        if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
            self._tail += data
            return b""
        self._at_start = False
        return data.removeprefix(b"\xef\xbb\xbf")
