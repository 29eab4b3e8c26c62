"""One provider's questions to its server: what is tried, what is tried again, and what a caller is told meanwhile.

`Http.stream()` posts a body and yields the chunks that a decoder makes of what comes back. The decoder is the provider's own, made
new for every try: `feed(bytes)` gives chunks, `end()` those that were held back, and raises a "cut" if the answer is not whole. A
StopChunk is the last chunk of an answer. `route` is the way to the server, `transport` its sockets; together they keep these promises:

- **Retries** happen only before the first content (text, thinking, a call), for faults that time may heal: no connection, 408, 409,
  429, 5xx, or an answer that broke off or turned into such an error before it had begun. `Retry-After` is obeyed up to 120 s. A
  retry is announced before it is waited for. All calls of a key pass one gate (`retry`).
- **Clocks**: `connect` for the connection; `idle` for the time without *content*: pings, comments and empty pieces do not count.
  They run around single waits, never around a yield, so that a slow consumer is not a slow server.
- **An answer that was cut is an error**, and one that had ended is not, even if the connection broke after its end: the decoder says
  which. Redirects are not followed: they would carry the key to another host. A reply is at most 32 MiB, decompressed; what is kept of
  it, without its wrapping, at most 8 Mi characters (`core.provider.LONGEST`).
- **Cancelling** closes the socket at once, wherever the call is. No key stands in any message.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Protocol

from agentcli.core.event import Retrying, Waiting
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, StopChunk, TextChunk
from agentcli.providers import Clocks
from agentcli.providers.fault import FinalError, again
from agentcli.providers.http.connection import Connection
from agentcli.providers.http.fault import broken, refused
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.retry import Gate, back_off, gate
from agentcli.providers.http.route import Route
from agentcli.providers.http.transport import Body, tls_context

__all__ = ["Decoder", "Http"]

_REPLY = 32 << 20  # bytes of a reply, decompressed
_ERROR = 64 << 10  # bytes of an error body that are read
_PIECE = 1 << 20  # bytes that are decompressed at once
_REST = 0.1  # seconds to wait for the end of a body whose answer is complete, so that the connection can be kept


class Decoder(Protocol):
    """What makes chunks of one body."""

    def feed(self, data: bytes, /) -> Iterable[Chunk]: ...

    def end(self) -> Iterable[Chunk]: ...


class Http:
    """See the top of the file. `key_name` is how a hint names the place the key comes from."""

    def __init__(
        self, name: str, base_url: str, headers: Mapping[str, str], clocks: Clocks, keep: bool, *, key_name: str = ""
    ) -> None:
        self._route = Route(name, base_url, headers, clocks, keep, key_name=key_name)
        self._retries = clocks.retries
        self._longest = clocks.again
        self._gate = gate(base_url, self._route.secrets)
        if keep and base_url.startswith("https:"):  # a chat makes its provider in a thread, while a person types
            with suppress(ProviderError):  # said again when it is needed
                tls_context()

    async def stream(self, path: str, body: bytes, decoder: Callable[[], Decoder]) -> AsyncGenerator[Chunk, None]:
        """Post the body; the chunks of the answer, and what is being waited for."""
        for attempt in range(1, self._retries + 2):
            begun = False
            try:
                async with aclosing(_call(self._route, self._gate, path, body, decoder())) as chunks:
                    async for chunk in chunks:
                        begun = begun or isinstance(chunk, TextChunk | ReasoningChunk | CallChunk)
                        yield chunk
            except ProviderError as error:
                self._route.tell(error)
                if begun or attempt > self._retries or not again(error):
                    raise
                failure = error
            else:
                return
            delay = back_off(attempt) if failure.retry_after is None else failure.retry_after
            if failure.retry_after is not None and delay > self._longest:
                self._gate.shut(delay)
                raise failure
            delay = min(delay, self._longest)
            if failure.retry_after is not None or failure.kind in ("rate_limit", "overloaded"):
                self._gate.shut(delay)
            yield Retrying(
                attempt=attempt,
                attempts=self._retries,
                delay=round(delay, 3),
                reason=failure.message,
                status=failure.status,
            )
            await asyncio.sleep(delay)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._route.aclose()


async def _call(route: Route, gate: Gate, path: str, body: bytes, decoder: Decoder) -> AsyncGenerator[Chunk, None]:
    """The chunks of one answer, and what is being waited for. Raises a ProviderError if it is not whole."""
    loop = asyncio.get_running_loop()
    idle = route.clocks.idle
    one = _Call(route, path, body)
    try:
        yield Waiting(what="connecting")
        if (left := gate.left) > route.clocks.again:
            raise FinalError("rate_limit", f"{route.name} wants to be left alone for another {left:.0f} s", retry_after=left)
        await gate.enter()
        await one.connect()
        yield Waiting(what="answering")
        await one.ask(loop.time() + idle)
        deadline = loop.time() + idle
        failure: ProviderError | None = None
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
        except ProviderError as error:
            if not one.failed:  # the decoder's own: what the server said
                raise
            failure = error
        for chunk in _end(decoder, failure):
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
            self._connection = await self._transport.connect(self._request.url)
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
            while data := await self.read(deadline):
                body += data
                if len(body) > _ERROR:
                    break
            else:
                return bytes(body)
        words = bytes(body[:_ERROR]).rsplit(None, 1)
        return words[0] if len(words) == 2 else b""  # the last word may be half a key

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


def _end(decoder: Decoder, failure: ProviderError | None) -> Iterator[Chunk]:
    """What is left when the body has ended. If it broke off, that is the error, unless the answer was whole or was one itself."""
    try:
        yield from decoder.end()
    except ProviderError as error:
        if failure is None or error.kind not in ("cut", "protocol"):
            raise
        raise failure from None
