"""Processes that are made to fail: forked, with their system calls watched, failed or killed.

Only for a process without threads (`apart()` makes one), because it forks.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from time import sleep
from typing import Any, TypeAlias

__all__ = ["CALLS", "Ended", "Say", "run", "watch"]

# What the store uses to change the disk.
CALLS = ("close", "fsync", "ftruncate", "link", "mkdir", "open", "rename", "replace", "unlink", "write")
REAL: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in CALLS}

Say: TypeAlias = Callable[[str], None]
Before: TypeAlias = Callable[[int, str, tuple[Any, ...]], None]
After: TypeAlias = Callable[[str, tuple[Any, ...], Any], None]


class Ended:
    """How a child ended: the signal that killed it (or 0), and the lines it had said."""

    def __init__(self, status: int, said: list[str]) -> None:
        self.killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.failed = not self.killed and os.waitstatus_to_exitcode(status) != 0
        self.said = said


def run(work: Callable[[Say], None], kill_after: float | None = None) -> Ended:
    """Do `work` in a child. What it says is kept by the kernel, so it is known even if the child is killed at the next instant."""
    reading, writing = os.pipe()
    os.set_blocking(writing, True)
    if not (pid := os.fork()):
        code = 1
        try:
            REAL["close"](reading)
            work(lambda text: _say(writing, text))
            code = 0
        except BaseException:  # noqa: BLE001  (the parent is told, and the child must not go on as a second parent)
            _say(writing, "crashed: " + traceback.format_exc().replace("\n", " | ")[-1500:])
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(writing)
    if kill_after is not None:
        sleep(kill_after)  # the moment of death is what is being tried
        os.kill(pid, signal.SIGKILL)
    said = b""
    while piece := os.read(reading, 65536):
        said += piece
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    return Ended(status, said.decode().splitlines())


def _say(descriptor: int, text: str) -> None:
    REAL["write"](descriptor, text.encode() + b"\n")


def watch(before: Before | None = None, after: After | None = None) -> Callable[[], None]:
    """From now on, every call that changes the disk is announced, numbered from 1. `before` may raise in its place or kill the process.
    What is returned ends it."""
    number = 0

    def watched(name: str) -> Callable[..., Any]:
        real = REAL[name]

        def call(*args: Any, **named: Any) -> Any:
            nonlocal number
            number += 1
            if before:
                before(number, name, args)
            result = real(*args, **named)
            if after:
                after(name, args, result)
            return result

        return call

    for name in CALLS:
        setattr(os, name, watched(name))

    def end() -> None:
        for name, real in REAL.items():
            setattr(os, name, real)

    return end
