"""A transport for httpx that is made for streams and for many at once.

httpx's own transport keeps connections in a pool that is searched from end to end for every request: 1,000 calls at once, each a
second long on the server, took 18.7 s of it. This one is HTTP/1.1 on asyncio's sockets and nothing more: a connection a call, or,
with `keep`, a few idle ones for each origin, newest first. No task and no lock stands between a call and its socket. It promises:

- Cancelling a call at any moment (while resolving, connecting, writing, waiting or reading) closes its socket at once.
- What came together is given together: one piece of the body for each read of the socket, however many HTTP chunks that was.
- A reader that is slow makes the server wait (`connection`).
- A connection that was kept and turns out to be dead, before any byte of the answer, is replaced by a fresh one, once.
- For an http:// origin nothing of TLS is set up, and httpx's own transport (httpcore, h11, anyio) is never imported.
- A proxy (`proxy`) changes none of this.

It has the interface of httpx.AsyncBaseTransport for what is asked here, GET and POST, and raises httpx's exceptions. What that does
in one go can also be done step by step, by a caller who says what is being waited for: `kept()` or `opening()`, then `payload()` and
`Connection.send()`, then `answer()`. Or `connect()` alone, ahead of a request that carries its result as the extension "connection".
Of the clocks, `patience` is for connecting; other waits are bounded by the caller, and by `Body.until`.
"""

from __future__ import annotations

import asyncio

from agentcli.providers.http.connection import Connection, Origin
from agentcli.providers.http.dial import Dialler
from agentcli.providers.http.http1 import Answer, MalformedError
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.opening import Opening
from agentcli.providers.http.proxy import Proxy

__all__ = ["Body", "DeadError", "StreamTransport"]

_IDLE = 4  # connections kept for an origin


class DeadError(httpx.ReadError):
    """A connection that had been kept was dead, before any byte of an answer."""


class StreamTransport(httpx.AsyncBaseTransport):
    """See the top of the file."""

    def __init__(
        self, *, keep: bool = False, proxy: Proxy | None = None, patience: float | None = None, certificates: str = ""
    ) -> None:
        self._patience = patience
        self._keep = keep
        self._proxy = proxy
        self._certificates = certificates
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._dialler = Dialler()

    def kept(self, url: httpx.URL) -> Connection | None:
        """An idle connection to the origin of the URL, if there is one."""
        idle = self._idle.get(_origin(url), [])
        while idle:
            connection = idle.pop()
            if connection.idle:
                return connection
            self.drop(connection)
        return None

    def opening(self, url: httpx.URL) -> Opening:
        """A new connection to the origin of the URL, for the caller to open."""
        return Opening(
            Connection(asyncio.get_running_loop(), _origin(url)),
            url.raw_host,
            self._dialler,
            proxy=self._proxy,
            patience=self._patience,
            certificates=self._certificates,
        )

    def opened(self, opening: Opening) -> Connection:
        """The connection, once every step of its opening is taken: from now on it is closed with the others."""
        self._open.add(opening.connection)
        return opening.connection

    async def connect(self, url: httpx.URL) -> Connection:
        """An idle connection to the origin of the URL, or a new one."""
        if connection := self.kept(url):
            return connection
        opening = self.opening(url)
        while opening.step:
            await opening.go()
        return self.opened(opening)

    def payload(self, request: httpx.Request) -> bytes:
        """The request as it is sent."""
        return _payload(request, request.read(), self._proxy, keep=self._keep)

    async def answer(self, request: httpx.Request, connection: Connection) -> httpx.Response:
        """Wait for the head of the answer, on the connection that the request was sent on. The connection is closed on any fault;
        DeadError if it was a kept one that had died, so that the request can be made again."""
        answer = Answer()
        heard = False
        try:
            body = b""
            while not answer.status:
                data = await connection.read()
                heard = heard or bool(data)
                if data:
                    body = answer.feed(data)
                else:
                    answer.end()
        except BaseException as error:
            self.drop(connection)
            if connection.used and not heard and isinstance(error, MalformedError | httpx.ReadError):
                raise DeadError(str(error)) from error
            if isinstance(error, MalformedError):
                raise httpx.RemoteProtocolError(str(error)) from None
            raise
        stream = Body(self, connection, answer, body)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream, request=request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        payload = self.payload(request)
        connection = request.extensions.get("connection") or await self.connect(request.url)
        while True:
            try:
                if not connection.send(payload):
                    await connection.sent()
            except BaseException:
                self.drop(connection)
                raise
            try:
                return await self.answer(request, connection)
            except DeadError:
                connection = await self.connect(request.url)

    async def aclose(self) -> None:
        """Close every connection, also those in use."""
        for connection in list(self._open):
            self.drop(connection)
        self._idle.clear()
        await asyncio.sleep(0)  # the sockets are closed in the next round of the loop

    def drop(self, connection: Connection) -> None:
        """Close a connection."""
        self._open.discard(connection)
        connection.abort()

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Take back a connection whose answer has come whole."""
        connection.rest()
        connection.used = True
        if self._keep and reusable and connection.idle:
            idle = self._idle.setdefault(connection.origin, [])
            if len(idle) < _IDLE:
                idle.append(connection)
                return
        self.drop(connection)


class Body(httpx.AsyncByteStream):
    """The body of an answer, a piece for each read. Whoever reads it may set `until`, the time at which waiting ends."""

    def __init__(self, transport: StreamTransport, connection: Connection, answer: Answer, first: bytes) -> None:
        self._transport = transport
        self._connection = connection
        self._answer = answer
        self._first = first
        self.until: float | None = None
        self._closed = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            data, self._first = self._first, b""
            return data
        answer = self._answer
        try:
            while not answer.done:
                data = await self._connection.read(self.until)
                if not data:
                    answer.end()
                elif body := answer.feed(data):
                    return body
        except MalformedError as error:
            await self.aclose()
            raise httpx.RemoteProtocolError(str(error)) from None
        except BaseException:
            await self.aclose()
            raise
        self._finish()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if not self._closed:
            self._finish()

    def _finish(self) -> None:
        self._closed = True
        if self._answer.done:
            self._transport.release(self._connection, reusable=self._answer.reusable)
        else:
            self._transport.drop(self._connection)


def _origin(url: httpx.URL) -> Origin:
    if url.scheme not in ("http", "https") or not url.host:
        raise httpx.UnsupportedProtocol(f"not an http:// or https:// address: {url}")
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _payload(request: httpx.Request, body: bytes, proxy: Proxy | None, *, keep: bool) -> bytes:
    """The request as it is sent: with the length of its body, and without what belongs to another framing."""
    url = request.url
    asked = proxy is not None and not proxy.socks and url.scheme == "http"  # the proxy itself, which needs the whole address
    target = b"http://%b%b" % (url.netloc, url.raw_path) if asked else url.raw_path
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), target)]
    if asked and proxy and proxy.authorization:
        lines.append(proxy.authorization)
    for name, value in request.headers.raw:
        if name.lower() not in (b"connection", b"content-length", b"transfer-encoding"):
            lines.append(b"%b: %b" % (name, value))
    lines.append(b"Connection: %b" % (b"keep-alive" if keep else b"close"))
    if body or request.method == "POST":
        lines.append(b"Content-Length: %d" % len(body))
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise httpx.LocalProtocolError("a header of the request has a line break in it")
    return b"%b\r\n\r\n%b" % (head, body)
