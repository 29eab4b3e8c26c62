"""Standard output as a stream of exact bytes that never holds up the program.

A pipe whose reader is slow (`| less`) would block a plain write, and with it Ctrl-C, the clocks and the network. So bytes are written
as they come while there is room; when there is none they wait in memory, in order, until the loop says that there is. A reader that
goes away is told once through `on_gone`, and what is written afterwards is dropped.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Output"]

_PIECE = 4096  # a pipe that select() calls writable takes at least this much without blocking (PIPE_BUF)


class Output:
    """Bytes to a file descriptor."""

    def __init__(self, on_gone: Callable[[], None], fd: int = 1) -> None:
        self.gone = False
        self._fd = fd
        self._on_gone = on_gone
        self._waiting = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        # On Windows select() knows only sockets; there, and into files, writing does not wait for a reader.
        self._patient = sys.platform == "win32"

    def write(self, data: bytes) -> None:
        if self.gone:
            return
        if self._waiting:
            self._waiting += data
            return
        sent = 0
        while sent < len(data) and not self.gone:
            if not self._patient and not self._writable():
                self._wait(data[sent:])
                return
            sent += self._write(data[sent : sent + _PIECE])

    async def drain(self) -> None:
        """Wait until everything is written, or nobody reads any more."""
        await self._room.wait()

    def _writable(self) -> bool:
        try:
            return bool(select.select((), (self._fd,), (), 0)[1])
        except (OSError, ValueError):  # ValueError: a descriptor beyond what select() can take
            return True

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # a broken pipe, a closed or full stdout: nobody gets this
            self._lose()
            return len(data)

    def _wait(self, data: bytes) -> None:
        self._waiting += data
        self._room.clear()
        try:
            asyncio.get_running_loop().add_writer(self._fd, self._resume)
        except (OSError, NotImplementedError):  # the loop cannot watch it: write as others do
            self._patient = True
            self._resume()

    def _resume(self) -> None:
        sent = self._write(bytes(self._waiting[:_PIECE]))
        del self._waiting[:sent]
        if not self._waiting or self.gone:
            with suppress(OSError, NotImplementedError):
                asyncio.get_running_loop().remove_writer(self._fd)
            self._waiting.clear()
            self._room.set()
        elif self._patient:
            self._resume()

    def _lose(self) -> None:
        self.gone = True
        self._on_gone()
