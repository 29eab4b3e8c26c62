"""A conversation as the Responses API takes it: a list of items, where an answer is several of them in the order in which they came.

What this provider said goes back with the ids and phases that it had, and the same model's thinking as the whole item that it was,
before what it led to. A server refuses thinking that leads to nothing, and ids of what was thought about without the thinking. So
thinking at the end of an answer is left out, or right before other thinking: there, an answer that was broken off was begun anew. And
where thinking cannot go back, the ids of what comes after it do not either, up to the next thinking that can.

What others said has neither: its messages get an id here (some servers want one), its calls keep theirs where those have the form of
one. No id is sent twice, though some servers number their calls anew in every answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from agentcli.core.message import Blob, Part, Reasoning, Text, ToolCall
from agentcli.core.provider import ProviderError, Request
from agentcli.providers.attached import asked_about, instead
from agentcli.providers.openai import data_url, known_as, spoken, tool_name
from agentcli.providers.openai_responses.item import KIND

__all__ = ["items_of"]

Json: TypeAlias = dict[str, Any]

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DOCUMENT = re.compile(
    r"pdf|rtf|msword|json|xml|vnd\.(openxmlformats-officedocument|oasis\.opendocument|ms-(excel|powerpoint|word))\S*"
)


def items_of(request: Request, model: str, *, thinks: bool, echo: bool) -> list[Json]:
    """The items, for a model as `Message.model` names it. `thinks`: it takes its thinking back; `echo`: the server takes anything."""
    items: list[Json] = []
    ids: set[str] = set()
    calls: dict[str, str] = {}
    messages = spoken(request.messages)
    asked = asked_about(messages, request.asked)
    for message in messages:
        match message.role:
            case "user":
                items.append({"role": "user", "content": _content(message.parts, asked)})
            case "assistant":
                own = echo and (message.model or "").partition("/")[0] == model.partition("/")[0]
                calls = {call.id: _call_id(call.id, ids) for call in message.calls}
                items.extend(_answer(message.parts, calls, ids, own=own, thinks=thinks and message.model == model))
            case "tool":
                items.extend(
                    {
                        "type": "function_call_output",
                        "call_id": calls.get(result.call_id) or known_as(result.call_id, _CALL_ID),
                        "output": result.content,
                    }
                    for result in message.results
                )
    if messages and messages[-1].role == "assistant":  # some servers refuse to be asked by nobody
        items.append({"role": "user", "content": "Go on."})
    return items


def _call_id(name: str, ids: set[str]) -> str:
    """An id for a call, that the server takes and no other call has."""
    known = known_as(name, _CALL_ID)
    if known in ids:
        known = known_as(f"{name} again, after {len(ids)}", _CALL_ID)
    ids.add(known)
    return known


def _answer(parts: tuple[Part, ...], calls: dict[str, str], ids: set[str], *, own: bool, thinks: bool) -> list[Json]:
    """The items of an answer."""
    kept = [_kept(part) if own else {} for part in parts]
    wholes = {each["item"].get("id"): each["item"] for each in kept if "item" in each}
    thoughts = [each.get("item") or wholes.get(each.get("id", "")) for each in kept]
    lost = False
    items: list[Json] = []
    for part, beside, thought in zip(parts, kept, thoughts, strict=True):
        if isinstance(part, Reasoning):
            lost = not (thinks and thought and (thought["type"] == "reasoning" or not lost))
        name = beside.get("id")
        if lost or name in ids:
            name = None
        match part:
            case Reasoning():
                name = None
                if thought and not lost and thought.get("id") not in ids:
                    if items and items[-1]["type"] == thought["type"] == "reasoning":
                        items.pop()
                    items.append(thought)
                    name = thought.get("id")
            case Text(text=text) if text:
                name = name or _message_id(ids)
                items.append(_message(text, name, beside))
            case ToolCall():
                items.append(_call(part, calls[part.id], name, beside))
        if name:
            ids.add(name)
    while items and items[-1].get("type") == "reasoning":
        items.pop()
    return items


def _kept(part: Part) -> Json:
    """What this provider said of the part, for itself to read again: what of it can be read."""
    kept = part.private.get(KIND) if isinstance(part, Text | Reasoning | ToolCall) else None
    if not isinstance(kept, dict):
        return {}
    item = kept.get("item")
    readable = isinstance(item, dict) and isinstance(item.get("type"), str) and isinstance(item.get("id", ""), str)
    return {key: value for key, value in kept.items() if (readable if key == "item" else isinstance(value, str) or key == "caller")}


def _message_id(ids: set[str]) -> str:
    number = len(ids)
    while (name := f"msg_{number}") in ids:
        number += 1
    return name


def _message(text: str, name: str, beside: Json) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "id": name, "role": "assistant", "status": "completed", "content": content}
    return item | {key: beside[key] for key in ("phase",) if key in beside}


def _call(call: ToolCall, call_id: str, name: str | None, beside: Json) -> Json:
    item: Json = {"type": "function_call", "call_id": call_id, "name": tool_name(call.name), "arguments": call.arguments}
    return item | ({"id": name} if name else {}) | {key: beside[key] for key in ("namespace", "caller") if key in beside}


def _content(parts: Iterable[Part], asked: list[Blob]) -> str | list[Json]:
    """What a user said. Text alone goes as a plain string."""
    sent = [_part(part, asked) for part in parts]
    if all(part["type"] == "input_text" for part in sent):
        return "\n\n".join(part["text"] for part in sent)
    return sent


def _part(part: Part, asked: list[Blob]) -> Json:
    match part:
        case Text(text=text):
            return {"type": "input_text", "text": text}
        case Blob(data=None, name=name, media_type=media_type):
            raise ProviderError("bad_request", f"the attachment {name or media_type} was not loaded")
        case Blob(data=bytes(data), name=name, media_type=media_type):
            sent = _blob(media_type, data, name)
            return sent or {"type": "input_text", "text": instead(part, asked, "Text, images, PDF and office documents")}
        case _:
            raise ProviderError("bad_request", f"a user cannot say a {type(part).__name__}")


def _blob(media_type: str, data: bytes, name: str | None) -> Json | None:
    kind, _, form = media_type.partition(";")[0].partition("/")
    if kind == "image":
        return {"type": "input_image", "image_url": data_url(media_type, data), "detail": "auto"}
    if kind == "text":
        return {"type": "input_text", "text": data.decode(errors="replace")}
    if kind == "application" and _DOCUMENT.fullmatch(form):
        return {"type": "input_file", "filename": name or f"document.{form}", "file_data": data_url(media_type, data)}
    return None
