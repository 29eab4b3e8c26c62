"""What the trials of control are played with: tools of every temper, and a server that does what the last message asks for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.model_server import Asked, Reply, sse
from tests.promises.program import Home

__all__ = ["NAMES", "WORDS", "by_prompt", "called", "event", "full_socket", "said", "with_tools"]

TOOLS = '''
import asyncio, os, sys, time
from agentcli import tool

def slow_sync() -> str:
    """Takes half a second."""
    time.sleep(0.5)
    return "done"

async def slow_async() -> str:
    """Takes a minute."""
    await asyncio.sleep(60)
    return "done"

@tool(asks=True)
def risky() -> str:
    """Asks."""
    return "done"

def never() -> str:
    """Never ends."""
    time.sleep(3600)

async def reluctant() -> str:
    """Takes a moment to be stopped."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0.1)
        raise

async def stubborn() -> str:
    """Does not want to be stopped."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass

async def holds() -> str:
    """Holds up everything for a moment."""
    await asyncio.sleep(0.05)
    time.sleep(0.2)
    await asyncio.sleep(60)
    return "done"

async def stuck() -> str:
    """Holds up everything."""
    open("stuck", "x").close()
    time.sleep(10)

async def blocked() -> str:
    """Stops everything when it is stopped."""
    try:
        await asyncio.sleep(60)
    finally:
        time.sleep(60)

async def starts() -> str:
    """Starts a program and waits for it."""
    child = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        await child.wait()
    finally:
        child.kill()
        await child.wait()

async def census() -> str:
    """How many tasks there are."""
    return f"{len(asyncio.all_tasks())} tasks"

def broken() -> str:
    """Fails."""
    raise RuntimeError("broken")

def leaves() -> str:
    """Wants to end the program."""
    sys.exit(3)

async def cancels() -> str:
    """Cancels itself."""
    raise asyncio.CancelledError
'''
NAMES = (
    "slow_sync", "slow_async", "risky", "never", "reluctant", "stubborn", "holds", "stuck", "blocked", "starts", "census", "broken",
    "leaves", "cancels",
)  # fmt: skip
WORDS = [f"word{number} " for number in range(200)]


def with_tools(home: Home) -> list[str]:
    """The flags that offer all the tools."""
    (home.work / "mine.py").write_text(TOOLS)
    return [word for name in NAMES for word in ("--tool", f"mine.py:{name}")]


def event(delta: object, finish: str | None = None) -> bytes:
    return sse({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def called(name: str, text: str = "") -> Reply:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return Reply([event({"content": text}), event({"tool_calls": [call]}), event({}, "tool_calls"), sse("[DONE]")])


def said(*words: str, **how: object) -> Reply:
    return Reply([*(event({"content": word}) for word in words), event({}, "stop"), sse("[DONE]")], **how)  # type: ignore[arg-type]


def by_prompt(asked: Asked) -> Reply:
    """What the last thing that was said asks the server to do."""
    last = asked.body["messages"][-1]
    if last["role"] == "tool":
        return said("I ", "see.")
    what = str(last["content"]).split()[-1]
    match what:
        case "before-headers":
            return said("x", stall="before headers")
        case "after-headers":
            return said("x", stall="after headers")
        case "late":
            return said("late ", "answer", delay=1)
        case "stream":
            return said(*WORDS, pause=0.02)
        case "short":
            return said(*WORDS[:40], pause=0.02)
        case "half":
            return said("half ", "whole", "x", "x", stall="mid-stream")
        case name if name in NAMES:
            return called(name, "Some words first. ")
    return said("ok")


@contextmanager
def full_socket() -> Iterator[str]:
    """A base URL that takes no more connections and does not refuse them."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
