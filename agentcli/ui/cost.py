"""What tokens cost, as far as that is known. What is not known is None, and never taken as nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache as remembered
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from agentcli.core.message import Message, Usage

if TYPE_CHECKING:
    from datetime import datetime

    from agentcli.core.document import Compaction
    from agentcli.providers import Endpoint
    from agentcli.providers.catalogue.price import Cost
    from agentcli.store.usage import Spent

__all__ = ["Price", "Pricing", "cost_of", "cost_of_all", "money", "priced", "rounded"]

# The price of one answer: its model, what it took, and when.
Price: TypeAlias = "Callable[[str, Usage, datetime], Cost | None]"

_DIGITS = 9  # behind the point: a thousandth of the price of a token


class Pricing:
    """The prices that are known here. `cache` is the cache folder; `place` says where a provider is asked, if that is known."""

    def __init__(self, cache: Path, place: Callable[[str], Endpoint | None]) -> None:
        from agentcli.providers.catalogue.price import known

        self._prices = known(cache)
        self._place = remembered(place)

    def __call__(self, model: str, usage: Usage, at: datetime) -> Cost | None:
        return self._prices.cost(model, usage, at, self._place(model.partition("/")[0]))

    @property
    def hint(self) -> str:
        """What would make more prices known."""
        from agentcli.extra import command

        return "" if self._prices.tariffs else f"Prices: {command('prices')}"


def priced(found: Spent, price: Price) -> Cost | None:
    """What a sum of answers cost. Each of them is small, and a price may count the answers too: so they are taken as of equal size."""
    count = found.answers
    if count == 1:
        return price(found.model, found.usage, found.at)
    share = tuple(each // count for each in found.counts)
    rest = tuple(each - (count - 1) * part for each, part in zip(found.counts, share, strict=True))
    one, last = (price(found.model, Usage(*counts), found.at) for counts in (share, rest))
    if one is None or last is None or one.currency != last.currency:
        return None
    return type(one)((count - 1) * one.amount + last.amount, one.currency)


def cost_of_all(found: Iterable[Spent], price: Price) -> dict[str, Any] | None:
    """What all of it cost; None if a part of it is not known, or there is nothing."""
    return _added(priced(each, price) for each in found)


def cost_of(said: Iterable[Message | Compaction], price: Price) -> dict[str, Any] | None:
    """What the answers among these cost, as `--json` has it; None if a part of it is not known, or there is no answer."""
    answers = [each for each in said if each.usage or _was_asked_for(each)]
    return _added(price(each.model or "", each.usage, each.at) if each.usage else None for each in answers)


def _was_asked_for(said: Message | Compaction) -> bool:
    """Did a model write this, so that it has a price? Where results were only shortened, none did."""
    return said.role == "assistant" if isinstance(said, Message) else bool(said.summary)


def _added(costs: Iterable[Cost | None]) -> dict[str, Any] | None:
    amount, currency = 0.0, ""
    for cost in costs:
        if cost is None or currency not in ("", cost.currency):
            return None
        amount, currency = amount + cost.amount, cost.currency
    return rounded(amount, currency) if currency else None


def rounded(amount: float, currency: str) -> dict[str, Any]:
    """Money as JSON has it."""
    return {"amount": round(amount, _DIGITS), "currency": currency}


def money(amount: float, currency: str) -> str:
    """Money for a person: two digits that say something, `$0.0012`, and from a tenth on cents."""
    sign = "$" if currency == "USD" else f"{currency} "
    if amount == 0:
        return f"{sign}0"
    if amount < 1e-6:
        return f"<{sign}0.000001"
    return f"{sign}{amount:,.{min(6, max(2, 1 - floor(log10(amount))))}f}"
