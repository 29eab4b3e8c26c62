"""When to try again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic

import pytest

from agentcli.providers.http.retry import Gate, back_off, gate, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    seconds = retry_after({"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)})
    assert seconds is not None
    assert 58 < seconds <= 60


NOW = "Wed, 19 Aug 2026 14:34:02 GMT"
LATER = "2026-08-19T14:34:12Z"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, 1.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "4ms"}, 0.004),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1d"}, 86400.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12"}, 12.0),
        ({"x-ratelimit-remaining-tokens": " 0 ", "x-ratelimit-reset-tokens": " 7.66s "}, 7.66),
        ({"x-ratelimit-remaining-tokens": "1", "x-ratelimit-reset-tokens": "9s"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        ({"x-ratelimit-reset-tokens": "9s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": ""}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "-9s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9" * 400 + "s"}, None),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": LATER}, 10.0),
        ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": LATER}, 10.0),
        ({"anthropic-ratelimit-output-tokens-remaining": "0", "anthropic-ratelimit-output-tokens-reset": LATER}, 10.0),
        (
            {"anthropic-ratelimit-input-tokens-remaining": "0", "anthropic-ratelimit-input-tokens-reset": "2026-08-19T16:35:02+02:00"},
            60.0,
        ),
        ({"anthropic-ratelimit-tokens-remaining": "7", "anthropic-ratelimit-tokens-reset": LATER}, None),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-08-19T14:33:00Z"}, None),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-99-19T14:33:00Z"}, None),
    ],
)
def test_when_there_is_more_of_what_is_used_up(headers: dict[str, str], seconds: float | None) -> None:
    for status in (429, 529):
        assert retry_after({"date": NOW, **headers}, status) == seconds
    assert retry_after({"date": NOW, **headers}, 500) is None  # these headers come with every answer: here they mean nothing
    assert retry_after({"date": NOW, "retry-after": "3", **headers}) == 3.0


def test_the_longest_of_several_limits_counts() -> None:
    limits = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "5s",
    }
    assert retry_after(limits) == 5.0


@pytest.mark.parametrize("date", [{}, {"date": "today"}])
def test_without_the_servers_time_of_day_ours_must_do(date: dict[str, str]) -> None:
    reset = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    seconds = retry_after({**date, "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": reset})
    assert seconds is not None
    assert 55 < seconds <= 60


def test_back_off_doubles_and_is_bounded() -> None:
    for attempt, bound in [(1, 0.5), (2, 1.0), (3, 2.0), (100, 30.0)]:
        waits = [back_off(attempt) for _ in range(300)]
        assert bound * 0.8 < max(waits) <= bound
        assert min(waits) < bound * 0.2


def test_an_open_gate_is_free() -> None:
    async def main() -> None:
        began = monotonic()
        await asyncio.gather(*(Gate().enter() for _ in range(100)))
        assert monotonic() - began < 0.1

    asyncio.run(main())


def test_a_shut_gate_holds_all_and_lets_them_go_spread_out() -> None:
    async def main() -> None:
        one = Gate()
        one.shut(0.2)
        began = monotonic()
        gone: list[float] = []

        async def enter() -> None:
            await one.enter()
            gone.append(monotonic() - began)

        await asyncio.gather(*(enter() for _ in range(30)))
        assert min(gone) >= 0.2
        assert max(gone) - min(gone) > 0.1  # a random spread of at most 30 × 20 ms
        assert len({round(each, 2) for each in gone}) > 10

    asyncio.run(main())


def test_a_gate_shut_again_meanwhile_holds() -> None:
    async def main() -> None:
        one = Gate()
        one.shut(0.05)
        began = monotonic()
        entering = asyncio.create_task(one.enter())
        await asyncio.sleep(0.01)
        one.shut(0.2)
        await entering
        assert monotonic() - began >= 0.2

    asyncio.run(main())


def test_a_gate_for_each_server_and_key() -> None:
    assert gate("http://a/v1", ("k",)) is gate("http://a/v1", ("k",))
    assert gate("http://a/v1", ("k",)) is not gate("http://a/v1", ("other",))
    assert gate("http://a/v1", ("k",)) is not gate("http://b/v1", ("k",))
