"""P1 and P5: a thread is never half saved, and never falsely said to be."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from errno import EACCES, EINTR, EIO, ENOSPC, EROFS, errorcode
from functools import partial
from typing import Any

from agentcli.core.message import Blob, assistant, user
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store import disk
from agentcli.store.threads import Store
from tests.promises import Outcome, apart, promise
from tests.promises.children import REAL, Say, run, watch
from tests.promises.power import Disk
from tests.promises.subject import NAME, base, examined, new_store, open_store, plant, say_and_record, turn_with_tools


def kills(count: int, seed: int, bug: str = "") -> Outcome:
    """A child saves in a loop and is killed at a random moment."""
    chance = random.Random(seed)
    failures: list[str] = []
    with new_store() as (home, store):
        store.save(base())

        def work(say: Say) -> None:
            mine = open_store(home)
            with plant(mine.take(NAME), mine, bug) as writer:
                while True:
                    del writer.thread.messages[40:]
                    writer.begin()
                    say_and_record(writer, lambda _: None, user("x" * chance.randrange(20_000)))
                    writer.commit()
                    say(f"saved {writer.thread.revision}")

        for _ in range(count):
            said = run(work, kill_after=chance.uniform(0, 0.01))
            if wrong := examined(store, said):
                failures.append(wrong)
                store.path(NAME).unlink(missing_ok=True)
                store.save(base())
            for left in store.threads.glob(".*.tmp"):
                left.unlink()
    return Outcome(count, failures)


@promise(
    "P1",
    "Never corrupt",
    "kill -9 at a random moment of a loop of saves",
    quick=30,
    full=10_000,
    planted=lambda: apart("tests.promises.saving:kills", 60, "naive save"),
)
def p1_kills(count: int) -> Outcome:
    return apart("tests.promises.saving:kills", count)


Fault = int | str

FAULTS: tuple[Fault, ...] = (ENOSPC, EIO, EROFS, EACCES, EINTR, "short write", "kill")
SITUATIONS = ("a saved thread", "a new thread", "a large attachment")


def prepared(store: Store, situation: str) -> bool:
    """What was there before; whether that is a thread."""
    if situation == "a new thread":
        disk.create_folder(store.threads)
        return False
    store.save(base(4))
    return True


def one_turn(store: Store, thread: Thread, bug: str, say: Say, *parts: Blob) -> None:
    """A turn and its save. If a fault comes in between, what must be true then."""
    writer = None
    try:
        with plant(store.hold(thread), store, bug) as writer:
            writer.begin()
            say_and_record(writer, say, user("look", *parts))
            say_and_record(writer, say, assistant("yes"))
            writer.commit()
            say(f"saved {thread.revision}")
    except UserError as error:
        say("unsaved")
        if not error.hint:
            say("crashed: no hint")


def call_fault(situation: str, bug: str, at: int, fault: Fault) -> tuple[list[str], str]:
    """A turn in which one call fails: the names of all calls, and what was wrong afterwards."""
    with new_store() as (home, store):
        existed = prepared(store, situation)

        def work(say: Say) -> None:
            mine = open_store(home)
            thread = mine.open(NAME) if existed else Thread(id=NAME)
            parts = [Blob("image/png", b"x" * 40_000)] if situation == "a large attachment" else []
            fail = fails(at, fault)

            def before(number: int, name: str, args: tuple[Any, ...]) -> None:
                say(f"call {name}")
                fail(number, name, args)

            end = watch(before)
            one_turn(mine, thread, bug, say, *parts)
            end()

        said = run(work)
        names = [line.split()[1] for line in said if line.startswith("call ")]
        wrong = examined(store, said, existed=existed)
        left = any(name.endswith(".tmp") for name in os.listdir(store.threads))
        if not wrong and left and fault != "kill" and names[at - 1] != "unlink":
            wrong = "a temporary file was left"
        return names, wrong


def call_faults(count: int, seed: int, bug: str = "") -> Outcome:
    """Every call that changes the disk, in a turn and its save, fails in every way, or the process dies before it."""
    failures: list[str] = []
    tried = 0
    for situation in SITUATIONS[:count]:
        names, _ = call_fault(situation, bug, 0, "none")
        for at, name in enumerate(names, 1):
            for fault in FAULTS:
                if fault == "short write" and name != "write":
                    continue
                tried += 1
                _, wrong = call_fault(situation, bug, at, fault)
                if wrong:
                    word = errorcode[fault] if isinstance(fault, int) else fault
                    failures.append(f"{situation}, call {at} ({name}), {word}: {wrong}")
    return Outcome(tried, failures)


def fails(at: int, fault: Fault) -> Callable[[int, str, tuple[Any, ...]], None]:
    """What makes the call of that number fail."""

    def act(number: int, name: str, args: tuple[Any, ...]) -> None:
        if number != at:
            return
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "close":
            REAL["close"](args[0])  # it is closed, whatever it says
        if fault == "short write":
            REAL["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
        error = fault if isinstance(fault, int) else ENOSPC
        raise OSError(error, os.strerror(error))

    return act


@promise(
    "P1",
    "Never corrupt, never a false “saved”",
    "every call of a turn and its save × ENOSPC, EIO, EROFS, EACCES, EINTR, short write, kill",
    quick=1,
    full=3,
    planted=lambda: apart("tests.promises.saving:call_faults", 1, "errors swallowed"),
)
def p1_call_faults(count: int) -> Outcome:
    return apart("tests.promises.saving:call_faults", count)


def cut_states(home: str, existed: bool, bug: str) -> dict[tuple[tuple[str, bytes], ...], list[str]]:
    """Two turns, and every state a power cut could leave after each call, with the most that had been told when it was possible."""
    store = open_store(home)
    told: list[str] = []
    states: dict[tuple[tuple[str, bytes], ...], list[str]] = {}
    model = Disk(store.threads)

    def note() -> None:
        for cut in model.cuts():
            states[tuple(sorted(cut.items()))] = list(told)

    def after(name: str, args: tuple[Any, ...], result: Any) -> None:
        model.did(name, args, result)
        note()

    def tell(line: str) -> None:
        told.append(line)
        note()

    thread = store.open(NAME) if existed else Thread(id=NAME)
    end = watch(after=after)
    with plant(store.hold(thread), store, bug) as writer:
        turn_with_tools(writer, tell)
        turn_with_tools(writer, tell)
    end()
    return states


def after_cut(state: tuple[tuple[str, bytes], ...], told: list[str], existed: bool) -> str:
    with new_store() as (_, store):
        disk.create_folder(store.threads)
        for name, data in state:
            (store.threads / name).write_bytes(data)
        return examined(store, told, existed=existed)


def power_cuts(count: int, seed: int, bug: str = "") -> Outcome:
    """Every state that a power cut could leave, after every call of two turns, in the model of power.py."""
    total = Outcome(0, [])
    for situation in SITUATIONS[:count]:
        with new_store() as (home, store):
            existed = prepared(store, situation)
            states = cut_states(home, existed, bug)
        found = [after_cut(state, told, existed) for state, told in states.items()]
        total += Outcome(len(found), [wrong for wrong in found if wrong])
    return total


@promise(
    "P1",
    "Never corrupt",
    "modelled power cuts: every state a cut could leave after every call of two turns",
    quick=2,
    full=3,
    planted=lambda: apart("tests.promises.saving:power_cuts", 1, "no fsync of the document"),
)
def p1_power_cuts(count: int) -> Outcome:
    return apart("tests.promises.saving:power_cuts", count)


def failed_save(home: str, bug: str, at: int, fault: int, say: Say) -> None:
    """A turn whose commit fails once at the call of that number; says what was not as promised."""
    store = open_store(home)
    with plant(store.take(NAME), store, bug) as writer:
        writer.begin()
        say_and_record(writer, lambda _: None, user("one"))
        end = watch(fails(at, fault))
        try:
            writer.commit()
            saved = True
        except UserError:
            saved = False
        finally:
            end()
        if saved and len(Thread.load(store.path(NAME).read_bytes()).messages) != 5:
            say("told as saved, and is not")
        if not saved and not writer.dirty:
            say("not marked as unsaved")
        if not saved and not (store.threads / f"{NAME}.journal").exists():
            say("nothing holds the turn")
        writer.begin()
        say_and_record(writer, lambda _: None, assistant("two"))
        writer.commit()
        if writer.dirty or len(Thread.load(store.path(NAME).read_bytes()).messages) != 6:
            say("the next save did not save everything")
        if (store.threads / f"{NAME}.journal").exists():
            say("the journal stayed")
    say("done")


def failed_saves(count: int, seed: int, bug: str = "") -> Outcome:
    """Every call of a commit fails once."""
    failures: list[str] = []
    tried = 0
    for fault in (ENOSPC, EIO, EROFS)[:count]:
        for at in range(1, 11):
            with new_store() as (home, store):
                store.save(base(4))
                said = run(partial(failed_save, home, bug, at, fault))
            tried += 1
            if said != ["done"]:
                failures.append(f"call {at}, {errorcode[fault]}: {said}")
    return Outcome(tried, failures)


@promise(
    "P5",
    "Unsaved is said",
    "every call of a commit × ENOSPC, EIO, EROFS: said, marked until a save succeeds, and then nothing is missing",
    quick=1,
    full=3,
    planted=lambda: apart("tests.promises.saving:failed_saves", 1, "errors swallowed"),
)
def p5_failed_saves(count: int) -> Outcome:
    return apart("tests.promises.saving:failed_saves", count)
