"""The two verbs on streams: run many as one, and read one to its end.

`merge()` is how tools of one answer, members of a team and many agents at once run: each stream in a task of its own, all into one
bounded queue. Whoever leaves the merged stream ends them all, and has waited for that; but not for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

__all__ = ["collect", "merge"]

T = TypeVar("T")

_GRACE = 2.0  # seconds that a cancelled stream has to end
_AHEAD = 64  # items a stream may be ahead of the reader


async def collect(stream: AsyncGenerator[T, None]) -> list[T]:
    """All items of a stream: `*_, (answer, thread) = await collect(agent.invoke("2+2?"))`."""
    async with aclosing(stream):
        return [item async for item in stream]


async def merge(*streams: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The items of all streams as they come.

    A stream that fails does not disturb the others: its exception is raised when all have ended (as a group, if several failed).
    """
    queue: asyncio.Queue[tuple[T, ...]] = asyncio.Queue(_AHEAD)  # items, each wrapped; () wakes a reader at the end of a stream
    failures: list[Exception] = []
    running = len(streams)

    async def run(stream: AsyncGenerator[T, None]) -> None:
        nonlocal running
        try:
            await _pump(stream, queue)
        except Exception as error:  # noqa: BLE001  (raised again below, when all have ended)
            failures.append(error)
        finally:
            running -= 1
            if queue.empty():
                queue.put_nowait(())

    tasks = [asyncio.create_task(run(stream)) for stream in streams]
    try:
        while running or not queue.empty():
            for item in await queue.get():
                yield item
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup("several streams failed", failures)


async def _pump(stream: AsyncGenerator[T, None], queue: asyncio.Queue[tuple[T, ...]]) -> None:
    try:
        async with aclosing(stream):
            async for item in stream:
                await queue.put((item,))
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        raise RuntimeError("a stream was cancelled from within") from error
