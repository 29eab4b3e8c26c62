"""The clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from agentcli.core.event import ToolFinished
from agentcli.core.message import ToolCall
from agentcli.core.stream import collect
from agentcli.core.tool import call
from agentcli.tools.clock import clock


def asked(arguments: str) -> tuple[str, bool]:
    (finished,) = asyncio.run(collect(call(clock, ToolCall("1", "clock", arguments))))
    assert isinstance(finished, ToolFinished)
    return finished.content, finished.is_error


@pytest.mark.parametrize("arguments", ["{}", '{"timezone": null}', '{"timezone": "UTC"}', '{"timezone": "Asia/Kathmandu"}'])
def test_it_tells_the_time_with_its_offset_and_the_day(arguments: str) -> None:
    content, is_error = asked(arguments)
    assert not is_error
    time, day = content.split()
    told = datetime.fromisoformat(time)
    assert abs((told - datetime.now(UTC)).total_seconds()) < 5
    assert day == ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[told.weekday()]
    if "Kathmandu" in arguments:
        assert time.endswith("+05:45")


@pytest.mark.parametrize(
    ("zone", "nearest"),
    [
        ("Europe/Berlni", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("Europe", ""),
        ("", ""),
        ("../../etc/passwd", ""),
        ("/etc/passwd", ""),
        ("a\\u0000b", ""),
        ("Mars/Olympus" * 1000, ""),
    ],
)
def test_a_zone_that_is_not_known_says_what_is_near(zone: str, nearest: str) -> None:
    content, is_error = asked(f'{{"timezone": "{zone}"}}')
    assert is_error
    assert content.startswith("there is no time zone ")
    assert nearest in content
    assert len(content) < 300


def test_it_is_free_and_described_to_the_model() -> None:
    assert not clock.asks
    assert "IANA" in str(clock.spec.schema["properties"]["timezone"])
    assert "required" not in clock.spec.schema or clock.spec.schema["required"] == []
