"""A proxy on the loopback that makes tunnels: CONNECT, or SOCKS 5 if the client begins so."""

from __future__ import annotations

import asyncio
import base64
import threading
from contextlib import suppress
from typing import Self


class TunnelProxy:
    """`password`: who does not say it (as the user `me`) is not let in. `answer`: what is said in place of a tunnel."""

    def __init__(self, *, password: str = "", answer: bytes = b"") -> None:
        self.password = password
        self.answer = answer
        self.asked: list[str] = []
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listening = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        for _ in range(4):  # asyncio loses the socket of a connection that it accepts in the moment of closing
            await asyncio.sleep(0)
        listening.close()
        quiet = 0
        while quiet < 4:  # a task that is cancelled before it has begun closes nothing, so all are let come to their end
            for writer in list(self._open):
                writer.transport.abort()
            await asyncio.sleep(0.001)
            quiet = 0 if self._open or len(asyncio.all_tasks()) > 1 else quiet + 1

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(1)
            if self.answer:
                await reader.read(1000)
                writer.write(self.answer)
            elif target := await (self._socks(reader, writer) if first == b"\x05" else self._http(reader, writer)):
                self.asked.append(target)
                host, _, port = target.rpartition(":")
                there = await asyncio.open_connection(host, int(port))
                self._open.add(there[1])
                await asyncio.gather(self._pipe(reader, there[1]), self._pipe(there[0], writer))
                self._open.discard(there[1])
        writer.close()
        self._open.discard(writer)

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        head = (b"C" + await reader.readuntil(b"\r\n\r\n")).decode()
        if self.password and base64.b64encode(f"me:{self.password}".encode()).decode() not in head:
            writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            return ""
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return head.split(" ")[1]

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = 2 if self.password else 0
        if wanted not in methods:
            writer.write(b"\x05\xff")
            return ""
        writer.write(bytes((5, wanted)))
        if self.password:
            await reader.readexactly(1)
            user = await reader.readexactly((await reader.readexactly(1))[0])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            right = (user.decode(), password.decode()) == ("me", self.password)
            writer.write(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return ""
        await reader.readexactly(4)
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        return f"{host}:{port}"

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
