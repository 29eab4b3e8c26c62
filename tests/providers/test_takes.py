"""What is said ahead to be taken is what the encoders take, type by type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentcli.core.message import Blob, Message, user
from agentcli.core.provider import ProviderError, Request
from agentcli.providers import KINDS
from agentcli.providers.attached import TAKES, takes

TYPES = [
    *(f"text/{form}" for form in ("plain", "html", "csv", "markdown")),
    *(f"image/{form}" for form in ("png", "jpeg", "jpg", "gif", "webp", "heic", "heif", "avif", "tiff", "bmp", "svg+xml")),
    *(f"audio/{form}" for form in ("mpeg", "wav", "x-wav", "ogg", "flac", "mp4")),
    *(f"video/{form}" for form in ("mp4", "webm", "quicktime")),
    *(f"application/{form}" for form in ("pdf", "rtf", "msword", "json", "xml", "zip", "octet-stream", "javascript", "x-tar")),
    *(
        f"application/vnd.openxmlformats-officedocument.{form}.document"
        for form in ("wordprocessingml", "spreadsheetml", "presentationml")
    ),
    *(
        f"application/vnd.{form}"
        for form in ("oasis.opendocument.text", "ms-excel", "ms-powerpoint", "ms-word", "sqlite3", "ms-fontobject")
    ),
    "image/png; charset=binary",
    "application/pdf;x=1",
]


def _openai_chat(request: Request) -> Any:
    from agentcli.providers.openai_chat import encode

    return encode(request)


def _openai_responses(request: Request) -> Any:
    from agentcli.providers.openai_responses.input import items_of

    return items_of(request, "openai/m", thinks=False, echo=False)


def _anthropic(request: Request) -> Any:
    from agentcli.providers.anthropic import encode

    return encode(request)


def _gemini(request: Request) -> Any:
    from agentcli.providers.gemini import encode

    return encode(request)


def _local(request: Request) -> Any:
    from agentcli.providers.local.plain import readable

    return readable(request.messages, "local/m")


ENCODERS: dict[str, Callable[[Request], Any]] = {
    "openai-chat": _openai_chat,
    "openai-responses": _openai_responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "local": _local,
    "scripted": lambda request: request.messages,  # reads the words, and is sent everything
}


def test_every_kind_is_in_the_table() -> None:
    assert set(TAKES) == set(KINDS) == set(ENCODERS)


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_table_says_what_the_encoder_does(kind: str) -> None:
    for media_type in TYPES:
        message: Message = user("What is this?", Blob(media_type, b"data", name="thing"))
        try:
            ENCODERS[kind](Request(model="m", messages=[message]))
            taken = True
        except ProviderError:
            taken = False
        assert takes(kind, media_type) is taken, media_type


def test_an_unknown_kind_decides_for_itself() -> None:
    assert takes("of-tomorrow", "application/zip")
