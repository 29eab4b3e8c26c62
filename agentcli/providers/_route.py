"""The way to a server: its address, what is sent with every request, the proxy before it, and the transport.

Calls go straight to httpx's transport interface, without its client: what a client adds (cookies, redirects, hooks) is not wanted
here. One transport (`_stream`) serves all calls of a provider.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import unquote

from agentcli import __version__
from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks
from agentcli.providers._fault import FinalError
from agentcli.providers._httpx import httpx
from agentcli.providers._proxy import Proxy, is_host, proxy_for
from agentcli.providers._stream import StreamTransport

__all__ = ["Route"]

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

    @cached_property
    def base(self) -> httpx.URL:
        try:
            url = httpx.URL(self._base_url)
            if url.scheme not in ("http", "https") or not is_host(url.host) or (url.port or 0) > 65535:
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
        for part in url.query.decode("ascii", "replace").split("&"):  # some servers take the key there
            value = part.partition("=")[2]
            self.secrets += tuple({one for one in (value, unquote(value)) if len(one) >= 8})
        return url.copy_with(userinfo=b"")

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
        return StreamTransport(keep=self.keep, proxy=self.proxy)

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

    def scrub(self, error: ProviderError) -> None:
        """Take the key out of what will be shown."""
        for secret in self.secrets:
            error.message = error.message.replace(secret, "…")
            error.hint = error.hint.replace(secret, "…")
        error.args = (error.message,)

    async def aclose(self) -> None:
        """Close every connection."""
        if "transport" in vars(self):
            await self.transport.aclose()
