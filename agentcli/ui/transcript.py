"""One thread from its beginning to its end, its messages numbered as `threads fork --at` counts them.

In a pipe every text is whole and exact. On a terminal answers are rendered, and what is not the answer (reasoning, calls, results)
is dim and cut to its beginning, with a note that says how much is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentcli.core.message import Blob, Part, Reasoning, Text, ToolCall, ToolResult, now
from agentcli.core.thread import Thread
from agentcli.store.wording import cut, numbered, speaker
from agentcli.ui.ability import dumb
from agentcli.ui.sanitise import one_line, visible
from agentcli.ui.stdout import bold, columns, dim, on_terminal, put, warning
from agentcli.ui.talk import colours
from agentcli.ui.threads import ago, iso, titled

__all__ = ["as_text", "print_thread"]

_RENDERED = 50  # so many of the last messages are rendered; the ones before them are shown as text
_FOLDED = 12  # lines of reasoning, of a call or of a result that a terminal shows
_FOLDED_LENGTH = 2000  # and characters


def print_thread(thread: Thread) -> None:
    """One thread: its messages, numbered as `fork --at` counts them."""
    if on_terminal():
        for text in _on_screen(thread):
            put(text)
    else:
        put(as_text(thread))


def as_text(thread: Thread) -> str:
    """One thread as plain text: every word of it, as it was said."""
    return "".join(_in_pipe(thread))


def _in_pipe(thread: Thread) -> Iterator[str]:
    yield f"{_plain(thread.title) or 'Untitled'}\n{' · '.join(_facts(thread, iso(thread.updated)))}\n"
    for number, message, calls in numbered(thread.messages):
        yield f"\n[{number}] {_plain(speaker(message))} · {iso(message.at)}\n"
        for part in message.parts:
            label, body = _labelled(part, calls)
            if label:
                yield f"[{_plain(label)}]\n"
            if body:
                yield body if body.endswith("\n") else f"{body}\n"
        if note := cut(message):
            yield f"[{note}]\n"


def _on_screen(thread: Thread) -> Iterator[str]:
    moment = now()
    yield f"{bold(titled(thread.title))}\n{dim(one_line(' · '.join(_facts(thread, ago(thread.updated, moment)))))}\n"
    for number, message, calls in numbered(thread.messages):
        yield f"\n{bold(f'{number} · {one_line(speaker(message))}')} {dim(f'· {ago(message.at, moment)}')}\n"
        for part in message.parts:
            label, body = _labelled(part, calls)
            if label:
                yield dim(f"{one_line(label)}{':' if body else ''}") + "\n"
                yield "".join(f"{dim(f'  {line}')}\n" for line in _folded(body))
            elif message.role == "assistant" and number > len(thread.messages) - _RENDERED:
                yield _rendered(body)
            elif body:
                yield f"{visible(body).rstrip()}\n"
        if note := cut(message):
            yield f"{warning(note)}\n"


def _facts(thread: Thread, updated: str) -> list[str]:
    count = len(thread.messages)
    model = [_plain(thread.model)] if thread.model else []
    fork = [f"fork of {_plain(thread.parent.thread)}"] if thread.parent else []
    return [thread.id, *model, f"{count} message{'' if count == 1 else 's'}", updated, *fork]


def _labelled(part: Part, calls: dict[str, str]) -> tuple[str, str]:
    """What kind of part this is, if it is not just text, and what it says."""
    match part:
        case Text(text=text):
            return "", text
        case Reasoning(text=text):
            return "reasoning" if text else "", text
        case ToolCall():
            return f"call {part.name}", part.arguments
        case ToolResult():
            return f"{'error' if part.is_error else 'result'} {calls.get(part.call_id, part.call_id)}", part.content
        case Blob():
            return f"attachment {part.name or 'unnamed'} ({part.media_type})", ""


def _rendered(text: str) -> str:
    """Markdown as the terminal can show it; it makes visible what is not."""
    if dumb():
        return f"{visible(text).rstrip()}\n" if text else ""
    from agentcli.ui.markdown import Stream

    stream = Stream(columns(), color=colours(1))
    return stream.feed(text) + stream.finish()


def _folded(text: str) -> list[str]:
    """As much as a terminal shows of what is not the answer, and how much that leaves out."""
    text = text.rstrip("\n")
    lines = text[:_FOLDED_LENGTH].split("\n")[:_FOLDED] if text else []
    left = len(text) - len("\n".join(lines))
    more = [f"… {left} characters more; `agentcli threads show ID | less` gives all of it"] if left else []
    return [visible(line) for line in lines] + more


def _plain(text: str) -> str:
    return " ".join(text.split())
