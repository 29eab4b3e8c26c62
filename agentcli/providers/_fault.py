"""What a server, or the way to it, means by failing: HTTP statuses, error bodies and httpx's exceptions as ProviderErrors.

The status says most, and the words in the body say the rest: a 400 may be a conversation that is too long, a 429 an account without
money. Servers wrap their words in many ways; `words_of()` knows those that were seen. The message quotes them, at most 500 characters.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from agentcli.core.provider import ProviderError
from agentcli.providers._httpx import httpx
from agentcli.providers._retry import LONGEST, retry_after

__all__ = ["FinalError", "again", "broken", "refused", "words_of"]

_QUOTE = 500  # characters of the server's own words

_AGAIN = {"unreachable", "rate_limit", "overloaded", "server", "cut"}

_KINDS = {
    401: "auth",
    402: "auth",
    403: "auth",
    404: "not_found",
    405: "not_found",
    408: "server",
    409: "server",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}

_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context_window_exceeded|maximum context|context (length|window|size)"
    r"|prompt is too long|too many (input )?tokens|input is too long",
    re.IGNORECASE,
)
_NO_MONEY = re.compile(r"insufficient_quota|insufficient.balance|billing_|credit balance", re.IGNORECASE)

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
_HINTS = {
    "not_found": "Check the name of the model, and the base URL, which often ends in /v1.",
    "context_length": "Begin a new thread, or take a model that holds more.",
    "too_large": "Send less: fewer or smaller attachments.",
    "rate_limit": "Try again in a while.",
    "overloaded": "Try again in a while.",
    "server": "Try again in a while.",
}


class FinalError(ProviderError):
    """One that another try would not change, whatever its kind."""


def again(error: ProviderError) -> bool:
    """True if the same request may do better later."""
    return error.kind in _AGAIN and not isinstance(error, FinalError)


def refused(name: str, status: int, headers: Mapping[str, str], body: bytes, *, key: str, has_key: bool) -> ProviderError:
    """An answer that is an HTTP error. `key` is where the key comes from, for the hint."""
    if 300 <= status < 400:
        return _redirected(name, status, headers.get("location", ""))
    words, codes = words_of(body)
    kind = _KINDS.get(status) or ("server" if status >= 500 else "bad_request")
    if status < 500 and (_TOO_LONG.search(codes) or _TOO_LONG.search(words)):
        kind = "context_length"
    message, hint = _SAYING[kind], _HINTS.get(kind, "")
    if kind == "auth" or (status < 500 and _NO_MONEY.search(f"{codes} {words}")):
        kind, message, hint = _not_let_in(status, f"{codes} {words}", key, has_key)
    message = message.format(name=name, status=status) + (f": {words}" if words else "")
    seconds = retry_after(headers)
    if seconds is not None and seconds > LONGEST and kind in _AGAIN:
        hint = f"It asks to wait {_duration(seconds)} before the next try."
        return FinalError("rate_limit", message, hint=hint, status=status, retry_after=seconds)
    return ProviderError(kind, message, hint=hint, status=status, retry_after=seconds)


def broken(name: str, error: Exception, *, where: str, connect: float, heard: bool) -> ProviderError:
    """A fault on the way: `where` is the server, or the proxy before it; `heard` is true once the answer has begun."""
    causes = list(_causes(error))
    said = next(filter(None, map(_said, reversed(causes))), type(error).__name__)
    system = next((each for each in causes if isinstance(each, OSError) and each.errno in (errno.EMFILE, errno.ENFILE)), None)
    secure = next((each for each in causes if isinstance(each, ssl.SSLError)), None)
    if system:
        return FinalError(
            "unreachable",
            f"cannot connect to {where}: too many files are open",
            hint="Raise the limit (`ulimit -n 4096`), or do less at once.",
        )
    if secure and not heard:
        return FinalError("tls", f"no secure connection to {where}: {_tls(secure)}", hint=_tls_hint(secure))
    if isinstance(error, httpx.ConnectTimeout):
        return ProviderError("unreachable", f"no connection to {where} after {connect:g} s", hint="Check the address and the network.")
    if isinstance(error, httpx.ProxyError):
        return FinalError("unreachable", f"cannot connect to {where}: {said}", hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.")
    if isinstance(error, httpx.ConnectError):
        return ProviderError(
            "unreachable", f"cannot connect to {where}: {said}", hint="Is the server running, and the base URL right?"
        )
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.LocalProtocolError):
        return FinalError(
            "unreachable", f"cannot ask {where}: {said}", hint="Check the base URL and the headers in the configuration."
        )
    if isinstance(error, httpx.RemoteProtocolError) and not re.search("not whole|no answer|without|closed|incomplete", said):
        return FinalError("protocol", f"{name} does not answer as a model server does: {said}", hint="Is the base URL right?")
    if heard:
        return ProviderError("cut", f"the answer of {name} was cut off: {said}", hint="Ask again, or go on from what there is.")
    return ProviderError("cut", f"{where} closed the connection before it answered: {said}", hint="Try again in a while.")


def words_of(body: bytes) -> tuple[str, str]:
    """What an error body says to a person, and the types and codes that it says to a program."""
    text = body.decode(errors="replace").strip()
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        if re.match(r"<(!doctype|html|head|\?xml)", text, re.IGNORECASE):
            title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
            text = title[1] if title else ""
        return ("" if "\0" in text else _quote(text)), ""
    codes: list[str] = []
    for _ in range(4):
        said = said[0] if isinstance(said, list) and said else said
        if not isinstance(said, dict):
            break
        codes += [str(said[key]) for key in ("type", "code", "status") if said.get(key)]
        inner = next((said[key] for key in ("error", "message", "detail", "msg") if said.get(key)), None)
        if inner is None:
            break
        said = inner
    return _quote(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)), " ".join(codes)


def _not_let_in(status: int, said: str, key: str, has_key: bool) -> tuple[str, str, str]:
    if status == 402 or _NO_MONEY.search(said):
        return "auth", "{name} wants to be paid ({status})", "Check the plan and the balance of the account."
    if not has_key:
        return "auth", "{name} wants a key ({status})", f"Set {key}." if key else "Set a key for it in the configuration."
    if status == 403:
        return "auth", "{name} does not allow this ({status})", f"Check what the key in {key or 'the configuration'} may do."
    return "auth", _SAYING["auth"], f"Check the key in {key or 'the configuration'}."


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
    if isinstance(error, socket.gaierror):
        return f"the name is not known ({error.strerror})"
    return str(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
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


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _QUOTE else f"{text[:_QUOTE]}…"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
