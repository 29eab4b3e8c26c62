"""What a server means by an error, in the answer to a request or in the middle of one.

A status that is particular (401, 429) decides. Where it is general (400, 500), or there is none, the codes that the server says do:
a 400 may be a conversation that is too long. Two things are asked before all that: is the conversation too long, and is there no money
left (a 429 for that will not pass). Servers wrap their words in many ways; `Said` knows those that were seen.

What is quoted here is not cut: a cut through a key would leave half of it. Whoever knows the key takes it out, and cuts then
(`http/route.py`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec import Struct

from agentcli.core.provider import ProviderError

__all__ = ["AGAIN", "HINTS", "NO_MONEY", "FinalError", "Said", "again", "failure", "fault_of", "reported"]

AGAIN = {"unreachable", "rate_limit", "overloaded", "server", "cut"}
_PATIENCE = 120.0  # seconds that a server may ask to wait; more is a refusal

HINTS = {
    "auth": "Check the key.",
    "not_found": "Check the name of the model, and the base URL, which often ends in /v1.",
    "context_length": "Begin a new thread, or take a model that holds more.",
    "too_large": "Send less: fewer or smaller attachments.",
    "rate_limit": "Try again in a while.",
    "overloaded": "Try again in a while.",
    "server": "Try again in a while.",
}

_STATUSES = {
    401: "auth",
    402: "auth",
    403: "auth",
    404: "not_found",
    405: "not_found",
    408: "server",
    409: "server",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}

# What a code says. The first that is found counts, so the particular stand before the general.
_CODES = (
    ("auth", r"auth|api_key|permission|quota|credit|billing"),
    ("rate_limit", r"rate.?limit|too_many_requests|throttl|resource_exhausted"),
    ("overloaded", r"overload|unavailable|capacity"),
    ("not_found", r"not_?found"),
    ("bad_request", r"invalid|unsupported|bad_?request|tool_use_failed|content_policy"),
)
_TOO_LONG_CODE = re.compile(r"context.?(length|size|window)|too_many_prompt_tokens|string_above_max|prompt is too long", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context_window_exceeded|maximum context|exceeds?\b.{0,200} context"
    r"|context (length|window|size)|prompt is too long|too many (input )?tokens|input is too long"
    r"|token count\b.{0,40} exceeds",
    re.IGNORECASE,
)
NO_MONEY = re.compile(r"insufficient_quota|insufficient.balance|billing_|credit balance", re.IGNORECASE)
_TOO_LARGE = re.compile(r"payload size exceeds", re.IGNORECASE)
_LOOKED_AT = 2_000  # characters in which a meaning is looked for


class FinalError(ProviderError):
    """One that another try would not change, whatever its kind."""


def again(error: ProviderError) -> bool:
    """True if the same request may do better later."""
    return error.kind in AGAIN and not isinstance(error, FinalError)


class Said(Struct, frozen=True):
    """An error in the server's words: those for a person, the types and codes for a program, and the HTTP status among these.

    Google also says there, and not in a header, how many seconds to wait before the next try, and whether a quota of the day is spent.
    """

    words: str = ""
    codes: str = ""
    status: int | None = None
    retry_after: float | None = None
    spent: bool = False

    @classmethod
    def in_body(cls, body: bytes) -> Said:
        """What the body of an HTTP error says."""
        text = body.decode(errors="replace").strip()
        try:
            return cls.in_value(json.loads(text))
        except (ValueError, RecursionError):
            if re.match(r"<(!doctype|html|head|\?xml)", text, re.IGNORECASE):
                title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
                text = title[1] if title else ""
            return cls("" if "\0" in text else _one_line(text))

    @classmethod
    def in_value(cls, said: Any) -> Said:
        """What some JSON says, however it is wrapped."""
        codes: list[str | int] = []
        details: list[Any] = []
        for _ in range(4):
            said = said[0] if isinstance(said, list) and said else said
            if not isinstance(said, dict):
                break
            named = (said.get(key) for key in ("type", "code", "status", "status_code"))
            codes += [code for code in named if code and isinstance(code, str | int)]
            details += _objects(said.get("details"))
            inner = next((said[key] for key in ("error", "message", "detail", "msg") if said.get(key)), None)
            if inner is None:
                break
            said = inner
        try:
            words = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, default=str)
        except RecursionError:
            words = ""
        status = next(filter(None, map(_status, codes)), None)
        codes += [reason for detail in details if isinstance(reason := detail.get("reason"), str)]
        return cls(_one_line(words), " ".join(map(str, codes)), status, _delay(details), any(map(_of_the_day, details)))


def fault_of(status: int | None, codes: str, words: str) -> str:
    """The kind of ProviderError that it is."""
    codes, words = codes[:_LOOKED_AT], words[:_LOOKED_AT]
    general = not status or status not in _STATUSES
    inside = status is not None and status >= 500  # the server's own fault: what it says about the request is beside the point
    if _TOO_LONG_CODE.search(codes) or (not inside and _TOO_LONG.search(words)):
        return "context_length"
    if not inside and NO_MONEY.search(f"{codes} {words}"):
        return "auth"
    if not inside and _TOO_LARGE.search(words):
        return "too_large"
    if not general:
        return _STATUSES[status or 0]
    for kind, pattern in _CODES:
        if re.search(pattern, codes, re.IGNORECASE) and (status is None or inside == (kind in AGAIN)):
            return kind
    return "server" if inside or status is None else "bad_request"


def reported(error: Any) -> ProviderError:
    """What a server means by an `error` in the middle of an answer: an object, a text, or an object with either of these in it."""
    said = Said.in_value(error)
    kind = fault_of(said.status, said.codes, said.words)
    message = f"the model's server reported an error: {said.words}"
    return failure(kind, message, HINTS.get(kind, ""), said, status=said.status, seconds=said.retry_after)


def failure(kind: str, message: str, hint: str, said: Said, *, status: int | None, seconds: float | None) -> ProviderError:
    """The error. If the server asks to wait for longer than anyone would, it is a refusal."""
    if kind in AGAIN and seconds is not None and seconds > _PATIENCE:
        hint = f"It asks to wait {_duration(seconds)} before the next try."
        return FinalError("rate_limit", message, hint=hint, status=status, retry_after=seconds)
    if kind == "rate_limit" and said.spent:
        return FinalError(kind, message, hint="The quota of the day is used up.", status=status)
    return ProviderError(kind, message, hint=hint, status=status, retry_after=seconds)


def _delay(details: list[dict[str, Any]]) -> float | None:
    """The seconds in Google's RetryInfo: `{"retryDelay": "26s"}`."""
    for detail in details:
        if isinstance(delay := detail.get("retryDelay"), str) and re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", delay, re.ASCII):
            return float(delay[:-1])
    return None


def _of_the_day(detail: dict[str, Any]) -> bool:
    """Does Google's QuotaFailure name a quota that lasts until tomorrow? The delay that it says with that is of no use."""
    return any("PerDay" in str(violation.get("quotaId")) for violation in _objects(detail.get("violations")))


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _status(code: str | int) -> int | None:
    """The HTTP status in a code, which may be a number, its digits, or a word."""
    number = int(code) if isinstance(code, str) and re.fullmatch(r"[1-5]\d\d", code, re.ASCII) else code
    return number if isinstance(number, int) and 400 <= number < 600 else None


def _one_line(text: str) -> str:
    return " ".join(text.split())
