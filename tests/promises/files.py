"""P3 and P4: what is damaged is never overwritten, and nobody writes beside another."""

from __future__ import annotations

import os
import random
import signal
from functools import partial
from time import monotonic

from agentcli.core.message import user
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store.threads import Store
from tests.promises import Outcome, apart, promise
from tests.promises.children import Child, Say, run
from tests.promises.subject import NAME, base, in_place, new_store, open_store


def damaged(data: bytes, chance: random.Random) -> bytes:
    other = bytearray(data)
    match chance.randrange(8):
        case 0:
            return data[: chance.randrange(len(data))]
        case 1:
            for _ in range(chance.choice((1, 1, 3, 20))):
                other[chance.randrange(len(other))] ^= 1 << chance.randrange(8)
            return bytes(other)
        case 2:
            start = chance.randrange(len(data))
            return data[:start] + b"\0" * chance.randrange(1, 600) + data[start + 300 :]
        case 3:
            return data + data[: chance.randrange(1, len(data))]
        case 4:
            return data.replace(b'"format": 1', b'"format": %d' % chance.randrange(2, 99))
        case 5:
            return data.decode().encode(chance.choice(("utf-16", "utf-8-sig", "utf-32")))
        case 6:
            return bytes(chance.randrange(256) for _ in range(chance.randrange(200)))
    start = chance.randrange(len(data))
    return data[:start] + chance.choice((b"NaN", b"\\ud800", b"\xff", b"}", b"[[[[", b'"')) + data[start:]


def damaged_files(count: int, lenient: bool = False) -> Outcome:
    """Damaged documents under every operation that could write."""
    chance = random.Random(3)
    failures: list[str] = []
    with new_store() as (_, store):
        store.save(base(6))
        whole = store.path(NAME).read_bytes()
        store.save(Thread(id="00000001", messages=[user("healthy")]))
        path = store.path(NAME)
        for number in range(count):
            data = damaged(whole, chance)
            path.write_bytes(data)
            wrong = _endangered(store, lenient)
            if path.read_bytes() != data:
                wrong = "the file was changed"
            elif sorted(os.listdir(store.threads)) != ["00000001.json", f"{NAME}.json"]:
                wrong = f"there are {os.listdir(store.threads)}"
            if wrong:
                failures.append(f"damage {number}: {wrong}")
    return Outcome(count, failures)


def _endangered(store: Store, lenient: bool) -> str:
    row = next(row for row in store.rows() if row.id == NAME)
    try:
        store.open(NAME)
    except UserError as error:
        if error.exit_code != 65 or str(store.path(NAME)) not in error.message or not error.hint:
            return f"badly said: {error.message}"
        if not row.damaged:
            return "listed as healthy"
    else:
        return "listed as damaged, and can be opened" if row.damaged else ""  # the damage was in some words
    fresh = Thread(id=NAME, messages=[user("new")])
    for action in (lambda: store.rename(NAME, "other"), lambda: store.save(fresh), lambda: store.take(NAME), store.check):
        try:
            action()
        except UserError:
            continue
    if lenient:
        in_place(store.path(NAME), fresh.dump())
    if [hit.row.id for hit in store.search("healthy")] != ["00000001"]:
        return "the other thread is not found"
    return ""


@promise(
    "P3",
    "Never overwrite what it cannot read",
    "damaged, foreign and newer documents under every operation: byte-identical, named, the rest still lists",
    quick=150,
    full=20_000,
    planted=lambda: damaged_files(40, lenient=True),
)
def p3_damaged_files(count: int) -> Outcome:
    return damaged_files(count)


# P4


def own(home: str, bug: str, say: Say) -> None:
    """Hold the thread for ever."""
    writer = open_store(home).take(NAME)
    if bug == "no lock":
        writer._lock.release()
    say("mine")
    signal.pause()


def want(home: str, say: Say) -> None:
    """Write to the thread, if that may be."""
    began = monotonic()
    try:
        with open_store(home).take(NAME) as writer:
            writer.thread.append(user("mine!"))
            writer.commit()
        say("got")
    except UserError as error:
        say(f"refused {monotonic() - began:.3f} {error.message}")


def second_writers(count: int, seed: int, bug: str = "") -> Outcome:
    """A process holds a thread, another wants it; then the first is killed."""
    failures: list[str] = []
    with new_store() as (home, store):
        store.save(base(4))
        for _ in range(count):
            owner = Child(partial(own, home, bug))
            assert owner.line() == "mine"
            (line,) = run(partial(want, home))
            owner.kill()
            owner.end()
            after = run(partial(want, home))
            if not line.startswith("refused") or f"process {owner.pid}" not in line:
                failures.append(f"not refused: {line}")
            elif float(line.split()[1]) > 1:
                failures.append(f"it took {line.split()[1]} s")
            if after != ["got"]:
                failures.append(f"a dead owner holds it: {after}")
    return Outcome(count, failures)


@promise(
    "P4",
    "One writer",
    "a second process is refused within a second and told by whom; a killed owner holds nothing",
    quick=4,
    full=500,
    planted=lambda: apart("tests.promises.files:second_writers", 2, "no lock"),
)
def p4_second_writers(count: int) -> Outcome:
    return apart("tests.promises.files:second_writers", count)


ADDITIONS = 5


def add(home: str, bug: str, say: Say) -> None:
    """Add to the thread some times, as soon as that may be."""
    store = open_store(home)
    done = 0
    while done < ADDITIONS:
        try:
            with store.take(NAME) as writer:
                if bug == "no lock":
                    writer._lock.release()
                writer.thread.append(user("x"))
                writer.commit()
            done += 1
        except UserError:
            continue


def rushes(count: int, seed: int, bug: str = "") -> Outcome:
    """Several processes add to one thread at once: no addition is lost."""
    failures: list[str] = []
    for _ in range(count):
        with new_store() as (home, store):
            store.save(Thread(id=NAME, messages=[user("0")]))
            children = [Child(partial(add, home, bug)) for _ in range(4)]
            for child in children:
                failures += child.end()  # it says nothing, unless it crashed
            try:
                found = len(store.open(NAME).messages)
            except UserError as error:
                failures.append(error.message)
                continue
            if found != 1 + 4 * ADDITIONS:
                failures.append(f"{found} messages of {1 + 4 * ADDITIONS} are there")
    return Outcome(count, failures)


@promise(
    "P4",
    "One writer",
    "four processes add to one thread at once: no addition lost",
    quick=2,
    full=200,
    planted=lambda: apart("tests.promises.files:rushes", 3, "no lock"),
)
def p4_rushes(count: int) -> Outcome:
    return apart("tests.promises.files:rushes", count)
