"""HTTP/1.1 answers: bytes in, head and body out, by RFC 9112. Pure.

One `Answer` reads one response. Bytes may be split anywhere; a whole read's worth is taken at once, and all that it holds of the body
comes back as one piece, however many HTTP chunks it was: that is where the speed is.

It is strict where a mistake could pass for an answer. A body that ends before its content-length or its last chunk is an error, and so
are lengths that contradict each other, sizes that are not plain hexadecimal digits, and a head that is too long or is none. It is
lenient in one thing, which the RFC allows: a line of the head may end in a bare LF.
"""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Answer", "MalformedError"]

_HEAD = 64 << 10  # bytes of a head, of all interim heads, and of trailers
_LINE = 4 << 10  # bytes of the line that begins a chunk

_head_end = re.compile(rb"\r?\n\r?\n")
_status = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n\0]*)?")
_header = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_size = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


class MalformedError(Exception):
    """What came is not an HTTP answer, or only a part of one."""


class Answer:
    """One response as its bytes come. `status` is 0 until the whole head is there; `done` when the body has ended."""

    def __init__(self, *, has_body: bool = True) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.done = False
        self.reusable = False  # once done: the connection may carry another request
        self._has_body = has_body
        self._framing: Literal["chunked", "length", "close"] = "close"
        self._left = 0  # bytes of the body, or of this chunk and its line end, that have not come
        self._tail = b""  # bytes that cannot be read before more of them come
        self._read = 0  # bytes of the head, or of the trailers, so far
        self._trailers = False

    def feed(self, data: bytes) -> bytes:
        """Take what has come; give what it holds of the body."""
        if not self.status:
            data = self._head(self._tail + data if self._tail else data)
            if not self.status:
                return b""
        match self._framing:
            case "chunked":
                return self._chunks(data)
            case "length":
                return self._length(data)
        if self.done and data:
            self.reusable = False
            return b""
        return data

    def end(self) -> None:
        """The connection has ended. Raises MalformedError unless the answer has, too."""
        if self._framing == "close" and self.status:
            self.done = True
        if not self.done:
            raise MalformedError("the answer is not whole" if self.status or self._tail else "there was no answer")

    def _head(self, data: bytes) -> bytes:
        """Read the head, after any interim ones. Gives the bytes after it."""
        while True:
            end = _head_end.search(data)
            if self._read + (end.end() if end else len(data)) > _HEAD:
                raise MalformedError("the head of the answer is too long")
            if end is None:
                if not b"HTTP/1.".startswith(data[:7]):
                    raise MalformedError("the server does not speak HTTP/1.1")
                self._tail = data
                return b""
            self._read += end.end()
            first, *lines = re.split(rb"\r?\n", data[: end.start()])
            data = data[end.end() :]
            line = _status.fullmatch(first)
            if line is None:
                raise MalformedError("the server does not speak HTTP/1.1")
            status = int(line[2])
            if status == 101:
                raise MalformedError("the server wants to speak another protocol")
            if status >= 200:
                break
        headers = []
        for each in lines:
            header = _header.fullmatch(each)
            if header is None:
                raise MalformedError("a header of the answer is malformed")
            headers.append((header[1].lower(), header[2]))
        self._tail, self._read = b"", 0
        self.headers = headers
        self._choose(status, line[1] == b"1")
        self.status = status
        return data

    def _choose(self, status: int, modern: bool) -> None:
        """How long the body is, and whether the connection outlives it (RFC 9112, 6.3)."""
        found: dict[bytes, list[bytes]] = {b"transfer-encoding": [], b"content-length": [], b"connection": []}
        for name, value in self.headers:
            if name in found:
                found[name] += [part.strip().lower() for part in value.split(b",")]
        codings, lengths, options = found.values()
        self.reusable = b"close" not in options and (modern or b"keep-alive" in options)
        if not self._has_body or status in (204, 304):
            self.done = True
        elif codings:
            if codings != [b"chunked"]:
                raise MalformedError("the answer has a transfer-encoding other than chunked")
            self._framing = "chunked"
            self.reusable = self.reusable and not lengths
        elif lengths:
            if len(set(lengths)) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
                raise MalformedError("the answer has no clear content-length")
            self._framing = "length"
            self._left = int(lengths[0])
            self.done = not self._left
        else:
            self.reusable = False

    def _length(self, data: bytes) -> bytes:
        if len(data) > self._left:
            self.reusable = False  # bytes that nobody asked for
            data = data[: self._left]
        self._left -= len(data)
        self.done = not self._left
        return data

    def _chunks(self, data: bytes) -> bytes:
        if self._tail:
            data = self._tail + data
            self._tail = b""
        at, end = 0, len(data)
        pieces: list[bytes] = []
        while at < end and not self.done:
            if self._trailers:
                at = self._trailer(data, at)
                continue
            if self._left == 0:
                line = _size.match(data, at)
                if line is None:
                    if data.find(b"\n", at) >= 0 or end - at > _LINE:
                        raise MalformedError("a chunk of the answer is malformed")
                    break
                at = line.end()
                size = int(line[1], 16)
                if size == 0:
                    self._trailers = True
                    continue
                self._left = size + 2
            if end - at < self._left:
                size = min(end - at, max(0, self._left - 2))  # the line end after a chunk is looked at whole
                pieces.append(data[at : at + size])
                self._left -= size
                at += size
                break
            stop = at + self._left
            if data[stop - 2 : stop] != b"\r\n":
                raise MalformedError("a chunk of the answer is malformed")
            pieces.append(data[at : stop - 2])
            at, self._left = stop, 0
        if at < end:
            if self.done:
                self.reusable = False
            else:
                self._tail = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _trailer(self, data: bytes, at: int) -> int:
        """Skip one line after the last chunk. Gives where the next one begins, or the end to wait for more."""
        line = data.find(b"\n", at)
        if line < 0:
            self._tail = data[at:]
            if len(self._tail) > _LINE:
                raise MalformedError("the trailers of the answer are too long")
            return len(data)
        self._read += line + 1 - at
        if self._read > _HEAD:
            raise MalformedError("the trailers of the answer are too long")
        self.done = line == at or data[at:line] == b"\r"
        return line + 1
