"""A thread from outside: the document of `threads export --format json`, or a plain list of messages.

The list is what the APIs of models take, and what many programs write: `[{"role": "user", "content": "…"}, …]`, alone or as the
`messages` of an object, with tool calls as OpenAI writes them. System prompts are left out: they belong to an agent, not to a thread.
Whatever else comes is refused with the reason: half a conversation, taken silently, would be worse than none.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import msgspec

from agentcli.core.message import Blob, Message, Part, Reasoning, Text, ToolCall, ToolResult
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError

__all__ = ["read"]


def read(data: bytes) -> Thread:
    """The thread in a document or in a list of messages; a UserError that says why, if there is none."""
    data = data.removeprefix(b"\xef\xbb\xbf")  # a byte-order mark
    try:
        document = msgspec.json.decode(data)
        if isinstance(document, dict) and "format" in document:
            return Thread.load(data)
        return _of_messages(document)
    except RecursionError:
        reason = "nested too deeply"
    except (ValueError, msgspec.MsgspecError) as error:
        reason = str(error)
    raise UserError(
        f"this is not a thread: {reason}",
        hint='Import what "agentcli threads export --format json" wrote, or a JSON list of {"role", "content"} messages.',
        exit_code=Exit.DATA,
    )


def _of_messages(document: Any) -> Thread:
    entries = document.get("messages") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise ValueError("neither a thread document nor a list of messages")
    messages: list[Message] = []
    for number, entry in enumerate(entries, 1):
        try:
            message = _message(entry)
        except ValueError as error:
            raise ValueError(f"message {number}: {error}") from None
        if message is None:
            continue
        if message.role == "tool" and messages and messages[-1].role == "tool":  # the results of one answer stand in one message
            message = msgspec.structs.replace(message, parts=messages.pop().parts + message.parts)
        messages.append(message)
    if not messages:
        raise ValueError("no messages in it")
    thread = Thread.of(*messages)
    thread.settle()
    return thread


def _message(entry: Any) -> Message | None:
    if not isinstance(entry, dict):
        raise ValueError(f"expected an object, got {type(entry).__name__}")
    match entry.get("role"):
        case "system" | "developer":
            return None
        case "user":
            return Message(role="user", parts=tuple(_parts(entry.get("content"))))
        case "assistant":
            calls = tuple(_calls(entry.get("tool_calls")))
            return Message(
                role="assistant",
                author=_optional(entry, "name"),
                model=_optional(entry, "model"),
                stop="tools" if calls else "done",
                parts=(*_reasoning(entry), *_parts(entry.get("content")), *calls),
            )
        case "tool":
            content = "".join(part.text for part in _parts(entry.get("content")) if isinstance(part, Text))
            return Message(role="tool", parts=(ToolResult(_required(entry, "tool_call_id"), content),))
        case other:
            raise ValueError(f"its role is {other!r}, not user, assistant, tool or system")


def _reasoning(entry: dict[str, Any]) -> Iterator[Reasoning]:
    text = _optional(entry, "reasoning_content") or _optional(entry, "reasoning")
    if text:
        yield Reasoning(text)


def _parts(content: Any) -> Iterator[Part]:
    if content is None or content == "":
        return
    if isinstance(content, str):
        yield Text(content)
        return
    if not isinstance(content, list):
        raise ValueError(f"its content is {type(content).__name__}, not a text or a list")
    for item in content:
        if isinstance(item, str):
            yield Text(item)
            continue
        if not isinstance(item, dict):
            raise ValueError(f"its content has {type(item).__name__} in it")
        match item.get("type"):
            case "text" | "input_text" | "output_text":
                yield Text(_required(item, "text"))
            case "refusal":
                yield Text(_required(item, "refusal"))
            case "image_url":
                yield _picture(item.get("image_url"))
            case other:
                raise ValueError(f"it has a part of type {other!r}, which cannot be imported")


def _picture(value: Any) -> Part:
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        raise ValueError("it has a picture without a url")
    if not url.startswith("data:"):
        return Text(f"[picture: {url}]")
    head, _, body = url.removeprefix("data:").partition(",")
    media_type, _, encoding = head.partition(";")
    if encoding != "base64":
        raise ValueError("it has a picture that is not base64")
    try:
        return Blob(media_type, b64decode(body, validate=True))
    except binascii.Error as error:
        raise ValueError(f"it has a picture that is not base64: {error}") from None


def _calls(calls: Any) -> Iterator[ToolCall]:
    if calls is None:
        return
    if not isinstance(calls, list):
        raise ValueError("its tool_calls are not a list")
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise ValueError("it has a tool call without a function")
        yield ToolCall(_required(call, "id"), _required(function, "name"), _required(function, "arguments"))


def _required(entry: dict[str, Any], key: str) -> str:
    if not isinstance(value := entry.get(key), str):
        raise ValueError(f"no {key}, or not a text")
    return value


def _optional(entry: dict[str, Any], key: str) -> str | None:
    return value if isinstance(value := entry.get(key), str) else None
