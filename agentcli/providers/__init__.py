"""The table of providers: what stands before the slash in `openai/gpt-5.4`.

Two tables. `KINDS` says which class speaks a wire format; its module is imported only when a provider of that kind is made, because
what it needs (httpx) costs more time than everything else at the start. `PROVIDERS` says what is known of a name without being
told: its kind, its base URL, and the variables by which its vendor's own tools find the key and another base URL. A configuration
may add names, or say more of these (`[providers.NAME]`). Whoever calls `create()` has joined the two into an `Endpoint`.

A new provider is one package, one line here and one folder of fixtures: docs/extend/provider.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from importlib import import_module
from typing import Any

from msgspec import Struct

from agentcli.core.provider import Chunk, Provider, Request
from agentcli.errors import Exit, UserError

__all__ = ["KINDS", "PROVIDERS", "Clocks", "Endpoint", "Entry", "Later", "create"]


class Clocks(Struct, frozen=True):
    """How long to wait for a model, in seconds: for the connection, and for the next content. And how often to try again."""

    connect: float = 10.0
    idle: float = 120.0
    retries: int = 4


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a provider is and how to be let in.

    `key_name` is how a hint names the place the key comes from (`OPENAI_API_KEY`). `headers` are sent as they are. `options` are
    what only this kind understands.
    """

    kind: str
    base_url: str = ""
    key: str | None = None
    key_name: str = ""
    headers: dict[str, str] = {}
    options: dict[str, Any] = {}

    def __repr__(self) -> str:
        """Without the key and without what a header may carry: a representation ends up in logs and tracebacks."""
        return f"Endpoint(kind={self.kind!r}, base_url={self.base_url!r}, key={'…' if self.key else None})"


class Entry(Struct, frozen=True):
    """A provider that is known by its name."""

    kind: str
    base_url: str = ""
    key_variable: str = ""  # "": it needs no key
    base_url_variable: str = ""
    model: str = ""  # the one to ask when nobody named any


# kind -> "module:class". Every class is made with (name, endpoint, clocks, keep=…).
KINDS = {
    "openai-chat": "agentcli.providers.openai_chat:OpenAIChat",
    "scripted": "agentcli.providers.scripted:Scripted",
}

PROVIDERS = {
    "openai": Entry("openai-chat", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL", "gpt-5.4"),
    "scripted": Entry("scripted"),
}


class Later:
    """A provider that is made when it is first needed, or by `warm()` in a thread while a person is still typing."""

    def __init__(self, name: str, make: Callable[[], Provider]) -> None:
        self.name = name
        self._make = make
        self._made: Provider | None = None

    def warm(self) -> Provider:
        """Make it, with all the imports that this takes."""
        self._made = self._made or self._make()
        return self._made

    def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        return self.warm().stream(request)

    async def aclose(self) -> None:
        if self._made:
            await self._made.aclose()


def create(name: str, endpoint: Endpoint, clocks: Clocks = Clocks(), *, keep: bool) -> Provider:  # noqa: B008  (frozen)
    """Make the provider. `keep`: hold the connection for the next question (chat), or take one for each (many at once)."""
    if endpoint.kind not in KINDS:
        raise UserError(
            f"the provider {name} has an unknown kind: {endpoint.kind}",
            hint=f"The kinds are: {', '.join(KINDS)}.",
            exit_code=Exit.CONFIG,
        )
    module, _, attribute = KINDS[endpoint.kind].partition(":")
    provider: Provider = getattr(import_module(module), attribute)(name, endpoint, clocks, keep=keep)
    return provider
