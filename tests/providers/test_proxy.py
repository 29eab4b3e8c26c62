"""Through proxies: the whole address for http://, tunnels for https:// and SOCKS, and whom NO_PROXY spares."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks
from agentcli.providers.http.proxy import Proxy, proxy_for
from tests.model_server import ModelServer
from tests.providers.asking import QUICK, ask, http, once
from tests.providers.tunnels import TunnelProxy

SHORT = Clocks(connect=0.3, idle=0.3, retries=0)


def failed(url: str, clocks: Clocks = QUICK) -> ProviderError:
    outcome = asyncio.run(once(url, clocks=clocks))
    assert outcome.error
    return outcome.error


@pytest.mark.parametrize("keep", [True, False])
def test_the_proxy_is_asked_by_the_whole_address(server: ModelServer, keep: bool) -> None:
    os.environ["ALL_PROXY"] = f"http://me:p%40ss@127.0.0.1:{server.port}"

    async def main() -> None:
        through = http("http://model.test/v1", keep=keep)
        for number in range(3):
            assert (await ask(through, prompt=str(number))).text == str(number)
        await through.aclose()
        await server.until(lambda: server.open == 0)

    asyncio.run(main())
    asked = server.requests[0]
    assert asked.path == "http://model.test/v1/chat/completions"
    assert asked.headers["host"] == "model.test"
    assert asked.headers["proxy-authorization"] == "Basic bWU6cEBzcw=="
    assert len(server.connections) == (1 if keep else 3)


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("password", ["", "p@ss"])
def test_a_tunnel_to_a_server_with_tls(scheme: str, password: str) -> None:
    with ModelServer(tls="good") as server, TunnelProxy(password=password) as proxy:
        os.environ.update(HTTPS_PROXY=f"{scheme}://{'me:p%40ss@' if password else ''}127.0.0.1:{proxy.port}", SSL_CERT_FILE=server.ca)
        outcome = asyncio.run(once(server.url))
        assert outcome.text == "Hi"
        assert "proxy-authorization" not in server.requests[0].headers
    assert proxy.asked == [f"localhost:{server.port}"]


def test_socks_to_a_server_without_tls(server: ModelServer) -> None:
    with TunnelProxy() as proxy:
        os.environ["ALL_PROXY"] = f"socks5://127.0.0.1:{proxy.port}"
        assert asyncio.run(once(server.url)).text == "Hi"
    assert server.requests[0].path == "/v1/chat/completions"
    assert proxy.asked == [f"127.0.0.1:{server.port}"]


def test_the_certificate_is_looked_at_behind_the_tunnel() -> None:
    with ModelServer(tls="bad") as server, TunnelProxy() as proxy:
        os.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{proxy.port}"
        assert failed(server.url).kind == "tls"


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_the_wrong_password(scheme: str) -> None:
    with TunnelProxy(password="right") as proxy:
        for who in ("", "me:wrong@"):
            os.environ["HTTPS_PROXY"] = f"{scheme}://{who}127.0.0.1:{proxy.port}"
            error = failed("https://model.test/v1", Clocks(retries=2))
            assert error.kind == "unreachable"
            assert "password" in error.message
            assert "wrong" not in error.message


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 No\r\n\r\n", b"nonsense\r\n\r\n", b"\x05\x00\x05\x05\x00\x01" + bytes(6)])
def test_a_proxy_that_makes_no_tunnel(scheme: str, answer: bytes) -> None:
    with TunnelProxy(answer=answer) as proxy:
        os.environ["HTTPS_PROXY"] = f"{scheme}://127.0.0.1:{proxy.port}"
        error = failed("https://model.test/v1")
        assert error.kind == "unreachable"
        assert f"model.test through the proxy 127.0.0.1:{proxy.port}" in error.message


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_silent(scheme: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        os.environ["HTTPS_PROXY"] = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        assert "no connection to model.test through the proxy" in failed("https://model.test/v1", SHORT).message


@pytest.mark.parametrize("where", ["before headers", "mid-stream"])
def test_a_stall_behind_a_proxy(server: ModelServer, where: str) -> None:
    os.environ["HTTP_PROXY"] = server.stalls(where, ping=0.05).origin  # type: ignore[arg-type]
    assert failed("http://model.test/v1", SHORT).kind == "stalled"
    server.wait_until(lambda: server.open == 0)


def test_a_proxy_that_wants_a_password_in_an_answer(server: ModelServer) -> None:
    os.environ["HTTP_PROXY"] = server.fails(407).origin
    assert "wants a name and a password" in failed("http://model.test/v1", Clocks(retries=2)).message
    assert len(server.requests) == 1


def test_a_proxy_that_is_not_there_is_named_without_its_password() -> None:
    with ModelServer() as server:
        os.environ["HTTP_PROXY"] = f"http://me:proxy-secret@127.0.0.1:{server.port}"
    error = failed("http://model.test/v1")
    assert f"through the proxy 127.0.0.1:{server.port}: connection refused" in error.message
    assert "proxy-secret" not in str(error)


@pytest.mark.parametrize("address", ["gopher://127.0.0.1:1", "http://", "http://[::1", "http://me:secret@[/"])
def test_a_proxy_that_cannot_be(address: str) -> None:
    os.environ["ALL_PROXY"] = address
    error = failed("http://model.test/v1", Clocks(retries=3))
    assert error.kind == "unreachable"
    assert "secret" not in str(error)
    assert "ALL_PROXY" in error.hint


def test_a_representation_has_no_password() -> None:
    assert repr(Proxy.at("me:secret@proxy.test")) == "Proxy(http://proxy.test:80)"


@pytest.mark.parametrize(
    ("no_proxy", "host", "through"),
    [
        ("", "model.test", True),
        ("*", "model.test", False),
        ("model.test", "model.test", False),
        ("model.test", "a.model.test", False),
        (".model.test", "a.model.test", False),
        ("model.test", "amodel.test", True),
        ("other.test, model.test", "model.test", False),
        ("127.0.0.1,localhost", "127.0.0.1", False),
        ("10.0.0.0/8", "10.1.2.3", False),
        ("10.0.0.0/8", "11.1.2.3", True),
        ("model.test:8000", "model.test", False),
        ("model.test:8001", "model.test", True),
    ],
)
def test_for_whom_the_proxy_is(no_proxy: str, host: str, through: bool) -> None:
    os.environ.update(HTTPS_PROXY="proxy.test:3128", NO_PROXY=no_proxy)
    assert proxy_for("https", host, 8000) == ("proxy.test:3128" if through else None)
    assert proxy_for("http", host, 8000) is None
