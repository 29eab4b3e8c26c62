"""When to try again: what a server asks for, how long to wait where it asks for nothing, and one gate for all who share a key.

A server that says "slow down" to one call says it to all that use the same key. So the one that was told shuts the gate, and the
others that want to begin wait as well; then they are let go spread out, a few at a time, and not in step. A call that nobody told to
wait (the connection failed, the server fell over) backs off alone, at random, each time up to twice as long.

A server at its limit that does not say how long to wait often says what is used up, and when there will be more of it. Those headers
come with good answers, too, so they count only with a refusal for that reason, and only for what has nothing left. The time of day is
the server's own, if it says it: ours may be wrong.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic

__all__ = ["Gate", "back_off", "gate", "retry_after"]

_FIRST, _MOST = 0.5, 30.0  # seconds of back-off
_APART = 0.02  # seconds between two that are let go, on average
_WINDOW = 10.0  # seconds in which all are let go


_LIMITED = (429, 529)
_LIMITS = {  # the header that says what is left, and the one that says when there is more
    "x-ratelimit-remaining-{}": "x-ratelimit-reset-{}",
    "anthropic-ratelimit-{}-remaining": "anthropic-ratelimit-{}-reset",
}
_LIMITED_BY = ("requests", "tokens", "input-tokens", "output-tokens")
_DURATION = re.compile(
    r"(?=.)(?:(?P<days>\d{1,4})d)?(?:(?P<hours>\d{1,6})h)?(?:(?P<minutes>\d{1,7})m(?!s))?"
    r"(?:(?P<seconds>\d{1,9}(?:\.\d*)?)s)?(?:(?P<milliseconds>\d{1,12}(?:\.\d*)?)ms)?"
)


def retry_after(headers: Mapping[str, str], status: int = 429) -> float | None:
    """The seconds that a server asks to wait: `retry-after-ms`, or `Retry-After` as a number or a date, or when a limit ends."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", milliseconds):
        return float(milliseconds) / 1000
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", said):
        return float(said)
    with suppress(ValueError, OverflowError):  # a date that is none
        return max(0.0, (_aware(parsedate_to_datetime(said)) - datetime.now(UTC)).total_seconds())
    return _until_more(headers) if status in _LIMITED else None


def _until_more(headers: Mapping[str, str]) -> float | None:
    """The seconds until there is more of everything that is used up."""
    waits = [
        wait
        for left, reset in _LIMITS.items()
        for what in _LIMITED_BY
        if headers.get(left.format(what), "").strip() == "0" and (wait := _until(headers.get(reset.format(what), ""), headers))
    ]
    return max(waits, default=None)


def _until(said: str, headers: Mapping[str, str]) -> float | None:
    """The seconds in `1m30.5s`, `4ms` or `12`, or until a time of day."""
    said = said.strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", said):
        return float(said)
    if found := _DURATION.fullmatch(said):
        return timedelta(**{unit: float(number or 0) for unit, number in found.groupdict().items()}).total_seconds()
    with suppress(ValueError, OverflowError):
        seconds = (_aware(datetime.fromisoformat(said)) - _time_of_day(headers)).total_seconds()
        return seconds if seconds > 0 else None
    return None


def _time_of_day(headers: Mapping[str, str]) -> datetime:
    """The server's, or ours."""
    with suppress(ValueError, OverflowError):
        return _aware(parsedate_to_datetime(headers.get("date", "")))
    return datetime.now(UTC)


def _aware(date: datetime) -> datetime:
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def back_off(attempt: int) -> float:
    """Seconds to wait before the attempt (1, 2, …): anything up to a bound that doubles each time."""
    return random.uniform(0, min(_MOST, _FIRST * 2.0 ** min(attempt - 1, 16)))


class Gate:
    """Where all calls of a key begin."""

    def __init__(self) -> None:
        self._until = 0.0
        self._waiting = 0

    @property
    def left(self) -> float:
        """For how many seconds it is shut."""
        return max(0.0, self._until - monotonic())

    def shut(self, seconds: float) -> None:
        """Nobody begins for so long."""
        self._until = max(self._until, monotonic() + seconds)

    async def enter(self) -> None:
        """Wait until the gate is open. Whoever comes when it is, goes through at once."""
        while (left := self._until - monotonic()) > 0:
            spread = random.uniform(0, min(_WINDOW, self._waiting * _APART))
            self._waiting += 1
            try:
                await asyncio.sleep(left + spread)
            finally:
                self._waiting -= 1


_gates: dict[int, Gate] = {}


def gate(base_url: str, secrets: tuple[str, ...]) -> Gate:
    """The gate of this server and key. Neither is kept: a key may stand in the URL, too."""
    return _gates.setdefault(hash((base_url, secrets)), Gate())
