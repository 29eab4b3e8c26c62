"""A file from the web that a person named: a plain GET, bounded in time, in size and in how often it is sent on.

It goes the way that a question takes (proxy, certificates), but carries nothing of it: no key, no cookie, no header of the
configuration. Redirects are followed from one http:// or https:// address to another. What a person named may be anywhere, also on
this machine; but a redirect may not lead from outside to this machine or its network: what is there would be sent to a model, because
a page out there said so.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from agentcli import __version__
from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks
from agentcli.providers.http.get import body, fault
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.proxy import is_host
from agentcli.providers.http.route import Route

__all__ = ["Fetched", "fetch"]

_HOPS = 5
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": f"agentcli/{__version__}"}
_CURL = "Get it in another way, and attach the file: curl -L … | agentcli ask -f - …"


class Fetched(Struct, frozen=True):
    """What was there. `url` is where it was in the end, without what may be a secret in it: a query, a fragment."""

    url: str
    media_type: str
    charset: str
    body: bytes

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


async def fetch(url: str, *, patience: float = 20.0, most: int = 32 << 20) -> Fetched:
    """What is at the address. A ProviderError says in words what is wrong."""
    try:
        async with asyncio.timeout(patience):
            return await _follow(url, patience, most)
    except TimeoutError:
        raise ProviderError("unreachable", f"it did not come whole within {patience:g} s", hint=_CURL) from None


async def _follow(named: str, patience: float, most: int) -> Fetched:
    url, inside = _understood(named), True
    for hop in range(_HOPS + 1):
        route = Route(url.netloc.decode("ascii"), str(url), {}, Clocks(connect=patience), keep=False)
        heard = False
        try:
            if hop and not inside and _is_inside(url.host):
                raise _led_inside(url)
            request = httpx.Request("GET", url, headers=_HEADERS)
            connection = await route.transport.connect(url)
            if not route.proxy:
                there = connection.peer
                if hop and not inside and _is_inside(there):
                    raise _led_inside(url)
            inside = _is_inside(url.host if route.proxy else there)
            request.extensions["connection"] = connection
            response = await route.transport.handle_async_request(request)
            heard = True
            if 300 <= response.status_code < 400 and (location := response.headers.get("location")):
                url = _next(url, location)
                continue
            if response.status_code != 200:
                raise _refused(url, response.status_code)
            kind, charset = _kind(response.headers.get("content-type", ""))
            return Fetched(_shown(url), kind, charset, await body(response, most, "it", hint="Attach a part of it."))
        except httpx.HTTPError as error:
            raise _told(fault(route, error, heard=heard), url) from None
        finally:
            await route.aclose()
    raise ProviderError("redirect", f"it is sent on more than {_HOPS} times, lastly to {url.host}", hint=_CURL)


def _understood(address: str) -> httpx.URL:
    try:
        url = _checked(httpx.URL(address))
    except (httpx.InvalidURL, ValueError):
        raise ProviderError("bad_request", "that is no address", hint="It looks like https://example.org/page.html.") from None
    if url.userinfo:
        said = "a name and a password in an address are not sent"
        raise ProviderError("bad_request", said, hint=_CURL)
    return url


def _next(url: httpx.URL, location: str) -> httpx.URL:
    """Where a redirect leads."""
    try:
        return _checked(url.join(location)).copy_with(userinfo=b"")
    except (httpx.InvalidURL, ValueError):
        raise ProviderError("redirect", f"{url.host} sends us on to something that is no web address", hint=_CURL) from None


def _checked(url: httpx.URL) -> httpx.URL:
    """An address that can be asked, without its fragment. ValueError if it is none; what a name says of itself may be one, too."""
    if url.scheme not in ("http", "https") or not is_host(url.host) or (url.port or 0) > 65535:
        raise ValueError(str(url))
    return url.copy_with(fragment=None)


def _told(error: ProviderError, url: httpx.URL) -> ProviderError:
    """A fault of the connection, as it is of a page and not of a model."""
    if error.kind == "protocol":
        return ProviderError("protocol", f"{url.host} does not answer as a web server does", hint=_CURL)
    if error.kind == "cut":
        error.hint = "Try again in a while."
    return error


def _led_inside(url: httpx.URL) -> ProviderError:
    return ProviderError(
        "redirect",
        f"it is sent on to {url.host}, which is on this machine or its network",
        hint="If that is what you want, name that address yourself.",
    )


def _refused(url: httpx.URL, status: int) -> ProviderError:
    words = next((f" ({one.phrase.lower()})" for one in HTTPStatus if one == status), "")
    hints = {401: "It wants to know who asks. ", 403: "It wants to know who asks. ", 404: "Is the address right? "}
    return ProviderError("not_found", f"{url.host} says {status}{words}", hint=f"{hints.get(status, '')}{_CURL}", status=status)


def _is_inside(host: str) -> bool:
    """Is the host this machine, or one that only its network can see? Of a name that is not known to be."""
    if f".{host.lower().rstrip('.')}".endswith(".localhost"):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not (getattr(address, "ipv4_mapped", None) or address).is_global


def _shown(url: httpx.URL) -> str:
    """The address without its query, which may be a key."""
    return str(url.copy_with(query=None))


def _kind(header: str) -> tuple[str, str]:
    """The media type and the charset."""
    media_type, _, parameters = header.partition(";")
    found = re.search(r"\bcharset\s*=\s*[\"']?([\w.:-]{1,40})", parameters, re.IGNORECASE)
    return media_type.strip().lower(), found[1].lower() if found else ""
