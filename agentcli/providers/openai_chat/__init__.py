"""OpenAI's chat completions, and the many servers that speak them in their own ways.

`encode()` makes the request, `Answer` (in `answer`, the shapes in `completion`) reads what comes back, `OpenAIChat` joins the two
through `http`.

Text alone goes as a plain string, since many servers take nothing else. What a server wants differently is told by its base
URL, in `Server`; the rest of the file does not know names. Thinking goes back only to the provider that it came from, and only
where that is asked for: `reasoning_content` (DeepSeek refuses a tool loop without it) and `reasoning_details` (OpenRouter, unchanged).
It waits for that in `Reasoning.private["openai-chat"]`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from agentcli.core.message import Blob, Message, Part, Reasoning, Text, ToolCall
from agentcli.core.provider import Chunk, ProviderError, Request, ToolSpec
from agentcli.core.thread import sendable
from agentcli.providers import Clocks, Endpoint
from agentcli.providers.http import Http
from agentcli.providers.openai_chat.answer import KIND, Answer

__all__ = ["Answer", "OpenAIChat", "Server", "encode"]

Json: TypeAlias = dict[str, Any]


class OpenAIChat:
    """A server that speaks chat completions."""

    def __init__(self, name: str, endpoint: Endpoint, clocks: Clocks, *, keep: bool) -> None:
        self.name = name
        self.server = Server.at(endpoint.base_url, name)
        headers = dict(endpoint.headers)
        if endpoint.key:
            headers |= {"api-key": endpoint.key} if self.server.azure else {"authorization": f"Bearer {endpoint.key}"}
        self._http = Http(name, endpoint.base_url, headers, clocks, keep, key_name=endpoint.key_name)

    def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        body = msgspec.json.encode(encode(request, self.server))
        return self._http.stream("/chat/completions", body, Answer)

    async def aclose(self) -> None:
        await self._http.aclose()


class Server(Struct, frozen=True):
    """What must be known of a server to write a request for it. `name` is the provider's, as in `Message.model`."""

    name: str = ""
    openai: bool = False  # OpenAI itself, or Azure's copy of it
    azure: bool = False
    mistral: bool = False  # refuses fields it does not know, and call ids that are not nine letters and digits
    deepseek: bool = False  # wants its thinking back, be it empty

    @classmethod
    def at(cls, base_url: str, name: str = "") -> Server:
        host = "."
        with suppress(ValueError):  # an address that is none: said when it is asked
            host += urlsplit(base_url).hostname or ""
        azure = host.endswith(".openai.azure.com")
        return cls(
            name,
            openai=azure or host.endswith(".api.openai.com"),
            azure=azure,
            mistral=host.endswith(".mistral.ai"),
            deepseek=host.endswith(".deepseek.com"),
        )


_OLDER = re.compile(r"(ft:)?(gpt-3|gpt-4|chatgpt)")  # OpenAI's models before `developer` and `max_completion_tokens`
_RENAMED = {"effort": "reasoning_effort"}
_ID = re.compile(r"[\w.:-]{1,40}", re.ASCII)
_MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")


