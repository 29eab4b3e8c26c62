"""A transport for httpx that is made for streams and for many at once.

httpx's own transport keeps connections in a pool that is searched from end to end for every request: 1,000 calls at once, each a
second long on the server, took 18.7 s of it. This one is HTTP/1.1 on asyncio's sockets and nothing more: a connection a call, or,
with `keep`, a few idle ones for each origin, newest first. No task and no lock stands between a call and its socket. It promises:

- Cancelling a call at any moment (while resolving, connecting, writing, waiting or reading) closes its socket at once.
- What came together is given together: one piece of the body for each read of the socket, however many HTTP chunks that was.
- A reader that is slow makes the server wait: about 1 MiB is read ahead.
- A connection that was kept and turns out to be dead, before any byte of the answer, is replaced by a fresh one, once.
- For an http:// origin nothing of TLS is set up, and httpx's own transport (httpcore, h11, anyio) is never imported.
- A proxy (`_proxy`) changes none of this.

`connect()` may be called ahead of a request that carries its result as the extension "connection": that is how a caller can tell
connecting from waiting. Otherwise it is the interface of httpx.AsyncBaseTransport, and raises httpx's exceptions.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from contextlib import suppress

from agentcli.providers._dial import Dialler
from agentcli.providers._fault import FinalError
from agentcli.providers._http1 import Answer, MalformedError
from agentcli.providers._httpx import httpx
from agentcli.providers._proxy import Proxy, tunnel

__all__ = ["Body", "Connection", "StreamTransport", "tls_context"]

_AHEAD = 1 << 20  # bytes that are read ahead of the consumer
_READ = 128 << 10  # bytes that are read from a socket at once
_IDLE = 4  # connections kept for an origin

_Origin = tuple[str, str, int]


class _Room(threading.local):
    """Where the sockets of a thread are read."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_READ))


_room = _Room()
_contexts: dict[tuple[str | None, str | None], ssl.SSLContext] = {}


def tls_context() -> ssl.SSLContext:
    """How servers are checked: SSL_CERT_FILE or SSL_CERT_DIR if set, the certificates of certifi otherwise. Made once (15 ms)."""
    said = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if said not in _contexts:
        try:
            context = httpx.create_ssl_context()
        except OSError as error:
            names = " and ".join(name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name))
            raise FinalError("tls", f"the certificates that {names} names cannot be read: {error}") from None
        context.set_alpn_protocols(["http/1.1"])
        _contexts[said] = context
    return _contexts[said]


