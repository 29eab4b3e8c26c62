"""What tokens cost at each provider, in a form that is read in a millisecond: made once out of the data of `genai-prices`.

That package is well kept and heavy: importing it takes 140 ms and brings pydantic and an HTTP library. So its data is written to the
cache folder (`prices.msgpack`) when it is first needed, and from then on only that is read, one provider at a time, until the package
is replaced: where its data lies, when that was written and how long it is tell whether the file is still the same. If the package is
taken away, the file stays good. If its data cannot be understood, that is remembered too, by a file without prices.

Prices are kept as the decimal texts that they are. What the package knows of them is kept too: steps by the size of the request,
times from which a price holds, hours in which it holds, and which names mean a model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from agentcli.providers.catalogue.cache import keep, kept

__all__ = ["Period", "Stepped", "Tariff", "Tariffs"]

_VERSION = 1
_MOST = 32 << 20  # bytes of the file
_FILE = "prices.msgpack"
_PACKAGE = "genai_prices"
# What is counted in an answer; other things that have a price there (pages, seconds, searches) are not.
_KEYS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "output_reasoning_mtok", "requests_kcount")


class Stepped(Struct, array_like=True, frozen=True):
    """US dollars, in steps: above so many tokens of input, another price holds for all of them."""

    base: str
    steps: list[tuple[int, str]] = []

    def at(self, tokens: int) -> str:
        return next((price for start, price in reversed(self.steps) if tokens > start), self.base)


class Period(Struct, array_like=True, frozen=True):
    """What holds from a day on, or between two times of the day, all UTC."""

    prices: dict[str, Stepped]
    since: date | None = None
    hours: tuple[time, time] | None = None

    def holds(self, moment: datetime) -> bool:
        if self.since:
            return moment.date() >= self.since
        if self.hours:
            start, end = self.hours
            now = moment.time()
            return start <= now < end if start <= end else now >= start or now < end
        return True


class Tariff(Struct, array_like=True, frozen=True):
    """A model: which names mean it, how much it holds, and what it costs when."""

    id: str
    match: list[Any]
    context: int | None
    periods: list[Period]

    def prices(self, moment: datetime) -> dict[str, Stepped]:
        """The last of those that hold, or the first of all."""
        moment = moment.astimezone(UTC)
        holding = (period for period in reversed(self.periods) if period.holds(moment))
        return next(holding, self.periods[0]).prices


class _Seller(Struct, array_like=True, frozen=True):
    address: str  # a pattern of its base URLs
    others: list[str]  # whose models it sells, too
    tariffs: Raw


class _File(Struct, array_like=True, frozen=True):
    version: int = _VERSION
    source: list[Any] = []
    sellers: dict[str, _Seller] = field(default_factory=dict)


class Tariffs:
    """Who sells which model at what price. `folder` is the cache folder."""

    def __init__(self, folder: Path) -> None:
        path = folder / _FILE
        source = _source()
        file = _read(kept(path, _MOST), source)
        if file is None and source:
            file = _made(source)
            keep(path, msgspec.msgpack.encode(file))
        self._sellers = file.sellers if file else {}
        self._read: dict[str, list[Tariff]] = {}
        self._found: dict[tuple[str, str], Tariff | None] = {}

    def __bool__(self) -> bool:
        return bool(self._sellers)

    def seller(self, name: str, base_url: str = "") -> str | None:
        """Who sells at an address, or is called so."""
        if base_url:
            for seller, known in self._sellers.items():
                with suppress(re.error):
                    if re.match(known.address, base_url):
                        return seller
        return name if name in self._sellers else None

    def find(self, seller: str, model: str) -> Tariff | None:
        """The tariff of a model, by any of its names."""
        wanted = seller, model.lower()
        if wanted not in self._found:
            names = dict.fromkeys((wanted[1], _dashed(wanted[1])))
            self._found[wanted] = next(filter(None, (self._find(seller, name) for name in names)), None)
        return self._found[wanted]

    def _find(self, seller: str, name: str) -> Tariff | None:
        for each in (seller, *self._sellers[seller].others):
            for tariff in self._of(each):
                if _matches(tariff.match, name):
                    return tariff
        return None

    def _of(self, seller: str) -> list[Tariff]:
        if seller not in self._read:
            self._read[seller] = []
            with suppress(ValueError, KeyError, RecursionError):
                self._read[seller] = _TARIFFS.decode(self._sellers[seller].tariffs)
        return self._read[seller]


_TARIFFS = msgspec.msgpack.Decoder(list[Tariff])


def _source() -> list[Any]:
    """What tells the package's data from that of another version; nothing if it is not installed."""
    with suppress(ImportError, ValueError, OSError):
        if (spec := find_spec(_PACKAGE)) and spec.origin:
            status = os.stat(Path(spec.origin).with_name("data.py"))
            return [spec.origin, status.st_mtime_ns, status.st_size]
    return []


