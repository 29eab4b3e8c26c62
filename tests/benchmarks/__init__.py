"""What agentcli costs, measured against what it could cost at least.

`python -m tests.benchmarks` prints a Markdown table. Where there is one, a figure stands beside its floor, measured in the same run
and turn by turn with it: a console script that does nothing, fifteen lines of httpx, a minimal prompt. A slow machine slows both, so
the ratio says something anywhere; where a limit is a time, it is meant for an idle machine.

A benchmark is a function in a module named in `MODULES`, with `@benchmark`; it measures with `measure.py` and returns rows. The other
programs it starts are in `programs/`, and whom all of them ask is `server.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

__all__ = ["Row", "Setup", "benchmark", "everything"]

MODULES = ("start", "answer", "library", "screen", "live", "disk", "memory")


class Row(Struct, frozen=True):
    """A line of the table. `limit` is on the ratio to the floor if `relative`, otherwise on what was measured; None only informs."""

    what: str
    measured: float
    unit: str
    floor: float | None = None
    against: str = ""
    limit: float | None = None
    relative: bool = False

    @property
    def ratio(self) -> float | None:
        return self.measured / self.floor if self.floor else None

    @property
    def ok(self) -> bool | None:
        judged = self.ratio if self.relative else self.measured
        return None if self.limit is None or judged is None else judged <= self.limit


class Setup(Struct, frozen=True):
    """What a benchmark is given: the server's base URL, a folder to use, `llm` if it is there, and whether to be quick."""

    url: str
    folder: Path
    llm: str | None
    quick: bool

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full


Benchmark: TypeAlias = Callable[[Setup], list[Row]]

_REGISTRY: dict[str, Benchmark] = {}


def benchmark(run: Benchmark) -> Benchmark:
    """Register a benchmark under the name of its function."""
    _REGISTRY[run.__name__] = run
    return run


def everything() -> dict[str, Benchmark]:
    for module in MODULES:
        import_module(f"{__name__}.{module}")
    return _REGISTRY
