"""One provider's questions to its server: what is tried, what is tried again, and what a caller is told meanwhile.

`Http.stream()` posts a body and yields the chunks that a decoder makes of what comes back. The decoder is the provider's own, made
new for every try: `feed(bytes)` gives chunks, `end()` those that were held back, and raises a "cut" if the answer is not whole. A
StopChunk is the last chunk of an answer. `_call` is one try, `_route` the way to the server; together they keep these promises:

- **Retries** happen only before the first content (text, thinking, a call), for faults that time may heal: no connection, 408, 409,
  429, 5xx, or an answer that broke off or turned into such an error before it had begun. `Retry-After` is obeyed up to 120 s. A
  retry is announced before it is waited for. All calls of a key pass one gate (`_retry`).
- **Clocks**: `connect` for the connection; `idle` for the time without *content*: pings, comments and empty pieces do not count.
  They run around single waits, never around a yield, so that a slow consumer is not a slow server.
- **An answer that was cut is an error**, and one that had ended is not, even if the connection broke after its end: the decoder says
  which. Redirects are not followed: they would carry the key to another host. A reply is at most 32 MiB, decompressed.
- **Cancelling** closes the socket at once, wherever the call is. No key stands in any message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from agentcli.core.event import Retrying
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, TextChunk
from agentcli.providers import Clocks
from agentcli.providers._call import Decoder, call
from agentcli.providers._fault import again
from agentcli.providers._retry import back_off, gate
from agentcli.providers._route import Route
from agentcli.providers._stream import tls_context

__all__ = ["Decoder", "Http", "warm"]


class Http:
    """See the top of the file. `key_name` is how a hint names the place the key comes from."""

    def __init__(
        self, name: str, base_url: str, headers: Mapping[str, str], clocks: Clocks, keep: bool, *, key_name: str = ""
    ) -> None:
        self._route = Route(name, base_url, headers, clocks, keep, key_name=key_name)
        self._retries = clocks.retries
        self._gate = gate(base_url, self._route.secrets)

    async def stream(self, path: str, body: bytes, decoder: Callable[[], Decoder]) -> AsyncGenerator[Chunk, None]:
        """Post the body; the chunks of the answer, and what is being waited for."""
        for attempt in range(1, self._retries + 2):
            begun = False
            try:
                async with aclosing(call(self._route, self._gate, path, body, decoder())) as chunks:
                    async for chunk in chunks:
                        begun = begun or isinstance(chunk, TextChunk | ReasoningChunk | CallChunk)
                        yield chunk
            except ProviderError as error:
                self._route.scrub(error)
                if begun or attempt > self._retries or not again(error):
                    raise
                failure = error
            else:
                return
            delay = back_off(attempt) if failure.retry_after is None else failure.retry_after
            if failure.retry_after is not None or failure.kind in ("rate_limit", "overloaded"):
                self._gate.shut(delay)
            yield Retrying(
                attempt=attempt,
                attempts=self._retries,
                delay=round(delay, 3),
                reason=failure.message,
                status=failure.status,
            )
            await asyncio.sleep(delay)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._route.aclose()


def warm(base_url: str = "") -> None:
    """Get ready what the first call needs. Importing this module was most of it; it may be called in a thread."""
    if base_url.startswith("https:"):
        tls_context()
