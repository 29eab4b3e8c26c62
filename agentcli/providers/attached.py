"""Attachments that a server does not take.

Whoever asks about one is told so, by an error: an answer that leaves it out would be a guess. But what was attached earlier does not
end a conversation that goes on with another model: there, words stand in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentcli.core.message import Blob, Message, Part
from agentcli.core.provider import ProviderError

__all__ = ["asked_about", "instead"]


def asked_about(messages: Sequence[Message], asked: Sequence[Part] = ()) -> list[Blob]:
    """The attachments of the question that waits for an answer: `asked`, or all that the user said last."""
    if not messages or messages[-1].role != "user":
        return []
    return [part for part in asked or messages[-1].parts if isinstance(part, Blob)]


def instead(blob: Blob, asked: list[Blob], takes: str) -> str:
    """What is said in place of the attachment. A ProviderError if it is `asked` about; `takes` is what can be sent."""
    if any(blob is one for one in asked):
        raise ProviderError(
            "bad_request",
            f"an attachment of the type {blob.media_type} cannot be sent to this provider",
            hint=f"{takes} can.",
        )
    return f"[{blob.name or 'An attachment'} ({blob.media_type}) was here, which cannot be shown to you.]"
