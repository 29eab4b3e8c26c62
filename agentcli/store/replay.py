"""A journal read again: what a turn left behind when its program died.

journal.py says what stands in one. `read()` understands it, `apply()` folds it onto the document, as the live turn was folded.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from agentcli.core.begun import joined
from agentcli.core.document import Compaction, Origin
from agentcli.core.event import (
    Compacted,
    Event,
    MessageAdded,
    ReasoningDelta,
    Switched,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
)
from agentcli.core.message import Message, Stop, ToolResult
from agentcli.core.provider import Draft, ReasoningChunk, TextChunk
from agentcli.core.thread import Thread
from agentcli.store import disk

__all__ = ["FORMAT", "Header", "Journal", "apply", "read"]

FORMAT = 1

_CUT = ("interrupted", "timed_out", "failed")  # ends of a turn that leave an unfinished answer


class Header(Struct, kw_only=True):
    """The first line: the thread as it was when the turn began."""

    format: int = FORMAT
    id: str
    revision: int  # of the document
    messages: int  # of the document that the thread still begins with
    source: str  # the agent whose turn it is
    title: str = ""
    created: datetime
    agent: str | None = None
    model: str | None = None
    parent: Origin | None = None
    said: list[Message] = []  # beyond those of the document
    compactions: list[Compaction] | UnsetType = UNSET  # if the thread has any
    goes_on: bool = False  # with an answer that was cut off: the last message
    instead: int | None = None  # how many messages stay if the turn has a new answer to the last thing said; all, if it has none


class Journal(Struct):
    """A journal as it was read. `whole` is false if reading stopped before the last line."""

    header: Header
    events: list[Event]
    whole: bool
    at: datetime

    def fits(self, document: Thread | None) -> bool:
        """Whether the turn goes on from this document."""
        revision = document.revision if document else 0
        kept = len(document.messages) if document else 0
        if self.header.messages == 0:
            return revision <= self.header.revision
        return revision == self.header.revision and self.header.messages <= kept


_DECODE_HEADER = msgspec.json.Decoder(Header)
_DECODE_EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def read(path: Path, name: str) -> Journal:
    """The journal of the thread `name`. FileNotFoundError if there is none, ValueError if it cannot be understood."""
    data = disk.read(path)
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    first, *lines = data.split(b"\n")
    try:
        header = _DECODE_HEADER.decode(first)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if header.format > FORMAT:
        raise ValueError(f"its format is {header.format}; this version reads up to {FORMAT}")
    if header.id != name:
        raise ValueError(f"it is the journal of another thread, {ascii(header.id)[:40]}")
    events: list[Event] = []
    del lines[-1:]  # what stands behind the last line end is torn, or nothing
    for number, line in enumerate(lines):
        try:
            events.append(_DECODE_EVENT.decode(line))
        except msgspec.ValidationError:  # whole, but of a kind that this version does not know
            continue
        except (ValueError, RecursionError):
            return Journal(header, events, whole=number == len(lines) - 1, at=at)
    return Journal(header, events, whole=True, at=at)


def apply(journal: Journal, document: Thread | None) -> Thread:
    """The thread with what the journal has. `document` is the one that the journal fits, and is changed."""
    header = journal.header
    thread = document or Thread(id=header.id, created=header.created, updated=header.created, parent=header.parent)
    updated = thread.updated
    _begin(thread, header, answered=any(_answers(event, header.source) for event in journal.events))
    partial = thread.partial if header.goes_on else None
    draft = Draft()
    model = header.model
    stop: Stop = "crashed"
    begun: set[str] = set()
    done: dict[str, ToolResult] = {}
    for event in (event for event in journal.events if event.source == header.source):
        match event:
            case TextDelta(text=text):
                draft.add(TextChunk(text))
            case ReasoningDelta(text=text):
                draft.add(ReasoningChunk(text))
            case MessageAdded(message=message):
                thread.put(message)
                if message.role == "assistant":
                    partial, draft, begun, done = None, Draft(), set(), {}
            case ToolStarted(call_id=call):
                begun.add(call)
            case ToolFinished(call_id=call, content=content, is_error=is_error):
                done[call] = ToolResult(call, content, is_error)
            case Switched(model=model):
                pass
            case Compacted(compaction=compaction):
                thread.compact(compaction)
            case TurnEnded(stop=stop):
                pass
    if draft and not (partial and draft.silent):
        answer = draft.message(author=header.source, model=model, stop=stop if stop in _CUT else "crashed")
        answer = replace(answer, at=journal.at)
        thread.put(joined(partial, answer) if partial else answer)
    thread.settle(done, begun)
    thread.updated = max(updated, journal.at) if thread.messages else updated
    return thread


def _begin(thread: Thread, header: Header, *, answered: bool) -> None:
    """Make the thread what it was when the turn began."""
    thread.title, thread.agent, thread.model = header.title, header.agent, header.model
    if header.compactions is not UNSET:
        thread.compactions = header.compactions
    del thread.messages[header.messages :]
    thread.messages.extend(header.said)
    if header.instead is not None and answered:
        del thread.messages[header.instead :]
    thread.settle()


def _answers(event: Event, source: str) -> bool:
    """Is this a part of an answer?"""
    if event.source != source:
        return False
    return isinstance(event, TextDelta | ReasoningDelta) or (isinstance(event, MessageAdded) and event.message.role == "assistant")
