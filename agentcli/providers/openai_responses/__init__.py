"""OpenAI's Responses API, and the servers that speak it too: OpenRouter, xAI, DeepSeek, Azure, llama.cpp, LM Studio, vLLM, LiteLLM.

`encode()` makes the request (the conversation in `input`), `Answer` (in `answer`, its items in `item`, the shapes in `event`) reads
what comes back, `OpenAIResponses` joins the two through `http`.

The server keeps nothing (`store: false`): the conversation goes along each time, and with it the thinking, encrypted, as a model that
thinks wants it back. Some of what we ask for on our own account is refused here and there: a summary of the thinking by an
organisation's rules, encrypted thinking by models that do not think and for threads that another key began. A server that says so is
asked again at once without, and that model no more. What the user set is never left out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from agentcli.core.event import Retrying, Waiting
from agentcli.core.provider import Chunk, ProviderError, Request, ToolSpec
from agentcli.providers import Clocks, Endpoint
from agentcli.providers.http import Http
from agentcli.providers.openai import closed, headers_for, host_of, is_azure, is_openai, older
from agentcli.providers.openai_responses.answer import Answer
from agentcli.providers.openai_responses.input import items_of

__all__ = ["Answer", "Extras", "OpenAIResponses", "Server", "encode"]

Json: TypeAlias = dict[str, Any]


class Extras(Struct, frozen=True):
    """What is asked for on our own account: `summary`, that the model tells its thinking; `thinking`, that it goes back and forth."""

    summary: bool = True
    thinking: bool = True

    def without(self, error: ProviderError) -> Extras | None:
        """What to ask for after this refusal; None if the refusal is about something else, or nothing is left to leave out."""
        if error.kind not in ("bad_request", "not_found") or not _ABOUT.search(error.message):
            return None
        only = self.summary and "summar" in error.message.lower()
        less = Extras(summary=False, thinking=self.thinking and only)
        return less if less != self else None


_ABOUT = re.compile(r"summar(y|ies)|encrypted|reasoning|\binclude\b|\bitems?\b|\binput\[", re.IGNORECASE)


class OpenAIResponses:
    """A server that speaks the Responses API."""

    def __init__(self, name: str, endpoint: Endpoint, clocks: Clocks, *, keep: bool) -> None:
        self.name = name
        self.server = Server.at(endpoint.base_url, name)
        self._extras: dict[str, Extras] = {}  # by model: what it did not refuse
        self._http = Http(name, endpoint.base_url, headers_for(endpoint), clocks, keep, key_name=endpoint.key_name)

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        extras = self._extras.get(request.model, Extras())
        while True:
            body = msgspec.json.encode(encode(request, self.server, extras))
            begun = False
            try:
                async with aclosing(self._http.stream("/responses", body, Answer)) as chunks:
                    async for chunk in chunks:
                        begun = begun or not isinstance(chunk, Waiting | Retrying)
                        yield chunk
            except ProviderError as error:
                less = None if begun else extras.without(error)
                if less is None:
                    raise
                extras = less
            else:
                self._extras[request.model] = extras  # it helped
                return

    async def aclose(self) -> None:
        await self._http.aclose()


class Server(Struct, frozen=True):
    """What must be known of a server to write a request for it. `name` is the provider's, as in `Message.model`."""

    name: str = ""
    openai: bool = False  # OpenAI itself, or Azure's copy of it

    @classmethod
    def at(cls, base_url: str, name: str = "") -> Server:
        host = host_of(base_url)
        return cls(name, is_openai(host) or is_azure(host))


# Where a setting goes that is not at the top under its own name.
_PLACES = {
    "max-tokens": ("max_output_tokens",),
    "effort": ("reasoning", "effort"),
    "summary": ("reasoning", "summary"),
    "verbosity": ("text", "verbosity"),
}


def encode(request: Request, server: Server = Server(), extras: Extras = Extras()) -> Json:  # noqa: B008  (frozen)
    """The body of the request. Settings come last: one that is null takes a field out."""
    thinks = extras.thinking and _thinks(request.model)
    body: Json = {
        "model": request.model,
        "input": items_of(request, f"{server.name}/{request.model}", thinks=thinks, echo=extras.thinking),
        "stream": True,
        "store": False,
    }
    if request.instructions:
        body["instructions"] = request.instructions
    if request.tools:
        body["tools"] = [_tool(spec) for spec in request.tools]
    if schema := request.schema:
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": closed(schema)}}
    if thinks:
        body["include"] = ["reasoning.encrypted_content"]
        effort = request.settings.get("effort")
        if extras.summary and effort != "none" and (server.openai or effort):
            body["reasoning"] = {"summary": "auto"}
    for name, value in request.settings.items():
        *path, key = _PLACES.get(name) or (name.replace("-", "_"),)
        place = body
        for step in path:
            inner = place.get(step)
            place[step] = inner = dict(inner) if isinstance(inner, dict) else {}
            place = inner
        old = place.get(key)
        place[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return _without_nothing(body)


def _thinks(model: str) -> bool:
    """Does the model think? Of most names nothing is known: then it is taken to, and asked again without if it says no."""
    return not older(model) and not re.search(r"gpt-5\S*-chat", model)


def _without_nothing(body: Json) -> Json:
    """Without the fields that a setting took out, and without those that are empty then."""
    for key in ("reasoning", "text"):
        if isinstance(inner := body.get(key), dict):
            body[key] = {name: value for name, value in inner.items() if value is not None} or None
    return {key: value for key, value in body.items() if value is not None}


def _tool(spec: ToolSpec) -> Json:
    """Strictness is said either way: unsaid, a server takes it for yes, and refuses a schema that cannot be held."""
    return {
        "type": "function",
        "name": spec.name,
        "description": spec.description,
        "parameters": spec.schema,
        "strict": closed(spec.schema),
    }
