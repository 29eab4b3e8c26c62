"""The first model of a server: its name, or None, whatever the server does instead.

How `probe` tells faults apart: tests/ui/test_doctor.py.
"""

from __future__ import annotations

import asyncio
import json
import os
from time import monotonic

import pytest

from agentcli.providers.probe import first_model
from tests.model_server import ModelServer
from tests.providers.asking import open_files
from tests.providers.listener import listener


def first(url: str, key: str | None = "sk-secret", patience: float = 3.0) -> str | None:
    async def main() -> str | None:
        found = await first_model(url, key, patience=patience)
        assert len(asyncio.all_tasks()) == 1
        return found

    return asyncio.run(main())


def listing(body: bytes, status: int = 200, *more: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 %d Said" % status, b"Content-Length: %d" % len(body), *more, b"", body])


def test_the_first_model() -> None:
    with listener(listing(b'{"data": [{"id": "one"}, {"id": "two"}, 3]}')) as (port, asked):
        assert first(f"http://127.0.0.1:{port}/v1?key=other") == "one"
    assert asked[0].startswith(b"GET /v1/models?key=other HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer sk-secret\r\n" in asked[0]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nothing", b"[]", b"null", b"{}", b'{"data": []}', b'{"data": {}}', b'{"data": [{}]}', b'{"data": [{"id": 5}]}',
        b'{"data": [{"id": ""}]}', b'{"data": ["a"]}', b'{"data": [{"id": "a\\u001b[2J"}]}', b'{"data": [{"id": "\\ud800"}]}',
        json.dumps({"data": [{"id": "a" * 1000}]}).encode(), b"[" * 100_000, b'{"data":' * 100_000, b"\xff\xfe\x00",
        b'{"data": [{"id": "one"}], "more": "' + b"x" * (1 << 20) + b'"}',
    ],
)  # fmt: skip
def test_what_is_no_list_of_models(body: bytes) -> None:
    with listener(listing(body)) as (port, _):
        assert first(f"http://127.0.0.1:{port}/v1") is None


@pytest.mark.parametrize("status", [204, 301, 307, 401, 404, 500])
def test_other_answers(status: int) -> None:
    with ModelServer() as other:
        answer = listing(b'{"data": [{"id": "one"}]}', status, f"Location: {other.url}/models".encode())
        with listener(answer) as (port, _):
            assert first(f"http://127.0.0.1:{port}/v1") is None
        assert not other.connections


@pytest.mark.parametrize(
    "answer", [b"", b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
@pytest.mark.parametrize("drip", [b"", b"1\r\n \r\n", b"x: y\r\n"])
def test_a_server_that_does_not_come_to_an_end_is_left_in_time(answer: bytes, drip: bytes) -> None:
    with listener(answer, drip=drip) as (port, _):
        began = monotonic()
        assert first(f"http://127.0.0.1:{port}/v1", patience=0.2) is None
        assert monotonic() - began < 2


@pytest.mark.parametrize(
    "url", ["", "http://a b/v1", "http://", "ftp://h/v1", "http://h:x/v1", "http://127.0.0.1:1/v1", "http://h.invalid/v1"]
)
def test_addresses_that_are_none(url: str) -> None:
    assert first(url, patience=1.0) is None


@pytest.mark.parametrize("key", ["ключ", "a\nb"])
def test_a_key_that_cannot_be_sent(server: ModelServer, key: str) -> None:
    assert first(server.url, key) is None
    assert not server.requests


def test_certificates() -> None:
    with ModelServer(tls="good") as server:
        assert first(server.url) is None
        os.environ["SSL_CERT_FILE"] = "/nowhere/ca.pem"
        assert first(server.url) is None
        os.environ["SSL_CERT_FILE"] = server.ca
        assert first(server.url)


def test_a_cancelled_question_leaves_nothing_open() -> None:
    async def main(url: str, asked: list[bytes]) -> None:
        task = asyncio.create_task(first_model(url, None))
        while not asked:  # noqa: ASYNC110  (filled by a thread)
            await asyncio.sleep(0.01)
        before = open_files()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert open_files() < before

    with listener(None) as (port, asked):
        asyncio.run(asyncio.wait_for(main(f"http://127.0.0.1:{port}/v1", asked), 10))
