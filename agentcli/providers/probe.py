"""Asks a server for its models, to see whether it answers (`doctor`). What the models are: `listing`.

One `GET …/models`, on the way that a question would take, and one clock for all of it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import NamedTuple

from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks
from agentcli.providers.catalogue.listing import address
from agentcli.providers.http.fault import causes
from agentcli.providers.http.get import fault, get
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.route import Route

__all__ = ["PATIENCE", "Outcome", "probe"]

PATIENCE = 3.0  # seconds for all of it


class Outcome(NamedTuple):
    """What came of it. Kinds: answers, path, redirect, server, dns, refused, network, tls, proxy, timeout, protocol, address."""

    kind: str
    text: str
    hint: str = ""


async def probe(url: str, *, kind: str = "openai-chat", patience: float = PATIENCE) -> Outcome:
    """Ask the server at a base URL, without a key. It never raises, and takes no longer than `patience`."""
    route = Route("the server", address(kind, url), {}, Clocks(connect=patience), keep=False)
    try:
        _ = route.where
    except ProviderError as error:
        return Outcome("proxy" if route.understood else "address", error.message, error.hint)
    through = route.proxy is not None and not route.proxy.socks and route.base.scheme == "http"
    try:
        response = await get(route, "/models", until=asyncio.get_running_loop().time() + patience)  # its body is left unread
        return _judged(response.status_code, through=through)
    except TimeoutError:
        return Outcome("timeout", f"no answer within {patience:g} s while asking", "Is a firewall or a proxy in the way?")
    except httpx.HTTPError as error:
        told = fault(route, error, heard=False)
        kind = _kind(error, proxied=route.proxy is not None)
        return Outcome(kind, *_WORDS.get(kind, (told.message, told.hint)))
    except ProviderError as error:  # the certificates to check it by cannot be read
        return Outcome(error.kind, error.message, error.hint)
    finally:
        await route.aclose()


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


def _kind(error: httpx.HTTPError, *, proxied: bool) -> str:
    """What failed. Whatever is dialled, when there is a proxy, is the proxy."""
    chain = list(causes(error))
    if any(isinstance(each, ssl.SSLError) for each in chain):
        return "tls"
    if isinstance(error, httpx.ProxyError):
        return "proxy"
    if isinstance(error, httpx.ConnectTimeout):
        return "timeout"
    if not isinstance(error, httpx.ConnectError):
        return "protocol"
    if proxied:
        return "proxy"
    if any(isinstance(each, socket.gaierror | UnicodeError) for each in chain):
        return "dns"
    return "refused" if any(isinstance(each, OSError) and each.errno == errno.ECONNREFUSED for each in chain) else "network"


_WORDS = {
    "dns": ("its name is not known", "Check the name, and whether this machine is online."),
    "refused": ("nothing listens there: the connection was refused", "Is the server running, and is that its port?"),
}
_PROXY = "See HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
