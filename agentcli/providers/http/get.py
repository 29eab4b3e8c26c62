"""A GET of something small, on the way that a question takes: a list of models, a page of an index, or whether anybody is there."""

from __future__ import annotations

import asyncio

from agentcli.core.provider import ProviderError
from agentcli.providers.http.fault import broken
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.route import Route

__all__ = ["fault", "get"]


async def get(route: Route, path: str = "", *, until: float | None = None) -> httpx.Response:
    """The answer from below the base URL, whose body is still to be read (`response.stream`).

    Connecting has the clock of the route; the rest ends at the time `until` of the loop, with a TimeoutError. Else httpx's exceptions.
    """
    request = route.request(path)
    request.extensions["connection"] = await route.transport.connect(request.url)
    async with asyncio.timeout_at(until):
        return await route.transport.handle_async_request(request)


def fault(route: Route, error: httpx.HTTPError, *, heard: bool) -> ProviderError:
    """What one of httpx's exceptions means, fit to be shown. `heard` is true once the answer has begun."""
    told = broken(route.name, error, where=route.where, connect=route.clocks.connect, heard=heard)
    route.tell(told)
    return told
