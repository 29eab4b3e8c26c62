"""Threads on disk: saving one, listing and searching ten thousand."""

from __future__ import annotations

import os
import random
from pathlib import Path
from statistics import median

from agentcli import Thread, assistant, user
from tests.benchmarks import Row, Setup, benchmark
from tests.benchmarks.measure import Run, agentcli, answer, environment, in_turns, middle, program, run

_SIZE = 10_000  # bytes of a thread
_WORDS = "light water sugar leaf root plant stem oxygen carbon energy cell green growth season summer winter soil rain"


@benchmark
def save(setup: Setup) -> list[Row]:
    rows = []
    for messages in (200, 10_000):
        folder = setup.folder / f"save-{messages}"
        folder.mkdir()
        times = answer(program("save", folder, messages, setup.count(100, 2)), environment(setup))
        found = {name: median(each) * 1e3 for name, each in times.items()}
        rows.append(
            Row(f"saving a turn of a thread of {messages:,} messages", found["save"], "ms", found["floor"], "its file calls alone")
        )
    return rows


@benchmark
def threads(setup: Setup) -> list[Row]:
    count = setup.count(10_000, 100)
    folder = setup.folder / "home" / "threads"
    _fill(folder, count)
    env = environment(setup)
    cache = setup.folder / "home" / "cache"

    def cold() -> Run:
        for item in cache.glob("*"):
            item.unlink()
        return run_list()

    run_list = agentcli(setup, "threads", "list")
    runs = in_turns(
        setup.count(9, 1),
        {
            "scan": lambda: run(program("scan", folder), env),
            "list": run_list,
            "read": lambda: run(program("scan", folder, "chlorophyll"), env),
            "search": agentcli(setup, "threads", "search", "chlorophyll"),
        },
    )
    runs |= in_turns(setup.count(3, 1), {"cold": cold})
    wall = {name: middle(done, "wall") * 1e3 for name, done in runs.items()}
    assert runs["search"][0].out.count(b"chlorophyll") == 1
    many = f"{count:,} threads"
    return [
        Row(f"`threads list`, {many}", wall["list"], "ms", wall["scan"], "a script that looks at each file", 200),
        Row(f"`threads list`, {many}, without its cache", wall["cold"], "ms", wall["read"], "a script that reads each file"),
        Row(f"`threads search`, {many} of 10 kB", wall["search"], "ms", wall["read"], "a script that reads each file", 1000),
    ]


def _fill(folder: Path, count: int) -> None:
    """So many threads of about 10 kB, of some time ago; one of them has the word that is searched."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    chance, words = random.Random(1), _WORDS.split()
    for number in range(count):
        thread = Thread()
        while sum(len(message.text) for message in thread.messages) < _SIZE * 0.8:
            thread.append(user(" ".join(chance.choices(words, k=30))))
            thread.append(assistant(" ".join(chance.choices(words, k=220))))
        if number == count // 2:
            thread.append(user("And chlorophyll?"))
        path = folder / f"{thread.id}.json"
        path.write_bytes(thread.dump())
        os.utime(path, (1.7e9 + number, 1.7e9 + number))