class Connection(asyncio.BufferedProtocol):
    """One socket. Bytes are kept as they came until `read()` takes them all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: _Origin) -> None:
        self.loop = loop
        self.origin = origin
        self.used = False
        self.ended = False
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._error: Exception | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        # asyncio reads into this, and calls buffer_updated at once: all connections of a thread can share it. With a plain Protocol
        # every read makes 256 KiB of bytes to hold it, which took longer than everything else in the life of a small piece.
        return _room.buffer

    def buffer_updated(self, size: int) -> None:
        self._pieces.append(bytes(_room.buffer[:size]))
        self._size += size
        if self._size > _AHEAD and self._transport and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        self._error = self._error or error
        self._wake()

    def write(self, data: bytes) -> None:
        assert self._transport
        self._transport.write(data)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """From here on everything is encrypted."""
        assert self._transport
        self._transport = await self.loop.start_tls(self._transport, self, context, server_hostname=host)

    async def read(self, until: float | None = None) -> bytes:
        """All that has come, waiting for something if nothing has; nothing at the end. Raises ReadTimeout at the time given."""
        if not self._pieces:
            if not self.ended:
                self._waiter = self.loop.create_future()
                if until is not None:
                    self._watch(until)
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            if not self._pieces:
                if self._error:
                    raise httpx.ReadError(str(self._error)) from self._error
                return b""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            if self._transport and not self.ended:
                self._transport.resume_reading()
        return data

    @property
    def idle(self) -> bool:
        """Open, of the running loop, and with nothing unread."""
        return not self.ended and not self._pieces and self.loop is asyncio.get_running_loop()

    def rest(self) -> None:
        """Nothing is being waited for."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def abort(self) -> None:
        """Close now, whatever is unsent or unread."""
        self.ended = True
        self.rest()
        if self._transport:
            # abort() closes in the next round of the loop, and a turn that is saved comes first: the server should not wait for that
            with suppress(OSError):
                self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            with suppress(RuntimeError):  # its loop is closed: nothing is left to close it with
                self._transport.abort()

    def _watch(self, until: float) -> None:
        """Let the waiter fail at that time. One timer serves many reads: it looks, when it rings, whether it is too early."""
        self._until = until
        if self._timer and self._timer.when() > until:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_at(until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter and not self._waiter.done():
            if self.loop.time() < self._until:
                self._timer = self.loop.call_at(self._until, self._ring)
            else:
                self._waiter.set_exception(httpx.ReadTimeout("nothing came in time"))

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


class StreamTransport(httpx.AsyncBaseTransport):
    """See the top of the file."""

    def __init__(self, *, keep: bool = False, proxy: Proxy | None = None) -> None:
        self._keep = keep
        self._proxy = proxy
        self._idle: dict[_Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._dialler = Dialler()

    async def connect(self, url: httpx.URL, timeout: float | None = None) -> Connection:
        """An idle connection to the origin of the URL, or a new one."""
        origin = _origin(url)
        idle = self._idle.get(origin, [])
        while idle:
            connection = idle.pop()
            if connection.idle:
                return connection
            self.drop(connection)
        try:
            async with asyncio.timeout(timeout):
                return await self._connect(origin, url.raw_host)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("the connection was not made in time") from error
        except (OSError, UnicodeError) as error:  # also what TLS, the resolver and names that cannot be raise
            raise httpx.ConnectError(str(error)) from error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeouts = request.extensions.get("timeout", {})
        payload = _payload(request, await request.aread(), self._proxy, keep=self._keep)
        connection = request.extensions.get("connection") or await self.connect(request.url, timeouts.get("connect"))
        while True:
            fresh = not connection.used
            connection.used = True
            answer = Answer(has_body=request.method != "HEAD")
            heard = False
            try:
                connection.write(payload)
                body = b""
                while not answer.status:
                    data = await connection.read(_time_after(timeouts.get("read")))
                    heard = heard or bool(data)
                    if data:
                        body = answer.feed(data)
                    else:
                        answer.end()
                break
            except BaseException as error:
                self.drop(connection)
                if heard or fresh or not isinstance(error, MalformedError | httpx.ReadError):
                    if isinstance(error, MalformedError):
                        raise httpx.RemoteProtocolError(str(error)) from None
                    raise
            connection = await self.connect(request.url, timeouts.get("connect"))
        stream = Body(self, connection, answer, body, timeouts.get("read"))
        return httpx.Response(answer.status, headers=answer.headers, stream=stream, request=request)

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
        if self._keep and reusable and connection.idle:
            idle = self._idle.setdefault(connection.origin, [])
            if len(idle) < _IDLE:
                idle.append(connection)
                return
        self.drop(connection)

    async def _connect(self, origin: _Origin, raw_host: bytes) -> Connection:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        proxy = self._proxy
        near = (proxy.scheme, proxy.host, proxy.port) if proxy else origin
        context = tls_context() if near[0] == "https" else None
        sock = await self._dialler.dial(proxy.raw_host if proxy else raw_host, near[2])
        connection = Connection(loop, origin)
        try:
            await loop.create_connection(lambda: connection, sock=sock, ssl=context, server_hostname=near[1] if context else None)
            if proxy and (proxy.socks or scheme == "https"):
                await tunnel(connection, proxy, raw_host, port)
                if scheme == "https":
                    await connection.start_tls(tls_context(), host)
        except BaseException:
            connection.abort()
            sock.close()
            raise
        self._open.add(connection)
        return connection


class Body(httpx.AsyncByteStream):
    """The body of an answer, a piece for each read. Whoever reads it may set `until`, the time at which waiting ends."""

    def __init__(
        self, transport: StreamTransport, connection: Connection, answer: Answer, first: bytes, timeout: float | None
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._answer = answer
        self._first = first
        self.until: float | None = None
        self._timeout = timeout
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
                until = self.until if self._timeout is None else _time_after(self._timeout)
                data = await self._connection.read(until)
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


def _time_after(timeout: float | None) -> float | None:
    return None if timeout is None else asyncio.get_running_loop().time() + timeout


def _origin(url: httpx.URL) -> _Origin:
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
    if body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(b"Content-Length: %d" % len(body))
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise httpx.LocalProtocolError("a header of the request has a line break in it")
    return b"%b\r\n\r\n%b" % (head, body)
