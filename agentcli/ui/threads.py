"""Lists of threads on stdout: all of them, what a search found, what a check found.

Each list has two readers. On a terminal it is laid out for a person: columns, times as "2 hours ago", and nothing of a thread but
through `visible()`. In a pipe it is for the next program: one row a line, tabs between the fields (a tab or a line end inside one
becomes a space), times as ISO 8601, texts as they are. What is said about the data (how much more there is, what could not be read)
goes to stderr.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from agentcli.core.message import now
from agentcli.ui.sanitise import one_line, visible
from agentcli.ui.stdout import bold, columns, dim, on_terminal, print_json, put
from agentcli.ui.talk import say
from agentcli.ui.terminal import flush_typed

if TYPE_CHECKING:
    from agentcli.store.index import Row
    from agentcli.store.repair import Finding
    from agentcli.store.search import Hit

__all__ = [
    "ago",
    "confirm_deletion",
    "iso",
    "print_findings",
    "print_hits",
    "print_hits_as_json",
    "print_rows",
    "say_damaged",
    "titled",
]

_BREAKS = re.compile(r"[\t\r\n]+")
_NAMED = 10  # damaged files named one by one


def print_rows(rows: Sequence[Row], limit: int) -> None:
    """The newest `limit` threads (0: all), and how many more there are."""
    shown = rows[:limit] if limit else rows
    if not on_terminal():
        put("".join(_fields(row.id, row.title, str(row.messages), iso(row.updated), row.model or "") for row in shown))
    elif shown:
        moment = now()
        heads = ("ID", "TITLE", "MESSAGES", "UPDATED", "MODEL")
        put(_table(heads, [_cells(row, moment) for row in shown]))
    if len(rows) > len(shown):
        say(f"{len(rows) - len(shown)} more: --limit 0 shows all.", dim=True)


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
    """Ask the person at the terminal. Enter is no, and so is a terminal that goes away."""
    if sys.stdout:
        sys.stdout.flush()
    for row in rows:
        say(f"  {row.id}  {titled(row.title) if not row.damaged else f'(cannot be read: {row.damaged})'}")
    question = "Delete this thread for good?" if len(rows) == 1 else f"Delete these {len(rows)} threads for good?"
    flush_typed()
    say(f"{question} [y/N] ", end="")
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        say("")
    return answer.strip().lower() in ("y", "yes")


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


def _cells(row: Row, moment: datetime) -> tuple[str, ...]:
    return row.id, titled(row.title), f"{row.messages:>8}", ago(row.updated, moment), one_line(row.model or "")


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as what is in them. The title, which is the second, takes what is left; where that is too little, the last
    columns are left out."""
    widths = [max(_width(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    count = len(widths)
    while count > 2 and columns() - sum(widths[2:count]) - widths[0] - 2 * (count - 1) < min(widths[1], 24):
        count -= 1
    widths[1] = max(8, min(widths[1], columns() - sum(widths[2:count]) - widths[0] - 2 * (count - 1)))
    lines = ["  ".join(_fit(cell, width) for cell, width in zip(row[:count], widths, strict=False)).rstrip() for row in (heads, *rows)]
    return "\n".join([dim(lines[0]), *lines[1:]]) + "\n"


def _excerpt(line: str, text: str, width: int) -> str:
    """As much of a line as fits, with the text in it, marked."""
    line = one_line(line)
    found = re.search(re.escape(one_line(text)), line, re.IGNORECASE)
    begin, end = found.span() if found else (0, 0)
    start = 0 if end < width - 1 else max(0, begin - width // 3)
    shown = f"…{line[start:]}" if start else line
    begin, end = (place - start + (1 if start else 0) for place in (begin, end))
    shown = _fit(shown, max(width, 8)).rstrip()
    return f"{shown[:begin]}{bold(shown[begin:end])}{shown[end:]}" if end <= len(shown) else shown


def _fields(*fields: str) -> str:
    return "\t".join(_BREAKS.sub(" ", field) for field in fields) + "\n"


def titled(text: str) -> str:
    return one_line(text) or "(untitled)"


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _width(text: str) -> int:
    """Cells on the screen."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def _fit(text: str, width: int) -> str:
    """The text in exactly so many cells."""
    if (cells := _width(text)) <= width:
        return text + " " * (width - cells)
    while text and _width(text) > width - 1:
        text = text[: min(len(text) - 1, width - 1)]
    return _fit(f"{text}…", width)
