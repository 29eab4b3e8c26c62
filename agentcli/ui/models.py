"""The list of models on stdout: for a person with columns and short numbers, for the next program a line each.

A name is printed as `-m` takes it. Prices are US dollars for a million tokens. What is not known is left empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import UNSET, Struct, UnsetType

from agentcli.providers.catalogue.price import Known
from agentcli.ui.amount import tokens
from agentcli.ui.sanitise import one_line
from agentcli.ui.stdout import on_terminal, print_json, put
from agentcli.ui.table import table

__all__ = ["PerMillion", "Row", "matching", "print_rows", "row"]


class PerMillion(Struct, frozen=True):
    """US dollars for a million tokens; `cached` are those read from a cache."""

    input: float
    output: float
    cached: float | None


class Row(Struct, frozen=True, kw_only=True):
    """A model that can be asked. `means` is what an alias stands for, `source` where its name comes from."""

    model: str
    means: str | UnsetType = UNSET
    provider: str
    name: str
    context: int | None
    output: int | None
    price: PerMillion | None
    capabilities: tuple[str, ...]
    source: str


def row(model: str, known: Known, *, source: str, means: str = "", name: str = "") -> Row:
    """The row of a model, or of an alias."""
    rates = known.rates
    return Row(
        model=model,
        means=means or UNSET,
        provider=(means or model).partition("/")[0],
        name=name,
        context=known.context,
        output=known.output,
        price=PerMillion(rates.input, rates.output, rates.cached) if rates else None,
        capabilities=known.can,
        source=source,
    )


def matching(rows: Iterable[Row], words: Sequence[str]) -> list[Row]:
    """The rows in which each of the words is found, in whatever case."""
    wanted = [word.casefold() for text in words for word in text.split()]
    return [each for each in rows if all(word in _text(each).casefold() for word in wanted)]


def print_rows(rows: Sequence[Row], *, json: bool) -> None:
    """All rows."""
    if json:
        print_json(rows)
    elif not on_terminal():
        put("".join("\t".join(_fields(each)) + "\n" for each in rows))
    elif rows:
        put(_table(rows))


def _text(row: Row) -> str:
    return " ".join((row.model, row.means or "", row.name, *row.capabilities))


def _fields(row: Row) -> list[str]:
    """For a program: the name, how much it holds and writes, what a million tokens in and out cost, what it can do, what it means."""
    prices = (row.price.input, row.price.output) if row.price else (None, None)
    numbers = ["" if number is None else f"{number:g}" if isinstance(number, float) else str(number) for number in
               (row.context, row.output, *prices)]  # fmt: skip
    return [row.model, *numbers, " ".join(row.capabilities), row.means or ""]


_HEADS = ("MODEL", "CONTEXT", "$/M IN", "OUT", "CAN")
_NAME = 56  # characters of a name that are shown, whatever else is not


def _table(rows: Sequence[Row]) -> str:
    """The models of a provider together, aliases first."""
    lines: list[tuple[str, ...]] = [_HEADS]
    for _, group in groupby(rows, key=lambda each: "" if each.source == "alias" else each.provider):
        if len(lines) > 1:
            lines.append(("",) * len(_HEADS))
        lines += map(_cells, group)
    return table(lines, gives=0, least=_NAME, drop=(4, 3, 2, 1), right=(1, 2, 3))


def _cells(row: Row) -> tuple[str, ...]:
    name = one_line(f"{row.model} = {row.means}" if row.means else row.model)
    prices = (f"{row.price.input:.4g}", f"{row.price.output:.4g}") if row.price else ("", "")
    return name, "" if row.context is None else tokens(row.context), *prices, one_line(" ".join(row.capabilities))
