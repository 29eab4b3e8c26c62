"""On a terminal: what each piece of a rendered answer costs, how soon the prompt is there, and how soon Ctrl-C is felt."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic
from urllib.request import urlopen

from tests.benchmarks import Row, Setup, benchmark
from tests.benchmarks.measure import AGENTCLI, Pty, Run, environment, exponent, in_turns, middle, percentile, program

PROMPT = rb">[^>]*\x1b\[\?25h"  # drawn, and the cursor shown behind it
CHAT = [*AGENTCLI, "chat", "-m"]
KINDS = {"markdown": "Markdown", "fence": "one code fence"}

_START = 150  # chunks, which are enough to load whatever a longer answer needs


@benchmark
def rendered(setup: Setup) -> list[Row]:
    few, many = setup.count(2_000, 300), setup.count(20_000, 600)
    models = [f"{kind}={n}" for kind in KINDS for n in (_START, few, many)]
    runs = in_turns(setup.count(9, 1), {model: partial(_ask, setup, model) for model in models})
    rows = []
    for kind, what in KINDS.items():
        cpu = {n: middle(runs[f"{kind}={n}"], "cpu") for n in (_START, few, many)}
        beyond = {n: max(cpu[n] - cpu[_START], 1e-6) for n in (few, many)}
        each = {n: beyond[n] / (n - _START) for n in (few, many)}
        rows += [Row(f"on a terminal, {what}: CPU a chunk of {n:,}", each[n] * 1e6, "µs", limit=60) for n in (few, many)]
        grows = exponent(beyond[few], beyond[many], (many - _START) / (few - _START))
        rows.append(Row(f"on a terminal, {what}: growth to {many:,} chunks", grows, "n^", limit=1.1))
    return rows


@benchmark
def paced(setup: Setup) -> list[Row]:
    """The same when the answer takes its time, so that its unfinished end is drawn again and again."""
    count = setup.count(3_000, 50)
    start = middle(in_turns(setup.count(5, 1), {"": lambda: _ask(setup, f"markdown={_START}")})[""], "cpu")
    rows = []
    for kind, what in KINDS.items():
        done = _ask(setup, f"{kind}={count},pause=0.002")
        pace = f"{round(count / done.wall, -2):,.0f} chunks a second"
        rows.append(Row(f"on a terminal, {what}, about {pace}: part of a processor", max(done.cpu - start, 0) / done.wall * 100, "%"))
    return rows


def _ask(setup: Setup, model: str) -> Run:
    with Pty([*AGENTCLI, "ask", "-m", f"openai/{model}", "hi"], environment(setup)) as terminal:
        return terminal.end()


@benchmark
def prompt(setup: Setup) -> list[Row]:
    def shown(argv: list[str]) -> float:
        with Pty(argv, environment(setup)) as terminal:
            came = terminal.until(PROMPT)
            terminal.rest(0.2)  # what is imported behind the prompt
            terminal.send(b"\x04")
            terminal.end()
            return came - terminal.began

    times = in_turns(
        setup.count(21, 1),
        {"minimal": lambda: shown(program("minimal_prompt")), "chat": lambda: shown([*CHAT, "openai/chunks=1"])},
    )
    found = {name: median(each) * 1e3 for name, each in times.items()}
    floor = "a minimal prompt-toolkit program that imports Typer"
    return [Row("chat, start to prompt on screen", found["chat"], "ms", found["minimal"], floor, 1.15, relative=True)]


@benchmark
def cancel(setup: Setup) -> list[Row]:
    count, warm = setup.count(1_000, 5), setup.count(20, 1)
    pressed: list[float] = []
    shown: list[float] = []
    back: list[float] = []
    with Pty([*CHAT, "openai/chunks=1000,pause=0.01"], environment(setup)) as terminal:
        terminal.until(PROMPT)
        before = after = held(terminal.pid)
        for number in range(warm + count):
            if number == warm:
                before = held(terminal.pid)
            began = monotonic()
            terminal.send(b"go\r")
            terminal.until(rb"go")
            shown.append(terminal.until(rb"word") - began)
            terminal.rest(number % 4 * 0.005)
            pressed.append(monotonic())
            terminal.send(b"\x03")
            back.append(terminal.until(PROMPT) - pressed[-1])
        terminal.rest(1.0)
        after = held(terminal.pid)
    closed = _closings(setup, pressed)[warm:]
    back = back[warm:]
    gained = {name: max(after[name] - before[name], 0) for name in after}
    return [
        Row("chat, Enter to the first word on screen, which the server sends after 10 ms", median(shown[warm:]) * 1e3, "ms"),
        Row("Ctrl-C to the server seeing the close, median", median(closed) * 1e3, "ms", limit=10),
        Row("Ctrl-C to the server seeing the close, p99", percentile(closed, 0.99) * 1e3, "ms", limit=50),
        Row(f"Ctrl-C to the prompt, p99 of {count:,} in one session", percentile(back, 0.99) * 1e3, "ms", limit=300),
        *(Row(f"{name} gained by {count:,} cancels", gained[name], "", limit=0) for name in ("threads", "sockets", "descriptors")),
        Row(f"resident memory gained by {count:,} cancels, which are {2 * count:,} messages", gained["resident"] / 1e6, "MB"),
    ]


def held(pid: int) -> dict[str, int]:
    """What a process holds, as the kernel knows it; memory in bytes."""
    folder = Path(f"/proc/{pid}")
    links: list[str] = []
    for link in (folder / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed just now
            links.append(os.readlink(link))
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "threads": int(status["Threads"]),
        "sockets": sum(link.startswith("socket:") for link in links),
        "descriptors": len(links),
        "resident": int(status["VmRSS"].split()[0]) * 1024,
    }


def _closings(setup: Setup, pressed: list[float]) -> list[float]:
    """From each Ctrl-C to the server's seeing the end of the connection that was open then."""
    with urlopen(setup.url.removesuffix("/v1") + "/connections", timeout=30) as answer:
        connections = [(opened, closed) for opened, closed in json.load(answer) if closed is not None]
    return [min(closed for opened, closed in connections if opened < moment <= closed) - moment for moment in pressed]
