"""A conversation for a model that reads nothing but words, and has no tools.

It may have been begun with another model. What that one called, and what came of it, is told in words, so that the model knows of it.
What the person shows it now and it cannot see is refused, since an answer would be made up; what was shown to another model earlier
is named.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from agentcli.core.message import Blob, Message, Part, Text, ToolCall, ToolResult
from agentcli.core.provider import ProviderError
from agentcli.core.thread import sendable

__all__ = ["readable", "without_tools"]


def readable(messages: list[Message], name: str) -> list[Message]:
    """Without attachments that are no text."""
    if not any(_unreadable(part) for message in messages for part in message.parts):
        return messages
    newest = max((number for number, message in enumerate(messages) if message.role == "user"), default=0)
    for part in messages[newest].parts:
        if isinstance(part, Blob) and _unreadable(part):
            raise ProviderError(
                "bad_request",
                f"{name} reads nothing but text: {part.name or 'the attachment'} is {part.media_type}",
                hint="Ask a model that takes it: -m provider/model.",
            )
    return [_with(message, (_named(part) for part in message.parts)) for message in messages]


def without_tools(messages: list[Message]) -> list[Message]:
    """With calls and results in words."""
    if not any(isinstance(part, ToolCall | ToolResult) for message in messages for part in message.parts):
        return messages
    told = (_with(message, map(_told, message.parts)) for message in messages)
    return sendable(replace(each, role="user") if each.role == "tool" else each for each in told)


def _unreadable(part: Part) -> bool:
    return isinstance(part, Blob) and not part.media_type.startswith("text/")


def _named(part: Part) -> Part:
    if isinstance(part, Blob) and _unreadable(part):
        return Text(f"[{part.name or 'an attachment'}, {part.media_type}: cannot be shown here]")
    return part


def _told(part: Part) -> Part:
    match part:
        case ToolCall(name=name, arguments=arguments):
            return Text(f"\n[used the tool {name} with {arguments}]")
        case ToolResult(content=content, is_error=is_error):
            return Text(f"[the tool {'failed' if is_error else 'answered'}: {content}]")
    return part


def _with(message: Message, parts: Iterable[Part]) -> Message:
    return replace(message, parts=tuple(parts))
