"""The library: many calls at once, each of which takes the server a second."""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.benchmarks import Row, Setup, benchmark
from tests.benchmarks.measure import answer, environment, in_turns, program

_LIMITS = {100: 1.25, 1_000: 1.6, 5_000: 5.0}


@benchmark
def library(setup: Setup) -> list[Row]:
    rows = []
    model = "delay=0.1" if setup.quick else "delay=1"
    for count, limit in [(20, None)] if setup.quick else _LIMITS.items():
        runs = in_turns(setup.count(3, 1), {name: _calls(setup, name, model, count) for name in ("streams", "fan_out")})
        wall = {name: median(each["wall"] for each in done) for name, done in runs.items()}
        failed = max(len(each["failed"]) for each in runs["fan_out"])
        what = f"library, {count:,} calls of 1 s at once"
        rows += [
            Row(what, wall["fan_out"], "s", wall["streams"], "bare asyncio streams", limit),
            Row(f"{what}: failed", failed, "", limit=0),
        ]
    return rows


def _calls(setup: Setup, name: str, model: str, count: int) -> Any:
    return lambda: answer(program(name, setup.url, model, count), environment(setup))
