"""A GET of something small, on the way that a question takes: a list of models, a page of an index, a file, or whether anybody is
there."""

from __future__ import annotations

import asyncio
import zlib

from agentcli.core.provider import ProviderError
from agentcli.providers.fault import FinalError
from agentcli.providers.http.fault import broken
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.route import Route

__all__ = ["body", "fault", "get"]


async def get(route: Route, path: str = "", *, until: float | None = None) -> httpx.Response:
    """The answer from below the base URL, whose body is still to be read (`response.stream`).

    Connecting has the clock of the route; the rest ends at the time `until` of the loop, with a TimeoutError. Else httpx's exceptions.
    """
    request = route.request(path)
    request.extensions["connection"] = await route.transport.connect(request.url)
    async with asyncio.timeout_at(until):
        return await route.transport.handle_async_request(request)


async def body(response: httpx.Response, most: int, what: str, *, hint: str = "") -> bytes:
    """All of a body, without its wrapping, if that is at most so many bytes. An error says `what` it is; the `hint` is for one that
    is longer."""
    packed = response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", "")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # though it was asked not to pack
    read = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for piece in response.stream:
        try:
            read += inflate.decompress(piece, most + 1) if packed else piece
        except zlib.error as error:
            raise FinalError("protocol", f"{what} is badly compressed: {error}") from None
        if len(read) > most:
            raise ProviderError("too_large", f"{what} is larger than {most >> 20} MiB", hint=hint)
    if packed and not inflate.eof:
        raise ProviderError("cut", f"{what} was cut off", hint="Try again in a while.")
    return bytes(read)


def fault(route: Route, error: httpx.HTTPError, *, heard: bool) -> ProviderError:
    """What one of httpx's exceptions means, fit to be shown. `heard` is true once the answer has begun."""
    told = broken(route.name, error, where=route.where, connect=route.clocks.connect, heard=heard)
    route.tell(told)
    return told
