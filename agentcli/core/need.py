"""When a conversation is too long for a model, and how much of it has to go.

There are three occasions: the next request would fill the model's window so far that the answer might not fit (`ahead`); the server
has refused a request as too long (`refused`); a person asks for it (`wanted`). How large the next request is, the usage of the last
answer says, and an estimate of what came after it. That ratio of known to estimated tokens is applied to all the estimates.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from agentcli.core.compact import WORTH, Need, view
from agentcli.core.thread import Thread
from agentcli.core.weight import weight

__all__ = ["LIMITS", "ahead", "fill", "refused", "size", "wanted"]

# Settings by which the length of an answer is limited.
LIMITS = frozenset({"max-tokens", "max-output-tokens", "max-completion-tokens"})

_FULL = 0.8  # of the room for questions: from there on it is too full
_GOAL = 0.6  # of that: it should not be too full again soon
_TAIL = 0.27  # of the window: older turns that are kept word for word
_GAIN = 0.1  # of the window: less is not worth a question to the model, over and over
_MORE = 0.25  # of the window: the same for a turn whose question nearly fills it, so that no summary reaches the goal
_PORTION = 0.6  # of the window: what one request for a summary may carry
_ANSWER = 4_096  # tokens that are left for an answer if the settings do not say

# How servers name their limit: "maximum context length is 8192 tokens", "210000 tokens > 200000 maximum".
_NAMED = re.compile(r"(?:maximum|context|limit|allowed)\D{0,40}?(\d[\d,]{2,9})|> *(\d[\d,]{2,9})", re.IGNORECASE)


def size(thread: Thread, beside: int = 0) -> int:
    """Tokens of the thread's next request. `beside` is the weight of what is no message: instructions and tools."""
    made = max((_seconds(one.at) for one in thread.standing), default=None)
    messages = thread.messages
    for at in range(len(messages) - 1, -1, -1):
        answer = messages[at]
        if (took := answer.latest) and took.total > 0:
            if made is not None and _seconds(answer.at) <= made:
                break  # it was asked with more than would be sent now
            return took.total + weight(messages[at + 1 :])
    return beside + weight(view(thread))


def fill(thread: Thread, window: int | None) -> tuple[int, float | None]:
    """How full the model's window is: the tokens of the next request, and which part of the window they are, if that is known."""
    tokens = size(thread)
    return tokens, tokens / window if window else None


def ahead(thread: Thread, window: int, settings: dict[str, Any], beside: int, *, missed: bool = False) -> Need | None:
    """What has to go before the next request, if anything has to. `missed`: a summary of this turn did not reach the goal."""
    most = _room(window, settings)
    tokens = size(thread, beside)
    if tokens <= most:
        return None
    gain = _MORE * window if missed else 0.0
    return _need(window, most, _ratio(thread, tokens, beside), beside, least=_GAIN * window, gain=gain)


def refused(thread: Thread, window: int | None, settings: dict[str, Any], beside: int, said: str) -> Need:
    """What has to go after a request was refused as too long, with these words."""
    tokens = size(thread, beside)
    limits = [window, *(int((one or other).replace(",", "")) for one, other in _NAMED.findall(said))]
    known = min((limit for limit in limits if limit), default=tokens)
    estimated = beside + weight(view(thread))
    ratio = max(_ratio(thread, tokens, beside), known / max(estimated, 1))  # it was larger than that
    return _need(known, _room(known, settings), ratio, beside, least=WORTH)


def wanted(thread: Thread, window: int | None, beside: int = 0) -> Need:
    """What should go if a person wants it to: most of what is older than the newest turn."""
    tokens = size(thread, beside)
    ratio = _ratio(thread, tokens, beside)
    portion = (_PORTION * window if window else 0.9 * tokens) / ratio
    tail = _TAIL * min(tokens, window or tokens) / ratio
    return Need(weight(view(thread)) / 2, tail, portion, ratio=ratio, summarise=True)


def _seconds(at: datetime) -> float:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _need(window: int, most: float, ratio: float, beside: int, *, least: float, gain: float = 0.0) -> Need:
    goal = _GOAL * most / ratio - beside
    return Need(goal, _TAIL * window / ratio, _PORTION * window / ratio, least / ratio, gain / ratio, ratio)


def _ratio(thread: Thread, tokens: int, beside: int) -> float:
    return min(max(tokens / max(beside + weight(view(thread)), 1), 0.5), 10.0)


def _room(window: int, settings: dict[str, Any]) -> float:
    """How large a request may be, so that there is room for the answer."""
    said = next((value for name, value in settings.items() if name.replace("_", "-") in LIMITS and isinstance(value, int)), 0)
    return _FULL * (window - (min(said, window // 2) if said > 0 else min(_ANSWER, window // 8)))
