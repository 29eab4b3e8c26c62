"""A model as its provider lists it: values, small enough to be read by every answer that has a cost. `page` makes them."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Listed", "Rates"]


class Rates(Struct, frozen=True, omit_defaults=True):
    """Prices in US dollars: for a million tokens, and for a request. Tokens of a cache that have no price cost what others do."""

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    request: float = 0.0


class Listed(Struct, frozen=True, omit_defaults=True):
    """A model that a server lists, and what is known of it by that. `can`: images, pdf, audio, tools, reasoning."""

    id: str
    name: str = ""
    context: int | None = None  # tokens that it holds
    output: int | None = None  # tokens that it writes at most
    created: int | None = None  # seconds since 1970
    rates: Rates | None = None
    can: tuple[str, ...] = ()
    owner: str = ""
    chats: bool = True
