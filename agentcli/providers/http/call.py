"""One try of a question: a request that is sent a step at a time, and its answer as it comes.

Whoever goes through it takes the steps in order, and can say before each what will be waited for: `connect()` while there is a
`step`, `send()`, `sent()` if that takes longer, `listen()`; again from the beginning while it `waits`; `judge()`; then `read()` to the
end. What goes wrong is a ProviderError. `aclose()` leaves nothing open, wherever the call is.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import suppress

from agentcli.core.provider import ProviderError
from agentcli.providers.fault import FinalError
from agentcli.providers.http.connection import Connection
from agentcli.providers.http.fault import broken, refused
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.opening import Opening
from agentcli.providers.http.route import Route
from agentcli.providers.http.transport import Body, DeadError

__all__ = ["Call"]

_REPLY = 32 << 20  # bytes of a reply, decompressed
_ERROR = 64 << 10  # bytes of an error body that are read
_PIECE = 1 << 20  # bytes that are decompressed at once
_REST = 0.1  # seconds to wait for the end of a body whose answer is complete, so that the connection can be kept


class Call:
    """See the top of the file. `failed` is true once the way to the server is what failed."""

    def __init__(self, route: Route, path: str, body: bytes) -> None:
        self.failed = False
        self._route = route
        self._request = route.request(path, body)
        self._transport = route.transport
        self._opening: Opening | None = None
        self._connection: Connection | None = None
        self._response: httpx.Response | None = None  # once the head of the answer is there
        self._body: Body | None = None
        self._inflate: _Inflate | None = None
        self._ready: Iterator[bytes] = iter(())
        self._size = 0

    @property
    def waits(self) -> bool:
        """Is the head of the answer still to come?"""
        return self._response is None

    def step(self) -> str:
        """What `connect()` will wait for; nothing if there is a connection."""
        try:
            if self._connection is None and self._opening is None:
                self._connection = self._transport.kept(self._request.url)
                if self._connection is None:
                    self._opening = self._transport.opening(self._request.url)
        except httpx.HTTPError as error:
            raise self._broken(error) from None
        return self._opening.step if self._opening else ""

    async def connect(self) -> None:
        """Take the next step of the way."""
        assert self._opening
        try:
            await self._opening.go()
        except httpx.HTTPError as error:
            raise self._broken(error) from None
        if not self._opening.step:
            self._connection, self._opening = self._transport.opened(self._opening), None

    def send(self) -> bool:
        """Begin to send the request. True if that is done; if not, `sent()` has to follow."""
        assert self._connection
        try:
            return self._connection.send(self._transport.payload(self._request))
        except httpx.HTTPError as error:
            raise self._broken(error) from None

    async def sent(self) -> None:
        assert self._connection
        try:
            async with asyncio.timeout(self._route.clocks.idle):
                await self._connection.sent()
        except TimeoutError:
            raise self._stalled("the request could not be sent: nobody read it") from None

    async def listen(self) -> None:
        """Wait for the head of the answer. If it turns out that a connection from before is dead, everything begins again."""
        assert self._connection
        try:
            async with asyncio.timeout(self._route.clocks.idle):
                self._response = await self._transport.answer(self._request, self._connection)
        except TimeoutError:
            raise self._stalled("no answer from the model") from None
        except DeadError:
            self._connection = None
        except httpx.HTTPError as error:
            raise self._broken(error) from None

    async def judge(self) -> None:
        """Look at the head of the answer: is it the beginning of one that can be read?"""
        route, response = self._route, self._response
        assert response
        assert isinstance(response.stream, Body)
        headers, status = response.headers, response.status_code
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
        if self._opening:
            self._opening.abort()
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
            raise self._stalled("no content from the model") from None
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
            f"{what} for {seconds:g} s",
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
