"""The way to a server: its address, what is sent with every request, the proxy before it, and the transports.

Calls go straight to httpx's transport interface, without its client: what a client adds (cookies, redirects, hooks) is not wanted
here. The transport is `_stream`'s, which all calls share. Where a proxy is set for the server (HTTP(S)_PROXY, ALL_PROXY, NO_PROXY) it
is httpx's own, one for each call at a time: its pool is slow when shared, and loses a place when a call in it is cancelled. So one
that saw a call fail is closed, and only one whose call ended well is used again.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from agentcli import __version__
from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks
from agentcli.providers._fault import FinalError
from agentcli.providers._httpx import httpx
from agentcli.providers._stream import StreamTransport, tls_context

__all__ = ["Route", "proxy_for"]

_SECRET = ("authorization", "key", "token", "secret", "cookie")  # in the names of headers


class Route:
    """The way to one server, for one key."""

    def __init__(
        self, name: str, base_url: str, headers: Mapping[str, str], clocks: Clocks, keep: bool, *, key_name: str = ""
    ) -> None:
        self.name = name
        self.clocks = clocks
        self.keep = keep
        self.key_name = key_name
        self._base_url = base_url
        self._headers = {
            "accept": "text/event-stream, application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"agentcli/{__version__}",
            **{name.lower(): value.strip() for name, value in headers.items()},
        }
        values = [value for name, value in self._headers.items() if any(word in name for word in _SECRET)]
        self.secrets = tuple(filter(None, (value.rpartition(" ")[2] for value in values)))
        self._urls: dict[str, httpx.URL] = {}  # making one takes longer than anything else in a request
        self._shared = StreamTransport(keep=keep)
        self._spare: list[httpx.AsyncHTTPTransport] = []

    @cached_property
    def base(self) -> httpx.URL:
        try:
            url = httpx.URL(self._base_url)
            if url.scheme not in ("http", "https") or not url.host:
                raise ValueError("it must begin with http:// or https://, and name a host")
        except (httpx.InvalidURL, ValueError) as error:
            raise FinalError(
                "unreachable",
                f"the base URL of {self.name} cannot be used: {error}",
                hint="It looks like http://127.0.0.1:8000/v1.",
            ) from None
        if url.userinfo and "authorization" not in self._headers:
            self._headers["authorization"] = f"Basic {base64.b64encode(unquote(url.userinfo.decode()).encode()).decode()}"
        if url.password:
            self.secrets += (url.password,)
        return url.copy_with(userinfo=b"")

    @cached_property
    def proxy(self) -> str | None:
        return proxy_for(self.base.scheme, self.base.host, self.base.port)

    @cached_property
    def where(self) -> str:
        """The server, and the proxy before it, as messages name them."""
        if self.proxy is None:
            return self.base.netloc.decode("ascii")
        return f"{self.base.netloc.decode('ascii')} through the proxy {urlsplit(self.proxy).netloc.rpartition('@')[2]}"

    def request(self, path: str, body: bytes) -> httpx.Request:
        """A POST to a path below the base URL."""
        url = self._urls.get(path)
        if url is None:
            base, _, query = self.base.raw_path.partition(b"?")
            target = base.rstrip(b"/") + path.encode("ascii") + (b"?" + query if query else b"")
            url = self._urls[path] = self.base.copy_with(raw_path=target)
        timeout = {"connect": self.clocks.connect, "pool": self.clocks.connect, "read": None, "write": None}
        try:
            return httpx.Request("POST", url, headers=self._headers, content=body, extensions={"timeout": timeout})
        except UnicodeEncodeError:
            raise FinalError(
                "auth",
                f"the key of {self.name} has characters in it that no key has",
                hint=f"Check {self.key_name or 'the key'}.",
            ) from None

    def take(self) -> httpx.AsyncBaseTransport:
        """A transport for one call."""
        if self.proxy is None:
            return self._shared
        if self._spare:
            return self._spare.pop()
        try:
            return httpx.AsyncHTTPTransport(
                proxy=self.proxy,
                verify=tls_context(),
                limits=httpx.Limits(max_keepalive_connections=1 if self.keep else 0),
            )
        except (ImportError, ValueError) as error:
            words = "it needs httpx[socks]" if isinstance(error, ImportError) else str(error)
            raise FinalError(
                "unreachable", f"cannot ask {self.where}: {words}", hint="Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."
            ) from None

    async def give_back(self, transport: httpx.AsyncBaseTransport, *, clean: bool) -> None:
        if not isinstance(transport, httpx.AsyncHTTPTransport):
            return
        if clean and self.keep and not self._spare:
            self._spare.append(transport)
        else:
            await transport.aclose()

    def scrub(self, error: ProviderError) -> None:
        """Take the key out of what will be shown."""
        for secret in self.secrets:
            error.message = error.message.replace(secret, "…")
            error.hint = error.hint.replace(secret, "…")
        error.args = (error.message,)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._shared.aclose()
        while self._spare:
            await self._spare.pop().aclose()


def proxy_for(scheme: str, host: str, port: int | None = None) -> str | None:
    """The proxy that the environment (or the system) sets for this server, as a URL."""
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
    return proxy if "://" in proxy else f"http://{proxy}"
