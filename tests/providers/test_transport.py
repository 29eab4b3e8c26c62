"""The transport: connections kept and not, faults of the wire, TLS, back-pressure, what it does not import."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from agentcli.providers.fault import FinalError
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.transport import Body, StreamTransport
from tests.model_server import Asked, ModelServer, Reply
from tests.providers.asking import open_files

PATH = "/chat/completions"


def request(url: str, content: bytes = b'{"stream": true}', **extensions: object) -> httpx.Request:
    return httpx.Request("POST", url + PATH, content=content, extensions=extensions)


@asynccontextmanager
async def transport(*, keep: bool = False, patience: float | None = None) -> AsyncIterator[StreamTransport]:
    """A transport that leaves nothing open."""
    before = open_files()
    made = StreamTransport(keep=keep, patience=patience)
    try:
        yield made
    finally:
        await made.aclose()
        for _ in range(100):
            if open_files() <= before:
                break
            await asyncio.sleep(0.01)
        assert open_files() <= before
        assert len(asyncio.all_tasks()) == 1


async def fetch(through: StreamTransport, asked: httpx.Request) -> bytes:
    response = await through.handle_async_request(asked)
    try:
        return await response.aread()
    finally:
        await response.aclose()


@contextmanager
def setting(name: str, value: str) -> Iterator[None]:
    """An environment variable for a while: conftest puts back what was there."""
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_body_comes_as_it_was_sent(server: ModelServer, framing: str) -> None:
    body = [b"one", "zwei é".encode(), b"x" * 100_000, bytes(range(256))]
    server.raw(body, framing=framing)

    async def main() -> None:
        async with transport() as through:
            assert await fetch(through, request(server.url)) == b"".join(body)

    asyncio.run(main())


def test_the_request_comes_as_it_was_made(server: ModelServer) -> None:
    async def main() -> None:
        async with transport() as through:
            asked = httpx.Request(
                "POST", f"{server.url}{PATH}?a=b%20c", content=b'{"big": "' + b"x" * 3_000_000 + b'"}', headers={"X-One": "1"}
            )
            await fetch(through, asked)

    asyncio.run(main())
    (seen,) = server.requests
    assert seen.path == f"/v1{PATH}?a=b%20c"
    assert len(seen.body["big"]) == 3_000_000
    assert seen.headers["x-one"] == "1"
    assert seen.headers["host"] == f"127.0.0.1:{server.port}"
    assert seen.headers["connection"] == "close"


@pytest.mark.parametrize(("keep", "connections"), [(True, 1), (False, 5)])
def test_connections(server: ModelServer, keep: bool, connections: int) -> None:
    async def main() -> None:
        async with transport(keep=keep) as through:
            for _ in range(5):
                await fetch(through, request(server.url))
        await server.until(lambda: server.open == 0)

    asyncio.run(main())
    assert len(server.connections) == connections


def test_only_a_few_connections_are_kept(server: ModelServer) -> None:
    server.says("x", delay=0.05)

    async def main() -> None:
        async with transport(keep=True) as through:
            await asyncio.gather(*(fetch(through, request(server.url)) for _ in range(20)))
            await server.until(lambda: server.open <= 4)

    asyncio.run(main())


def test_a_kept_connection_that_died_is_replaced_at_once() -> None:
    with ModelServer() as first:

        async def main() -> None:
            async with transport(keep=True) as through:
                await fetch(through, request(first.url))
                (connection,) = through._open
                # the worst moment: it looks alive when it is taken, and the server closes it when it is used
                first.decides(closing_once())
                assert await fetch(through, request(first.url)) != b""
                assert connection.ended

        asyncio.run(main())
        assert len(first.connections) == 2
        assert len(first.requests) == 3


def closing_once() -> Callable[[Asked], Reply]:
    replies = iter([Reply(reset=True)])
    return lambda asked: next(replies, Reply([b"fine"]))


def test_a_fresh_connection_that_dies_is_an_error(server: ModelServer) -> None:
    server.reset()

    async def main() -> None:
        async with transport(keep=True) as through:
            with pytest.raises(httpx.ReadError):
                await fetch(through, request(server.url))

    asyncio.run(main())
    assert len(server.requests) == 1


def test_nothing_that_came_is_asked_for_again(server: ModelServer) -> None:
    """A kept connection that breaks inside the answer is not tried again by the transport."""
    server.says("x").then.cut(30)

    async def main() -> None:
        async with transport(keep=True) as through:
            await fetch(through, request(server.url))
            with pytest.raises(httpx.RemoteProtocolError):
                await fetch(through, request(server.url))

    asyncio.run(main())
    assert len(server.requests) == 2


@pytest.mark.parametrize("cut", [0, 1, 60])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_body_that_ends_early(server: ModelServer, framing: str, cut: int) -> None:
    server.raw([b"x" * 50, b"y" * 50], framing=framing, cut=cut)

    async def main() -> None:
        async with transport() as through:
            with pytest.raises(httpx.RemoteProtocolError):
                await fetch(through, request(server.url))

    asyncio.run(main())


def test_a_reset_in_the_body(server: ModelServer) -> None:
    server.reset(40)

    async def main() -> None:
        async with transport() as through:
            with pytest.raises(httpx.ReadError):
                await fetch(through, request(server.url))

    asyncio.run(main())


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 20", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: no\r\n\r\n"])
def test_a_head_that_is_none(server: ModelServer, head: bytes) -> None:
    server.raw(b"", head=head, framing="close")

    async def main() -> None:
        async with transport() as through:
            with pytest.raises(httpx.RemoteProtocolError):
                await fetch(through, request(server.url))

    asyncio.run(main())


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

        async def main() -> None:
            async with transport() as through:
                with pytest.raises(httpx.ConnectError):
                    await fetch(through, request(url))
                with pytest.raises(httpx.ConnectError):
                    await fetch(through, request(url.replace("127.0.0.1", "localhost")))

        asyncio.run(main())


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 70 + ".test", "x..y"])
def test_a_name_that_is_not_known(host: str) -> None:
    async def main() -> None:
        async with transport() as through:
            with pytest.raises(httpx.ConnectError):
                await fetch(through, request(f"http://{host}"))

    asyncio.run(main())


def test_a_name_with_several_addresses_finds_the_one_that_answers(server: ModelServer) -> None:
    """localhost is often ::1 first, where nobody listens."""

    async def main() -> None:
        async with transport() as through:
            for _ in range(3):
                assert await fetch(through, request(server.url.replace("127.0.0.1", "localhost")))

    asyncio.run(main())


def test_a_connection_that_is_not_made_in_time() -> None:
    """A listener whose queue is full, so that the kernel leaves the connection unanswered."""
    with socket.socket() as deaf, socket.socket() as one, socket.socket() as two:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for each in (one, two):
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())

        async def main() -> None:
            async with transport(patience=0.2) as through:
                with pytest.raises(httpx.ConnectTimeout, match="while connecting"):
                    await fetch(through, request(f"http://127.0.0.1:{deaf.getsockname()[1]}"))

        asyncio.run(main())


def test_the_clock_of_a_body(server: ModelServer) -> None:
    server.stalls("mid-stream")

    async def main() -> None:
        async with transport() as through:
            response = await through.handle_async_request(request(server.url))
            assert isinstance(response.stream, Body)
            response.stream.until = asyncio.get_running_loop().time() + 0.25
            with pytest.raises(httpx.ReadTimeout):
                await response.aread()

    asyncio.run(main())


def test_a_slow_reader_makes_the_server_wait(server: ModelServer) -> None:
    piece = b"x" * 65536
    server.raw([piece] * 640)  # 40 MiB

    async def main() -> None:
        async with transport() as through:
            response = await through.handle_async_request(request(server.url))
            (connection,) = through._open
            body = aiter(response.stream)  # type: ignore[arg-type]
            size = len(await anext(body))
            await server.until(lambda: connection._paused)
            await asyncio.sleep(0.05)
            assert connection._size < 2 << 20
            async for data in body:
                size += len(data)
            assert size == 640 * len(piece)

    asyncio.run(main())


def test_a_header_with_a_line_break_is_not_sent(server: ModelServer) -> None:
    async def main() -> None:
        async with transport() as through:
            for name, value in [("x-one", "a\r\nx-two: b"), ("x-one", "a\nb"), ("x-one", "a\0b")]:
                asked = httpx.Request("POST", server.url + PATH, headers={name: value})
                with pytest.raises(httpx.LocalProtocolError):
                    await fetch(through, asked)

    asyncio.run(main())
    assert not server.requests


def test_tls() -> None:
    async def main(url: str) -> bytes:
        async with transport(keep=True) as through:
            return await fetch(through, request(url)) + await fetch(through, request(url))

    with ModelServer(tls="good").raw(b"secret") as good, setting("SSL_CERT_FILE", good.ca):
        assert asyncio.run(main(good.url)) == b"secretsecret"
    with ModelServer(tls="good") as unknown, pytest.raises(httpx.ConnectError, match="certificate"):
        asyncio.run(main(unknown.url))
    with (
        ModelServer(tls="bad") as elsewhere,
        setting("SSL_CERT_FILE", elsewhere.ca),
        pytest.raises(httpx.ConnectError, match="ostname"),
    ):
        asyncio.run(main(elsewhere.url))


def test_certificates_that_cannot_be_read() -> None:
    async def main() -> None:
        async with transport() as through:
            await fetch(through, request("https://127.0.0.1:9"))

    with setting("SSL_CERT_FILE", "/no/such/file"), pytest.raises(FinalError, match="SSL_CERT_FILE"):
        asyncio.run(main())


def test_one_transport_in_several_loops(server: ModelServer) -> None:
    """A library may be used with asyncio.run for each question."""
    through = StreamTransport(keep=True)

    async def main() -> None:
        assert await fetch(through, request(server.url))
        await through.aclose()

    for _ in range(3):
        asyncio.run(main())


def python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=40)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_not_imported(server: ModelServer) -> None:
    code = """
