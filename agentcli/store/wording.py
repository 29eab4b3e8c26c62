"""What a thread is called by its readers: who speaks, which message is which, and why an answer is not whole.

Whoever shows an answer shows that, too: one that was cut off is never passed off as whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentcli.core.message import Message, Stop

__all__ = ["CUT", "SUMMARY", "cut", "numbered", "speaker"]

CUT: dict[Stop | None, str] = {
    "length": "This answer was cut off: it reached the length limit.",
    "interrupted": "This answer was stopped before it was finished.",
    "timed_out": "This answer ran out of time before it was finished.",
    "failed": "This answer broke off with an error.",
    "crashed": "This answer was being written when agentcli ended; the rest of it is lost.",
}

SUMMARY = "A summary, sent to the model in place of everything above"


def cut(message: Message) -> str:
    """Why this answer is not whole, or nothing."""
    return CUT.get(message.stop, "")


def speaker(message: Message) -> str:
    """Who says this: "You", "agentcli (openai/gpt-5.4)", "Tools"."""
    if message.role == "user":
        return message.author or "You"
    if message.role == "tool":
        return "Tools"
    author = message.author or "Assistant"
    return f"{author} ({message.model})" if message.model else author


def numbered(messages: Iterable[Message]) -> Iterator[tuple[int, Message, dict[str, str]]]:
    """Each message with its number, counted from 1, and the names of the tools whose results it may hold, by the id of the call."""
    calls: dict[str, str] = {}
    for number, message in enumerate(messages, 1):
        yield number, message, calls
        calls = {call.id: call.name for call in message.calls}