def _read(data: bytes, source: list[Any]) -> _File | None:
    with suppress(ValueError, RecursionError):
        if data and (file := msgspec.msgpack.decode(data, type=_File)).version == _VERSION and (not source or file.source == source):
            return file
    return None


def _made(source: list[Any]) -> _File:
    """The package's data in our form. Another version of it may be anything: then there are no prices, and no fault."""
    try:
        from importlib import import_module

        found = import_module(f"{_PACKAGE}.data").providers
        return _File(source=source, sellers={str(each.id): _seller(each) for each in found})
    except Exception:  # noqa: BLE001
        return _File(source=source)


def _seller(found: Any) -> _Seller:
    tariffs = [
        Tariff(str(model.id), match, model.context_window, periods)
        for model in found.models
        if (match := _clause(model.match)) and (periods := list(_periods(model.prices)))
    ]
    return _Seller(str(found.api_pattern), list(found.fallback_model_providers or ()), Raw(msgspec.msgpack.encode(tariffs)))


def _periods(prices: Any) -> Iterator[Period]:
    for each in prices if isinstance(prices, list) else [None]:
        constraint = each.constraint if each else None
        found = vars(each.prices if each else prices)
        known = {key: _price(found[key]) for key in _KEYS if found.get(key) is not None}
        if constraint is None:
            yield Period(known)
        elif hasattr(constraint, "start_date"):
            yield Period(known, constraint.start_date)
        else:
            yield Period(known, None, (_utc(constraint.start_time), _utc(constraint.end_time)))


def _price(found: Any) -> Stepped:
    if hasattr(found, "tiers"):
        return Stepped(str(found.base), [(int(tier.start), str(tier.price)) for tier in found.tiers])
    return Stepped(str(found))


def _utc(moment: time) -> time:
    return datetime.combine(date(1970, 1, 1), moment).astimezone(UTC).time() if moment.tzinfo else moment


_CLAUSES = {
    "ClauseStartsWith": "starts_with",
    "ClauseEndsWith": "ends_with",
    "ClauseContains": "contains",
    "ClauseEquals": "equals",
    "ClauseRegex": "regex",
    "ClauseOr": "or_",
    "ClauseAnd": "and_",
}


def _clause(found: Any) -> list[Any]:
    """Which names mean a model: how they are compared, and with what."""
    how = _CLAUSES[type(found).__name__]
    what = getattr(found, how)
    return [how, [_clause(each) for each in what] if isinstance(what, list) else what if how == "regex" else what.lower()]


_MATCHES: dict[str, Callable[[Any, str], bool]] = {
    "starts_with": lambda what, name: name.startswith(what),
    "ends_with": lambda what, name: name.endswith(what),
    "contains": lambda what, name: what in name,
    "equals": lambda what, name: name == what,
    "regex": lambda what, name: re.search(what, name) is not None,
    "or_": lambda what, name: any(_matches(each, name) for each in what),
    "and_": lambda what, name: all(_matches(each, name) for each in what),
}


def _matches(match: list[Any], name: str) -> bool:
    how, what = match
    return _MATCHES[how](what, name)


def _dashed(name: str) -> str:
    """A name with the date in it written in the other way: -20251211 as -2025-12-11."""

    def written(found: re.Match[str]) -> str:
        try:
            return f"-{date(int(found[1]), int(found[2]), int(found[3])).isoformat()}"
        except ValueError:
            return found[0]

    return re.sub(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)", written, name)
