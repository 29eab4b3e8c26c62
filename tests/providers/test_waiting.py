"""What is waited for is said, in the order in which it happens, and before it does."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress

import pytest
import trustme

from agentcli.core.event import Waiting
from agentcli.core.provider import Chunk, ProviderError
from agentcli.providers import Clocks
from agentcli.providers.http import Http
from agentcli.providers.openai_chat.answer import Answer
from tests.model_server import Asked, ModelServer, Reply
from tests.providers.asking import QUICK, Outcome, ask, http, once, open_files
from tests.providers.tunnels import TunnelProxy

SHORT = Clocks(connect=0.3, idle=0.3, retries=0)
DOCUMENT = b'{"choices": [{"message": {"content": "I read it."}, "finish_reason": "stop"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(DOCUMENT), DOCUMENT)


def question(size: int = 0) -> bytes:
    return json.dumps({"model": "test", "stream": True, "messages": [{"role": "user", "content": "x" * size}]}).encode()


@asynccontextmanager
async def asked(through: Http, body: bytes = b"") -> AsyncIterator[AsyncGenerator[Chunk, None]]:
    """A question, for the test to go through, and then nothing is left open."""
    files = open_files()
    async with aclosing(through.stream("/chat/completions", body or question(), Answer)) as chunks:
        yield chunks
    await through.aclose()
    for _ in range(300):
        if len(asyncio.all_tasks()) == 1 and open_files() <= files:
            break
        await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 1
    assert open_files() <= files


async def until(chunks: AsyncGenerator[Chunk, None], what: str) -> list[str]:
    """What is said to be waited for, up to this."""
    said: list[str] = []
    async for chunk in chunks:
        if isinstance(chunk, Waiting):
            said.append(chunk.what)
            if chunk.what == what:
                return said
    raise AssertionError(f"{what} is not among {said}")


def test_without_tls(server: ModelServer) -> None:
    assert asyncio.run(once(server.url)).waits == ["connecting", "sent", "answering"]


def test_with_tls() -> None:
    with ModelServer(tls="good") as server:
        os.environ["SSL_CERT_FILE"] = server.ca
        assert asyncio.run(once(server.url)).waits == ["connecting", "tls", "sent", "answering"]


def test_a_connection_that_was_kept_is_not_made() -> None:
    with ModelServer(tls="good") as server:
        os.environ["SSL_CERT_FILE"] = server.ca

        async def main() -> None:
            through = http(server.url, keep=True)
            assert (await ask(through)).waits == ["connecting", "tls", "sent", "answering"]
            assert (await ask(through)).waits == ["sent", "answering"]
            await through.aclose()

        asyncio.run(main())
        assert len(server.connections) == 1


def test_a_connection_that_was_kept_and_is_dead_is_made_again(server: ModelServer) -> None:
    def leaving(asked: Asked) -> Reply:
        return Reply(reset=True) if len(server.requests) == 2 else Reply(echo=True)

    server.decides(leaving)

    async def main() -> None:
        through = http(server.url, keep=True)
        assert (await ask(through)).whole
        outcome = await ask(through)
        assert outcome.whole
        assert outcome.waits == ["sent", "connecting", "sent", "answering"]
        assert outcome.retries == []
        await through.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("scheme", "tls", "waits"),
    [
        ("http", True, ["connecting", "proxy", "tls", "sent", "answering"]),
        ("socks5", True, ["connecting", "proxy", "tls", "sent", "answering"]),
        ("socks5", False, ["connecting", "proxy", "sent", "answering"]),
    ],
)
def test_through_a_proxy(scheme: str, tls: bool, waits: list[str]) -> None:
    with ModelServer(tls="good" if tls else None) as server, TunnelProxy() as proxy:
        os.environ["ALL_PROXY"] = f"{scheme}://127.0.0.1:{proxy.port}"
        if tls:
            os.environ["SSL_CERT_FILE"] = server.ca
        assert asyncio.run(once(server.url)).waits == waits


def test_a_proxy_that_is_asked_itself_makes_no_way(server: ModelServer) -> None:
    os.environ["ALL_PROXY"] = f"http://127.0.0.1:{server.port}"
    assert asyncio.run(once("http://model.test/v1")).waits == ["connecting", "sent", "answering"]


@contextmanager
def listener(serve: Callable[[socket.socket], None] | None = None, *, backlog: int = 5) -> Iterator[int]:
    """A port, and a thread that serves the first connection to it, if anybody does."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listening:
        listening.settimeout(10)

        def take() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(10)
                    assert serve
                    serve(connection)

        thread = threading.Thread(target=take, daemon=True)
        if serve:
            thread.start()
        yield listening.getsockname()[1]
    if serve:
        thread.join(10)


def last_wait(url: str) -> tuple[str, str]:
    outcome: Outcome = asyncio.run(once(url, clocks=SHORT))
    assert outcome.error
    return outcome.waits[-1], str(outcome.error)


def test_the_last_word_is_what_was_waited_for_in_vain(server: ModelServer) -> None:
    with listener() as port:  # it takes connections, and says nothing
        what, error = last_wait(f"https://127.0.0.1:{port}/v1")
        assert what == "tls"
        assert "no answer while agreeing on TLS" in error
        os.environ["ALL_PROXY"] = f"http://127.0.0.1:{port}"
        what, error = last_wait("https://model.test/v1")
        assert what == "proxy"
        assert "no answer while asking the proxy" in error
        del os.environ["ALL_PROXY"]
        assert last_wait(f"http://127.0.0.1:{port}/v1")[0] == "sent"
    assert last_wait(f"http://127.0.0.1:{port}/v1")[0] == "connecting"
    assert last_wait(server.stalls("before headers").url)[0] == "sent"
    assert last_wait(server.afresh().stalls("after headers").url)[0] == "answering"