import asyncio, sys
from tests.providers.asking import once
assert asyncio.run(once(sys.argv[1])).text == "Hi"
foreign = ("httpcore", "h11", "anyio", "sniffio", "rich", "click", "pygments", "trustme", "encodings.idna")
print([name for name in foreign if name in sys.modules], "httpx._main" in sys.modules)
"""
    assert python(code, server.url).split() == ["[]", "False"]


def test_few_open_files_are_a_clear_error(server: ModelServer) -> None:
    server.says("x", delay=0.3)
    code = """
import asyncio, resource, sys
from tests.providers.asking import QUICK, ask, http
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
async def main():
    through = http(sys.argv[1], clocks=QUICK)
    found = await asyncio.wait_for(asyncio.gather(*(ask(through) for _ in range(60))), 20)
    print(sum(each.whole for each in found), {str(each.error) for each in found if each.error})
    await through.aclose()
asyncio.run(main())
"""
    answered, said = python(code, server.url).split(" ", 1)
    assert 5 < int(answered) < 32
    assert said.count("too many files are open") == 1


def test_the_limit_of_open_files_is_raised_where_it_can_be(server: ModelServer) -> None:
    server.says("x", delay=0.3)
    code = """
import asyncio, resource, sys
from tests.providers.asking import QUICK, ask, http
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 400))
async def main():
    through = http(sys.argv[1], clocks=QUICK)
    found = await asyncio.wait_for(asyncio.gather(*(ask(through) for _ in range(200))), 20)
    print(sum(each.whole for each in found), resource.getrlimit(resource.RLIMIT_NOFILE))
    await through.aclose()
asyncio.run(main())
"""
    assert python(code, server.url) == "200 (400, 400)\n"
