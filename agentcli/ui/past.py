"""What was said before, shown again in the chat, as it looked when it was said.

A past answer goes through the same form as a new one: its texts and calls are told as the events that they were. So it is set the same
way, on every terminal. Each message has its number above it, by which `/fork`, `/copy` and `agentcli threads` know it.

`retold()` is a generator that shows a piece at each step, so that whoever iterates can do something else between two pieces: a thread
may have ten thousand messages, and an answer ten thousand lines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from agentcli.core.event import Event, MessageAdded, TextDelta, ToolFinished, ToolStarted, TurnEnded
from agentcli.core.message import Blob, Message, Text, ToolCall, ToolResult
from agentcli.core.thread import Thread
from agentcli.store.wording import numbered, speaker
from agentcli.ui.attached import apart, describe
from agentcli.ui.form import Form
from agentcli.ui.sanitise import one_line
from agentcli.ui.talk import say

__all__ = ["last_exchange", "retold"]

_PIECE = 4096  # characters of an answer at a time
_LINES = 100  # lines of a question at a time
_FOLDED = 12  # lines of a question that are shown where it is one of many


def last_exchange(thread: Thread) -> int:
    """The number of the message that the last exchange begins with."""
    messages = thread.messages
    return next((at for at in range(len(messages), 0, -1) if messages[at - 1].role == "user"), 1)


def retold(thread: Thread, numbers: range, form: Callable[[], Form], *, brief: bool = False) -> Generator[None, None, None]:
    """Show these messages, counted from 1, a piece at each step. `brief`: without their numbers."""
    for number, message, _ in numbered(thread.messages):
        if number not in numbers or message.role == "tool":
            continue
        say("")
        if not brief:
            say(f"{number} · {one_line(speaker(message), 60)}", dim=True)
        if message.role == "user":
            yield from _question(message, whole=len(numbers) == 1)
        else:
            yield from _answer(message, form(), thread.id, _results_of(thread, number))


def _results_of(thread: Thread, number: int) -> dict[str, ToolResult]:
    """The results of the calls of this message, by the id of the call."""
    following = thread.messages[number : number + 1]
    return {result.call_id: result for message in following if message.role == "tool" for result in message.results}


def _question(message: Message, *, whole: bool) -> Iterator[None]:
    typed, attached = apart(message)
    lines = typed.split("\n") if typed else []
    left = 0 if whole else max(len(lines) - _FOLDED, 0)
    shown = [f"{'  ' if at else '> '}{line}" for at, line in enumerate(lines[: len(lines) - left])]
    for begin in range(0, len(shown), _LINES):
        say("\n".join(shown[begin : begin + _LINES]), dim=True)
        yield
    if left:
        say(f"  … {left} more lines", dim=True)
    for part in attached:
        say(f"  [{describe(part)}]", dim=True)
    yield


def _answer(message: Message, form: Form, thread: str, results: dict[str, ToolResult]) -> Iterator[None]:
    try:
        for event in _events(message, thread, results):
            form.show(event)
            yield
    finally:
        form.close()


def _events(message: Message, thread: str, results: dict[str, ToolResult]) -> Iterator[Event]:
    """What happened when this answer came. All of it is that of one agent, whatever its name was."""
    source = "agentcli"
    for part in message.parts:
        match part:
            case Text(text=text):
                for begin in range(0, len(text), _PIECE):
                    yield TextDelta(source, thread, text[begin : begin + _PIECE])
            case Blob():
                yield TextDelta(source, thread, f"\n\n[{describe(part)}]\n\n")
    yield MessageAdded(source, thread, message=message)
    for part in message.parts:
        if isinstance(part, ToolCall):
            yield ToolStarted(source, thread, part.id, part.name, part.arguments)
            if result := results.get(part.id):
                yield ToolFinished(source, thread, part.id, part.name, result.content, result.is_error)
    yield TurnEnded(source, thread, stop="done" if message.whole and message.stop != "refused" else message.stop or "done")
