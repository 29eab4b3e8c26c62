"""A function in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from agentcli.core.apart import in_thread

here = contextvars.ContextVar("here", default="")


def test_what_it_returns_and_in_which_context() -> None:
    def work(one: int, two: int) -> tuple[int, str, str]:
        return one + two, here.get(), threading.current_thread().name

    async def main() -> tuple[int, str, str]:
        here.set("inside")
        return await in_thread(work, 1, 2, name="adder")

    assert asyncio.run(main()) == (3, "inside", "adder")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ValueError("no"), "ValueError: no"),
        (StopIteration(), "RuntimeError: StopIteration"),
        (SystemExit(3), "RuntimeError: SystemExit: 3"),
    ],
)
def test_what_it_raises(error: BaseException, raised: str) -> None:
    def work() -> None:
        raise error

    async def main() -> None:
        await in_thread(work)

    with pytest.raises(Exception, match=raised.partition(": ")[2]) as caught:
        asyncio.run(main())
    assert f"{type(caught.value).__name__}: {caught.value}" == raised


def test_one_that_nobody_waits_for_runs_on_unheard() -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        assert go.wait(10)
        done.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(work), 0.01)

    asyncio.run(main())
    go.set()  # its loop is closed by now
    assert done.wait(10)


def test_it_does_not_hold_up_the_exit() -> None:
    code = """
import asyncio, threading
from agentcli.core.apart import in_thread
async def main():
    in_thread(threading.Event().wait)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
