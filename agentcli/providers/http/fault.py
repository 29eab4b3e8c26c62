"""A request that failed, as a ProviderError: an HTTP status and the body with it, or what stands in the way to the server."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from agentcli.core.provider import ProviderError
from agentcli.providers.fault import HINTS, NO_MONEY, FinalError, Said, failure, fault_of
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.retry import retry_after

__all__ = ["broken", "causes", "refused"]

_SAYING = {
    "auth": "{name} refuses the key ({status})",
    "not_found": "{name} does not know this model or address ({status})",
    "bad_request": "{name} refuses the request ({status})",
    "context_length": "the conversation is too long for this model ({status})",
    "too_large": "the request is too large for {name} ({status})",
    "rate_limit": "{name} says that this is too much at once ({status})",
    "overloaded": "{name} is overloaded ({status})",
    "server": "{name} failed ({status})",
}


def refused(name: str, status: int, headers: Mapping[str, str], body: bytes, *, key: str, has_key: bool) -> ProviderError:
    """An answer that is an HTTP error. `key` is where the key comes from, for the hint."""
    if 300 <= status < 400:
        return _redirected(name, status, headers.get("location", ""))
    said = Said.in_body(body)
    kind = fault_of(status, said.codes, said.words)
    message, hint = _SAYING[kind], HINTS.get(kind, "")
    if kind == "auth":
        message, hint = _not_let_in(status, f"{said.codes} {said.words}", key, has_key)
    message = message.format(name=name, status=status) + (f": {said.words}" if said.words else "")
    seconds = retry_after(headers, status)
    return failure(kind, message, hint, said, status=status, seconds=said.retry_after if seconds is None else seconds)


def broken(name: str, error: Exception, *, where: str, connect: float, heard: bool) -> ProviderError:
    """A fault on the way: `where` is the server, or the proxy before it; `heard` is true once the answer has begun."""
    chain = list(causes(error))
    said = next(filter(None, map(_said, reversed(chain))), type(error).__name__)
    system = next((each for each in chain if isinstance(each, OSError) and each.errno in (errno.EMFILE, errno.ENFILE)), None)
    secure = next((each for each in chain if isinstance(each, ssl.SSLError)), None)
    if system:
        return FinalError(
            "unreachable",
            f"cannot connect to {where}: too many files are open",
            hint="Raise the limit (`ulimit -n 4096`), or do less at once.",
        )
    if secure and not heard:
        return FinalError("tls", f"no secure connection to {where}: {_tls(secure)}", hint=_tls_hint(secure))
    if isinstance(error, httpx.ConnectTimeout):
        return ProviderError(
            "unreachable", f"no connection to {where} after {connect:g} s: {said}", hint="Check the address and the network."
        )
    if isinstance(error, httpx.ProxyError):
        return FinalError("unreachable", f"cannot connect to {where}: {said}", hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.")
    if isinstance(error, httpx.ConnectError):
        return ProviderError("unreachable", f"cannot connect to {where}: {said}", hint=_way_hint(chain, where))
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.LocalProtocolError):
        return FinalError(
            "unreachable", f"cannot ask {where}: {said}", hint="Check the base URL and the headers in the configuration."
        )
    if isinstance(error, httpx.RemoteProtocolError) and not re.search("not whole|no answer|without|closed|incomplete", said):
        return FinalError("protocol", f"{name} does not answer as a model server does: {said}", hint="Is the base URL right?")
    if heard:
        return ProviderError("cut", f"the answer of {name} was cut off: {said}", hint="Ask again, or go on from what there is.")
    return ProviderError("cut", f"{where} closed the connection before it answered: {said}", hint="Try again in a while.")


def _way_hint(chain: list[BaseException], where: str) -> str:
    """What to look at when there is no connection."""
    if " through the proxy " in where:
        return "Is the proxy running? See HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."
    if any(isinstance(each, socket.gaierror | UnicodeError) for each in chain):
        return "Is this machine online, and the name right?"
    return "Is the server running, and its address right?"


def _not_let_in(status: int, said: str, key: str, has_key: bool) -> tuple[str, str]:
    if status == 402 or NO_MONEY.search(said):
        return "{name} wants to be paid ({status})", "Check the plan and the balance of the account."
    if not has_key:
        return "{name} wants a key ({status})", f"Set {key}." if key else "Set a key for it in the configuration."
    if status == 403:
        return "{name} does not allow this ({status})", f"Check what the key in {key or 'the configuration'} may do."
    return _SAYING["auth"], f"Check the key in {key or 'the configuration'}."


def _redirected(name: str, status: int, location: str) -> ProviderError:
    host = ""
    with suppress(ValueError):  # no address at all
        host = urlsplit(location).netloc.rpartition("@")[2]
    where = f"to {host}" if host else "to another address"
    return ProviderError(
        "redirect",
        f"{name} sends us elsewhere ({status}): {where}",
        hint="A key is never carried to another address. If that is the right one, set it as the base-url.",
        status=status,
    )


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"the name is not known ({getattr(error, 'strerror', error)})"
    return str(error)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()


def _tls_hint(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "If the certificate is your own, name its authority in SSL_CERT_FILE."
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return "The server does not seem to speak TLS: does the base URL begin with http://?"
    return "Check the address, and whether something stands between you and the server."
