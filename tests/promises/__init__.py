"""The promises, tried.

A promise is a sentence a user may rely on; a trial tries to break it, many times, and counts. `python -m tests.promises` runs all of
them and prints a table; `--full` runs the large counts; `--write` puts the table into docs/reference/promises.md. The test suite runs
the quick counts, and each trial's `planted` form too: the same trial on a program with the bug that it is there to find. A trial that
does not see its own bug is worth nothing, so that form must fail.

A new trial is a function with `@promise` in a module named in `MODULES`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias

import msgspec
from msgspec import Struct

__all__ = ["Outcome", "Promise", "apart", "everything", "promise"]

MODULES = (
    "tests.promises.saving",
    "tests.promises.kernel",
    "tests.promises.turns",
    "tests.promises.files",
    "tests.promises.screen",
    "tests.promises.writers",
    "tests.promises.stop",
    "tests.promises.insist",
    "tests.promises.leave",
    "tests.promises.away",
    "tests.promises.waits",
    "tests.promises.answers",
    "tests.promises.retries",
    "tests.promises.memory",
    "tests.promises.exits",
    "tests.promises.safety",
)


class Outcome(Struct):
    """How many times it was tried, and what went wrong, a line each. `missing` is what this machine lacks, if it was not tried; `note`
    is what was measured on the way."""

    count: int
    failures: list[str]
    missing: str = ""
    note: str = ""

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.count + other.count, self.failures + other.failures, self.missing or other.missing, self.note or other.note
        )


Trial: TypeAlias = Callable[[int], Outcome]


class Promise(Struct):
    """A trial of a promise. `planted` is the trial on a planted bug."""

    number: str
    says: str
    trial: str
    quick: int
    full: int
    run: Trial
    planted: Callable[[], Outcome]


_REGISTRY: list[Promise] = []


def promise(number: str, says: str, trial: str, *, quick: int, full: int, planted: Callable[[], Outcome]) -> Callable[[Trial], Trial]:
    """Register a trial: which promise, what it says in a few words, what is tried, how often."""

    def register(run: Trial) -> Trial:
        _REGISTRY.append(Promise(number, says, trial, quick, full, run, planted))
        return run

    return register


def everything() -> list[Promise]:
    """All trials, by the number of their promise."""
    for module in MODULES:
        import_module(module)
    return sorted(_REGISTRY, key=lambda one: int(one.number.removeprefix("P")))


def apart(function: str, count: int, *words: str, limit: float = 3600) -> Outcome:
    """Run `module:function(count, seed, *words)` in fresh processes: they have no threads, so they may fork."""
    processes = max(1, min(os.cpu_count() or 1, count // 50))
    shares = [count // processes + (number < count % processes) for number in range(processes)]
    module, name = function.split(":")
    script = (
        "import sys, msgspec; from importlib import import_module\n"
        f"outcome = getattr(import_module({module!r}), {name!r})(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])\n"
        "print(msgspec.json.encode(outcome).decode())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(share), str(seed), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed, share in enumerate(shares)
    ]
    total = Outcome(0, [])
    for child in running:
        try:
            out, err = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            err = f"not done after {limit:g} s: {err}"
        try:
            total += msgspec.json.decode(out, type=Outcome)
        except msgspec.DecodeError:
            total.failures.append(err.strip() or f"{function} ended with {child.returncode} and said nothing")
    return total
