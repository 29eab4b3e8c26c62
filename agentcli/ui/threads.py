"""Lists of threads on stdout: all of them, what a search found, what a check found.

Each list has two readers. On a terminal it is laid out for a person: columns, times as "2 hours ago", and nothing of a thread but
through `visible()`. In a pipe it is for the next program: one row a line, tabs between the fields (a tab or a line end inside one
becomes a space), times as ISO 8601, texts as they are. What is said about the data (how much more there is, what could not be read)
goes to stderr.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agentcli.core.message import now
from agentcli.store.index import Row
from agentcli.store.usage import unpacked
from agentcli.ui.confirm import confirm
from agentcli.ui.cost import Price, cost_of_all, money
from agentcli.ui.sanitise import one_line, visible
from agentcli.ui.stdout import bold, columns, dim, on_terminal, print_json, put
from agentcli.ui.table import fit, table
from agentcli.ui.talk import say

if TYPE_CHECKING:
    from agentcli.store.repair import Finding
    from agentcli.store.search import Hit

__all__ = [
    "ORDERS",
    "Line",
    "ago",
    "confirm_deletion",
    "first_lines",
    "iso",
    "print_findings",
    "print_hits",
    "print_hits_as_json",
    "print_lines",
    "print_lines_as_json",
    "say_damaged",
    "titled",
]

_BREAKS = re.compile(r"[\t\r\n]+")
_NAMED = 10  # damaged files named one by one


class Line(Struct, frozen=True):
    """A thread in a list: how many tokens its own answers took, and what they cost, where that is known."""

    row: Row
    tokens: int | None
    cost: dict[str, Any] | None


def first_lines(rows: Sequence[Row], by: str, limit: int, price: Price | None, *, counted: bool) -> list[Line]:
    """The first `limit` threads (0: all) in an order of `ORDERS`; those that are equal in it stay as they are.

    `counted`: also where the order does not need it, say what they took. `price` is asked for each, if there is one.
    """
    if by == "updated":
        return [_line(row, price, counted=counted) for row in rows[: limit or None]]
    lines = [_line(row, price, counted=True) for row in rows]
    return sorted(lines, key=ORDERS[by], reverse=True)[: limit or None]


# What a list can be sorted by. What is not known comes last.
ORDERS: dict[str, Callable[[Line], float]] = {
    "updated": lambda line: line.row.updated.timestamp(),
    "tokens": lambda line: -1 if line.tokens is None else line.tokens,
    "cost": lambda line: -1 if line.cost is None else line.cost["amount"],
}


def _line(row: Row, price: Price | None, *, counted: bool) -> Line:
    if not counted or not row.spent:
        return Line(row, None, None)
    found = unpacked(row.spent)
    return Line(row, sum(each.usage.total for each in found), cost_of_all(found, price) if price else None)


def print_lines(lines: Sequence[Line], more: int, by: str) -> None:
    """The threads, and how many more there are. What they are sorted by is a column."""
    if not on_terminal():
        put("".join(_fields(*_plain(line, by)) for line in lines))
    elif lines:
        moment = now()
        heads = ("ID", "TITLE", "MESSAGES", "UPDATED", *_MORE[by], "MODEL")
        last = len(heads) - 1
        rows = [heads, *(_cells(line, moment, by) for line in lines)]
        put(table(rows, gives=1, least=24, drop=(last, 3, 2), right=(2, *range(4, last))))
    if more:
        say(f"{more} more: --limit 0 shows all.", dim=True)


_MORE = {"updated": (), "tokens": ("TOKENS",), "cost": ("TOKENS", "COST")}


def print_lines_as_json(lines: Sequence[Line]) -> None:
    """The threads with everything that is known of them."""
    names = [name for name in Row.__struct_fields__ if name not in ("damaged", "spent")]
    print_json([{**{name: getattr(line.row, name) for name in names}, "tokens": line.tokens, "cost": line.cost} for line in lines])


def say_damaged(rows: Iterable[Row]) -> None:
    """Which files could not be read, and why."""
    damaged = [row for row in rows if row.damaged]
    for row in damaged[:_NAMED]:
        say(f"warning: {row.path} cannot be read: {row.damaged}")
    if len(damaged) > _NAMED:
        say(f"warning: {len(damaged) - _NAMED} more files cannot be read")
    if damaged:
        say("\nhint: agentcli threads check --repair")


def print_hits(hits: Iterable[Hit], text: str, limit: int) -> int:
    """Where a text was found, at most `limit` places (0: all). Returns how many were shown."""
    found = 0
    before = ""
    for hit in hits:
        if limit and found == limit:
            say(f"There is more: only the first {limit} are shown; --limit 0 shows all.", dim=True)
            break
        found += 1
        if not on_terminal():
            put(_fields(hit.row.id, hit.row.title, str(hit.number), hit.role, hit.line))
            continue
        if hit.row.id != before:
            put(f"{chr(10) if before else ''}{bold(hit.row.id)}  {titled(hit.row.title)}\n")
            before = hit.row.id
        label = f"  {hit.number:>3} {hit.role}: "
        put(f"{dim(label)}{_excerpt(hit.line, text, columns() - len(label))}\n")
    if not found:
        say("No thread contains that.", dim=True)
    return found


def print_hits_as_json(hits: Iterable[Hit], limit: int) -> None:
    """Where a text was found, at most `limit` places (0: all)."""
    shown = islice(hits, limit or None)
    print_json(
        [{"id": hit.row.id, "title": hit.row.title, "message": hit.number, "role": hit.role, "line": hit.line} for hit in shown]
    )


def print_findings(findings: Sequence[Finding]) -> None:
    """What a check found, and what was done about it."""
    for finding in findings:
        if on_terminal():
            done = f"\n  {dim(visible(finding.done))}" if finding.done else ""
            put(f"{visible(finding.path)}: {visible(finding.problem)}{done}\n")
        else:
            put(_fields(finding.path, finding.problem, finding.done or ""))
    if not findings:
        say("Nothing is wrong.", dim=True)
    elif any(finding.done is None for finding in findings):
        say("\nhint: `agentcli threads check --repair` does what can be done; nothing that was said is deleted.")


def confirm_deletion(rows: Sequence[Row]) -> bool:
    """Ask the person at the terminal."""
    for row in rows:
        say(f"  {row.id}  {titled(row.title) if not row.damaged else f'(cannot be read: {row.damaged})'}")
    return confirm("Delete this thread for good?" if len(rows) == 1 else f"Delete these {len(rows)} threads for good?")


def ago(moment: datetime, at: datetime) -> str:
    """How long before `at` that was, as a person would say it; a date if it is more than a week."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # a document may leave that out
    seconds = (at - moment).total_seconds()
    if not -60 < seconds < 7 * 86_400:
        return f"{moment:%Y-%m-%d}"
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def _cells(line: Line, moment: datetime, by: str) -> tuple[str, ...]:
    row = line.row
    tokens = "" if line.tokens is None else f"{line.tokens:,}"
    cost = money(line.cost["amount"], line.cost["currency"]) if line.cost else ""
    more = (tokens, cost)[: len(_MORE[by])]
    return row.id, titled(row.title), str(row.messages), ago(row.updated, moment), *more, one_line(row.model or "")


def _plain(line: Line, by: str) -> tuple[str, ...]:
    row = line.row
    tokens = "" if line.tokens is None else str(line.tokens)
    cost = f"{line.cost['amount']:.9f}".rstrip("0").rstrip(".") if line.cost else ""
    more = (tokens, cost)[: len(_MORE[by])]
    return row.id, row.title, str(row.messages), iso(row.updated), row.model or "", *more


def _excerpt(line: str, text: str, width: int) -> str:
    """As much of a line as fits, with the text in it, marked."""
    line = one_line(line)
    found = re.search(re.escape(one_line(text)), line, re.IGNORECASE)
    begin, end = found.span() if found else (0, 0)
    start = 0 if end < width - 1 else max(0, begin - width // 3)
    shown = f"…{line[start:]}" if start else line
    begin, end = (place - start + (1 if start else 0) for place in (begin, end))
    shown = fit(shown, max(width, 8)).rstrip()
    return f"{shown[:begin]}{bold(shown[begin:end])}{shown[end:]}" if end <= len(shown) else shown


def _fields(*fields: str) -> str:
    return "\t".join(_BREAKS.sub(" ", field) for field in fields) + "\n"


def titled(text: str) -> str:
    return one_line(text) or "(untitled)"


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
