"""One try at a question: connect, send, read to the end, and know how it went.

Every wait has its clock, and ends at once when the call is cancelled. However the call ends, no socket of it is left open but one
that is fit to be used again.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

from agentcli.core.event import Waiting
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, StopChunk, TextChunk
from agentcli.providers._fault import FinalError, broken, refused
from agentcli.providers._httpx import httpx
from agentcli.providers._retry import Gate
from agentcli.providers._route import Route
from agentcli.providers._stream import Body, Connection

__all__ = ["Decoder", "call"]

_REPLY = 32 << 20  # bytes of a reply, decompressed
_ERROR = 64 << 10  # bytes of an error body that are read
_PIECE = 1 << 20  # bytes that are decompressed at once
_REST = 0.1  # seconds to wait for the end of a body whose answer is complete, so that the connection can be kept


class Decoder(Protocol):
    """What makes chunks of one body."""

    def feed(self, data: bytes, /) -> Iterable[Chunk]: ...

    def end(self) -> Iterable[Chunk]: ...


async def call(route: Route, gate: Gate, path: str, body: bytes, decoder: Decoder) -> AsyncGenerator[Chunk, None]:
    """The chunks of one answer, and what is being waited for. Raises a ProviderError if it is not whole."""
    loop = asyncio.get_running_loop()
    idle = route.clocks.idle
    one = _Call(route, path, body)
    try:
        yield Waiting(what="connecting")
        await gate.enter()
        await one.connect()
        yield Waiting(what="answering")
        await one.ask(loop.time() + idle)
        deadline = loop.time() + idle
        try:
            while data := await one.read(deadline):
                fresh = False
                for chunk in decoder.feed(data):
                    fresh = fresh or isinstance(chunk, TextChunk | ReasoningChunk | CallChunk)
                    yield chunk
                    if type(chunk) is StopChunk:
                        await one.rest()
                        return
                if fresh:
                    deadline = loop.time() + idle
        except ProviderError:
            ended: Iterable[Chunk] = _ended(decoder) if one.failed else ()  # the decoder's own errors are the last word
            if not ended:
                raise
        else:
            ended = decoder.end()
        for chunk in ended:
            yield chunk
    finally:
        await one.aclose()


class _Call:
    """One try: a request, and its answer as it comes. `failed` is true once the way to the server is what failed."""

    def __init__(self, route: Route, path: str, body: bytes) -> None:
        self.failed = False
        self._route = route
        self._request = route.request(path, body)
        self._transport = route.transport
        self._connection: Connection | None = None
        self._response: httpx.Response | None = None  # once the head of the answer is there
        self._body: Body | None = None
        self._inflate: _Inflate | None = None
        self._ready: Iterator[bytes] = iter(())
        self._size = 0

    async def connect(self) -> None:
        try:
            self._connection = await self._transport.connect(self._request.url, self._route.clocks.connect)
        except httpx.HTTPError as error:
            raise self._broken(error) from None
        self._request.extensions["connection"] = self._connection

    async def ask(self, deadline: float) -> None:
        """Send the request and wait for the head of the answer."""
        route = self._route
        try:
            async with asyncio.timeout_at(deadline):
                response = self._response = await self._transport.handle_async_request(self._request)
        except TimeoutError:
            raise self._stalled("no answer from") from None
        except httpx.HTTPError as error:
            raise self._broken(error) from None
        headers, status = response.headers, response.status_code
        assert isinstance(response.stream, Body)
        self._body = response.stream
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._inflate = _Inflate()
        elif coding not in ("identity", ""):
            raise FinalError("protocol", f"{route.name} sends a compression that nobody asked for: {coding[:20]}")
        if status == 407:
            raise FinalError("unreachable", f"cannot ask {route.where}: it wants a name and a password (407)")
        if status >= 300 or status < 200:
            raise refused(route.name, status, headers, await self._error(), key=route.key_name, has_key=bool(route.secrets))
        if headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml")):
            raise FinalError(
                "protocol",
                f"{route.name} answers with a web page, not as a model server does",
                hint="Check the base URL: it often ends in /v1.",
            )

    async def read(self, deadline: float) -> bytes:
        """The next piece of the body; nothing at its end."""
        while True:
            try:
                data = next(self._ready, b"")
            except zlib.error as error:
                self.failed = True
                raise FinalError("protocol", f"the answer of {self._route.name} is badly compressed: {error}") from None
            if not data:
                data = await self._next(deadline)
                if data and self._inflate:
                    self._ready = self._inflate.feed(data)
                    continue
            self._size += len(data)
            if self._size > _REPLY:
                self.failed = True
                raise ProviderError("too_large", f"the answer of {self._route.name} is longer than {_REPLY >> 20} MiB")
            return data

    async def rest(self) -> None:
        """The answer is complete: let the body end, if the connection is worth it."""
        if self._route.keep and self._body:
            with suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(_REST):
                    async for _ in self._body:
                        pass

    async def aclose(self) -> None:
        """Leave nothing open."""
        if self._body:
            await self._body.aclose()
        elif self._connection:
            self._transport.drop(self._connection)

    async def _next(self, deadline: float) -> bytes:
        assert self._body
        self._body.until = deadline  # a clock of its own, which costs a fifth of what asyncio.timeout does
        try:
            return await anext(self._body)
        except StopAsyncIteration:
            return b""
        except httpx.ReadTimeout:
            self.failed = True
            raise self._stalled("no content from") from None
        except httpx.HTTPError as error:
            self.failed = True
            raise self._broken(error) from None

    async def _error(self) -> bytes:
        """The body of an error, as much as comes soon."""
        body = bytearray()
        deadline = asyncio.get_running_loop().time() + self._route.clocks.connect
        with suppress(ProviderError):
            while len(body) < _ERROR and (data := await self.read(deadline)):
                body += data
        return bytes(body[:_ERROR])

    def _stalled(self, what: str) -> ProviderError:
        seconds = self._route.clocks.idle
        return ProviderError(
            "stalled",
            f"{what} the model for {seconds:g} s",
            hint="Try again, or let it think for longer: --idle-timeout SECONDS.",
        )

    def _broken(self, error: httpx.HTTPError) -> ProviderError:
        route = self._route
        return broken(route.name, error, where=route.where, connect=route.clocks.connect, heard=self._response is not None)


class _Inflate:
    """A compressed body, decompressed as it comes, a bounded piece at a time: a small body may be a big one in disguise."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by its head
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error:
                if self._begun:
                    raise
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)  # what some servers take "deflate" to mean
                piece = self._stream.decompress(data, _PIECE)
            self._begun = True
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data = self._stream.unused_data
                self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
            if piece:
                yield piece


def _ended(decoder: Decoder) -> list[Chunk]:
    """The end of an answer whose body broke off, if it was whole by then."""
    try:
        return list(decoder.end())
    except ProviderError:
        return []
