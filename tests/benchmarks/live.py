"""In a chat, where the prompt stays while an answer comes: what each piece costs, how soon a key is echoed, and what it does while
nobody types."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from time import monotonic

from tests.benchmarks import Row, Setup, benchmark
from tests.benchmarks.measure import Pty, environment, exponent, percentile
from tests.benchmarks.screen import CHAT, KINDS, PROMPT

_START = 150  # chunks, which are enough to load whatever a longer answer needs
_KEYS = "абвгдежзийклмнопрстуфхцчшщъыьэюя"  # nothing else that is drawn has these letters


@benchmark
def answered(setup: Setup) -> list[Row]:
    """Answers that are there at once, set above the prompt."""
    few, many = setup.count(2_000, 300), setup.count(20_000, 600)
    rows = []
    for kind, what in KINDS.items():
        cpu: dict[int, list[float]] = {_START: [], few: [], many: []}
        for _ in range(setup.count(3, 1)):
            for n, taken in cpu.items():
                with Pty([*CHAT, f"openai/{kind}={n}"], environment(setup)) as terminal:
                    _ready(terminal)
                    taken.append(_turn(terminal))
        least = {n: min(taken) for n, taken in cpu.items()}
        beyond = {n: max(least[n] - least[_START], 1e-6) for n in (few, many)}
        rows += [Row(f"in a chat, {what}: CPU a chunk of {n:,}", beyond[n] / (n - _START) * 1e6, "µs", limit=60) for n in (few, many)]
        grows = exponent(beyond[few], beyond[many], (many - _START) / (few - _START))
        rows.append(Row(f"in a chat, {what}: growth to {many:,} chunks", grows, "n^", limit=1.1))
    return rows


@benchmark
def typed(setup: Setup) -> list[Row]:
    """Keys that are typed while an answer comes with 500 chunks a second, and what it costs to draw it meanwhile."""
    count, rows = setup.count(3_000, 600), []
    for kind, what in KINDS.items():
        echoes: list[float] = []
        with Pty([*CHAT, f"openai/{kind}={count},pause=0.002"], environment(setup)) as terminal:
            _ready(terminal)
            before, began = _cpu(terminal.pid), monotonic()
            terminal.send(b"go\r")
            terminal.until(rb"next|total|Photo|python")
            for key in _keys(terminal, setup.count(150, 3)):
                terminal.forget()
                pressed = monotonic()
                terminal.send(key)
                echoes.append(terminal.until(key) - pressed)
                terminal.rest(0.02)
            terminal.until(PROMPT)
            share = (_cpu(terminal.pid) - before) / (monotonic() - began)
        pace = "about 500 chunks a second"
        rows += [
            Row(f"in a chat, {what}, {pace}: key to its echo, median", percentile(echoes, 0.5) * 1e3, "ms"),
            Row(f"in a chat, {what}, {pace}: key to its echo, p95", percentile(echoes, 0.95) * 1e3, "ms", limit=50),
            Row(f"in a chat, {what}, {pace}: part of a processor, with the typing", share * 100, "%"),
        ]
    return rows


@benchmark
def idle(setup: Setup) -> list[Row]:
    """A chat that waits for somebody to type."""
    seconds = setup.count(30, 1)
    with Pty([*CHAT, "openai/chunks=100"], environment(setup)) as terminal:
        _ready(terminal)
        terminal.send(b"go\r")
        terminal.until(PROMPT)
        terminal.rest(1)
        before = _cpu(terminal.pid)
        terminal.rest(seconds)
        taken = _cpu(terminal.pid) - before
    return [Row(f"idle chat, part of a processor over {seconds} s", taken / seconds * 100, "%", limit=0.05)]


def _ready(terminal: Pty) -> None:
    terminal.until(PROMPT)
    terminal.rest(1)  # what is imported behind the prompt


def _turn(terminal: Pty) -> float:
    """The processor's time that a turn takes."""
    before = _cpu(terminal.pid)
    terminal.send(b"go\r")
    terminal.until(PROMPT, limit=120)
    return _cpu(terminal.pid) - before


def _keys(terminal: Pty, count: int) -> Iterator[bytes]:
    """Keys of which each can be told from all that was typed before it; the line is emptied when all of them were used."""
    for number, key in zip(range(count), cycle(_KEYS), strict=False):
        if number and number % len(_KEYS) == 0:
            terminal.send(b"\x15")
            terminal.rest(0.1)
        yield key.encode()


def _cpu(pid: int) -> float:
    """Seconds that the kernel has accounted to a process."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
