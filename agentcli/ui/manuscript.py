"""A whole thread as one text that can be edited and read back.

    %%% Thread k7m29xqd. Change what is said; what stands in lines with %%% stays as it is. […]

    %%% 1 user
    What time is it?

    %%% 2 assistant
    Let me look.
    %%% 2.2 call clock {"zone": "UTC"}

    %%% 3 tool
    %%% 3.1 result clock: 12:00

    %%% 4 assistant
    It is noon.

A line that begins with the mark is ours: the heading of a message (its number and role), or a part of one that is not its first
text: its place in the message, what kind of part it is and, for whoever reads it, how it begins. Every other line is what was said, as
it was said. The mark is longer than any run of the same character at the beginning of a line in the thread: no text is taken for it.

Reading back is strict. Headings stand in their order, each once; a message that is there has all its parts, their lines unchanged; a
message without its heading is gone. Anything else is a fault with the number of its line. Line ends at the end of a text mean
nothing, and neither does how an editor writes them: a text that differs in nothing else is the old one, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from agentcli.core.message import Blob, Message, Part, Reasoning, Text, ToolCall, ToolResult
from agentcli.core.thread import Thread
from agentcli.store.wording import numbered
from agentcli.ui.sanitise import one_line

__all__ = ["Changes", "apply", "read_back", "write"]

_HEAD = """\
{mark} Thread {id}: {title}
{mark} Change what was said, save, and leave the editor. Lines with {mark} are not part of what was said: they stay as they are.
{mark} To take a message out of the thread, remove its heading and everything up to the next one. An empty file changes nothing.
"""
_WIDTH = 100


class Changes(NamedTuple):
    """What became of a thread: its messages, how many of the old ones were changed and removed, and where the first of these was."""

    messages: list[Message]
    changed: int
    removed: int
    first: int  # counted from 0; with nothing changed, behind the last


def write(thread: Thread) -> str:
    """The thread as a text."""
    mark = _mark(thread.messages)
    blocks = [_HEAD.format(mark=mark, id=thread.id, title=one_line(thread.title, _WIDTH) or "(no title)")]
    for number, message, calls in numbered(thread.messages):
        lines = [_heading(mark, number, message)]
        for place, part in enumerate(message.parts, 1):
            if line := _line(mark, number, place, part, calls):
                lines.append(line)
            if isinstance(part, Text):
                lines.append(part.text)
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def read_back(text: str, thread: Thread) -> Changes:
    """What the text says that the thread should be. ValueError if that is not clear."""
    mark = _mark(thread.messages)
    there = dict(_sections(text, mark, len(thread.messages)))
    messages: list[Message] = []
    changed = 0
    first = len(thread.messages)
    for number, message, calls in numbered(thread.messages):
        new = _message(mark, number, message, calls, there[number]) if number in there else None
        if new is not None:
            messages.append(new)
        if new is not message:
            changed += new is not None
            first = min(first, number - 1)
    messages = _without_orphans(messages)
    return Changes(messages, changed, len(thread.messages) - len(messages), first)


def apply(thread: Thread, changes: Changes) -> None:
    """Make the thread what was read back."""
    thread.compactions = [one for one in thread.standing if one.count <= changes.first] or UNSET  # the others sum up what was changed
    thread.messages[:] = changes.messages
    thread.settle()


class _Section(NamedTuple):
    """The lines below a heading, and where the first of them is."""

    begin: int
    lines: list[str]


def _mark(messages: Sequence[Message]) -> str:
    longest = 2
    for message in messages:
        for part in message.parts:
            if isinstance(part, Text) and "%%%" in part.text:
                longest = max(longest, *map(len, re.findall(r"^%+", part.text, re.MULTILINE)), 0)
    return "%" * (longest + 1)


def _heading(mark: str, number: int, message: Message) -> str:
    return f"{mark} {number} {message.role}"


def _line(mark: str, number: int, place: int, part: Part, calls: dict[str, str]) -> str:
    """The line that stands for a part, or above it; none for a message's first text."""
    if isinstance(part, Text) and place == 1:
        return ""
    return f"{mark} {number}.{place} {one_line(_words(part, calls), _WIDTH)}"