def test_sent_is_said_when_the_server_has_it_and_not_later(server: ModelServer) -> None:
    server.stalls("before headers")

    async def main() -> None:
        async with asked(http(server.url)) as chunks:
            assert await until(chunks, "sent") == ["connecting", "sent"]
            await server.until(lambda: server.requests)

    asyncio.run(main())


SIZE = 40 << 20  # more than sockets hold


@pytest.mark.parametrize("tls", [False, True])
def test_sending_is_said_when_it_takes_long_and_sent_when_it_is_over(tls: bool) -> None:
    authority, allowed, read = trustme.CA(), threading.Event(), 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def serve(connection: socket.socket) -> None:
        nonlocal read
        if tls:
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            assert allowed.wait(10)
            data = b""
            while not data.endswith(b"}]}"):
                data = connection.recv(1 << 20)
                read += len(data)
            connection.sendall(ANSWER)
            connection.recv(1)

    async def main(url: str) -> None:
        async with asked(http(url, clocks=QUICK), question(SIZE)) as chunks:
            assert (await until(chunks, "sending"))[-2:] == ["tls" if tls else "connecting", "sending"]
            assert read == 0
            allowed.set()
            assert await until(chunks, "sent") == ["sent"]
            assert read > SIZE - (16 << 20)  # the rest is in the sockets
            assert await until(chunks, "answering") == ["answering"]
            assert [chunk async for chunk in chunks]
            assert read > SIZE

    with listener(serve) as port, authority.cert_pem.tempfile() as path:
        os.environ["SSL_CERT_FILE"] = path
        asyncio.run(main(f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"))


def test_a_server_that_does_not_read_is_a_stall() -> None:
    async def main(url: str) -> None:
        async with asked(http(url, clocks=SHORT), question(SIZE)) as chunks:
            assert await until(chunks, "sending") == ["connecting", "sending"]
            with pytest.raises(ProviderError, match=r"nobody read it for 0.3 s") as raised:
                await anext(chunks)
            assert raised.value.kind == "stalled"

    with listener() as port:
        asyncio.run(main(f"http://127.0.0.1:{port}/v1"))


def test_an_answer_before_all_is_sent_is_read() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
        with suppress(OSError):
            while connection.recv(1 << 20):
                pass

    async def main(url: str) -> None:
        async with asked(http(url), question(SIZE)) as chunks:
            with pytest.raises(ProviderError) as raised:
                async for _ in chunks:
                    pass
            assert raised.value.kind == "too_large"

    with listener(serve) as port:
        asyncio.run(main(f"http://127.0.0.1:{port}/v1"))


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("what", ["connecting", "proxy", "tls", "sent", "answering"])
def test_who_goes_away_between_two_steps_leaves_nothing_open(what: str, keep: bool) -> None:
    with ModelServer(tls="good") as server, TunnelProxy() as proxy:
        os.environ.update(HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}", SSL_CERT_FILE=server.ca)

        async def main() -> None:
            assert (await once(server.url)).whole  # what is made once, is made
            await server.until(lambda: server.open == 0)
            for _ in range(3):
                async with asked(http(server.url, keep=keep)) as chunks:
                    await until(chunks, what)
                await server.until(lambda: server.open == 0)
            assert (await once(server.url)).whole  # and the proxy has seen all that were before this one

        asyncio.run(main())


def test_who_is_slow_between_two_steps_is_not_a_slow_server() -> None:
    with ModelServer(tls="good") as server:
        os.environ["SSL_CERT_FILE"] = server.ca

        async def main() -> None:
            async with asked(http(server.url, clocks=SHORT)) as chunks:
                for what in ("connecting", "tls", "sent", "answering"):
                    await until(chunks, what)
                    await asyncio.sleep(0.35)
                assert [chunk async for chunk in chunks]

        asyncio.run(main())


def test_the_clock_of_connecting_is_for_all_its_steps() -> None:
    with listener() as port:

        async def main() -> None:
            opening_began = asyncio.get_running_loop().time()
            async with asked(http(f"https://127.0.0.1:{port}/v1", clocks=SHORT)) as chunks:
                with pytest.raises(ProviderError, match=r"after 0\.3 s"):
                    await until(chunks, "sent")
            assert asyncio.get_running_loop().time() - opening_began < 3

        asyncio.run(main())


def test_who_has_to_wait_at_the_gate_says_so(server: ModelServer) -> None:
    server.fails(429, retry_after="0.3").then.echo()

    async def main() -> list[Outcome]:
        through = [http(server.url, clocks=Clocks(retries=1), key="sk-queued") for _ in range(2)]
        first = asyncio.create_task(ask(through[0]))
        await server.until(lambda: server.requests)
        await server.until(lambda: through[1]._gate.left)
        outcomes = await asyncio.gather(first, ask(through[1]))
        for each in through:
            await each.aclose()
        return list(outcomes)

    first, second = asyncio.run(main())
    assert first.waits == ["connecting", "sent", "connecting", "sent", "answering"]
    assert second.waits == ["queued", "connecting", "sent", "answering"]


def test_a_tool_call_that_is_being_written_is_waited_for(server: ModelServer) -> None:
    outcome = asyncio.run(once(server.calls("clock", {"zone": "UTC"}, text="Let me see.", fragments=5).url))
    assert outcome.waits == ["connecting", "sent", "answering", "calling"]
    assert outcome.whole
