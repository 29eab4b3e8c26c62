"""What is said beside an answer of how it came about, in a line each: another model was asked, less of the conversation is sent.

Every way a turn is shown says it in the same words, so they stand here, apart from what it takes to draw.
"""

from __future__ import annotations

from typing import TypeAlias

from agentcli.core.event import Compacted, NotCompacted, Switched
from agentcli.ui.sanitise import one_line

__all__ = ["Aside", "aside_line"]

Aside: TypeAlias = Switched | Compacted | NotCompacted


def aside_line(event: Aside, width: int = 200) -> str:
    """The line, in at most `width` columns."""
    return one_line(_words(event), max(width, 40))


def _words(event: Aside) -> str:
    match event:
        case Switched():
            status = f"{event.status} " if event.status and str(event.status) not in event.reason else ""
            return f"asking {event.model} instead of {event.instead_of}: {status}{event.reason}"
        case Compacted(compaction=made) if made.summary:
            what = f"{made.count} messages became a summary"
        case Compacted(compaction=made):
            what = "long results and attachments are sent shortened"
        case NotCompacted(reason=reason):
            return f"not compacted: {reason}"
    return f"compacted: {what}, about {_short(made.before)} → {_short(made.after)} tokens"


def _short(number: int) -> str:
    """`850`, `12k`, `1.2M`"""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + letter if number < 10 * size else f"{number / size:.0f}{letter}"
    return str(number)
