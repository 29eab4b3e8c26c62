"""A file descriptor as a stream of exact bytes that never holds up the program.

A pipe whose reader is slow (`| less`) would block a plain write, and with it Ctrl-C, the clocks and the network. So bytes are written
as they come while there is room; when there is none they wait in memory, in order, until the loop says that there is. If they cannot
be written at all, because the reader went away or the disk is full, that is told once through `on_lost`, `lost` says why, and what is
written afterwards is dropped.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Pipe"]

_PIECE = 4096  # a pipe that select() calls writable takes at least this much without blocking (PIPE_BUF)


def _ignore() -> None:
    pass


class Pipe:
    """Bytes to a file descriptor, from within a running loop."""

    def __init__(self, fd: int, on_lost: Callable[[], None] = _ignore) -> None:
        self.lost: OSError | None = None
        self.is_terminal = False
        with suppress(OSError):
            self.is_terminal = os.isatty(fd)
        self._fd = fd
        self._closed = False
        self._on_lost = on_lost
        self._waiting = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        # On Windows select() knows only sockets; there, and into files, writing does not wait for a reader.
        self._patient = sys.platform == "win32"

    @property
    def waits(self) -> bool:
        """Is there something that is not written yet?"""
        return bool(self._waiting)

    def write(self, data: bytes) -> None:
        if self.lost or self._closed:
            return
        if self._waiting:
            self._waiting += data
            return
        sent = 0
        while sent < len(data) and not self.lost:
            written = self._write(data[sent : sent + _PIECE]) if self._writable() else 0
            if not written:
                self._wait(data[sent:])
                return
            sent += written

    def close(self) -> None:
        """Write no more: what still waits is given up, and the loop does not watch the descriptor any longer."""
        if self._waiting:
            with suppress(OSError, NotImplementedError):
                asyncio.get_running_loop().remove_writer(self._fd)
            self._waiting.clear()
        self._closed = True

    async def drain(self) -> None:
        """Wait until everything is written, or cannot be."""
        await self._room.wait()

    def _writable(self) -> bool:
        if self._patient:
            return True
        try:
            return bool(select.select((), (self._fd,), (), 0)[1])
        except (OSError, ValueError):  # ValueError: a descriptor beyond what select() can take
            return True

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.lost = error
            self._on_lost()
            return len(data)

    def _wait(self, data: bytes) -> None:
        self._waiting += data
        self._room.clear()
        try:
            asyncio.get_running_loop().add_writer(self._fd, self._resume)
        except (OSError, NotImplementedError):  # the loop cannot watch it: write as others do
            self._patient = True
            while self._waiting:
                self._resume()

    def _resume(self) -> None:
        sent = self._write(bytes(self._waiting[:_PIECE]))
        del self._waiting[:sent]
        if self.lost:
            self._waiting.clear()
        if not self._waiting:
            with suppress(OSError, NotImplementedError):
                asyncio.get_running_loop().remove_writer(self._fd)
            self._room.set()
