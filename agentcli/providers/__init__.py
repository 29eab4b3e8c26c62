"""The table of providers: what stands before the slash in `openai/gpt-5.4`.

Two tables. `KINDS` says which class speaks a wire format; its module is imported only when a provider of that kind is made, because
what it needs (httpx) costs more time than everything else at the start. `PROVIDERS` says what is known of a name without being
told: its kind, its base URL, and the variables by which its vendor's own tools find the key and another base URL. A configuration
may add names, or say more of these (`[providers.NAME]`). Whoever calls `create()` has joined the two into an `Endpoint`.

A new provider is one package, one line here and one folder of fixtures: docs/extend/provider.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from importlib import import_module
from threading import Lock
from typing import Any

from msgspec import Struct

from agentcli.core.provider import Chunk, Provider, Request
from agentcli.errors import Exit, UserError

__all__ = ["KINDS", "PROVIDERS", "Clocks", "Endpoint", "Entry", "Later", "create"]


class Clocks(Struct, frozen=True):
    """How long to wait for a model, in seconds: for the connection, for the next content, and, if the server asks for that, before
    another try. And how often to try again."""

    connect: float = 10.0
    idle: float = 120.0
    retries: int = 4
    again: float = 120.0


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
    """A provider that is known by its name.

    A server of one's own, found by asking its usual `port` on this machine, needs no key. `elsewhere` is the kind that any other base
    URL than the vendor's speaks: many servers imitate an API of OpenAI's, and nearly all of them the older one.
    """

    kind: str
    base_url: str = ""
    key_variable: str = ""  # "": it needs no key
    base_url_variable: str = ""
    model: str = ""  # the one to ask when nobody named any
    elsewhere: str = ""
    port: int = 0
    path: str = ""  # what the vendor's variable leaves out of the base URL


# kind -> "module:class". Every class is made with (name, endpoint, clocks, keep=…).
KINDS = {
    "openai-chat": "agentcli.providers.openai_chat:OpenAIChat",
    "openai-responses": "agentcli.providers.openai_responses:OpenAIResponses",
    "anthropic": "agentcli.providers.anthropic:Anthropic",
    "gemini": "agentcli.providers.gemini:Gemini",
    "local": "agentcli.providers.local:Local",
    "scripted": "agentcli.providers.scripted:Scripted",
}

PROVIDERS = {
    "openai": Entry(
        "openai-responses", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL", "gpt-5.4", elsewhere="openai-chat"
    ),
    "anthropic": Entry("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "claude-sonnet-5"),
    "gemini": Entry(
        "gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "gemini-3.5-flash"
    ),
    "openrouter": Entry("openai-chat", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", model="openrouter/auto"),
    "mistral": Entry("openai-chat", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", model="mistral-medium-latest"),
    "groq": Entry("openai-chat", "https://api.groq.com/openai/v1", "GROQ_API_KEY", model="openai/gpt-oss-120b"),
    "deepseek": Entry("openai-chat", "https://api.deepseek.com", "DEEPSEEK_API_KEY", model="deepseek-v4-flash"),
    "xai": Entry("openai-chat", "https://api.x.ai/v1", "XAI_API_KEY", model="grok-4-1"),
    "azure": Entry("openai-chat", "", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", path="/openai/v1"),
    "ollama": Entry("openai-chat", "http://127.0.0.1:11434/v1", "", "OLLAMA_HOST", port=11434, path="/v1"),
    "llamacpp": Entry("openai-chat", "http://127.0.0.1:8080/v1", port=8080),
    "lmstudio": Entry("openai-chat", "http://127.0.0.1:1234/v1", port=1234),
    "vllm": Entry("openai-chat", "http://127.0.0.1:8000/v1", port=8000),
    "local": Entry("local", model="smollm2"),
    "scripted": Entry("scripted"),
}


class Later:
    """A provider that is made when it is first needed, or by `warm()` in a thread while a person is still typing."""

    def __init__(self, name: str, make: Callable[[], Provider]) -> None:
        self.name = name
        self._make = make
        self._made: Provider | None = None
        self._making = Lock()

    def warm(self) -> Provider:
        """Make it, with all the imports that this takes: once, whoever asks."""
        with self._making:
            self._made = self._made or self._make()
        return self._made

    def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        return self._made.stream(request) if self._made else self._first(request)

    async def _first(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """The first answer: what makes the provider may wait for a key, or import much, and does not hold up the others."""
        from agentcli.core.apart import in_thread

        made = await in_thread(self.warm, name="provider")
        async with aclosing(made.stream(request)) as chunks:
            async for chunk in chunks:
                yield chunk

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
