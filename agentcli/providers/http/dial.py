"""From the name of a host to a connected socket, for many calls at once.

Calls that ask for the same name at the same time, or soon after one another, share one question to the resolver. It may take half a
minute to say no, so it is asked in a thread that does not hold up the exit of the program.
Where a name has several addresses the next is tried when one has failed or is slow (RFC 8305, "happy eyeballs"). A number is dialled
directly. A call that is cancelled leaves no socket behind.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import suppress
from functools import cache
from typing import Any

from agentcli.core.apart import in_thread

__all__ = ["Dialler"]

_STAGGER = 0.25  # seconds before the next address of a host is tried as well
_MANY = 64  # a descriptor of this number means that many are open: the lowest free one is given out
_RESOLVED = 5.0  # seconds that an answer of the resolver holds

_Address = tuple[int, Any]  # family and socket address


class Dialler:
    """Opens sockets, and remembers for a moment where hosts are."""

    def __init__(self) -> None:
        self._resolving: dict[tuple[bytes, int], asyncio.Future[list[_Address]]] = {}
        self._resolved: dict[tuple[bytes, int], tuple[float, list[_Address]]] = {}

    async def dial(self, host: bytes, port: int) -> socket.socket:
        """A socket connected to the host, or an OSError."""
        loop = asyncio.get_running_loop()
        addresses = await self._addresses(loop, host, port)
        return await (_dial(loop, addresses[0]) if len(addresses) == 1 else _race(loop, addresses))

    async def _addresses(self, loop: asyncio.AbstractEventLoop, host: bytes, port: int) -> list[_Address]:
        for family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError, UnicodeDecodeError):
                socket.inet_pton(family, host.decode("ascii"))
                return [(family, (host.decode("ascii"), port))]
        key = host, port
        until, addresses = self._resolved.get(key, (0.0, []))
        if loop.time() < until:
            return addresses
        asked = self._resolving.get(key)
        if asked is None or asked.get_loop() is not loop:
            asked = self._resolving[key] = in_thread(_resolve, host, port, name="resolver")
            asked.add_done_callback(lambda done: self._learn(key, loop.time(), done))
        return await asyncio.shield(asked)

    def _learn(self, key: tuple[bytes, int], now: float, asked: asyncio.Future[list[_Address]]) -> None:
        self._resolving.pop(key, None)
        if not asked.cancelled() and not asked.exception():
            self._resolved[key] = now + _RESOLVED, asked.result()


def _resolve(host: bytes, port: int) -> list[_Address]:
    """The addresses of a name, the families in turn, beginning with the one that the system puts first."""
    # a name as bytes is taken as it is: as str it would first go through a codec that takes 5 ms to import
    return _in_turn(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _in_turn(found: list[Any]) -> list[_Address]:
    families: dict[int, list[_Address]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append((family, address))
    turns = max(map(len, families.values()), default=0)
    return [each[turn] for turn in range(turns) for each in families.values() if turn < len(each)]


async def _dial(loop: asyncio.AbstractEventLoop, address: _Address) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    if sock.fileno() >= _MANY:
        _allow_many_files()
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(loop: asyncio.AbstractEventLoop, addresses: list[_Address]) -> socket.socket:
    """A socket to the first address that answers: the next is tried when one has failed, or is slow."""
    errors: list[BaseException] = []
    tasks: set[asyncio.Task[socket.socket]] = set()
    left = list(reversed(addresses))
    try:
        while left or tasks:
            if left:
                tasks.add(asyncio.create_task(_dial(loop, left.pop())))
            done, _ = await asyncio.wait(tasks, timeout=_STAGGER if left else None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                tasks.discard(task)
                error = task.exception()
                if error is None:
                    return task.result()
                errors.append(error)
    finally:
        for task in tasks:
            task.cancel()
            task.add_done_callback(_close_result)
    raise errors[0] if errors else OSError(errno.EHOSTUNREACH, "the name has no address")


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    """One that came second after all."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


@cache
def _allow_many_files() -> None:
    """Raise this process's limit of open files to what it may be raised to: many connections are open."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(hard, 1 << 16) if hard != resource.RLIM_INFINITY else 1 << 16
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
