"""P16: a table of faults, and what `ask` makes of each: its exit code, and what is on stdout."""

from __future__ import annotations

from typing import NamedTuple

from tests.model_server import ModelServer, Reply, sse
from tests.promises import Outcome, promise
from tests.promises.answers import DONE, ONCE, event
from tests.promises.program import ask, at_once, left, new_home
from tests.promises.retries import OVERLOADED


class Fault(NamedTuple):
    """A fault, and what `ask` makes of it: its exit code, and what of the answer is on stdout."""

    name: str
    reply: Reply
    code: int
    out: str = ""
    words: tuple[str, ...] = ()


def _status(status: int, code: int, body: bytes = b'{"error": {"message": "no"}}', *headers: tuple[str, str]) -> Fault:
    return Fault(f"status {status} {body[:12]!r} {headers}", Reply([body], status, headers, framing="length"), code)


HALF, END = event({"content": "Half "}), event({}, "stop")
CALL = event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "fails", "arguments": "{}"}}]}, "tool_calls")
FAULTS = (
    Fault("none", Reply([HALF, END, DONE]), 0, "Half "),
    Fault("nothing said", Reply([END, DONE]), 0),
    Fault("a newline of its own", Reply([event({"content": "a\n\n"}), END]), 0, "a\n\n"),
    Fault("thinking", Reply([event({"reasoning_content": "Hm."}), HALF, END]), 0, "Half "),
    Fault("cut", Reply([HALF], framing="close"), 75, "Half "),
    Fault("cut at once", Reply([], framing="close"), 75),
    Fault("reset", Reply([HALF, HALF, HALF], cut=len(HALF) + 8, reset=True), 75, "Half "),
    Fault("reset at once", Reply(reset=True), 75),
    Fault("length", Reply([HALF, event({}, "length")]), 1, "Half "),
    Fault("refused", Reply([HALF, event({}, "content_filter")]), 1, "Half "),
    Fault("error event", Reply([HALF, sse({"error": {"message": "no", "code": "server_error"}})]), 69, "Half "),
    Fault("overloaded event", Reply([HALF, OVERLOADED]), 75, "Half "),
    Fault("stall", Reply([HALF, END, HALF, HALF], stall="mid-stream"), 75, "Half ", ("--idle-timeout", "0.2")),
    Fault("time", Reply([HALF, END, HALF, HALF], stall="mid-stream"), 124, "Half ", ("--timeout", "0.3")),
    Fault("HTML", Reply([b"<!doctype html><p>hi"], headers=(("content-type", "text/html"),)), 69),
    Fault("HTML unsaid", Reply([b"<html>hi"]), 69),
    Fault("not JSON", Reply([b"data: {nonsense\n\n", END]), 69),
    Fault(
        "a JSON document",
        Reply([b'{"choices": [{"message": {"content": "Half "}, "finish_reason": "stop"}]}'], framing="length"),
        0,
        "Half ",
    ),
    Fault("a number", Reply([b"42"], framing="length"), 69),
    Fault("no HTTP", Reply([b"hello there\n"], head=b"", framing="close"), 69),
    Fault("unknown events", Reply([sse("x", event="what"), b"foo: bar\n\n", HALF, END]), 0, "Half "),
    Fault("finish twice", Reply([HALF, END, END, DONE, DONE]), 0, "Half "),
    Fault("bad gzip", Reply([b"hello"], headers=(("content-encoding", "gzip"),), framing="length"), 69),
    Fault("unknown compression", Reply([b"hello"], headers=(("content-encoding", "br"),), framing="length"), 69),
    Fault("redirect", Reply([], 307, (("location", "http://127.0.0.1:1/"),), framing="length"), 69),
    Fault("a tool fails", Reply([CALL]), 0, "It failed."),
    Fault("a tool asks", Reply([CALL.replace(b"fails", b"risky")]), 77, "It failed."),
    Fault("no such tool", Reply([CALL.replace(b"fails", b"other")]), 0, "It failed."),
    Fault("arguments are not JSON", Reply([CALL.replace(b'"{}"', b'"{"')]), 0, "It failed."),
    Fault("too many steps", Reply([CALL]), 1, "", ("--max-steps", "1")),
    Fault("usage", Reply(), 2, "", ("--nonsense",)),
    Fault("no such thread", Reply(), 2, "", ("-t", "zzzzzzzz")),
    Fault("no such model", Reply(), 78, "", ("-m", "nobody/x")),
    Fault("no such file", Reply(), 2, "", ("-f", "none")),
    *(_status(status, 69) for status in (400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 500, 502, 504)),
    *(_status(status, 75) for status in (429, 503, 529)),
    _status(429, 75, b"", ("retry-after", "1000000")),
    _status(500, 69, b"<html>oops"),
    _status(500, 69, b"\xff\xfe\x00"),
    _status(101, 69, b""),
    _status(204, 75, b""),
    _status(300, 69, b""),
    _status(999, 69, b"[[[[[[" * 1000),
)
MINE = """
from agentcli import tool

def fails() -> str:
    \"\"\"Fails.\"\"\"
    raise RuntimeError("no")

@tool(asks=True)
def risky() -> str:
    \"\"\"Asks.\"\"\"
"""


def faults(fault: Fault, bug: str = "") -> str:
    with (
        new_home() as home,
        ModelServer().replies(fault.reply).then.replies(Reply([event({"content": "It failed."}), END])) as server,
    ):
        (home.work / "mine.py").write_text(MINE)
        tools = ("--tool", "mine.py:fails", "--tool", "mine.py:risky")
        done = ask(home, *tools, *fault.words, "hi", server=server, bug=bug, more=ONCE)
        if done.code != fault.code:
            return f"exit code {done.code}: {done.err[-300:]}"
        if done.out.decode() != fault.out + ("\n" if fault.out and not fault.out.endswith("\n") else ""):
            return f"stdout is {done.out!r}"
        if "Traceback" in done.err:
            return f"a traceback: {done.err[-300:]}"
        if ("error: " in done.err) != (done.code != 0):
            return f"exit code {done.code}, and on stderr: {done.err[-300:]!r}"
        return left(home)


@promise(
    "P16",
    "`ask`: the answer alone on stdout, the exit codes of the contract, no traceback",
    "a table of faults of servers, tools and usage",
    quick=16,
    full=5 * len(FAULTS),
    planted=lambda: at_once(lambda fault: faults(fault, "talks on stdout"), FAULTS[:1]),
)
def p16_faults(count: int) -> Outcome:
    return at_once(faults, [FAULTS[number * 8 % len(FAULTS)] for number in range(count)])
