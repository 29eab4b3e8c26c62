"""OpenAI's chat completions, and the many servers that speak them in their own ways.

`encode()` makes the request, `Answer` (in `answer`, the shapes in `completion`) reads what comes back, `OpenAIChat` joins the two
through `http`.

Text alone goes as a plain string, since many servers take nothing else. What a server wants differently is told by its base
URL, or by the model, in `Server`; the rest of the file does not know names. Thinking goes back only to the provider that it came from,
and only where that is asked for: `reasoning_content` (DeepSeek refuses a tool loop without it) and `reasoning_details` (OpenRouter,
unchanged, to the same model). It waits for that in `Reasoning.private["openai-chat"]`.

Many models only read text, and their servers refuse a conversation with an image or a PDF anywhere in it. Such a server is asked again
at once without what was attached to earlier questions, and that model no more.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from agentcli.core.event import Retrying, Waiting
from agentcli.core.message import Blob, Message, Part, Reasoning, Text
from agentcli.core.provider import Chunk, ProviderError, Request, ToolSpec
from agentcli.providers import Clocks, Endpoint
from agentcli.providers.attached import asked_about, instead
from agentcli.providers.http import Http
from agentcli.providers.openai import closed, data_url, headers_for, host_of, is_azure, is_openai, known_as, older, spoken, tool_name
from agentcli.providers.openai_chat.answer import KIND, Answer

__all__ = ["Answer", "OpenAIChat", "Server", "encode"]

Json: TypeAlias = dict[str, Any]


class OpenAIChat:
    """A server that speaks chat completions."""

    def __init__(self, name: str, endpoint: Endpoint, clocks: Clocks, *, keep: bool) -> None:
        self.name = name
        self.server = Server.at(endpoint.base_url, name)
        self._blind: set[str] = set()  # models that have refused attachments
        self._http = Http(name, endpoint.base_url, headers_for(endpoint), clocks, keep, key_name=endpoint.key_name)

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        while True:
            server = msgspec.structs.replace(self.server, blind=request.model in self._blind)
            body = msgspec.json.encode(encode(request, server))
            begun = False
            try:
                async with aclosing(self._http.stream("/chat/completions", body, Answer)) as chunks:
                    async for chunk in chunks:
                        if isinstance(chunk, Retrying) and self._is_blind(request, chunk.reason):
                            break
                        begun = begun or not isinstance(chunk, Waiting | Retrying)
                        yield chunk
                    else:
                        return
            except ProviderError as error:
                if begun or error.kind not in _REFUSALS or not self._is_blind(request, error.message):
                    raise

    def _is_blind(self, request: Request, refusal: str) -> bool:
        """Is the refusal about attachments, and are those of earlier questions all there is? Then they are left out from now on."""
        if request.model in self._blind or not _ABOUT_ATTACHMENTS.search(refusal) or not _attached_earlier(request):
            return False
        self._blind.add(request.model)
        return True

    async def aclose(self) -> None:
        await self._http.aclose()


class Server(Struct, frozen=True):
    """What must be known of a server to write a request for it. `name` is the provider's, as in `Message.model`."""

    name: str = ""
    model: str = ""
    openai: bool = False  # OpenAI itself, or Azure's copy of it
    azure: bool = False
    mistral: bool = False  # refuses fields that it does not know, and has some of its own
    strict: bool = False  # refuses call ids that are not nine letters and digits, and turns that a person broke off
    deepseek: bool = False  # wants its thinking back, be it empty
    blind: bool = False  # has refused attachments: those of earlier questions are left out

    @classmethod
    def at(cls, base_url: str, name: str = "") -> Server:
        host = host_of(base_url)
        azure, mistral = is_azure(host), host.endswith(".mistral.ai") or name == "mistral"  # or the same behind a gateway
        return cls(
            name,
            openai=is_openai(host) or (azure and "/openai" in base_url),
            azure=azure,
            mistral=mistral,
            strict=mistral,
            deepseek=host.endswith(".deepseek.com") or name == "deepseek",
        )

    def about(self, model: str) -> Server:
        """The same, for a model: those of Mistral are as strict wherever they run."""
        return msgspec.structs.replace(self, model=model, strict=self.strict or bool(_MISTRAL.search(model)))


_MISTRAL = re.compile(r"mistral|ministral|mixtral|magistral|codestral|devstral|pixtral", re.IGNORECASE)
_OTHERS = re.compile(r"deepseek|grok|llama|mistral|phi-|command|qwen|kimi|gpt-oss", re.IGNORECASE)  # what Azure has beside OpenAI's
_RENAMED = {"effort": "reasoning_effort"}
_ID = re.compile(r"[\w.:-]{1,40}", re.ASCII)
_STRICT_ID = re.compile(r"[a-zA-Z0-9]{9}")
_REFUSALS = ("bad_request", "not_found", "server")
_ABOUT_ATTACHMENTS = re.compile(
    r"image|vision|multi-?modal|modalit|\bfiles?\b|\bpdf|document|unknown (part|variant)|unsupported content"
    r"|content\b.{0,60}\b(string|text|type|valid)\b",
    re.IGNORECASE,
)
_STOPPED = {"role": "assistant", "content": "I was stopped here."}
_GO_ON = {"role": "user", "content": "Go on."}


