"""P11: waits that end.

A server that stalls or drips wherever it can, tools that never end: the clock that is there for it ends the wait, and is named.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

from tests.model_server import ModelServer, Reply
from tests.promises import Outcome, promise
from tests.promises.program import ask, at_once, left, new_home
from tests.promises.scene import WORDS, called, event, full_socket, said, with_tools


class Wait(NamedTuple):
    """What is waited for, the flags and variables that bound it, and how it must end: code, a word of the message, seconds at most."""

    what: str
    words: tuple[str, ...]
    code: int
    names: str
    most: float


IDLE = ("--idle-timeout", "0.4")
TIME = ("--timeout", "0.6")
WAITS = (
    Wait("before headers", IDLE, 75, "0.4 s", 3),
    Wait("after headers", IDLE, 75, "0.4 s", 3),
    Wait("mid-stream", IDLE, 75, "0.4 s", 3),
    Wait("pings", IDLE, 75, "0.4 s", 3),
    Wait("empty pieces", IDLE, 75, "0.4 s", 3),
    Wait("byte by byte", IDLE, 75, "0.4 s", 3),
    Wait("byte by byte", TIME, 124, "0.6 s", 3),
    Wait("head byte by byte", IDLE, 75, "0.4 s", 3),
    Wait("error byte by byte", IDLE, 69, "", 4),
    Wait("mid-stream", TIME, 124, "0.6 s", 3),
    Wait("before headers", TIME, 124, "0.6 s", 3),
    Wait("slow words", TIME, 124, "0.6 s", 3),
    Wait("connecting", (), 69, "0.5 s", 3),
    Wait("connecting", ("--timeout", "0.3"), 124, "0.3 s", 3),
    Wait("tool never", (), 0, "took longer than 0.4 s", 3),
    Wait("tool slow_async", (), 0, "took longer than 0.4 s", 3),
    Wait("tool stubborn", (), 0, "took longer than 0.4 s", 9),
    Wait("tool never", TIME, 0, "took longer than 0.4 s", 3),
    Wait("tool stubborn", ("--timeout", "0.3"), 124, "0.3 s", 9),
    Wait("retry after", TIME, 124, "0.6 s", 3),
)


def waits(case: Wait, bug: str = "") -> str:
    with ExitStack() as stack:
        home, server = stack.enter_context(new_home()), stack.enter_context(ModelServer())
        more = {"AGENTCLI_CONNECT_TIMEOUT": "0.5", "AGENTCLI_TOOL_TIMEOUT": "0.4", "AGENTCLI_RETRIES": "0"}
        kind, _, name = case.what.partition(" ")
        match case.what:
            case "before headers" | "after headers" | "mid-stream":
                server.stalls(case.what, text="half whole")
            case "pings":
                server.stalls("mid-stream", ping=0.05)
            case "empty pieces":
                server.replies(Reply([event({"content": ""})] * 200, pause=0.05))
            case "byte by byte":
                server.trickle(20)
            case "head byte by byte":
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                server.replies(Reply([head], framing="close", head=b"", rate=20))
            case "error byte by byte":
                server.replies(Reply([b'{"error": "' + b"x" * 200], status=500, rate=20))
            case "slow words":
                server.replies(said(*WORDS, pause=0.1))
            case "retry after":
                more["AGENTCLI_RETRIES"] = "3"
                server.fails(429, retry_after="60")
            case "connecting":
                more |= {"OPENAI_BASE_URL": stack.enter_context(full_socket())}
            case _:
                server.replies(called(name)).then.says("It did not end.")
        done = ask(home, *with_tools(home), *case.words, "hi", server=server, bug=bug, limit=case.most + 1, more=more)
        if done.code != case.code:
            return f"exit code {done.code} after {done.seconds:.1f} s: {done.err[-300:]}"
        if done.seconds > case.most:
            return f"took {done.seconds:.1f} s"
        words = done.err
        if kind == "tool" and case.code == 0:
            words = home.threads()[0].messages[2].results[0].content
        if case.names not in words:
            return f"does not name the clock: {words[-200:]}"
        return left(home) or ("a traceback" if "Traceback" in done.err else "")


@promise(
    "P11",
    "No wait is unbounded",
    "servers that stall or drip anywhere, tools that never end: the right clock ends it and is named",
    quick=10,
    full=10 * len(WAITS),
    planted=lambda: at_once(lambda case: waits(case, "has no clocks"), WAITS[2:3]),
)
def p11_waits(count: int) -> Outcome:
    return at_once(waits, [WAITS[number * 7 % len(WAITS)] for number in range(count)], 4)
