"""A call that is cancelled, at whatever moment, leaves nothing: no task, no socket, and the server sees it leave."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import statistics
from contextlib import aclosing, suppress
from time import monotonic

import pytest

from agentcli.core.provider import TextChunk
from agentcli.providers import Clocks
from agentcli.providers.openai_chat.answer import Answer
from tests.model_server import ModelServer
from tests.providers.asking import ask, http, open_files

CALLS = 1000


async def settled(files: int) -> None:
    """Nothing is left but the test itself. What is being closed gets a moment."""
    for _ in range(300):
        if len(asyncio.all_tasks()) == 1 and open_files() <= files:
            break
        await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 1
    assert open_files() <= files


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("proxy", [True, False])
def test_a_thousand_cancels_at_random(server: ModelServer, proxy: bool, keep: bool) -> None:
    server.says("one two three four five", chunks=5, pause=0.002, delay=0.002)
    chance = random.Random(1)
    url = server.url
    if proxy:
        os.environ["HTTP_PROXY"] = server.origin
        url = "http://model.test/v1"

    async def main() -> tuple[int, int]:
        ended = cancelled = 0
        through = http(url, keep=keep, clocks=Clocks(retries=0))
        await ask(through)  # what is made once, is made
        await through.aclose()
        await settled(1 << 20)
        files = open_files()

        async def one(seconds: float) -> None:
            nonlocal ended, cancelled
            task = asyncio.create_task(ask(through))
            await asyncio.sleep(seconds)
            task.cancel()
            with suppress(asyncio.CancelledError):
                outcome = await task
                assert outcome.whole
                ended += 1
                return
            cancelled += 1

        for _ in range(CALLS // 25):
            await asyncio.gather(*(one(chance.random() * 0.04) for _ in range(25)))
        assert (await ask(through)).whole  # and it still works
        await through.aclose()
        await server.until(lambda: server.open == 0)
        await settled(files)
        return ended, cancelled

    ended, cancelled = asyncio.run(main())
    assert ended + cancelled == CALLS
    assert cancelled > CALLS // 5


@pytest.mark.parametrize("where", ["connecting", "before headers", "after headers", "mid-stream"])
def test_the_server_sees_at_once_that_the_caller_left(server: ModelServer, where: str) -> None:
    server.stalls(where if where != "connecting" else "before headers")  # type: ignore[arg-type]

    async def main() -> list[float]:
        through = http(server.url)
        late = []
        for _ in range(20):
            server.connections.clear()
            server.requests.clear()
            chunks: list[object] = []

            async def read(seen: list[object] = chunks) -> None:
                async with aclosing(through.stream("/chat/completions", b'{"stream": true}', Answer)) as stream:
                    async for chunk in stream:
                        seen.append(chunk)  # noqa: PERF401  (looked at meanwhile)

            task = asyncio.create_task(read())
            if where == "connecting":
                await server.until(lambda: server.connections)
            elif where == "mid-stream":
                await server.until(lambda: TextChunk in map(type, chunks))  # noqa: B023
            else:
                await server.until(lambda: server.requests)
            left = monotonic()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await server.until(lambda: server.open == 0)
            late.append((server.connections[0].closed or 0) - left)
        await through.aclose()
        return late

    late = asyncio.run(main())
    assert statistics.median(late) < 0.05


def test_leaving_the_loop_closes_the_connection(server: ModelServer) -> None:
    server.stalls("mid-stream")

    async def main() -> None:
        through = http(server.url, keep=True)
        async with aclosing(through.stream("/chat/completions", b'{"stream": true}', Answer)) as stream:
            async for chunk in stream:
                if isinstance(chunk, TextChunk):
                    break
        await server.until(lambda: server.open == 0)
        await through.aclose()

    asyncio.run(main())


def test_while_the_name_is_looked_up() -> None:
    async def main() -> None:
        await settled(1 << 20)
        files = open_files()
        through = http("http://a-name.test/v1")
        task = asyncio.create_task(ask(through))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await through.aclose()
        await settled(files + 2)  # the resolver may still have its own

    asyncio.run(main())


@pytest.mark.parametrize("tls", [True, False])
def test_while_connecting(tls: bool) -> None:
    """To a listener that never answers: its queue is full, or it never says its part of the handshake."""
    with socket.socket() as deaf, socket.socket() as one, socket.socket() as two:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8 if tls else 0)
        for each in (one, two):
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())

        async def main() -> None:
            through = http(f"{'https' if tls else 'http'}://127.0.0.1:{deaf.getsockname()[1]}/v1")
            files = open_files()
            for _ in range(5):
                task = asyncio.create_task(ask(through))
                await asyncio.sleep(0.05)
                task.cancel()
                began = monotonic()
                with suppress(asyncio.CancelledError):
                    await task
                assert monotonic() - began < 0.5
            await through.aclose()
            await settled(files)

        asyncio.run(main())


def test_while_sending(server: ModelServer) -> None:
    """A request that is bigger than what the sockets hold, to a server that does not read."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)

        async def main() -> None:
            through = http(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
            files = open_files()
            task = asyncio.create_task(ask(through, prompt="x" * 20_000_000))
            await asyncio.sleep(0.2)
            task.cancel()
            began = monotonic()
            with suppress(asyncio.CancelledError):
                await task
            assert monotonic() - began < 0.5
            await through.aclose()
            await settled(files)

        asyncio.run(main())