def _words(part: Part, calls: dict[str, str]) -> str:
    match part:
        case Text():
            return "text"
        case Reasoning(text=text):
            return f"reasoning: {text}"
        case ToolCall(name=name, arguments=arguments):
            return f"call {name} {arguments}"
        case ToolResult(call_id=call_id, content=content):
            return f"result {calls.get(call_id, call_id)}: {content}"
        case Blob(media_type=media_type, name=name):
            return f"attachment {name or 'unnamed'} ({media_type})"


def _sections(text: str, mark: str, count: int) -> Iterator[tuple[int, _Section]]:
    """What stands below each heading, by the number of the message."""
    heading = re.compile(rf"{mark} ([1-9]\d*) (?:user|assistant|tool)\s*")
    section: _Section | None = None
    last = 0
    for at, line in enumerate(text.split("\n"), 1):
        if found := heading.fullmatch(line):
            number = int(found[1])
            if not last < number <= count:
                why = f"message {number} stands behind message {last}" if number <= last else f"there is no message {number}"
                raise ValueError(f"line {at}: {why}")
            last = number
            section = _Section(at, [line])
            yield number, section
        elif section:
            section.lines.append(line)
        elif line.strip() and not line.startswith(f"{mark} "):
            raise ValueError(f"line {at}: this belongs to no message: {one_line(line, 60)}")


def _message(mark: str, number: int, old: Message, calls: dict[str, str], section: _Section) -> Message | None:
    """The message that a section says; the old one if nothing is different, None if nothing is left of it."""
    heading, *lines = section.lines
    if heading.rstrip() != _heading(mark, number, old):
        raise ValueError(f"line {section.begin}: message {number} is one of the {old.role}")
    expected = {place: line for place, part in enumerate(old.parts, 1) if (line := _line(mark, number, place, part, calls))}
    bodies: dict[int, list[str]] = {}
    body = bodies.setdefault(0 if 1 in expected else 1, [])
    for at, line in enumerate(lines, section.begin + 1):
        if not line.startswith(mark):
            body.append(line)
            continue
        place, wanted = next(iter(expected.items()), (0, ""))
        if line.rstrip() != wanted:
            known = f"here should be: {wanted}" if wanted else f"no text can have a line that begins with {mark}"
            raise ValueError(f"line {at}: {known}")
        del expected[place]
        body = bodies.setdefault(place, [])
    if expected:
        raise ValueError(f"message {number} lacks its line: {next(iter(expected.values()))}")
    texts = {place: "\n".join(body) for place, body in bodies.items()}
    for place, text in texts.items():
        if text.strip() and (place == 0 or not isinstance(old.parts[place - 1], Text)):
            raise ValueError(f"message {number} has words where none can be: {one_line(text.strip(), 60)}")
    parts = tuple(_part(part, texts.get(place, "")) for place, part in enumerate(old.parts, 1))
    if all(new is part for new, part in zip(parts, old.parts, strict=True)):
        return old
    if all(isinstance(part, Text) and not part.text.strip() for part in parts):
        return None
    return replace(old, parts=parts)


def _part(part: Part, text: str) -> Part:
    if not isinstance(part, Text) or _plain(text) == _plain(part.text):
        return part
    return Text((text if "\r\n" in part.text else text.replace("\r\n", "\n")).rstrip("\r\n"))


def _plain(text: str) -> str:
    """What counts when texts are compared."""
    return re.sub("\r+\n", "\n", text).rstrip("\r\n")


def _without_orphans(messages: Sequence[Message]) -> list[Message]:
    """The messages without the results of calls that are gone."""
    kept: list[Message] = []
    calls: set[str] = set()
    for message in messages:
        if message.role != "tool":
            calls = {call.id for call in message.calls}
        elif not calls & {result.call_id for result in message.results}:
            continue
        kept.append(message)
    return kept
