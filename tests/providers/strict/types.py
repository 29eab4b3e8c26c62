"""The vendors' own published types, where their SDKs are installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias

__all__ = ["types_of"]

Json: TypeAlias = dict[str, Any]


@cache
def types_of(kind: str) -> Callable[[Json], object] | None:
    """What raises for a body that is not of the vendor's types; None if the vendor's SDK is not installed."""
    try:
        installed = find_spec(_SDK[kind])
    except ModuleNotFoundError:  # not even the package that it would be in
        installed = None
    return _TYPES[kind]() if installed else None


_SDK = {"anthropic": "anthropic", "gemini": "google.genai", "openai-responses": "openai", "openai-chat": "openai"}


def _anthropic_types() -> Callable[[Json], object]:
    import pydantic
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

    from tests.providers.test_anthropic_types import whole as read

    adapter = pydantic.TypeAdapter(MessageCreateParamsStreaming)

    def check(body: Json) -> None:
        if read(adapter.validate_python(body, strict=True)) != body:
            raise ValueError("there are fields that are not known")

    return check


def _gemini_types() -> Callable[[Json], object]:
    from tests.providers.test_gemini_types import check

    return check


def _responses_types() -> Callable[[Json], object]:
    from tests.providers.test_openai_types import strict

    adapter = strict("openai.types.responses.response_create_params", "ResponseCreateParamsStreaming")
    check: Callable[[Json], object] = adapter.validate_python
    return check


def _chat_types() -> Callable[[Json], object]:
    """OpenAI's types, but for what the others have of their own."""
    from tests.providers.test_openai_types import strict

    adapter = strict("openai.types.chat.completion_create_params", "CompletionCreateParamsStreaming")

    def check(body: Json) -> None:
        for message in body["messages"]:
            for key in ("reasoning_content", "reasoning_details"):
                message.pop(key, None)
            if isinstance(message["content"], list):
                message["content"] = [part for part in message["content"] if part["type"] != "document_url"]
        adapter.validate_python(body)

    return check


_TYPES = {
    "anthropic": _anthropic_types,
    "gemini": _gemini_types,
    "openai-responses": _responses_types,
    "openai-chat": _chat_types,
}
