"""What a server says of its models: an answer of its listing endpoint as a page of `Listed`. It knows nothing of the network.

Most servers list models as OpenAI does, `{"data": [{"id": …}]}`, and each adds what it pleases: the size of the context has seven
names, a price is there in three units or not at all. So one lenient shape has every field that is known, and what a field of it is
not, or not of its type, is not known. The Gemini API lists in a form of its own.

A model that cannot be asked (it embeds, speaks or paints) stays in the list and is marked (`chats`), by what its server says of it,
and where it says nothing by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from agentcli.core.message import speakable
from agentcli.core.provider import ProviderError
from agentcli.providers.catalogue.model import Listed, Rates
from agentcli.providers.lenient import read

__all__ = ["Page", "gemini_page", "page"]

_NAME = 200  # characters of a model's name


class Page(Struct, frozen=True):
    """A page of a list, and what the next one is asked for by."""

    models: list[Listed]
    next: str = ""


def page(body: bytes) -> Page:
    """A list as OpenAI and Anthropic write it. Some servers send it bare, without the object around it."""
    text = body.decode("utf-8-sig", errors="replace").strip()
    listing = read(f'{{"data":{text}}}' if text.startswith("[") else text, _LISTING)
    if listing.data is None:
        raise ProviderError("protocol", "it is no list of models")
    after = (listing.last_id or "") if listing.has_more else ""
    return Page(_named(map(_listed, listing.data)), speakable(after))


def gemini_page(body: bytes) -> Page:
    """A list as the Gemini API writes it."""
    listing = read(body.decode("utf-8-sig", errors="replace"), _GEMINI_LISTING)
    if listing.models is None:
        raise ProviderError("protocol", "it is no list of models")
    return Page(_named(map(_of_gemini, listing.models)), speakable(listing.nextPageToken or ""))


class _Meta(Struct):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Best(Struct):
    context_length: int | None = None
    max_completion_tokens: int | None = None


class _Architecture(Struct):
    input_modalities: list[str] | None = None
    output_modalities: list[str] | None = None


class _Pricing(Struct):
    """US dollars: a token, as texts (prompt …), or a million of them, where `unit` says so (input …)."""

    prompt: str | None = None
    completion: str | None = None
    input_cache_read: str | None = None
    input_cache_write: str | None = None
    request: str | None = None
    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    unit: str | None = None


class _Offer(Struct):
    """One of several who serve the model."""

    context_length: int | None = None
    supports_tools: bool | None = None


class _Model(Struct):
    id: str | None = None
    name: str | None = None
    display_name: str | None = None
    owned_by: str | None = None
    created: int | None = None
    created_at: str | None = None
    type: str | None = None
    active: bool | None = None
    lifecycle: str | None = None
    loaded_context_length: int | None = None
    context_length: int | None = None
    context_window: int | None = None
    max_context_length: int | None = None
    max_model_len: int | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    meta: _Meta | None = None
    top_provider: _Best | None = None
    architecture: _Architecture | None = None
    supported_parameters: list[str] | None = None
    capabilities: Any = None
    pricing: _Pricing | None = None
    providers: list[_Offer] | None = None


class _Listing(Struct):
    data: list[_Model] | None = None
    has_more: bool | None = None
    last_id: str | None = None


class _GeminiModel(Struct):
    name: str | None = None
    displayName: str | None = None  # noqa: N815  (the wire's own)
    inputTokenLimit: int | None = None  # noqa: N815
    outputTokenLimit: int | None = None  # noqa: N815
    supportedGenerationMethods: list[str] | None = None  # noqa: N815
    thinking: bool | None = None


class _GeminiListing(Struct):
    models: list[_GeminiModel] | None = None
    nextPageToken: str | None = None  # noqa: N815


_LISTING = msgspec.json.Decoder(_Listing)
_GEMINI_LISTING = msgspec.json.Decoder(_GeminiListing)


def _named(models: Iterable[Listed]) -> list[Listed]:
    """Those whose name can be said."""
    return [model for model in models if 0 < len(model.id) <= _NAME and model.id.isprintable()]


def _listed(model: _Model) -> Listed:
    best = model.top_provider or _Best()
    meta = model.meta or _Meta()
    offered = [offer.context_length for offer in model.providers or () if offer.context_length]
    said = _said(model)
    return Listed(
        id=speakable(model.id or "").strip(),
        name=speakable(model.display_name or model.name or ""),
        context=_first(
            model.loaded_context_length,  # what a server gave it room for goes before what it could hold
            meta.n_ctx,
            model.max_model_len,
            model.context_length,
            model.context_window,
            model.max_context_length,
            model.max_input_tokens,
            meta.n_ctx_train,
            best.context_length,
            min(offered, default=None),
        ),
        output=_first(model.max_completion_tokens, model.max_output_tokens, model.max_tokens, best.max_completion_tokens),
        created=_first(model.created, _moment(model.created_at)),
        rates=_rates(model.pricing) if model.pricing else None,
        can=_abilities(word for word, is_so in said.items() if is_so),
        owner=speakable(model.owned_by or ""),
        chats=_chats(model, said),
    )


def _of_gemini(model: _GeminiModel) -> Listed:
    methods = model.supportedGenerationMethods
    return Listed(
        id=speakable(model.name or "").removeprefix("models/"),
        name=speakable(model.displayName or ""),
        context=_first(model.inputTokenLimit),
        output=_first(model.outputTokenLimit),
        can=("reasoning",) if model.thinking else (),
        chats=methods is None or "generateContent" in methods,
    )


# What servers call what a model can do -> what we call it.
_ABILITIES = {
    "audio": "audio",
    "file": "pdf",
    "function_calling": "tools",
    "image": "images",
    "image_input": "images",
    "include_reasoning": "reasoning",
    "multimodal": "images",
    "pdf": "pdf",
    "pdf_input": "pdf",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "tool_calling": "tools",
    "tool_use": "tools",
    "tools": "tools",
    "vision": "images",
}

# How the name of a model that cannot be asked looks, where its server says nothing else of it.
_OTHER = re.compile(
    r"(^|[/._-])(embed(ding)?s?|e5|bge|whisper|(gpt-)?audio|realtime|tts|transcribe|moderation|dall-e|(gpt-|chatgpt-)?image|sora|imagen|veo"
    r"|rerank(er)?|babbage-002|davinci-002)([/._-]|$)|gpt-3\.5-turbo-instruct",
    re.IGNORECASE,
)
_OTHER_TYPES = {"embedding", "embeddings", "image", "audio", "rerank", "moderation", "transcribe", "video"}


def _said(model: _Model) -> dict[str, bool]:
    """What the server says of what the model can do and cannot: flags, lists of words, `{"supported": …}`."""
    said: dict[str, bool] = {}
    match model.capabilities:
        case dict(flags):
            for word, flag in flags.items():
                is_so = flag.get("supported") if isinstance(flag, dict) else flag
                if isinstance(is_so, bool):
                    said[word] = is_so
        case list(words):
            said.update((word, True) for word in words if isinstance(word, str))
    if model.architecture:
        said.update((word, True) for word in model.architecture.input_modalities or ())
    said.update((word, True) for word in model.supported_parameters or ())
    if any(offer.supports_tools for offer in model.providers or ()):
        said["tools"] = True
    if model.type == "vlm":
        said["vision"] = True
    return said


def _abilities(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({_ABILITIES[word] for word in words if word in _ABILITIES}))


def _chats(model: _Model, said: dict[str, bool]) -> bool:
    if model.active is False or model.lifecycle == "retired" or model.type in _OTHER_TYPES:
        return False
    if model.architecture and model.architecture.output_modalities:
        return "text" in model.architecture.output_modalities
    for word in ("completion_chat", "chat_completion"):
        if word in said:
            return said[word]
    return bool(said) or not _OTHER.search(model.id or "")


def _rates(pricing: _Pricing) -> Rates | None:
    if pricing.unit == "usd_per_1m_tokens":
        found = [pricing.input, pricing.output, pricing.cache_read, pricing.cache_write, None]
    else:
        said = (pricing.prompt, pricing.completion, pricing.input_cache_read, pricing.input_cache_write)
        found = [*(_times(each, 1_000_000) for each in said), _times(pricing.request, 1)]
    prices = [each if each is not None and 0 <= each < 1e9 else None for each in found]
    if prices[0] is None or prices[1] is None:  # unknown, or "it depends", which is written -1
        return None
    return Rates(prices[0], prices[1], prices[2], prices[3], prices[4] or 0.0)


def _times(price: str | None, count: int) -> float | None:
    if price is None:
        return None
    from decimal import Decimal

    with suppress(ArithmeticError, ValueError):  # also of what is larger than any number
        return float(Decimal(price[:40]) * count)
    return None


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    from datetime import datetime

    with suppress(ValueError, OverflowError, OSError):
        return int(datetime.fromisoformat(text).timestamp())
    return None


def _first(*numbers: int | None) -> int | None:
    """The first number that can be one of tokens, or a moment."""
    return next((number for number in numbers if number is not None and 0 < number < 1 << 53), None)
