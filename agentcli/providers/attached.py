"""Attachments that a server does not take.

Whoever asks about one is told so, by an error: an answer that leaves it out would be a guess. But what was attached earlier does not
end a conversation that goes on with another model: there, words stand in its place.

`takes()` says it ahead, so that a person can be told before the question is sent. It knows the kind of server, not the model: what a
server takes, a model behind it may still refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentcli.core.message import Blob, Message, Part
from agentcli.core.provider import ProviderError

__all__ = ["TAKES", "asked_about", "instead", "takes"]

_PICTURES = ("image/png", "image/jpeg", "image/webp")
_DOCUMENTS = (
    *(f"application/{name}" for name in ("pdf", "rtf", "msword", "json", "xml")),
    *(f"application/vnd.{name}*" for name in ("openxmlformats-officedocument", "oasis.opendocument")),
    *(f"application/vnd.ms-{name}*" for name in ("excel", "powerpoint", "word")),
)

# kind -> the media types that can be sent to it: whole ones, and what they begin with. tests/providers/test_takes.py holds it to what
# the encoders do.
TAKES: dict[str, tuple[str, ...]] = {
    "openai-chat": ("text/*", "image/*", "audio/*", "application/pdf"),
    "openai-responses": ("text/*", "image/*", *_DOCUMENTS),
    "anthropic": ("text/*", *_PICTURES, "image/gif", "application/pdf"),
    "gemini": ("text/*", *_PICTURES, "image/heic", "image/heif", "audio/*", "video/*", "application/pdf"),
    "local": ("text/*",),
    "scripted": ("*",),
}


def takes(kind: str, media_type: str) -> bool:
    """Can an attachment of this type be sent to a server of this kind? A kind that is not known takes everything."""
    asked = media_type.partition(";")[0].strip().lower().replace("image/jpg", "image/jpeg")
    return any(asked == one or (one.endswith("*") and asked.startswith(one[:-1])) for one in TAKES.get(kind, ("*",)))


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
