"""One socket to a server or a proxy: bytes in as they come, a clock around each wait, closed at once.

It is made for streams of small pieces. All that has come is handed on together; one timer serves many waits; about 1 MiB is read ahead
of a slow reader, and then the server is made to wait. What is sent counts as sent when the system has all of it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress

from agentcli.providers.http.httpx import httpx

__all__ = ["Connection", "Origin"]

_AHEAD = 1 << 20  # bytes that are read ahead of the consumer
_READ = 128 << 10  # bytes that are read from a socket at once
_WRITE = 256 << 10  # bytes that are written at once: where TLS is between, this many may be on their way when the last is taken

Origin = tuple[str, str, int]  # scheme, host and port


class _Room(threading.local):
    """Where the sockets of a thread are read."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_READ))


_room = _Room()


class Connection(asyncio.BufferedProtocol):
    """One socket. Bytes are kept as they came until `read()` takes them all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> None:
        self.loop = loop
        self.origin = origin
        self.used = False  # it has carried a request before
        self.ended = False
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._error: Exception | None = None
        self._paused = False
        self._full = False  # the system takes no more for now
        self._unsent = memoryview(b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._use(transport)

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

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def write(self, data: bytes | memoryview) -> None:
        assert self._transport
        self._transport.write(data)

    def send(self, data: bytes) -> bool:
        """Begin to write a request. True if the system took all of it at once; if not, `sent()` has to follow."""
        self._unsent = memoryview(data)
        return self._push()

    async def sent(self) -> None:
        """Wait until all has been written, or there is nobody to write to. An answer that comes before that ends the waiting too."""
        while not self._push():
            if self._pieces:
                self.write(self._unsent)  # the server may still want the rest
                return
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """From here on everything is encrypted."""
        assert self._transport
        secure = await self.loop.start_tls(self._transport, self, context, server_hostname=host)
        assert secure
        self._use(secure)

    @property
    def certificate(self) -> bytes:
        """What the server has shown (DER); nothing if it has shown none."""
        secure = self._transport.get_extra_info("ssl_object") if self._transport else None
        shown: bytes | None = secure.getpeercert(binary_form=True) if secure else None
        return shown or b""

    @property
    def peer(self) -> str:
        """The number of the machine at the other end."""
        peer = self._transport.get_extra_info("peername") if self._transport else None
        return str(peer[0]) if isinstance(peer, tuple) else ""

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

    def _use(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=1, low=0)  # with 0 TLS would call everything full

    def _push(self) -> bool:
        """Write as much as the system takes. True if it took all, or will take no more."""
        while self._unsent and not self._full and not self.ended:
            self.write(self._unsent[:_WRITE])
            self._unsent = self._unsent[_WRITE:]
        return self.ended or not (self._unsent or self._full)

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
