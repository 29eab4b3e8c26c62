"""P1 once more, with faults that the kernel makes: strace fails a system call of the real program, or kills it there."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.promises import Outcome, promise
from tests.promises.saving import one_turn
from tests.promises.subject import NAME, base, examined, new_store, open_store


def save_once(home: str, bug: str) -> None:
    """A turn and its save between two marks that strace sees; then what had been told."""
    said: list[str] = []
    store = open_store(home)
    thread = store.open(NAME)
    with suppress(OSError):
        os.stat("/begins")
    one_turn(store, thread, bug, said.append)
    with suppress(OSError):
        os.stat("/ends")
    print("\n".join(said), flush=True)


def traced(*options: str, home: str, bug: str) -> tuple[list[str], list[str]]:
    """What strace saw of `save_once`, and what that told."""
    log = Path(home) / "strace"
    script = f"from tests.promises.kernel import save_once; save_once({home!r}, {bug!r})"
    done = subprocess.run(
        ["strace", "-qq", "-o", str(log), *options, sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout.splitlines()
    if done.returncode > 0:
        said.append(f"crashed: {done.stderr[-500:]}")
    return log.read_text(errors="replace").splitlines() if log.exists() else [], said


SYSTEM_CALLS = ("openat", "write", "fsync", "close", "rename", "unlink", "flock", "ftruncate", "read", "getdents64")


def system_calls(count: int, seed: int, bug: str = "", only: str = "") -> Outcome:
    """The same as `call_faults`, done by the kernel to the real system calls."""
    if shutil.which("strace") is None:
        return Outcome(0, [], "strace")
    failures: list[str] = []
    with new_store() as (home, store):
        store.save(base(4))
        log, said = traced("-e", f"trace={','.join(SYSTEM_CALLS)},newfstatat,stat", home=home, bug=bug)
    if "/begins" not in " ".join(log):
        return Outcome(0, [], "permission to trace")
    if said != [f"message {line.split()[1]}" for line in said[:2]] + ["saved 2"]:
        return Outcome(1, [f"without a fault: {said}"])
    cases = [case for case in _cases(log) if not only or case[0] == only]
    chance = random.Random(len(cases))
    chosen = chance.sample(cases, min(count, len(cases)))
    for name, ordinal, fault in chosen:
        what = "signal=KILL" if fault == "kill" else f"error={fault}"
        with new_store() as (home, store):
            store.save(base(4))
            _, said = traced("-e", f"trace={name}", "-e", f"inject={name}:{what}:when={ordinal}", home=home, bug=bug)
            if wrong := examined(store, said):
                failures.append(f"{name} number {ordinal}, {fault}: {wrong}")
    return Outcome(len(chosen), failures)


def _cases(log: list[str]) -> Iterator[tuple[str, int, str]]:
    """Each system call between the marks, by its number since the program began, with each fault."""
    seen: dict[str, int] = {}
    inside = False
    for line in log:
        name = line.partition("(")[0]
        seen[name] = seen.get(name, 0) + 1
        if "/begins" in line:
            inside = True
        elif "/ends" in line:
            return
        elif inside and name in SYSTEM_CALLS:
            for fault in ("ENOSPC", "EIO", "EROFS", "EACCES", "EINTR", "kill"):
                yield name, seen[name], fault


@promise(
    "P1",
    "Never corrupt, never a false “saved”",
    "every system call of a turn and its save, failed or killed by the kernel (strace)",
    quick=6,
    full=1_000_000,
    planted=lambda: system_calls(100, 0, "errors swallowed", "rename"),
)
def p1_system_calls(count: int) -> Outcome:
    return system_calls(count, 0)
