"""What is known of a model: what it costs, how much it holds, what it can do.

Two sources: what its provider said last (`catalogue`), and what the package behind the extra `prices` knows (`tariff`). The provider
goes first, where it says something, for those who ask at the same address. A model on one's own machine costs nothing. What is not
known is None: a cost is never guessed.

Nothing here asks a server, and nothing heavy is imported, but for the one time in which the package's data is put into our own form. A
cost takes a few milliseconds the first time and microseconds after that.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from agentcli.core.message import Usage, now
from agentcli.providers import PROVIDERS, Endpoint
from agentcli.providers.address import at_vendor
from agentcli.providers.catalogue import Catalogue
from agentcli.providers.catalogue.model import Listed, Rates
from agentcli.providers.catalogue.tariff import Stepped, Tariff, Tariffs

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Cost", "Known", "Prices", "context_of", "known"]

# Our names of providers -> the package's, where they differ.
_SELLERS = {"gemini": "google", "xai": "x-ai"}

_FREE = {name for name, entry in PROVIDERS.items() if entry.port or entry.kind in ("local", "scripted")}
_NOTHING = Rates(0.0, 0.0, 0.0, 0.0)


class Cost(Struct, frozen=True):
    """What was paid."""

    amount: float
    currency: str = "USD"


class Known(Struct, frozen=True):
    """What is known of a model. `rates` are those of a small request, now."""

    context: int | None = None
    output: int | None = None
    rates: Rates | None = None
    can: tuple[str, ...] = ()


class Prices:
    """Everything that is known, read when it is first asked for. `folder` is the cache folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self._folder)

    @cached_property
    def tariffs(self) -> Tariffs:
        return Tariffs(self._folder)

    def of(
        self, model: str, place: Endpoint | None = None, *, listed: Listed | None = None, at: datetime | None = None
    ) -> Known | None:
        """What is known of a model. `place` says where it is asked, if not at its vendor's; `listed` what was just said there."""
        name, _, own = model.partition("/")
        listed = listed or self.catalogue.find(name, own, place) or Listed(id=own)
        tariff = self._tariff(name, own, place)
        rates = listed.rates or (_NOTHING if _is_free(name, place) else _rates(tariff, at or now()) if tariff else None)
        found = Known(listed.context or (tariff.context if tariff else None), listed.output, rates, listed.can)
        return None if found == Known() else found

    def cost(self, model: str, usage: Usage, at: datetime, place: Endpoint | None = None) -> Cost | None:
        """What an answer cost; None if that is not known."""
        name, _, own = model.partition("/")
        if _is_free(name, place):
            return Cost(0.0)
        listed = self.catalogue.find(name, own, place)
        if listed and listed.rates:
            return _sum(_prices(listed.rates), usage)
        tariff = self._tariff(name, own, place)
        prices = tariff.prices(at) if tariff else {}
        return _sum(prices, usage) if "input_mtok" in prices or "output_mtok" in prices else None

    def _tariff(self, name: str, model: str, place: Endpoint | None) -> Tariff | None:
        if _is_free(name, place) or _is_imitated(name, place):
            return None
        seller = self.tariffs.seller(_SELLERS.get(name, name), place.base_url if place else "")
        return self.tariffs.find(seller, model) if seller else None


def known(folder: Path) -> Prices:
    """What is known of models. `folder` is the cache folder."""
    return Prices(folder)


def context_of(model: str, said: int, folder: Path, place: Endpoint | None = None) -> int | None:
    """How many tokens a model holds: as the configuration says (`providers.NAME.context`), or as far as it is known."""
    if said:
        return said
    found = Prices(folder).of(model, place)
    return found.context if found else None


def _is_free(name: str, place: Endpoint | None) -> bool:
    return name in _FREE or (place is not None and place.kind in ("local", "scripted"))


def _is_imitated(name: str, place: Endpoint | None) -> bool:
    """Is it asked at a server that only speaks as the vendor does? What that one takes is not known."""
    entry = PROVIDERS.get(name)
    return bool(entry and entry.elsewhere and place and place.base_url and not at_vendor(entry, place.base_url))


def _rates(tariff: Tariff, at: datetime) -> Rates | None:
    prices = tariff.prices(at)
    found = [float(prices[key].base) if key in prices else None for key in _RATES]
    if found[0] is None and found[1] is None:
        return None
    return Rates(found[0] or 0.0, found[1] or 0.0, found[2], found[3], (found[4] or 0.0) / 1000)


_RATES = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "requests_kcount")


def _prices(rates: Rates) -> dict[str, Stepped]:
    said = (rates.input, rates.output, rates.cached, rates.cache_write, rates.request * 1000 or None)
    return {key: Stepped(repr(price)) for key, price in zip(_RATES, said, strict=True) if price is not None}


def _sum(prices: dict[str, Stepped], usage: Usage) -> Cost:
    """What the tokens cost. Those that have a price of their own are not counted with the others."""
    cached = usage.cached if "cache_read_mtok" in prices else 0
    written = usage.cache_write if "cache_write_mtok" in prices else 0
    thought = usage.reasoning if "output_reasoning_mtok" in prices else 0
    counts = {
        "input_mtok": usage.read - cached - written,
        "output_mtok": usage.written - thought,
        "cache_read_mtok": cached,
        "cache_write_mtok": written,
        "output_reasoning_mtok": thought,
    }
    from decimal import Decimal

    total: Decimal = sum(
        (Decimal(prices[key].at(usage.read)) * max(0, count) for key, count in counts.items() if key in prices), Decimal(0)
    )
    total /= 1_000_000
    if "requests_kcount" in prices:
        total += Decimal(prices["requests_kcount"].base) / 1000
    return Cost(float(total))