def encode(request: Request, server: Server = Server()) -> Json:  # noqa: B008  (frozen)
    """The body of the request. Settings come last: one that is null takes a field out."""
    newer = server.openai and not _OLDER.match(request.model)
    messages = [{"role": "developer" if newer else "system", "content": request.instructions}] if request.instructions else []
    messages.extend(_messages(request.messages, server))
    body: Json = {"model": request.model, "messages": messages, "stream": True}
    if not server.mistral:  # it says the usage unasked
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [_tool(spec) for spec in request.tools]
    if schema := request.schema:
        form = {"name": "answer", "schema": schema, "strict": _closed(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    for name, value in request.settings.items():
        key = _RENAMED.get(name) or name.replace("-", "_")
        if key == "max_tokens" and newer:
            key = "max_completion_tokens"
        elif key == "seed" and server.mistral:
            key = "random_seed"
        body[key] = value
    return {key: value for key, value in body.items() if value is not None}


def _closed(schema: Any) -> bool:
    """May a server hold the answer to this schema strictly? It takes only objects that list and require all they may have."""
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        fields = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(fields):
            return False
        return all(_closed(field) for field in fields.values())
    return all(_closed(part) for key in ("items", "anyOf") for part in _several(schema.get(key)))


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _messages(messages: list[Message], server: Server) -> Iterator[Json]:
    if any(_unsaid(message) for message in messages):
        messages = sendable(message for message in messages if not _unsaid(message))
    thoughtful = _thoughtful(messages, server)
    for number, message in enumerate(messages):
        match message.role:
            case "user":
                yield {"role": "user", "content": _content(message.parts)}
            case "assistant":
                yield _assistant(message, server, number in thoughtful)
            case "tool":
                for result in message.results:
                    yield {"role": "tool", "tool_call_id": _call_id(result.call_id, server), "content": result.content}


def _unsaid(message: Message) -> bool:
    """An answer that was stopped while thinking: nothing of it can be sent."""
    return message.role == "assistant" and not any(isinstance(part, Text | ToolCall) for part in message.parts)


def _thoughtful(messages: list[Message], server: Server) -> set[int]:
    """Which answers must carry `reasoning_content`: those of a turn with tools, if the server's model thinks in that field.

    Those of other turns must not: there, older servers refuse what newer ones demand.
    """
    mine = [number for number, message in enumerate(messages) if message.role == "assistant"]
    if not server.deepseek and not any(_private(messages[number], server, "field") for number in mine):
        return set()
    chosen: set[int] = set()
    turn: list[int] = []
    for number, message in enumerate(messages):
        if message.role == "user":
            turn = []
        elif message.role == "assistant":
            turn.append(number)
        else:
            chosen.update(turn)
        if message.role == "assistant" and turn[0] in chosen:
            chosen.add(number)
    return chosen


def _assistant(message: Message, server: Server, thoughtful: bool) -> Json:
    said: Json = {"role": "assistant", "content": message.text or None}
    if thoughtful:
        same = _of(message, server)
        said["reasoning_content"] = message.reasoning if same else ""
    if details := [detail for some in _private(message, server, "details") for detail in some]:
        said["reasoning_details"] = details
    if message.calls:
        said["tool_calls"] = [
            {
                "id": _call_id(call.id, server),
                "type": "function",
                "function": {"name": re.sub(r"[^a-zA-Z0-9_-]", "_", call.name)[:64], "arguments": call.arguments},
            }
            for call in message.calls
        ]
        if server.mistral:
            said["content"] = message.text
    return said


def _private(message: Message, server: Server, key: str) -> list[Any]:
    """What this provider said, under this key, for itself to read again."""
    if not _of(message, server):
        return []
    kept = (part.private.get(KIND) for part in message.parts if isinstance(part, Reasoning))
    return [private[key] for private in kept if isinstance(private, dict) and private.get(key)]


def _of(message: Message, server: Server) -> bool:
    """True if the answer came from this provider. OpenAI itself never sends thinking, and refuses to be sent any."""
    return not server.openai and (message.model or "").partition("/")[0] == server.name


def _content(parts: Iterable[Part]) -> str | list[Json]:
    sent = [_part(part) for part in parts]
    if all(part["type"] == "text" for part in sent):
        return "\n\n".join(part["text"] for part in sent)
    return sent


def _part(part: Part) -> Json:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Blob(data=None, name=name, media_type=media_type):
            raise ProviderError("bad_request", f"the attachment {name or media_type} was not loaded")
        case Blob(data=bytes(data), name=name, media_type=media_type):
            return _blob(media_type, data, name)
        case _:
            raise ProviderError("bad_request", f"a user cannot say a {type(part).__name__}")


def _blob(media_type: str, data: bytes, name: str | None) -> Json:
    kind, _, form = media_type.partition(";")[0].partition("/")
    encoded = base64.b64encode(data).decode()
    url = f"data:{media_type};base64,{encoded}"
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if form == "pdf":
        return {"type": "file", "file": {"filename": name or "document.pdf", "file_data": url}}
    if kind == "audio":
        form = {"mpeg": "mp3", "x-wav": "wav"}.get(form, form)
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": form}}
    if kind == "text":
        return {"type": "text", "text": data.decode(errors="replace")}
    raise ProviderError(
        "bad_request",
        f"an attachment of the type {media_type} cannot be sent to this provider",
        hint="Text, images, PDF and sound can.",
    )


def _tool(spec: ToolSpec) -> Json:
    return {
        "type": "function",
        "function": {"name": spec.name, "description": spec.description, "parameters": spec.schema},
    }


def _call_id(name: str, server: Server) -> str:
    """The id if the server takes it, or one that it takes, the same each time: ids come from other providers too."""
    if (_MISTRAL_ID if server.mistral else _ID).fullmatch(name):
        return name
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:9]
