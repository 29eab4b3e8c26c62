"""The way to a server: its address, what is sent with every request, the proxy before it, and the transport.

Calls go straight to httpx's transport interface, without its client: what a client adds (cookies, redirects, hooks) is not wanted
here. One transport (`transport`) serves all calls of a provider.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from urllib.parse import quote, unquote

from agentcli import __version__
from agentcli.core.message import speakable
from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks
from agentcli.providers.fault import FinalError
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.proxy import Proxy, is_host, proxy_for
from agentcli.providers.http.transport import StreamTransport

__all__ = ["Route"]

_LONG = 8  # characters of a secret that is looked for within words, too
_MESSAGE = 600  # characters of a message
_SECRET = ("authorization", "key", "token", "secret", "cookie")  # in the names of headers


class Route:
    """The way to one server, for one key. `certificates` is a file of authorities to check it by, if no variable names one."""

    def __init__(
        self,
        name: str,
        base_url: str,
        headers: Mapping[str, str],
        clocks: Clocks,
        keep: bool,
        *,
        key_name: str = "",
        certificates: str = "",
    ) -> None:
        self.name = name
        self.clocks = clocks
        self.keep = keep
        self.key_name = key_name
        self.certificates = certificates
        self._headers = {
            "accept": "text/event-stream, application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"agentcli/{__version__}",
            **{name.lower(): value.strip() for name, value in headers.items()},
        }
        values = [value for name, value in self._headers.items() if any(word in name for word in _SECRET)]
        self.secrets = tuple(filter(None, (value.rpartition(" ")[2] for value in values)))  # known before anything is asked
        self._urls: dict[str, httpx.URL] = {}  # making one takes longer than anything else in a request
        self._base: httpx.URL | None = None
        with suppress(httpx.InvalidURL, ValueError):
            self._base = self._understood(base_url)

    @property
    def understood(self) -> bool:
        """Is the base URL one?"""
        return self._base is not None

    @property
    def base(self) -> httpx.URL:
        if self._base is None:
            raise FinalError(
                "unreachable",
                f"the base URL of {self.name} cannot be used: it must begin with http:// or https://, and name a host",
                hint="It looks like http://127.0.0.1:8000/v1.",
            )
        return self._base

    @cached_property
    def _spelled(self) -> re.Pattern[str]:
        return _pattern(self.secrets)

    @cached_property
    def proxy(self) -> Proxy | None:
        address = proxy_for(self.base.scheme, self.base.host, self.base.port)
        try:
            return Proxy.at(address) if address else None
        except ValueError as error:
            raise FinalError("unreachable", str(error), hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.") from None

    @cached_property
    def where(self) -> str:
        """The server, and the proxy before it, as messages name them."""
        server = self.base.netloc.decode("ascii")
        return f"{server} through the proxy {self.proxy}" if self.proxy else server

    @cached_property
    def transport(self) -> StreamTransport:
        """Made when the first question is asked."""
        return StreamTransport(keep=self.keep, proxy=self.proxy, patience=self.clocks.connect, certificates=self.certificates)

    def request(self, path: str, body: bytes | None = None) -> httpx.Request:
        """A POST of the body to a path below the base URL; a GET without one."""
        url = self._urls.get(path)
        if url is None:
            base, _, query = self.base.raw_path.partition(b"?")
            target = base.rstrip(b"/") + path.encode("ascii") + (b"?" + query if query else b"")
            url = self._urls[path] = self.base.copy_with(raw_path=target)
        if not all(secret.isprintable() for secret in self.secrets):
            raise self._no_key()
        try:
            return httpx.Request("GET" if body is None else "POST", url, headers=self._headers, content=body)
        except UnicodeEncodeError:
            raise self._no_key() from None

    def _no_key(self) -> ProviderError:
        said = f"the key of {self.name} has characters in it that no key has"
        return FinalError("auth", said, hint=f"Check {self.key_name or 'the key'}.")

    def tell(self, error: ProviderError) -> None:
        """Make an error fit to be shown: without the key, and then not longer than can be read."""
        error.message = _short(speakable(self._spelled.sub("…", error.message)))
        error.hint = self._spelled.sub("…", error.hint)
        error.args = (error.message,)

    async def aclose(self) -> None:
        """Close every connection."""
        if "transport" in vars(self):
            await self.transport.aclose()

    def _understood(self, base_url: str) -> httpx.URL:
        url = httpx.URL(base_url)
        if url.scheme not in ("http", "https") or not is_host(url.host) or (url.port or 0) > 65535:
            raise ValueError(base_url)
        if url.userinfo and "authorization" not in self._headers:
            login = base64.b64encode(unquote(url.userinfo.decode()).encode()).decode()
            self._headers["authorization"] = f"Basic {login}"
            self.secrets += (login,)
        if url.password:
            self.secrets += (url.password,)
        for part in url.query.decode("ascii", "replace").split("&"):  # some servers take the key there
            value = part.partition("=")[2]
            self.secrets += tuple({one for one in (value, unquote(value)) if len(one) >= _LONG})
        return url.copy_with(userinfo=b"")


def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """Where a secret stands, in any of the ways of writing it. One that is short counts only as a whole word."""
    writings = {way for secret in secrets for way in (secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1])}
    longest_first = sorted(writings, key=len, reverse=True)
    each = (re.escape(one) if len(one) >= _LONG else rf"(?<!\w){re.escape(one)}(?!\w)" for one in longest_first)
    return re.compile("|".join(each) or r"(?!)")


def _short(text: str) -> str:
    return text if len(text) <= _MESSAGE else f"{text[:_MESSAGE]}…"
