"""The messages of a thread to pick from, numbered as `threads fork --at` counts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult
from agentcli.core.thread import Thread
from agentcli.store.wording import cut, numbered, speaker
from agentcli.ui.pick.cells import fit, steady
from agentcli.ui.pick.choice import Found, Offer, folded
from agentcli.ui.pick.source import Preview
from agentcli.ui.theme import paint

__all__ = ["Messages"]

_ENOUGH = 4000  # characters


class Messages:
    """See the top of the file. The last one is selected first."""

    question = "After which message? "
    hint = "type to search"
    verb = "picks"
    last = True

    def __init__(self, thread: Thread) -> None:
        self._messages = [(str(number), _speaker(message), said(message), message) for number, message, _ in numbered(thread.messages)]
        self._number = len(str(len(self._messages)))
        self._speaker = min(max((len(who) for _, who, _, _ in self._messages), default=0), 12)

    def offers(self) -> Sequence[Offer]:
        return [Offer(number, folded(text)) for number, _, text, _ in self._messages]

    def head(self, width: int) -> str:
        return ""

    def row(self, place: int, width: int, *, selected: bool) -> str:
        number, who, text, _ = self._messages[place]
        room = max(width - self._number - self._speaker - 6, 0)
        line = fit(steady(text, room), room)
        label = f"{fit(number, self._number, right=True)}  {fit(steady(who, self._speaker), self._speaker)}"
        return f"{paint('prompt', '>') if selected else ' '} {paint('dim', label)}  {paint('bold', line) if selected else line}"

    def search(self, wanted: Iterable[tuple[int, Sequence[str]]]) -> Iterator[Found | None]:
        return iter(())  # all that was said is searched at once

    def preview(self, place: int) -> Preview:
        _, _, text, message = self._messages[place]
        text = text[:_ENOUGH]
        return Preview(text, "", cut(message)) if message.role == "user" else Preview("", text, cut(message))


def said(message: Message) -> str:
    """What is in a message, as text."""
    found: list[str] = []
    for part in message.parts:
        match part:
            case Text(text=text):
                found.append(text)
            case Reasoning():
                pass
            case ToolCall():
                found.append(f"→ {part.name} {part.arguments}")
            case ToolResult():
                found.append(part.content)
            case Blob():
                found.append(f"[{part.name or part.media_type}]")
    return "\n".join(text for text in found if text)


def _speaker(message: Message) -> str:
    return speaker(message).partition(" (")[0]
