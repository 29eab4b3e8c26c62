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

__all__ = ["REAL", "Child", "Say", "run", "watch"]

# What the store uses to change the disk.
CALLS = ("close", "fsync", "ftruncate", "link", "mkdir", "open", "rename", "replace", "unlink", "write")
REAL: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in CALLS}

Say: TypeAlias = Callable[[str], None]
Before: TypeAlias = Callable[[int, str, tuple[Any, ...]], None]
After: TypeAlias = Callable[[str, tuple[Any, ...], Any], None]


class Child:
    """A process that does `work`. What it says is kept by the kernel, so it is known even if the child dies at the next instant."""

    def __init__(self, work: Callable[[Say], object]) -> None:
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                REAL["close"](self._reading)
                work(lambda text: _say(writing, text))
                code = 0
            except BaseException:  # it must not go on as a second parent
                _say(writing, "crashed: " + traceback.format_exc().replace("\n", " | ")[-1500:])
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.close(writing)

    def line(self) -> str:
        """The next thing it says; "" if it has ended."""
        said = b""
        while not said.endswith(b"\n") and (letter := os.read(self._reading, 1)):
            said += letter
        return said.decode().rstrip("\n")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> list[str]:
        """Wait for its end; the lines it had said that were not read yet."""
        said = b""
        while piece := os.read(self._reading, 65536):
            said += piece
        os.close(self._reading)
        os.waitpid(self.pid, 0)
        return said.decode().splitlines()


def run(work: Callable[[Say], object], kill_after: float | None = None) -> list[str]:
    """What a child said until it ended, or until it was killed."""
    child = Child(work)
    if kill_after is not None:
        sleep(kill_after)  # the moment of death is what is being tried
        child.kill()
    return child.end()


def _say(descriptor: int, text: str) -> None:
    REAL["write"](descriptor, text.encode() + b"\n")


def watch(before: Before | None = None, after: After | None = None) -> Callable[[], None]:
    """From now on, every call that changes the disk is announced, numbered from 1. `before` may raise in its place, or kill the
    process. What is returned ends it."""
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
