"""The messages of a conversation as the Messages API takes them: a strict one.

Speakers take turns, and a person begins. Tool results are said by the person, before anything else of theirs, right after the calls.
Ids and names of tools have a form, and no id comes twice in a conversation. No text is blank. Ids and histories of other providers are
brought into that form, the same way each time.

**Thinking goes back as it came**, to the model that it came from: in a loop of tools the API refuses a turn without it. It holds
only for what stood before it when it was thought: newer models refuse it when the instructions, the tools or an earlier message have
changed since. So each answer keeps a fingerprint of what stood before it (`Before`), and its thinking is sent only while that is
still so. What was thought by another model, or was cut off (it has no signature), is never sent, nor is thinking at the very end of
a turn.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall
from agentcli.core.provider import ProviderError, Request
from agentcli.providers.anthropic.answer import KIND
from agentcli.providers.attached import asked_about, instead

__all__ = ["THINKING", "Before", "encoded", "name_of_tool"]

Json: TypeAlias = dict[str, Any]

THINKING = ("thinking", "redacted_thinking")
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_BEGINNING = "(The conversation begins with your words.)"
_GO_ON = "(Go on from there.)"
_SAID_NOTHING = "The tool failed and said nothing."


class Before:
    """What stands before an answer: instructions, tools and messages. Its fingerprint leaves out the marks for the cache."""

    def __init__(self, body: Json) -> None:
        self._hash = hashlib.sha256()
        for key in ("system", "tools"):
            _add_to(self._hash, body.get(key))

    @classmethod
    def of(cls, body: Json) -> str:
        """The fingerprint of a whole request."""
        before = cls(body)
        return before.after(body["messages"])

    def after(self, messages: list[Json]) -> str:
        """The fingerprint when these have been said, too. All but the last are remembered: to that one more may be added."""
        for message in messages[:-1]:
            _add_to(self._hash, message["role"], message["content"])
        whole = self._hash.copy()
        for message in messages[-1:]:
            _add_to(whole, message["role"], message["content"])
        return whole.hexdigest()[:16]


def _add_to(fingerprint: Any, *values: Any) -> None:
    for blocks in values:
        unmarked = [_unmarked(block) for block in blocks] if isinstance(blocks, list) else blocks
        fingerprint.update(msgspec.json.encode(unmarked) + b"\n")


def _unmarked(block: Any) -> Any:
    if isinstance(block, dict) and "cache_control" in block:
        return {key: value for key, value in block.items() if key != "cache_control"}
    return block


def encoded(request: Request, model: str, body: Json, *, goes_on: bool) -> list[Json]:
    """The messages. `model` is the one that is asked, with its provider; `body` is the rest of the request.

    A model that `goes_on` finishes an answer that stands at the end. Others are asked to.
    """
    sent: list[Json] = []
    before = Before(body)
    said = 0  # how many of those sent `before` knows
    ids = _Ids()
    asked = asked_about(request.messages, request.asked)
    for message in request.messages:
        match message.role:
            case "user":
                _add(sent, "user", list(_spoken(message, asked)))
            case "tool":
                results = ((ids.now.get(result.call_id, ""), result) for result in message.results)
                _add(sent, "user", [_result(name, result.content, result.is_error) for name, result in results if name])
            case "assistant":
                if not sent:
                    _add(sent, "user", [_text(_BEGINNING)])
                mine = message.model == model and any(isinstance(part, Reasoning) and KIND in part.private for part in message.parts)
                fingerprint = before.after(sent[said:]) if mine else None
                said = len(sent) - 1 if mine else said
                _add(sent, "assistant", _answered(message, ids.of(message), fingerprint))
    if sent and sent[-1]["role"] == "assistant":
        last = sent[-1]["content"][-1]
        if not goes_on:
            _add(sent, "user", [_text(_GO_ON)])
        elif last["type"] == "text":
            last["text"] = last["text"].rstrip()
    return sent


def name_of_tool(name: str) -> str:
    """The name if the API takes it, or the nearest that it takes."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]


class _Ids:
    """The ids of tool calls: of the form that the API takes, and each once. `now` are those of the last answer."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, message: Message) -> dict[str, str]:
        self.now = {call.id: self._free(call.id) for call in message.calls}
        return self.now

    def _free(self, known: str) -> str:
        name = known if _ID.fullmatch(known) else f"toolu_{hashlib.sha256(known.encode(errors='replace')).hexdigest()[:24]}"
        free, number = name, 1
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free


def _add(sent: list[Json], role: str, blocks: list[Json]) -> None:
    """Say more: in the same turn, if it is the same speaker's."""
    if not blocks:
        return
    if sent and sent[-1]["role"] == role:
        sent[-1]["content"] += blocks
    else:
        sent.append({"role": role, "content": blocks})


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _answered(message: Message, ids: dict[str, str], fingerprint: str | None) -> list[Json]:
    """An answer of a model's, without what only shows."""
    blocks: list[Json] = []
    words: list[str] = []

    def say() -> None:
        if (text := "".join(words)).strip():
            blocks.append(_text(text))
        words.clear()

    for part in message.parts:
        if isinstance(part, Text):
            words.append(part.text)
        elif isinstance(part, ToolCall):
            say()
            arguments = msgspec.json.decode(part.arguments)
            blocks.append({"type": "tool_use", "id": ids[part.id], "name": name_of_tool(part.name), "input": arguments})
        elif isinstance(part, Reasoning) and fingerprint and (block := _thought(part, fingerprint)):
            say()
            blocks.append(block)
    say()
    while blocks and blocks[-1]["type"] in THINKING:
        blocks.pop()
    return blocks


def _thought(part: Reasoning, fingerprint: str) -> Json | None:
    """The thinking as it came, if it may go back."""
    match part.private.get(KIND):
        case {"under": under} if under != fingerprint:
            return None
        case {"type": "thinking", "signature": str(signature)}:
            return {"type": "thinking", "thinking": part.text, "signature": signature}
        case {"type": "redacted_thinking", "data": str(data)}:
            return {"type": "redacted_thinking", "data": data}
    return None


def _result(name: str, content: str, is_error: bool) -> Json:
    result: Json = {"type": "tool_result", "tool_use_id": name}
    if content.strip() or is_error:
        result["content"] = content if content.strip() else _SAID_NOTHING
    if is_error:
        result["is_error"] = True
    return result


def _spoken(message: Message, asked: list[Blob]) -> Iterator[Json]:
    """What a person said."""
    for part in message.parts:
        match part:
            case Text(text=text):
                if text.strip():
                    yield _text(text)
            case Blob(data=None, name=name, media_type=media_type):
                raise ProviderError("bad_request", f"the attachment {name or media_type} was not loaded")
            case Blob(data=bytes(data)):
                yield from _attached(part, data, asked)


def _attached(blob: Blob, data: bytes, asked: list[Blob]) -> Iterator[Json]:
    name = blob.name
    kind = blob.media_type.partition(";")[0].strip().lower().replace("image/jpg", "image/jpeg")
    if kind in _IMAGES or kind == "application/pdf":
        source = {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode()}
        if kind in _IMAGES:
            yield {"type": "image", "source": source}
        else:
            yield {"type": "document", "source": source} | ({"title": name} if name else {})
    elif kind.startswith("text/"):
        if (text := data.decode(errors="replace").rstrip()).strip():
            yield _text(f'<file name="{name}">\n{text}\n</file>' if name else text)
    else:
        yield _text(instead(blob, asked, "Text, PDF, and images as PNG, JPEG, GIF or WebP"))
