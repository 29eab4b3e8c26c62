"""Servers on this machine: found in time, told from whatever else listens there, at no cost where nobody does."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, process_time
from typing import Any

import pytest

from agentcli.providers.catalogue.nearby import nearby
from tests.model_server import ModelServer
from tests.providers.listener import listener
from tests.providers.lists import lists


def found(ports: dict[str, int], within: float = 2.0) -> list[tuple[str, list[str]]]:
    async def main() -> list[tuple[str, list[str]]]:
        answers = await nearby(within=within, ports=ports)
        assert len(asyncio.all_tasks()) == 1
        return [(name, [model.id for model in models]) for name, models in answers]

    return asyncio.run(main())


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def listing(*models: Any, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    body = json.dumps({"object": "list", "data": models}).encode()
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, more, len(body), body)


@contextmanager
def said(answer: bytes) -> Iterator[int]:
    """The port of a server that says this to whoever asks, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as connection:
                connection.settimeout(10)
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(15)


def test_servers_that_answer(server: ModelServer, nobody: int) -> None:
    ports = {"llamacpp": nobody, "vllm": server.port, "lmstudio": 1}
    assert found(ports) == [("vllm", ["test", "other"])]


def test_it_asks_for_the_list_and_sends_nothing_else() -> None:
    os.environ |= {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1", "OPENAI_API_KEY": "sk-secret"}
    with lists({"/v1/models": {"data": [{"id": "one"}]}}) as (url, asked):
        port = int(url.rpartition(":")[2])
        assert found({"llamacpp": port}) == [("llamacpp", ["one"])]
    assert asked == [("/v1/models", {"host": f"127.0.0.1:{port}", "accept": "application/json", "connection": "close"})]


@pytest.mark.parametrize(
    ("name", "owner", "counts"),
    [
        ("llamacpp", "llamacpp", True),
        ("vllm", "vllm", True),
        ("lmstudio", "organization_owner", True),
        ("ollama", "library", True),
        ("ollama", "ada", True),
        ("llamacpp", "vllm", True),  # it is a server of one's own, and speaks the same
        ("llamacpp", None, True),
        ("llamacpp", "openai", False),  # a proxy to models that cost money
        ("vllm", "anthropic", False),
        ("lmstudio", "ada", False),
    ],
)
def test_whose_list_counts(name: str, owner: str | None, counts: bool) -> None:
    with listener(listing({"id": "one", "owned_by": owner})) as (port, _):
        assert found({name: port}) == ([(name, ["one"])] if counts else [])


def test_what_it_cannot_be_asked_is_left_out() -> None:
    with listener(listing({"id": "nomic-embed-text"}, {"id": "llama3.2"})) as (port, _):
        assert found({"ollama": port}) == [("ollama", ["llama3.2"])]


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"H", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<p>It works!</p>",
        b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", listing(), listing({"id": ""}),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", listing({"id": "one"}, status=b"401 Unauthorized"),
        listing({"id": "one"}, status=b"302 Found"), b"\r\n\r\n", b"\x00" * 100,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n{}" % (b"9" * 5000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n{}\r\n" % (b"f" * 5000),
    ],
    ids=lambda answer: repr(answer[:40]),
)  # fmt: skip
def test_something_else_listens_there(answer: bytes) -> None:
    with listener(answer) as (port, _):
        assert found({"ollama": port}, within=0.3) == []


def test_an_answer_in_chunks() -> None:
    body = b'{"data": [{"id": "one"}]}'
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        9,
        body[:9],
        len(body) - 9,
        body[9:],
    )
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def main() -> Any:
            question = asyncio.create_task(nearby(within=5, ports={"vllm": server.getsockname()[1]}))
            server.setblocking(False)
            connection, _ = await asyncio.get_running_loop().sock_accept(server)
            with connection:
                await asyncio.get_running_loop().sock_recv(connection, 65536)
                await asyncio.get_running_loop().sock_sendall(connection, chunked)
            return await question

        ((name, models),) = asyncio.run(main())
    assert (name, [model.id for model in models]) == ("vllm", ["one"])


def test_a_length_that_no_number_holds_is_not_waited_for() -> None:
    """The list is there, and the connection ends with it."""
    body = b'{"data": [{"id": "one"}]}'
    with said(b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n%b" % (b"9" * 5000, body)) as port:
        assert found({"llamacpp": port}) == [("llamacpp", ["one"])]


def test_a_price_that_no_number_holds() -> None:
    priced = {"id": "one", "pricing": {"prompt": "1E+999999", "completion": "1E+999999"}}
    with listener(listing(priced)) as (port, _):
        assert found({"ollama": port}) == [("ollama", ["one"])]


def test_a_list_in_very_many_chunks() -> None:
    """Each of a byte: what is read of it takes a moment, and not the square of that."""
    body = b'{"data": [{"id": "one"}]}' + b" " * 600_000
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with said(head + chunks + b"0\r\n\r\n") as port:
        began = process_time()
        assert found({"vllm": port}, within=20) == [("vllm", ["one"])]
        assert process_time() - began < 5


def test_who_is_slow_is_left(server: ModelServer) -> None:
    """All have the same time. Whoever has answered by then is not lost to those who have not."""
    with listener(None) as (silent, _), listener(b"HTTP/1.1 200 OK\r\n", drip=b"x: y\r\n") as (slow, _):
        began = monotonic()
        assert found({"vllm": silent, "lmstudio": slow, "ollama": server.port}, within=2) == [("ollama", ["test", "other"])]
        assert 2 <= monotonic() - began < 3.9  # not one after the other


def test_an_answer_without_end_is_left() -> None:
    with listener(b"HTTP/1.1 200 OK\r\n\r\n", drip=b"x" * 100_000) as (port, _):
        began = monotonic()
        assert found({"ollama": port}, within=0.3) == []
        assert monotonic() - began < 8


def test_where_nobody_listens_it_takes_no_time_and_loads_no_http(nobody: int) -> None:
    program = f"""
import asyncio, sys, time
from agentcli.providers.catalogue.nearby import nearby
async def main():
    began = time.monotonic()
    assert await nearby(within=20, ports=dict.fromkeys("abcd", {nobody})) == []
    print(time.monotonic() - began)
asyncio.run(main())
assert not sys.modules.keys() & {{"httpx", "agentcli.providers.http", "hashlib"}}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 5  # a millisecond, when the machine has nothing else to do
