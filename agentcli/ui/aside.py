"""What is said beside an answer of how it came about, in a line each: what is waited for, a retry, another model, less that is sent, a
tool's call and what came of it; and below one that is not whole, why it is not.

Every way a turn is shown says it in the same words, so they stand here, apart from what it takes to draw.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import json

from agentcli.core.event import Compacted, NotCompacted, Retrying, Switched, ToolFinished, TurnEnded
from agentcli.core.message import Stop
from agentcli.ui.amount import tokens
from agentcli.ui.sanitise import one_line
from agentcli.ui.talk import seconds

__all__ = ["Aside", "arguments_line", "aside_line", "mark_of", "result_line", "retry_line", "waiting_words"]

Aside: TypeAlias = Switched | Compacted | NotCompacted

LARGE = 10_000  # characters of arguments that are not looked into

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

# How an answer that is not whole is marked, by its stop.
_MARKS: dict[Stop, str] = {
    "length": "cut at the limit of its length",
    "interrupted": "interrupted",
    "timed_out": "the time ran out",
    "failed": "failed",
    "crashed": "cut off by a crash",
    "tools": "stopped at the limit of steps",
}


def waiting_words(what: str, name: str = "") -> tuple[str, ...]:
    """What is waited for, in words, the longest form first. Without a name, only the forms that have none."""
    forms = _WAITS.get(what) or (one_line(what, 200),)
    return tuple(form.format(name) if form in _named else form for form in forms if name or form not in _named)


def retry_line(event: Retrying, width: int = 200) -> str:
    """`retry 2 of 4 in 7 s: the server is overloaded`"""
    return one_line(f"retry {event.attempt} of {event.attempts} in {seconds(event.delay)}: {_reason(event)}", max(width, 40))


def aside_line(event: Aside, width: int = 200) -> str:
    """The line, in at most `width` columns."""
    return one_line(_words(event), max(width, 40))


def _words(event: Aside) -> str:
    match event:
        case Switched():
            return f"asking {event.model} instead of {event.instead_of}: {_reason(event)}"
        case Compacted(compaction=made) if made.summary:
            what = f"{made.count} messages became a summary"
        case Compacted(compaction=made):
            what = "long results and attachments are sent shortened"
        case NotCompacted(reason=reason):
            return f"not compacted: {reason}"
    return f"compacted: {what}, about {tokens(made.before)} → {tokens(made.after)} tokens"


def _reason(event: Retrying | Switched) -> str:
    """Why, with the server's number for it."""
    return f"{event.status} {event.reason}" if event.status and str(event.status) not in event.reason else event.reason


def arguments_line(arguments: str, width: int) -> str:
    """A call's arguments in a few words: `path="a.py", lines=3`."""
    width = max(width, 1)
    try:
        values: Any = json.decode(arguments) if len(arguments) < LARGE else None
    except (ValueError, RecursionError):  # not JSON, or not even text
        values = None
    if isinstance(values, dict):
        arguments = ", ".join(f"{key}={json.encode(value).decode()}" for key, value in values.items())
    return one_line(arguments, width)


def result_line(event: ToolFinished, width: int) -> str:
    """The first line of what came of a call, and how much more there is."""
    if event.denied:
        return "not allowed"
    content = event.content.strip()
    first, _, rest = content.partition("\n")
    more = rest.count("\n") + 1 if rest else 0
    tail = f" (+{more} line{'s' if more > 1 else ''})" if more else ""
    return (one_line(first, max(width - len(tail), 8)) or ("failed" if event.is_error else "done")) + tail


def mark_of(event: TurnEnded, *, spoke: bool, silent: bool = False) -> str:
    """What to say under an answer that is not whole, or not there. Empty for one that is."""
    if event.stop == "done":
        return "— the model said nothing —" if silent else ""
    if event.stop == "refused":
        return "— the model refused to answer —"
    why = _MARKS.get(event.stop)
    if why is None or (event.stop == "failed" and not spoke):  # then the error says it all
        return ""
    return f"— {why}: the answer above is not whole —" if spoke else f"— {why} —"
