"""Anthropic's Messages API, and the servers that speak it in its place.

`encode()` makes the request (its messages in `message`), `Answer` (in `answer`, the shapes in `event`) reads what comes back,
`Anthropic` joins the two through `http`. What a model takes, `model` knows.

Settings go by their names on the wire, but for these: `stop` is one text or several; `effort` and `thinking` (a number of tokens, or
true or false) say how much the model thinks; `tool-choice` is `auto`, `any`, `none` or the name of a tool; `cache` is false, or how
long the server keeps what it has read (`5m`, `1h`). What a thinking model refuses is left out: `temperature`, `top-k`, most `top-p`,
and a choice of tools that forces one. `max-tokens` must be said to the API: unsaid, it is as much as the model can write, up to 32,000
tokens, or 64,000 where it thinks; 8,192 for a model that is not known.

The cache is used by marks, at most four: after the tools, after the instructions, and after the last two turns of the person, so that
each request finds what the one before it left. A single question without tools leaves no mark after itself: what is put into the cache
costs more than what is only read.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

from agentcli.core.provider import Chunk, Request, ToolSpec
from agentcli.providers import Clocks, Endpoint
from agentcli.providers.anthropic.answer import Answer
from agentcli.providers.anthropic.message import THINKING, Before, encoded, name_of_tool
from agentcli.providers.anthropic.model import Model
from agentcli.providers.http import Http

__all__ = ["Answer", "Anthropic", "encode"]

Json: TypeAlias = dict[str, Any]

_VERSION = "2023-06-01"


class Anthropic:
    """A server that speaks the Messages API."""

    def __init__(self, name: str, endpoint: Endpoint, clocks: Clocks, *, keep: bool) -> None:
        self.name = name
        headers = {"anthropic-version": _VERSION}
        if endpoint.key:
            headers["x-api-key"] = endpoint.key
        headers |= {name.lower(): value for name, value in endpoint.headers.items()}
        self._http = Http(name, endpoint.base_url, headers, clocks, keep, key_name=endpoint.key_name)
        self._path = _path(endpoint.base_url)

    def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        body = encode(request, self.name)
        return self._http.stream(self._path, msgspec.json.encode(body), partial(Answer, partial(Before.of, body)))

    async def aclose(self) -> None:
        await self._http.aclose()


def _path(base_url: str) -> str:
    """Where the API is below a base URL, which may name the version or leave it out."""
    try:
        path = urlsplit(base_url).path
    except ValueError:  # an address that is none: said when it is asked
        path = ""
    return "/messages" if re.search(r"/v\d\w*/?$", path) else "/v1/messages"


def encode(request: Request, name: str = "anthropic") -> Json:
    """The body of the request. `name` is the provider's, as in `Message.model`. A setting that is null takes a field out."""
    model = Model.of(request.model)
    settings = {key.replace("-", "_"): value for key, value in request.settings.items()}
    cache, effort, most = settings.pop("cache", None), settings.pop("effort", None), settings.pop("max_tokens", None)
    settings.pop("messages", None)
    unasked = "thinking" not in settings
    number = most if isinstance(most, int) and not isinstance(most, bool) else None
    thinking = model.thinking(settings.pop("thinking", None), effort, number, unasked=unasked)

    body: Json = {"model": request.model, "max_tokens": thinking.most if most is None else most, "stream": True}
    if request.instructions.strip():
        body["system"] = [{"type": "text", "text": request.instructions}]
    if request.tools:
        body["tools"] = [_tool(spec) for spec in request.tools]
    body |= {key: settings.pop(key) for key in ("system", "tools") if key in settings}  # a server's own tools, say
    body["messages"] = encoded(request, f"{name}/{request.model}", body, goes_on=model.goes_on and not thinking.on)

    on = thinking.on
    if thinking.how and thinking.how.get("type") == "enabled" and not _may_think(body["messages"]):
        on = False
    elif thinking.how:
        body["thinking"] = thinking.how
    if config := _output_config(request, model, effort):
        body["output_config"] = config
    body |= _on_the_wire(settings, config)
    for key in _refused(body, model, on):
        del body[key]
    if cache is not False and cache != "off":
        _mark(body, {"type": "ephemeral"} | ({"ttl": cache} if isinstance(cache, str) and cache in ("5m", "1h") else {}))
    return {key: value for key, value in body.items() if value is not None}


def _tool(spec: ToolSpec) -> Json:
    """A tool. At the top of its schema the API takes no choice between schemas; what comes of it is checked by the tool."""
    schema = {"type": "object"} | {key: value for key, value in spec.schema.items() if key not in ("anyOf", "oneOf", "allOf")}
    described = {"description": spec.description} if spec.description.strip() else {}
    return {"name": name_of_tool(spec.name)} | described | {"input_schema": schema}


def _output_config(request: Request, model: Model, effort: Any) -> Json:
    config: Json = {}
    if model.takes_effort and effort not in (None, False, "none", "off"):
        config["effort"] = "low" if effort == "minimal" else effort
    if request.schema is not None and model.takes_schema:
        from agentcli.providers.anthropic.schema import held

        if form := held(request.schema):
            config["format"] = {"type": "json_schema", "schema": form}
    return config


def _on_the_wire(settings: Json, config: Json) -> Json:
    """The other settings, as fields of the body."""
    said = dict(settings)
    if "stop" in said:
        stop = said.pop("stop")
        said["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    choice = said.get("tool_choice")
    if isinstance(choice, str):
        kind = {"required": "any"}.get(choice, choice)
        said["tool_choice"] = {"type": kind} if kind in ("auto", "any", "none") else {"type": "tool", "name": choice}
    if isinstance(own := said.get("output_config"), dict):
        said["output_config"] = config | own
    return said


def _refused(body: Json, model: Model, thinks: bool) -> list[str]:
    """The fields that the API would refuse beside the others."""
    refused = []
    if not model.takes_temperature or thinks:
        refused = ["temperature", "top_k", "top_p"]
        top = body.get("top_p")
        if model.takes_temperature and isinstance(top, int | float) and top >= 0.95:
            refused.remove("top_p")
    choice = body.get("tool_choice")
    forced = isinstance(choice, dict) and choice.get("type") in ("any", "tool")
    if not body.get("tools") or (thinks and forced):
        refused.append("tool_choice")
    return [key for key in refused if key in body]


def _may_think(messages: list[Json]) -> bool:
    """May it think within a budget? Where tools are being run, only if the turn began with thinking.

    Whether words beside the results of tools begin a turn, the API does not say: then both turns must have begun so.
    """
    last = len(messages) - 1
    while last > 0 and any(block["type"] == "tool_result" for block in messages[last]["content"]):
        first = messages[last - 1]["content"][0]
        last -= 2
        begun = any(block["type"] != "tool_result" for block in messages[last]["content"])
        if begun and first["type"] not in THINKING:
            return False
    return True


def _mark(body: Json, mark: Json) -> None:
    """Say where what has been read may be kept: at most four times."""
    for key in ("tools", "system"):
        if isinstance(blocks := body.get(key), list) and blocks and isinstance(blocks[-1], dict):
            blocks[-1] = {**blocks[-1], "cache_control": mark}
    messages = body["messages"]
    if len(messages) < 2 and not body.get("tools"):
        return
    for message in [message for message in messages if message["role"] == "user"][-2:]:
        message["content"][-1] = {**message["content"][-1], "cache_control": mark}
