"""Gemini's generateContent, at Google's own API, at Vertex, and at the servers that imitate it.

`encode()` makes the request (`setting` its settings), `Answer` (in `answer`; the shapes in `response`, arguments that come in pieces
in `arguments`) reads what comes back, `Gemini` joins the two through `http`.

A base URL without a version gets `/v1beta`. Vertex is reached by the whole path before `/models`
(`https://aiplatform.googleapis.com/v1/projects/P/locations/global/publishers/google`) and a header `authorization`; where there is
one, no key is sent.

What the model keeps of its thinking stays with the part that it came on (`private["gemini"]`): a signature, the id of a call, or the
whole of a part that is not shown. It goes back to the provider that it came from, on the same part, if the model is of the same
generation. From Gemini 3 on the first call of each answer must be signed; one that another model made says, as Google documents, that
it is not.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

import msgspec

from agentcli.core.message import Blob, Message, Part, Reasoning, Text, ToolCall, ToolResult
from agentcli.core.provider import Chunk, ProviderError, Request, ToolSpec
from agentcli.providers import Clocks, Endpoint
from agentcli.providers.attached import asked_about, instead
from agentcli.providers.gemini.answer import KIND, Answer
from agentcli.providers.gemini.setting import is_older, settle
from agentcli.providers.http import Http

__all__ = ["Answer", "Gemini", "encode"]

Json: TypeAlias = dict[str, Any]


class Gemini:
    """A server that speaks generateContent."""

    def __init__(self, name: str, endpoint: Endpoint, clocks: Clocks, *, keep: bool) -> None:
        self.name = name
        headers = dict(endpoint.headers)
        if endpoint.key and not any(header.lower() in ("authorization", "x-goog-api-key") for header in headers):
            headers["x-goog-api-key"] = endpoint.key
        self._http = Http(name, _address(endpoint.base_url), headers, clocks, keep, key_name=endpoint.key_name)

    def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        body = msgspec.json.encode(encode(request, self.name))
        return self._http.stream(f"/{_resource(request.model)}:streamGenerateContent", body, Answer)

    async def aclose(self) -> None:
        await self._http.aclose()


_VERSIONED = re.compile(r"/v\d+((alpha|beta)\d*)?(/(projects|publishers)/.+)?$", re.ASCII)
_RESOURCES = {"models", "tunedModels", "publishers", "endpoints", "projects"}


def _address(base_url: str) -> str:
    """The base URL with a version, asking for events."""
    address, _, query = base_url.partition("?")
    address = address.rstrip("/")
    with suppress(ValueError):  # an address that is none: said when it is asked
        if not _VERSIONED.search(urlsplit(address).path):
            address += "/v1beta"
    return f"{address}?{query}&alt=sse" if query else f"{address}?alt=sse"


def _resource(model: str) -> str:
    """The path of a model. A name may say what it is (`tunedModels/mine`); nothing in it leads to another path."""
    names = model.split("/")
    if len(names) < 2 or names[0] not in _RESOURCES or not {"", ".", ".."}.isdisjoint(names):
        names = ["models", model]
    return "/".join(quote(name, safe="", errors="replace") for name in names)


_UNSIGNED = "skip_thought_signature_validator"  # what Google wants in place of a signature that there is not
_GO_ON = {"role": "user", "parts": [{"text": "Go on."}]}
_NAME = re.compile(r"[^a-zA-Z0-9_.-]")
_IMAGES = ("png", "jpeg", "webp", "heic", "heif")


def encode(request: Request, name: str = KIND) -> Json:
    """The body of the request; the model stands in the path. `name` is the provider's, as in `Message.model`."""
    older = is_older(request.model)
    instructions = request.instructions
    body: Json = {"contents": _contents(request, name, older)}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(spec) for spec in request.tools]}]
    if request.schema is not None:
        if older and request.tools:  # refused together
            schema = msgspec.json.encode(request.schema).decode()
            instructions += f"\n\nWhen you need no tool any more, answer with nothing but JSON that fits this JSON Schema:\n{schema}"
        else:
            body["generationConfig"] = {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
    if instructions:
        body["systemInstruction"] = {"parts": [{"text": instructions.strip()}]}
    return settle(body, request)


def _contents(request: Request, name: str, older: bool) -> list[Json]:
    """What was said, the user and the model by turns; the user first and last, since Gemini refuses anything else."""
    contents: list[Json] = []
    asked: dict[str, Json] = {}  # the last answer's calls
    served = isinstance(request.settings.get("tools"), list)
    now = asked_about(request.messages, request.asked)
    for message in request.messages:
        match message.role:
            case "user":
                parts = [_part(part, now) for part in message.parts]
            case "assistant":
                own = _is_own(message, name, older)
                asked = _calls(message, own)
                parts = list(_answer(message, asked, own=own, older=older, served=served))
            case "tool":
                parts = [_result(result, asked.get(result.call_id, {})) for result in message.results]
        role = "model" if message.role == "assistant" else "user"
        if parts and contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    if contents and contents[0]["role"] == "model":
        contents.insert(0, _GO_ON)
    if contents and contents[-1]["role"] == "model":
        contents.append(_GO_ON)
    return contents


def _is_own(message: Message, name: str, older: bool) -> bool:
    """Did the answer come from this provider, and from a model that signs as this one does?"""
    provider, _, model = (message.model or "").partition("/")
    return provider == name and is_older(model) == older


def _kept(part: Part, own: bool) -> Json:
    """What has to go back with the part."""
    kept = part.private.get(KIND) if own and isinstance(part, Text | Reasoning | ToolCall) else None
    return kept if isinstance(kept, dict) else {}


def _answer(message: Message, asked: dict[str, Json], *, own: bool, older: bool, served: bool) -> Iterator[Json]:
    """The parts of an answer. `served`: the server has tools of its own, and is told what they said before."""
    first = True
    for part in message.parts:
        kept = _kept(part, own)
        signed = {"thoughtSignature": kept["signature"]} if kept.get("signature") else {}
        match part:
            case Text(text=text) if text or signed:
                yield {"text": text, **signed}
            case Reasoning() if served and kept.get("part"):
                yield kept["part"]
            case Reasoning(text=text) if signed:
                yield {"text": text, "thought": True, **signed}
            case ToolCall(id=id_):
                if first and not older:
                    signed = signed or {"thoughtSignature": _UNSIGNED}
                first = False
                yield {"functionCall": asked[id_], **signed}
            case Blob():
                yield _part(part, [])


def _calls(message: Message, own: bool) -> dict[str, Json]:
    """The calls as they are sent, by their ids here. There, one has an id if the server gave it one, and no other call that id."""
    calls: dict[str, Json] = {}
    taken: set[str] = set()
    for call in message.calls:
        name = _NAME.sub("_", call.name)[:64]
        said = {"name": name if re.match(r"[a-zA-Z_]", name) else f"_{name[:63]}", "args": msgspec.json.decode(call.arguments)}
        if (known := _kept(call, own).get("id")) and known not in taken:
            taken.add(known)
            said = {"id": known, **said}
        calls[call.id] = said
    return calls


def _result(result: ToolResult, call: Json) -> Json:
    """What came of a call, by the id and name that the call is sent with."""
    known = {key: value for key, value in call.items() if key != "args"}
    return {"functionResponse": {**known, "response": {"error" if result.is_error else "output": result.content}}}


def _part(part: Part, asked: list[Blob]) -> Json:
    match part:
        case Text(text=text):
            return {"text": text}
        case Blob(data=None, name=name, media_type=media_type):
            raise ProviderError("bad_request", f"the attachment {name or media_type} was not loaded")
        case Blob(data=bytes(data), media_type=media_type):
            sent = _blob(media_type.replace("image/jpg", "image/jpeg"), data)
            return sent or {"text": instead(part, asked, "Text, PDF, sound, video, and images as PNG, JPEG, WebP or HEIC")}
        case _:
            raise ProviderError("bad_request", f"a user cannot say a {type(part).__name__}")


def _blob(media_type: str, data: bytes) -> Json | None:
    kind, _, form = media_type.partition(";")[0].partition("/")
    if kind == "text":
        return {"text": data.decode(errors="replace")}
    if kind in ("audio", "video") or form == "pdf" or (kind == "image" and form in _IMAGES):
        return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(data).decode()}}
    return None


def _tool(spec: ToolSpec) -> Json:
    return {"name": spec.name, "description": spec.description, "parametersJsonSchema": spec.schema}
