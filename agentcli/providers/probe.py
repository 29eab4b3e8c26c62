"""Does a server answer? For `doctor`, which has to say what exactly stands in the way.

One request, `GET …/models`, without a key, on the way that a real one would take: the same resolver, the same certificates, the same
proxy. It is written by hand, because a client's one "connection failed" is what brings a user to `doctor` in the first place.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from agentcli.errors import UserError
from agentcli.providers._dial import Dialler

__all__ = ["PATIENCE", "Outcome", "probe", "shown"]

PATIENCE = 3.0  # seconds for all of it
_LIMIT = 1 << 16  # bytes of an answer's head


class Outcome(NamedTuple):
    """What came of it. Kinds: answers, path, redirect, server, dns, refused, network, tls, proxy, timeout, protocol, address."""

    kind: str
    text: str
    hint: str = ""


class _Failed(Exception):  # noqa: N818  (it carries an outcome; it is not one itself)
    def __init__(self, *outcome: str) -> None:
        super().__init__(*outcome)
        self.outcome = Outcome(*outcome)


async def probe(url: str, *, patience: float = PATIENCE) -> Outcome:
    """Ask the server at a base URL for its models. It never raises, and takes no longer than `patience`."""
    try:
        target = urlsplit(url)
        if target.scheme not in ("http", "https") or not target.hostname:
            raise ValueError
        _port(target)
    except ValueError:
        return Outcome("address", "is not an http:// or https:// address")
    step = ["connecting"]
    try:
        async with asyncio.timeout(patience):
            return await _ask(target, _proxy_for(target), step)
    except _Failed as failed:
        return failed.outcome
    except TimeoutError:
        return Outcome("timeout", f"no answer within {patience:g} s while {step[0]}", "Is a firewall or a proxy in the way?")
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:
        return Outcome("protocol", f"hung up while {step[0]} ({error})", "Is it an HTTP server? Does it want https:// for http://?")


def shown(url: str) -> str:
    """A URL without what may be secret in it: the user and the query."""
    return re.sub(r"[?#].*", "", re.sub(r"\A([A-Za-z]+://)?.*@", r"\1…@", url, flags=re.DOTALL), flags=re.DOTALL)


async def _ask(target: SplitResult, proxy: SplitResult | None, step: list[str]) -> Outcome:
    secure = target.scheme == "https"
    context = _context() if secure or (proxy and proxy.scheme == "https") else None
    reader, writer = await _connect(proxy or target, context, step, is_proxy=proxy is not None)
    try:
        if proxy and secure:
            step[0] = "asking the proxy"
            writer.write(f"CONNECT {_host(target)} HTTP/1.1\r\nHost: {_host(target)}\r\n{_pass(proxy)}\r\n".encode())
            if (status := await _status(reader)) != 200:
                raise _Failed("proxy", f"the proxy {shown(proxy.geturl())} refused it (HTTP {status})", _PROXY)
            step[0] = _SHAKING
            try:
                await writer.start_tls(context or ssl.create_default_context(), server_hostname=target.hostname)
            except ssl.SSLError as error:
                raise _Failed("tls", *_tls(error)) from None
        step[0] = "asking"
        path = quote(f"{target.path.rstrip('/')}/models{f'?{target.query}' if target.query else ''}", safe="/?&=%:@+,;~")
        through = f"http://{_host(target)}" if proxy and not secure else ""
        headers = f"Host: {_host(target)}\r\nAccept: */*\r\nUser-Agent: agentcli\r\nConnection: close\r\n"
        if through and proxy:
            headers += _pass(proxy)
        writer.write(f"GET {through}{path} HTTP/1.1\r\n{headers}\r\n".encode())
        return _judged(await _status(reader), through=bool(through))
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)  # the socket is closed in the loop's next round


async def _connect(
    place: SplitResult, context: ssl.SSLContext | None, step: list[str], *, is_proxy: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host = place.hostname or ""
    secure = place.scheme == "https"
    what = f"the proxy {shown(place.geturl())}: " if is_proxy else ""
    try:
        sock = await Dialler().dial(host.encode("ascii" if host.isascii() else "idna"), _port(place))
    except (OSError, UnicodeError) as error:
        kind, text, hint = _network(host, error)
        raise _Failed("proxy" if is_proxy else kind, what + text, _PROXY if is_proxy else hint) from None
    if secure:
        step[0] = _SHAKING
    try:
        return await asyncio.open_connection(sock=sock, ssl=context if secure else None, server_hostname=host if secure else None)
    except BaseException as error:
        sock.close()
        if isinstance(error, ssl.SSLError):
            raise _Failed("tls", *_tls(error, what)) from None
        raise


async def _status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] (\d{3})[ \r]", head)
    if not found:
        raise _Failed("protocol", "does not speak HTTP", "Check the address and its port.")
    return int(found[1])


def _judged(status: int, *, through: bool) -> Outcome:
    match status:
        case 407:
            return Outcome("proxy", "the proxy wants a user and a password (HTTP 407)", _PROXY)
        case 404:
            return Outcome("path", "answers, but has nothing at …/models (HTTP 404)", "Check the path: most base URLs end in /v1.")
        case _ if 300 <= status < 400:
            return Outcome(
                "redirect", f"sends elsewhere (HTTP {status})", "Use the address that it leads to: a key is not sent after a redirect."
            )
        case 502 | 503 | 504 if through:
            return Outcome("proxy", f"the proxy cannot reach it (HTTP {status})", _PROXY)
        case _ if status >= 500:
            return Outcome("server", f"answers that it is out of order (HTTP {status})", "Try again later.")
    return Outcome("answers", "answers" if status < 300 else f"answers (HTTP {status}, asked without a key)")


def _context() -> ssl.SSLContext:
    from agentcli.providers._stream import tls_context

    try:
        return tls_context()
    except UserError as error:
        raise _Failed("tls", error.message, _CERTIFICATES) from None


def _network(host: str, error: Exception) -> tuple[str, str, str]:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "dns", f"the name {host} is not known", "Check the name, and whether this machine is online."
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        return "refused", "nothing listens there: the connection was refused", "Is the server running, and is that its port?"
    return "network", f"cannot be reached: {error}", "Is this machine online?"


def _tls(error: ssl.SSLError, what: str = "") -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{what}its certificate is not trusted: {error.verify_message}", _CERTIFICATES
    hint = "It may be an http:// server." if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE") else ""
    return f"{what}the TLS handshake failed: {error.reason or error}", hint


def _proxy_for(target: SplitResult) -> SplitResult | None:
    if proxy_bypass(_host(target)):
        return None
    proxies = getproxies()
    said = proxies.get(target.scheme) or proxies.get("all")
    if not said:
        return None
    proxy = urlsplit(said if "://" in said else f"http://{said}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        raise _Failed("proxy", f"the proxy {shown(said)} is of a kind that is not tried here")
    return proxy


def _host(place: SplitResult) -> str:
    name = place.hostname or ""
    return f"[{name}]:{_port(place)}" if ":" in name else f"{name}:{_port(place)}"


def _port(place: SplitResult) -> int:
    return place.port or (443 if place.scheme == "https" else 80)


def _pass(proxy: SplitResult) -> str:
    if proxy.username is None:
        return ""
    words = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {b64encode(words.encode()).decode()}\r\n"


_SHAKING = "agreeing on TLS"
_PROXY = "See HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
_CERTIFICATES = "If the network has a certificate authority of its own, name its file in SSL_CERT_FILE."
