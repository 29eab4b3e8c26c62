"""The way through a proxy: whether there is one for a server, and how to be let through.

HTTP_PROXY, HTTPS_PROXY and ALL_PROXY (and what macOS and Windows are set to) name proxies, NO_PROXY the hosts that go without: names,
with everything below them, or networks (10.0.0.0/8). An http:// server is asked through an http:// or https:// proxy by its whole
address; for an https:// server the proxy makes a tunnel (CONNECT), and never sees what is said. A socks5:// proxy always makes one,
and is told the name of the server, so that the name is looked up where the proxy is.

httpx's own transport can do this too. But of 1,000 calls through it that were cancelled at random, a handful left their socket open
until the garbage collector came: those that were cancelled in the moment in which they were connected.
"""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct

from agentcli.providers.http.connection import Connection
from agentcli.providers.http.http1 import Answer, MalformedError
from agentcli.providers.http.httpx import httpx

__all__ = ["Proxy", "is_host", "proxy_for", "tunnel"]

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080, "socks": 1080}
_SOCKS_SAYS = ("", "it failed", "it does not allow that", "no way to that network", "no way to that host", "connection refused")


class Proxy(Struct, frozen=True):
    """A proxy. Raises ValueError, without a password in it, for an address that is none."""

    scheme: str
    host: str
    raw_host: bytes
    port: int
    user: str = ""
    password: str = ""

    @classmethod
    def at(cls, address: str) -> Proxy:
        try:
            url = httpx.URL(address if "://" in address else f"http://{address}")
        except httpx.InvalidURL:
            raise ValueError("the address of the proxy is none") from None
        if url.scheme not in _PORTS or not is_host(url.host):
            raise ValueError("a proxy is http://, https:// or socks5:// and the name of a host")
        user, _, password = url.userinfo.decode("ascii").partition(":")
        port = url.port or _PORTS[url.scheme]
        return cls(url.scheme, url.host, url.raw_host, port, unquote(user), unquote(password))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({self.scheme}://{self})"

    @property
    def socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def authorization(self) -> bytes:
        """The header line that lets us in, or nothing."""
        if not self.user and not self.password:
            return b""
        return b"Proxy-Authorization: Basic " + base64.b64encode(f"{self.user}:{self.password}".encode())


def is_host(name: str) -> bool:
    """True for a name or number that a host can have."""
    return re.fullmatch(r"[\w.-]+|[0-9a-fA-F.]*:[0-9a-fA-F:.]*(%\w+)?", name) is not None


def proxy_for(scheme: str, host: str, port: int | None = None) -> str | None:
    """The address of the proxy that is set for this server."""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host if port is None else f"{host}:{port}"):
        return None
    with suppress(ValueError):
        address = ip_address(host)
        for name in proxies.get("no", "").split(","):
            with suppress(ValueError):
                if "/" in name and address in ip_network(name.strip(), strict=False):
                    return None
    return proxy


async def tunnel(connection: Connection, proxy: Proxy, host: bytes, port: int) -> None:
    """Have the proxy connect us to the server: what is sent after this goes there. Raises httpx.ProxyError."""
    await (_socks if proxy.socks else _connect)(connection, proxy, host, port)


async def _connect(connection: Connection, proxy: Proxy, host: bytes, port: int) -> None:
    target = b"[%b]:%d" % (host, port) if b":" in host else b"%b:%d" % (host, port)
    lines = [b"CONNECT %b HTTP/1.1" % target, b"Host: %b" % target, *filter(None, [proxy.authorization])]
    connection.write(b"\r\n".join([*lines, b"", b""]))
    answer = Answer(has_body=False)
    try:
        while not answer.status:
            data = await connection.read()
            answer.feed(data) if data else answer.end()
    except MalformedError as error:
        raise httpx.ProxyError(f"the proxy gave no proper answer: {error}") from None
    if answer.status == 407:
        raise httpx.ProxyError("the proxy wants a name and a password (407)")
    if not 200 <= answer.status < 300:
        raise httpx.ProxyError(f"the proxy refused ({answer.status})")


async def _socks(connection: Connection, proxy: Proxy, host: bytes, port: int) -> None:
    """RFC 1928, and RFC 1929 for the name and password."""
    unread = b""

    async def take(size: int) -> bytes:
        nonlocal unread
        while len(unread) < size:
            data = await connection.read()
            if not data:
                raise httpx.ProxyError("the proxy closed the connection")
            unread += data
        taken, unread = unread[:size], unread[size:]
        return taken

    user, password = proxy.user.encode()[:255], proxy.password.encode()[:255]
    connection.write(b"\x05\x02\x00\x02" if user else b"\x05\x01\x00")
    version, method = await take(2)
    if version != 5 or method not in (0, 2) or (method == 2 and not user):
        raise httpx.ProxyError("the proxy wants a name and a password" if version == 5 else "the proxy does not speak SOCKS 5")
    if method == 2:
        connection.write(b"\x01%c%b%c%b" % (len(user), user, len(password), password))
        if (await take(2))[1]:
            raise httpx.ProxyError("the proxy refuses the name and the password")
    connection.write(b"\x05\x01\x00\x03%c%b%b" % (len(host), host, port.to_bytes(2, "big")))
    _, code, _, kind = await take(4)
    if code:
        raise httpx.ProxyError(f"the proxy says: {_SOCKS_SAYS[code] if code < len(_SOCKS_SAYS) else f'error {code}'}")
    await take({1: 4, 4: 16}.get(kind) or (await take(1))[0])
    await take(2)