def encode(request: Request, server: Server = Server()) -> Json:  # noqa: B008  (frozen)
    """The body of the request. Settings come last: one that is null takes a field out."""
    newer = server.openai and not older(request.model) and not (server.azure and _OTHERS.search(request.model))
    server = server.about(request.model)
    messages = [{"role": "developer" if newer else "system", "content": request.instructions}] if request.instructions else []
    messages.extend(_messages(request, server))
    body: Json = {"model": request.model, "messages": messages, "stream": True}
    if not server.mistral:  # it says the usage unasked
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [_tool(spec) for spec in request.tools]
    if schema := request.schema:
        form = {"name": "answer", "schema": schema, "strict": closed(schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    for name, value in request.settings.items():
        key = _RENAMED.get(name) or name.replace("-", "_")
        if key == "max_tokens" and newer:
            key = "max_completion_tokens"
        elif key == "seed" and server.mistral:
            key = "random_seed"
        body[key] = value
    return {key: value for key, value in body.items() if value is not None}


def _messages(request: Request, server: Server) -> Iterator[Json]:
    messages = spoken(request.messages)
    thoughtful = _thoughtful(messages, server)
    asked = asked_about(messages, request.asked)
    before = ""
    for number, message in enumerate(messages):
        match message.role:
            case "user":
                if server.strict and before == "tool":
                    yield _STOPPED
                yield {"role": "user", "content": _content(message.parts, server, asked)}
            case "assistant":
                yield _assistant(message, server, number in thoughtful)
            case "tool":
                for result in message.results:
                    yield {"role": "tool", "tool_call_id": _call_id(result.call_id, server), "content": result.content}
        before = message.role
    if before == "assistant":  # some servers refuse to be asked by nobody
        yield _GO_ON


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
    details = [detail for some in _private(message, server, "details") for detail in some]
    if details and message.model == f"{server.name}/{server.model}":
        said["reasoning_details"] = details
    if message.calls:
        said["tool_calls"] = [
            {
                "id": _call_id(call.id, server),
                "type": "function",
                "function": {"name": tool_name(call.name), "arguments": call.arguments},
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


def _attached_earlier(request: Request) -> bool:
    """Are there attachments, and none that is asked about now?"""
    attached = any(_is_attachment(part) for message in request.messages for part in message.parts)
    return attached and not asked_about(request.messages, request.asked)


def _is_attachment(part: Part) -> bool:
    return isinstance(part, Blob) and not part.media_type.startswith("text/")


def _content(parts: Iterable[Part], server: Server, asked: list[Blob]) -> str | list[Json]:
    sent = [_part(part, server, asked) for part in parts]
    if all(part["type"] == "text" for part in sent):
        return "\n\n".join(part["text"] for part in sent)
    return sent


def _part(part: Part, server: Server, asked: list[Blob]) -> Json:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Blob(data=None, name=name, media_type=media_type):
            raise ProviderError("bad_request", f"the attachment {name or media_type} was not loaded")
        case Blob(data=bytes(data), name=name, media_type=media_type):
            left_out = server.blind and not asked and _is_attachment(part)
            if not left_out and (sent := _blob(media_type, data, name, server)):
                return sent
            return {"type": "text", "text": instead(part, asked, "Text, images, PDF and sound")}
        case _:
            raise ProviderError("bad_request", f"a user cannot say a {type(part).__name__}")


def _blob(media_type: str, data: bytes, name: str | None, server: Server) -> Json | None:
    kind, _, form = media_type.partition(";")[0].partition("/")
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": data_url(media_type, data)}}
    if form == "pdf":
        if server.mistral:
            return {"type": "document_url", "document_url": data_url(media_type, data)}
        return {"type": "file", "file": {"filename": name or "document.pdf", "file_data": data_url(media_type, data)}}
    if kind == "audio":
        form = {"mpeg": "mp3", "x-wav": "wav"}.get(form, form)
        return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": form}}
    if kind == "text":
        return {"type": "text", "text": data.decode(errors="replace")}
    return None


def _tool(spec: ToolSpec) -> Json:
    return {
        "type": "function",
        "function": {"name": spec.name, "description": spec.description, "parameters": spec.schema},
    }


def _call_id(name: str, server: Server) -> str:
    """The id if the server takes it, or one that it takes."""
    return known_as(name, _STRICT_ID if server.strict else _ID)
