"""What is said beside an answer of how it came about, in a line each: what is waited for, a retry, another model, less that is sent.

Every way a turn is shown says it in the same words, so they stand here, apart from what it takes to draw.
"""

from __future__ import annotations

from typing import TypeAlias

from agentcli.core.event import Compacted, NotCompacted, Retrying, Switched
from agentcli.ui.sanitise import one_line
from agentcli.ui.talk import seconds

__all__ = ["Aside", "aside_line", "retry_line", "waiting_words"]

Aside: TypeAlias = Switched | Compacted | NotCompacted

# What is waited for (`Waiting.what`), the longest form first; {} is who is asked.
_WAITS: dict[str, tuple[str, ...]] = {
    "queued": ("queued, to spare {}", "queued"),
    "connecting": ("connecting to {}", "connecting"),
    "proxy": ("asking the proxy for a way to {}", "asking the proxy"),
    "tls": ("TLS with {}", "TLS"),
    "sending": ("sending to {}", "sending"),
    "sent": ("sent, waiting for {}", "sent, waiting"),
    "answering": ("waiting for the first token", "no token yet"),
    "calling": ("writing a tool call",),
    "compacting": ("{} summarises what was said so far", "summarising"),
}
_named = {form for forms in _WAITS.values() for form in forms if "{}" in form}


def waiting_words(what: str, name: str = "") -> tuple[str, ...]:
    """What is waited for, in words, the longest form first. Without a name, only the forms that have none."""
    forms = _WAITS.get(what) or (one_line(what, 200),)
    return tuple(form.format(name) if form in _named else form for form in forms if name or form not in _named)


def retry_line(event: Retrying, width: int = 200) -> str:
    """`retry 2 of 4 in 7 s: the server is overloaded`"""
    reason = f"{event.status} {event.reason}" if event.status and str(event.status) not in event.reason else event.reason
    return one_line(f"retry {event.attempt} of {event.attempts} in {seconds(event.delay)}: {reason}", max(width, 40))


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
