"""Tokens and money: of the last days, by day and model (`agentcli usage`), and of a conversation (`/usage`).

A day is one of the person's own time zone. A bar is as long as the day's tokens, since those are always known; what they cost stands
beside it. Where the price of a part is not known, the sum has a plus behind it, and below it is said whose price that is.

In a pipe a line is a day and a model: both, tokens in, out and from a cache, and the cost (empty if not known), in US dollars.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from agentcli.core.message import Usage
from agentcli.store.usage import SMALL, Spent, spent, unpacked
from agentcli.ui import amount
from agentcli.ui.cost import Price, Pricing, money, priced, rounded
from agentcli.ui.sanitise import one_line
from agentcli.ui.stdout import columns, on_terminal, print_json, put
from agentcli.ui.table import table, width_of
from agentcli.ui.talk import say

if TYPE_CHECKING:
    from agentcli.core.thread import Thread
    from agentcli.store.index import Row

__all__ = ["Account", "Sum", "account", "of_thread", "print_account"]

_NOTHING = Usage(0, 0)
_WIDEST = 60  # cells of a bar: beyond that it says nothing more


class Sum(Struct):
    """Tokens, what those of a known price cost, and how many have no known price."""

    answers: int = 0
    usage: Usage = _NOTHING
    amount: float = 0.0
    currency: str = ""
    unpriced: int = 0

    def add(self, found: Spent, price: Price) -> None:
        self.answers += found.answers
        self.usage += found.usage
        cost = priced(found, price)
        if cost is None or self.currency not in ("", cost.currency):
            self.unpriced += found.usage.total
        else:
            self.amount, self.currency = self.amount + cost.amount, cost.currency

    def include(self, other: Sum) -> None:
        self.answers += other.answers
        self.usage += other.usage
        if other.currency and self.currency not in ("", other.currency):
            self.unpriced += other.usage.total
            return
        self.amount += other.amount
        self.currency = self.currency or other.currency
        self.unpriced += other.unpriced

    @property
    def cost(self) -> str:
        """Money for a person."""
        if self.unpriced and not self.amount:
            return "?"
        if not self.currency:
            return ""
        return money(self.amount, self.currency) + ("+" if self.unpriced else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "answers": self.answers,
            "input": self.usage.read,
            "output": self.usage.written,
            "cached": self.usage.cached,
            "reasoning": self.usage.reasoning,
            "cost": rounded(self.amount, self.currency) if self.currency else None,
            "unpriced": self.unpriced,
        }


class Account(Struct):
    """The sums of so many days, the last of which is today."""

    days: list[date]
    by: dict[tuple[date, str], Sum] = field(default_factory=dict)

    @property
    def by_day(self) -> dict[date, Sum]:
        """All of the days, also those without an answer."""
        found = {day: Sum() for day in self.days}
        for (day, _), each in self.by.items():
            found[day].include(each)
        return found

    @property
    def models(self) -> dict[str, Sum]:
        """By model, the one that took most first."""
        found: dict[str, Sum] = {}
        for (_, model), each in self.by.items():
            found.setdefault(model, Sum()).include(each)
        return dict(sorted(found.items(), key=lambda item: (-item[1].usage.total, item[0])))

    @property
    def total(self) -> Sum:
        whole = Sum()
        for each in self.by.values():
            whole.include(each)
        return whole


def account(rows: Iterable[Row], price: Price, days: int, today: date | None = None) -> Account:
    """What the answers in these threads took in the last `days`."""
    today = today or datetime.now().date()  # noqa: DTZ005  (a person's day)
    made = Account([today - timedelta(days=back) for back in reversed(range(days))])
    first = int(datetime.combine(made.days[0], time.min).timestamp() // 900)
    found: list[Spent] = []
    sums: dict[tuple[int, str], tuple[int, tuple[int, ...]]] = {}
    for row in rows:
        for each in unpacked(row.spent):
            if each.quarter < first:
                continue
            if each.answers == 1 and each.usage.read > SMALL:
                found.append(each)
                continue
            count, counts = sums.get((each.quarter, each.model), (0, (0,) * len(each.counts)))
            added = tuple(map(sum, zip(counts, each.counts, strict=True)))
            sums[each.quarter, each.model] = count + each.answers, added
    found += (Spent(quarter, model, count, counts) for (quarter, model), (count, counts) in sums.items())
    for each in found:
        day = _day_of(each.at)
        if day <= today:
            made.by.setdefault((day, each.model), Sum()).add(each, price)
    return made


def _day_of(moment: datetime) -> date:
    """Its day where the person is. A moment at the very end of all time has none there."""
    try:
        return moment.astimezone().date()
    except (OverflowError, ValueError, OSError):
        return moment.date()


def print_account(made: Account, *, json: bool, hint: str = "") -> None:
    """Bars by day, then a table by model. `hint` is what would make more prices known."""
    if json:
        print_json(
            {
                "days": [{"day": day.isoformat(), **each.as_json()} for day, each in made.by_day.items()],
                "models": [{"model": model, **each.as_json()} for model, each in made.models.items()],
                "total": made.total.as_json(),
            }
        )
        return
    if not on_terminal():
        put("".join(_line(day, model, each) for (day, model), each in sorted(made.by.items())))
    elif made.by:
        put(f"{_bars(made)}\n{_models(made)}")
    else:
        said = "today" if len(made.days) == 1 else f"in the last {len(made.days)} days"
        say(f"No answers {said}.", dim=True)
    if unknown := [model for model, each in made.models.items() if each.unpriced]:
        say(_unpriced(unknown, summed=made.total.amount > 0))
        if hint:
            say(hint, dim=True)


def _unpriced(models: Sequence[str], *, summed: bool) -> str:
    named = ", ".join(one_line(model or "(no name)", 60) for model in models[:5]) + (", …" if len(models) > 5 else "")
    return f"price not known for {named}" + (": not in the sums (+)" if summed else "")


def _line(day: date, model: str, found: Sum) -> str:
    usage = found.usage
    cost = f"{round(found.amount, 9):.9f}".rstrip("0").rstrip(".") if found.currency and not found.unpriced else ""
    fields = (day.isoformat(), one_line(model), str(usage.read), str(usage.written), str(usage.cached), cost)
    return "\t".join(fields) + "\n"


def _bars(made: Account) -> str:
    """A line for each day from the first with an answer on."""
    sums = list(made.by_day.items())
    shown = sums[next(number for number, (_, found) in enumerate(sums) if found.answers) :]
    most = max(found.usage.total for _, found in shown)
    counts = [amount.tokens(found.usage.total, below=True) for _, found in shown]
    costs = [found.cost if made.total.currency else "" for _, found in shown]
    tokens, money = (max(map(width_of, texts)) for texts in (counts, costs))
    room = min(columns() - len("2026-01-31") - 2 - 2 - tokens - (2 + money if money else 0), _WIDEST)
    lines = []
    for (day, found), count, cost in zip(shown, counts, costs, strict=True):
        bar = f"{_bar(found.usage.total / most if most else 0, room):{room}}  " if room > 3 else ""
        lines.append(f"{day.isoformat()}  {bar}{count:>{tokens}}  {cost:>{money}}".rstrip())
    return "\n".join(lines) + "\n"


def _bar(share: float, width: int) -> str:
    """As many cells, and eighths of one, as the share is of the width; something, if it is anything."""
    least = 1 if share else 0
    try:
        "█▏".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#" * max(round(share * width), least)
    whole, eighths = divmod(max(round(share * width * 8), least), 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()


def _models(made: Account) -> str:
    rows = [_cells(model or "(no name)", each) for model, each in made.models.items()]
    if len(rows) > 1:
        rows.append(_cells("total", made.total))
    rows.insert(0, ("MODEL", "ANSWERS", "INPUT", "CACHED", "OUTPUT", "COST"))
    if not made.total.currency:
        rows = [row[:-1] for row in rows]
    return table(rows, gives=0, least=16, drop=(1, 3, 2), right=range(1, 6))


def _cells(name: str, found: Sum) -> tuple[str, ...]:
    usage = found.usage
    counts = (amount.tokens(count, below=True) for count in (usage.read, usage.cached, usage.written))
    return one_line(name), f"{found.answers:,}", *counts, found.cost


# A conversation.


def of_thread(thread: Thread, window: int | None, pricing: Pricing) -> str:
    """What the last turn and the whole thread took, by model if there are several, and how full the model's context is."""
    from agentcli.core.need import fill

    asked = next((number for number in reversed(range(len(thread.messages))) if thread.messages[number].role == "user"), None)
    if asked is None:
        return "Nothing was said yet."
    compactions = thread.standing
    last = [each for each in compactions if each.at >= thread.messages[asked].at]
    turn = spent(thread.messages[asked:], last, model=thread.model)
    since = thread.created.timestamp() if thread.parent else None
    whole = spent(thread.messages, compactions, model=thread.model, since=since)
    lines = [("Last turn", _sum(turn, pricing)), ("Thread", _sum(whole, pricing))]
    models = dict.fromkeys(each.model for each in whole)
    if len(models) > 1:
        lines += [(f"  {one_line(model, 40)}", _sum([each for each in whole if each.model == model], pricing)) for model in models]
    width = max(width_of(name) for name, _ in lines)
    text = [f"{name}{' ' * (width - width_of(name))}  {_told(found)}" for name, found in lines]
    tokens, share = fill(thread, window)
    of = f" of {window:,}, {share:.0%} full" if window and share is not None else ""
    text.append(f"{'Context':{width}}  about {tokens:,} tokens{of}")
    if unknown := [model for model in models if any(each.model == model and priced(each, pricing) is None for each in whole)]:
        text += [_unpriced(unknown, summed=lines[1][1].amount > 0), *filter(None, [pricing.hint])]
    return "\n".join(text)


def _sum(found: Iterable[Spent], price: Price) -> Sum:
    whole = Sum()
    for each in found:
        whole.add(each, price)
    return whole


def _told(found: Sum) -> str:
    usage = found.usage
    if not found.answers:
        return "tokens not known: the server did not say"
    cached = f" ({usage.cached:,} from a cache)" if usage.cached else ""
    thought = f" ({usage.reasoning:,} thinking)" if usage.reasoning else ""
    cost = f" · {found.cost}" if found.currency and found.cost != "?" else ""
    return f"{usage.read:,} tokens in{cached}, {usage.written:,} out{thought}{cost}"
