"""Who signed the certificate that a server shows, when it cannot be trusted: the server's own authority, or a proxy that opens TLS?

Only the handshake is made, on the way that a question would take, and nothing is sent after it: here nobody checks whom one talks to.
Of the certificate (DER) no more is read than the name of its issuer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks
from agentcli.providers.http.connection import Connection
from agentcli.providers.http.dial import Dialler
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.proxy import tunnel
from agentcli.providers.http.route import Route

__all__ = ["issuer_of", "signer"]


async def signer(url: str, *, patience: float) -> str:
    """The name of whoever signed the certificate of the server at this URL; nothing if that cannot be found out in time."""
    try:
        async with asyncio.timeout(patience):
            return issuer_of(await _certificate(Route("the server", url, {}, Clocks(connect=patience), keep=False)))
    except (OSError, TimeoutError, ValueError, IndexError, httpx.HTTPError, ProviderError):
        return ""


async def _certificate(route: Route) -> bytes:
    base, proxy = route.base, route.proxy
    if base.scheme != "https" or (proxy and proxy.scheme == "https"):
        return b""
    loop = asyncio.get_running_loop()
    port = base.port or 443
    sock = await Dialler().dial(proxy.raw_host if proxy else base.raw_host, proxy.port if proxy else port)
    connection = Connection(loop, (base.scheme, base.host, port))
    try:
        await loop.create_connection(lambda: connection, sock=sock)
        if proxy:
            await tunnel(connection, proxy, base.raw_host, port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await connection.start_tls(context, base.host)
        return connection.certificate
    finally:
        connection.abort()
        sock.close()
        await asyncio.sleep(0)  # the socket is closed in the next round of the loop


# What a name is made of, and how each kind of text is written.
_NAMES = {b"\x55\x04\x03": "name", b"\x55\x04\x0a": "organisation", b"\x55\x04\x0b": "unit"}
_TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
_VERSION = 0xA0


def issuer_of(certificate: bytes) -> str:
    """The issuer's name, and the organisation it belongs to; ValueError or IndexError for what is no certificate."""
    if not certificate:
        return ""
    (_, whole), *_ = _items(certificate)
    (_, signed), *_ = _items(whole)
    fields = [content for tag, content in _items(signed) if tag != _VERSION]
    found: dict[str, str] = {}
    for _, group in _items(fields[2]):  # after the serial number and the way of signing
        for _, pair in _items(group):
            (_, kind), (tag, value) = _items(pair)
            if kind in _NAMES:
                found.setdefault(_NAMES[kind], value.decode(_TEXTS.get(tag, "latin-1"), "replace"))
    name = found.get("name") or found.get("unit", "")
    organisation = found.get("organisation", "")
    return f"{name} ({organisation})" if name and organisation not in ("", name) else name or organisation


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The values that follow one another: their tags and contents."""
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            width = size & 0x7F
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        if at + size > len(data):
            raise ValueError("it ends too early")
        yield tag, data[at : at + size]
        at += size
