"""A connection that is being opened, a step at a time: whoever waits for it can say what for.

    opening = transport.opening(url)
    while opening.step:  # what comes now: "connecting", then, as the way has it, "proxy" and "tls"
        await opening.go()
    opening.connection

There is no task behind it: nothing happens but in `go()`. The clock runs only there, too, so that it is not the server's fault if
somebody is slow to go on. One that is not gone through to its end has to be closed (`abort`); a step that fails or is cancelled
leaves nothing open.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from agentcli.providers.http.connection import Connection
from agentcli.providers.http.dial import Dialler
from agentcli.providers.http.httpx import httpx
from agentcli.providers.http.proxy import Proxy, tunnel
from agentcli.providers.http.tls import tls_context

__all__ = ["Opening"]

_DOING = {"connecting": "connecting", "tls": "agreeing on TLS", "proxy": "asking the proxy"}


class Opening:
    """See the top of the file. `patience` is for all steps together. `connection` counts once `step` is empty."""

    def __init__(
        self,
        connection: Connection,
        raw_host: bytes,
        dialler: Dialler,
        *,
        proxy: Proxy | None,
        patience: float | None,
        certificates: str,
    ) -> None:
        self.connection = connection
        self._raw_host = raw_host
        self._dialler = dialler
        self._proxy = proxy
        self._patience = patience
        self._socket: socket.socket | None = None
        scheme, self._host, self._port = connection.origin
        near = proxy.scheme if proxy else scheme
        self._context = tls_context(certificates) if "https" in (near, scheme) else None
        self._steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [("connecting", self._dial)]  # the next one last
        if near == "https":
            self._steps.insert(0, ("tls", self._agree))
        if proxy and (proxy.socks or scheme == "https"):
            self._steps.insert(0, ("proxy", self._ask_proxy))
            if scheme == "https":
                self._steps.insert(0, ("tls", self._agree_behind_proxy))
        self._clear = near != "https"  # the first connection is not encrypted

    @property
    def step(self) -> str:
        """What `go()` will wait for; empty if there is nothing left to do."""
        return self._steps[-1][0] if self._steps else ""

    async def go(self) -> None:
        """Take the next step. Raises httpx's exceptions."""
        step, work = self._steps[-1]
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._patience):
                await work()
        except BaseException as error:
            self.abort()
            if isinstance(error, TimeoutError):
                raise httpx.ConnectTimeout(f"no answer while {_DOING[step]}") from error
            if isinstance(error, OSError | UnicodeError):  # also what TLS, the resolver and names that cannot be raise
                raise httpx.ConnectError(str(error)) from error
            raise
        if self._patience is not None:
            self._patience = max(0.0, self._patience - (loop.time() - began))
        self._steps.pop()

    def abort(self) -> None:
        """Leave nothing open."""
        self._steps.clear()
        self.connection.abort()
        if self._socket:
            self._socket.close()

    async def _dial(self) -> None:
        proxy = self._proxy
        host, port = (proxy.raw_host, proxy.port) if proxy else (self._raw_host, self._port)
        self._socket = await self._dialler.dial(host, port)
        if self._clear:
            await self.connection.loop.create_connection(lambda: self.connection, sock=self._socket)

    async def _agree(self) -> None:
        host = self._proxy.host if self._proxy else self._host
        await self.connection.loop.create_connection(
            lambda: self.connection, sock=self._socket, ssl=self._context, server_hostname=host
        )

    async def _ask_proxy(self) -> None:
        assert self._proxy
        await tunnel(self.connection, self._proxy, self._raw_host, self._port)

    async def _agree_behind_proxy(self) -> None:
        assert self._context
        await self.connection.start_tls(self._context, self._host)
