"""A thread for other eyes: as Markdown, as a page, as the document itself.

All three are pure: a Thread in, a text out. Markdown carries what was said as it was said, so that it can be pasted, edited and
compared; the page (`page.py`) is for reading and printing and trusts nothing in it; JSON is the document, which `threads import` takes
back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from msgspec.structs import replace

from agentcli.core.compact import standing_summary
from agentcli.core.message import Blob, Part, Reasoning, Text, ToolCall, ToolResult
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store.page import page
from agentcli.store.wording import SUMMARY, cut, numbered, speaker

__all__ = ["FORMATS", "document", "html", "markdown", "with_attachments"]


def document(thread: Thread) -> str:
    """The thread as the JSON document that it is on disk."""
    return thread.dump().decode()


def html(thread: Thread) -> str:
    """The thread as one self-contained HTML page."""
    return page(thread)


def markdown(thread: Thread) -> str:
    """The thread as Markdown. The texts stand in it unchanged, but for a code fence left open, which is closed."""
    facts = [f"Thread `{thread.id}`", *([_plain(thread.model)] if thread.model else []), f"{thread.updated:%Y-%m-%d %H:%M %Z}"]
    blocks = [f"# {_plain(thread.title) or 'Untitled'}", " · ".join(facts)]
    summary = standing_summary(thread)
    for number, message, calls in numbered(thread.messages):
        blocks.append(f"## {number}. {_plain(speaker(message))}")
        blocks += [block for part in message.parts if (block := _block(part, calls))]
        if note := cut(message):
            blocks.append(f"> **{note}**")
        if summary and summary.count == number:
            blocks.append(_folded(SUMMARY, _closed(summary.summary).strip("\n")))
    return "\n\n".join(blocks) + "\n"


FORMATS: dict[str, Callable[[Thread], str]] = {"md": markdown, "json": document, "html": html}


def with_attachments(thread: Thread, bytes_of: Callable[[Blob], bytes]) -> tuple[Thread, list[UserError]]:
    """A copy that holds the bytes of its attachments instead of naming a place in the store, and what could not be had."""
    missing: list[UserError] = []

    def held(part: Part) -> Part:
        if not isinstance(part, Blob) or not part.ref:
            return part
        try:
            return replace(part, data=bytes_of(part), ref=None)
        except UserError as error:
            missing.append(error)
            return part

    messages = [
        replace(message, parts=tuple(held(part) for part in message.parts))
        if any(isinstance(part, Blob) for part in message.parts)
        else message
        for message in thread.messages
    ]
    copy = replace(thread, messages=messages)
    copy.unknown.update(thread.unknown)
    return copy, missing


def _block(part: Part, calls: dict[str, str]) -> str:
    match part:
        case Text(text=text):
            return _closed(text).strip("\n")
        case Reasoning(text=text):
            return _folded("Reasoning", _closed(text).strip("\n")) if text else ""
        case ToolCall():
            return _folded(f"Tool call: {part.name}", _fence(part.arguments, "json"))
        case ToolResult():
            kind = "Tool error" if part.is_error else "Tool result"
            return _folded(f"{kind}: {calls.get(part.call_id, part.call_id)}", _fence(part.content))
        case Blob():
            return f"Attachment: {_plain(part.name or 'unnamed')} ({_plain(part.media_type)})"


def _folded(summary: str, body: str) -> str:
    return f"<details>\n<summary>{escape(' '.join(summary.split()), quote=False)}</summary>\n\n{body}\n\n</details>"


def _plain(text: str) -> str:
    """One line that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", " ".join(text.split()))


def _fence(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


def _closed(text: str) -> str:
    """The text, and the end of a code fence that it leaves open: an answer cut off inside one would swallow all that follows."""
    if "```" not in text and "~~~" not in text:
        return text
    from markdown_it import MarkdownIt

    last = MarkdownIt("commonmark").disable("inline").parse(text)[-1:]
    if not last or last[0].type != "fence" or last[0].map is None:
        return text
    begin, end = last[0].map
    closing = re.split(r"\r\n?|\n", text)[end - 1].strip() if end - 1 > begin else ""
    if closing.startswith(last[0].markup) and not closing.strip(closing[0]):
        return text
    return f"{text.rstrip(chr(10))}\n{last[0].markup}"
