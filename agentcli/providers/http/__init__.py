"""One provider's questions to its server: what is tried, what is tried again, and what a caller is told meanwhile.

`Http.stream()` posts a body and yields the chunks that a decoder makes of what comes back. The decoder is the provider's own, made
new for every try: `feed(bytes)` gives chunks, `end()` those that were held back, and raises a "cut" if the answer is not whole. A
StopChunk is the last chunk of an answer. `route` is the way to the server, `transport` its sockets; together they keep these promises:

- **Retries** happen only before the first content (text, thinking, a call), for faults that time may heal: no connection, 408, 409,
  429, 5xx, or an answer that broke off or turned into such an error before it had begun. `Retry-After` is obeyed up to 120 s. A
  retry is announced before it is waited for. All calls of a key pass one gate (`retry`).
- **Clocks**: `connect` for the connection; `idle` for the time without *content*: pings, comments and empty pieces do not count.
  They run around single waits, never around a yield, so that a slow consumer is not a slow server.
- **What is waited for is said** (`core.event.Waiting`), where it happens and before the wait: so a call goes step by step, and between
  two steps there is neither a clock nor a task. A step that is not taken is not named: a connection that was kept is not made.
- **An answer that was cut is an error**, and one that had ended is not, even if the connection broke after its end: the decoder says
  which. Redirects are not followed: they would carry the key to another host. A reply is at most 32 MiB, decompressed; what is kept of
  it, without its wrapping, at most 8 Mi characters (`core.provider.LONGEST`).
- **Cancelling** closes the socket at once, wherever the call is. No key stands in any message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Protocol

from agentcli.core.event import Retrying, Waiting
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, StopChunk, TextChunk
from agentcli.providers import Clocks
from agentcli.providers.fault import FinalError, again
from agentcli.providers.http.call import Call
from agentcli.providers.http.retry import Gate, back_off, gate
from agentcli.providers.http.route import Route
from agentcli.providers.http.tls import tls_context

__all__ = ["Decoder", "Http"]


class Decoder(Protocol):
    """What makes chunks of one body."""

    def feed(self, data: bytes, /) -> Iterable[Chunk]: ...

    def end(self) -> Iterable[Chunk]: ...


class Http:
    """See the top of the file. `key_name` is how a hint names the place the key comes from."""

    def __init__(
        self, name: str, base_url: str, headers: Mapping[str, str], clocks: Clocks, keep: bool, *, key_name: str = ""
    ) -> None:
        self._route = Route(name, base_url, headers, clocks, keep, key_name=key_name)
        self._retries = clocks.retries
        self._longest = clocks.again
        self._gate = gate(base_url, self._route.secrets)
        if keep and base_url.startswith("https:"):  # a chat makes its provider in a thread, while a person types
            with suppress(ProviderError):  # said again when it is needed
                tls_context()

    async def stream(self, path: str, body: bytes, decoder: Callable[[], Decoder]) -> AsyncGenerator[Chunk, None]:
        """Post the body; the chunks of the answer, and what is being waited for."""
        for attempt in range(1, self._retries + 2):
            begun = False
            try:
                async with aclosing(_call(self._route, self._gate, path, body, decoder())) as chunks:
                    async for chunk in chunks:
                        begun = begun or isinstance(chunk, TextChunk | ReasoningChunk | CallChunk)
                        yield chunk
            except ProviderError as error:
                self._route.tell(error)
                if begun or attempt > self._retries or not again(error):
                    raise
                failure = error
            else:
                return
            delay = back_off(attempt) if failure.retry_after is None else failure.retry_after
            if failure.retry_after is not None and delay > self._longest:
                self._gate.shut(delay)
                raise failure
            delay = min(delay, self._longest)
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


async def _call(route: Route, gate: Gate, path: str, body: bytes, decoder: Decoder) -> AsyncGenerator[Chunk, None]:
    """The chunks of one answer, and what is being waited for. Raises a ProviderError if it is not whole."""
    loop = asyncio.get_running_loop()
    idle = route.clocks.idle
    one = Call(route, path, body)
    try:
        async with aclosing(_ask(one, route, gate)) as waits:
            async for what in waits:
                yield Waiting(what=what)
        deadline = loop.time() + idle
        failure: ProviderError | None = None
        calls = False
        try:
            while data := await one.read(deadline):
                fresh = False
                for chunk in decoder.feed(data):
                    fresh = fresh or isinstance(chunk, TextChunk | ReasoningChunk | CallChunk)
                    yield chunk
                    kind = type(chunk)
                    if kind is TextChunk:
                        continue
                    if kind is StopChunk:
                        await one.rest()
                        return
                    if kind is CallChunk and not calls:
                        calls = True
                        yield Waiting(what="calling")
                if fresh:
                    deadline = loop.time() + idle
        except ProviderError as error:
            if not one.failed:  # the decoder's own: what the server said
                raise
            failure = error
        for chunk in _end(decoder, failure):
            yield chunk
    finally:
        await one.aclose()


async def _ask(one: Call, route: Route, gate: Gate) -> AsyncGenerator[str, None]:
    """Ask, until the answer begins; before each wait, what it will be for."""
    if left := gate.left:
        if left > route.clocks.again:
            raise FinalError("rate_limit", f"{route.name} wants to be left alone for another {left:.0f} s", retry_after=left)
        yield "queued"
        await gate.enter()
    while one.waits:
        while step := one.step():
            yield step
            await one.connect()
        if not one.send():
            yield "sending"
            await one.sent()
        yield "sent"
        await one.listen()
    await one.judge()
    yield "answering"


def _end(decoder: Decoder, failure: ProviderError | None) -> Iterator[Chunk]:
    """What is left when the body has ended. If it broke off, that is the error, unless the answer was whole or was one itself."""
    try:
        yield from decoder.end()
    except ProviderError as error:
        if failure is None or error.kind not in ("cut", "protocol"):
            raise
        raise failure from None
