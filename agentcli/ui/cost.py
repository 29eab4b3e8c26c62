"""What tokens cost, as far as that is known. What is not known is None, and never taken as nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from agentcli.core.message import Usage
from agentcli.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime

    from agentcli.config import Config
    from agentcli.core.document import Compaction
    from agentcli.core.message import Message
    from agentcli.providers.price import Cost
    from agentcli.store.usage import Spent

__all__ = ["Price", "Pricing", "cost_of", "cost_of_all", "money", "priced", "rounded"]

# The price of one answer: its model, what it took, and when.
Price: TypeAlias = "Callable[[str, Usage, datetime], Cost | None]"

_DIGITS = 9  # behind the point: a thousandth of the price of a token


class Pricing:
    """The prices that are known here, for the providers as they are configured."""

    def __init__(self, cache: Path, config: Config) -> None:
        from agentcli.providers import PROVIDERS, Endpoint
        from agentcli.providers.price import known

        self._prices = known(cache)
        self._places = {
            name: Endpoint(kind=entry.elsewhere, base_url=url)
            for name, entry in PROVIDERS.items()
            if entry.elsewhere and (url := os.environ.get(entry.base_url_variable))
        }
        self._places |= {
            name: Endpoint(kind=said.kind or (PROVIDERS[name].kind if name in PROVIDERS else "openai-chat"), base_url=said.base_url)
            for name, said in config.providers.items()
            if said.base_url or said.kind
        }

    @classmethod
    def here(cls) -> Pricing:
        """As the user's own configuration has the providers. One that is wrong does not keep anybody from seeing what was spent."""
        from agentcli.config import Config, load, places

        try:
            config = load().config
        except UserError:
            config = Config()
        return cls(places().cache, config)

    def __call__(self, model: str, usage: Usage, at: datetime) -> Cost | None:
        return self._prices.cost(model, usage, at, self._places.get(model.partition("/")[0]))

    @property
    def hint(self) -> str:
        """What would make more prices known."""
        return "" if self._prices.tariffs else "Prices: pip install 'agentcli[prices]'"


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
    answers = [each for each in said if getattr(each, "role", "assistant") == "assistant" or each.usage]
    return _added(price(each.model or "", each.usage, each.at) if each.usage else None for each in answers)


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
