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

It has the interface of httpx.AsyncBaseTransport for what is asked here, GET and POST, and raises httpx's exceptions. Two things it has
of its own. `connect()` may be called ahead of a request that carries its result as the extension "connection": that is how a caller
can tell connecting from waiting. And clocks: `patience` is for connecting; other waits are bounded by the caller, and `Body.until`.
"""

from __future__ import annotations

import asyncio
import os
import ssl

from agentcli.providers.fault import FinalError
from agentcli.providers.http.connection import Connection, Origin
from agentcli.providers.http.dial import Dialler
from agentcli.providers.http.http1 import Answer, MalformedError
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.proxy import Proxy, tunnel

__all__ = ["Body", "StreamTransport", "tls_context"]

_IDLE = 4  # connections kept for an origin

_contexts: dict[tuple[str, str, str], ssl.SSLContext] = {}


def tls_context(certificates: str = "") -> ssl.SSLContext:
    """How servers are checked: by SSL_CERT_FILE or SSL_CERT_DIR if set, or the file or folder given, or certifi. Made once (15 ms)."""
    variables = os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")
    said = *variables, "" if any(variables) else certificates
    if said not in _contexts:
        try:
            context = _context(said[2])
        except OSError as error:
            names = " and ".join(name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name))
            which = f"that {names} names" if names else f"in {certificates}"
            raise FinalError("tls", f"the certificates {which} cannot be read: {error}") from None
        context.set_alpn_protocols(["http/1.1"])
        _contexts[said] = context
    return _contexts[said]


def _context(certificates: str) -> ssl.SSLContext:
    if not certificates:
        return httpx.create_ssl_context()
    if os.path.isdir(certificates):
        return ssl.create_default_context(capath=certificates)
    return ssl.create_default_context(cafile=certificates)


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

    async def connect(self, url: httpx.URL) -> Connection:
        """An idle connection to the origin of the URL, or a new one."""
        origin = _origin(url)
        idle = self._idle.get(origin, [])
        while idle:
            connection = idle.pop()
            if connection.idle:
                return connection
            self.drop(connection)
        steps = ["connecting"]
        try:
            async with asyncio.timeout(self._patience):
                return await self._connect(origin, url.raw_host, steps)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no answer while {steps[-1]}") from error
        except (OSError, UnicodeError) as error:  # also what TLS, the resolver and names that cannot be raise
            raise httpx.ConnectError(str(error)) from error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        payload = _payload(request, await request.aread(), self._proxy, keep=self._keep)
        connection = request.extensions.get("connection") or await self.connect(request.url)
        while True:
            fresh = not connection.used
            connection.used = True
            answer = Answer()
            heard = False
            try:
                connection.write(payload)
                body = b""
                while not answer.status:
                    data = await connection.read()
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
            connection = await self.connect(request.url)
        stream = Body(self, connection, answer, body)
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

    async def _connect(self, origin: Origin, raw_host: bytes, steps: list[str]) -> Connection:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        proxy = self._proxy
        near = (proxy.scheme, proxy.host, proxy.port) if proxy else origin
        context = tls_context(self._certificates) if near[0] == "https" else None
        sock = await self._dialler.dial(proxy.raw_host if proxy else raw_host, near[2])
        connection = Connection(loop, origin)
        try:
            if context:
                steps.append("agreeing on TLS")
            await loop.create_connection(lambda: connection, sock=sock, ssl=context, server_hostname=near[1] if context else None)
            if proxy and (proxy.socks or scheme == "https"):
                steps.append("asking the proxy")
                await tunnel(connection, proxy, raw_host, port)
                if scheme == "https":
                    steps.append("agreeing on TLS")
                    await connection.start_tls(tls_context(self._certificates), host)
        except BaseException:
            connection.abort()
            sock.close()
            raise
        self._open.add(connection)
        return connection


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
