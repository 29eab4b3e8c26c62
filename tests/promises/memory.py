"""P15: servers and tools that pour out without an end, and the memory of `ask` meanwhile."""

from __future__ import annotations

import subprocess
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

from tests.model_server import ModelServer, Reply
from tests.promises import Outcome, promise
from tests.promises.answers import DONE, ONCE, event
from tests.promises.program import Home, at_once, left, new_home, program

MIB = 1 << 20
MOST = 200  # MiB


class Heavy(NamedTuple):
    """What a server (or a tool) pours out, and how `ask` ends then."""

    what: str
    code: int


HEAVY = (
    Heavy("a line without an end", 69),
    Heavy("an event of 100 MiB", 69),
    Heavy("comments", 69),
    Heavy("pings", 75),
    Heavy("text", 69),
    Heavy("wide text", 69),
    Heavy("thinking", 69),
    Heavy("arguments", 69),
    Heavy("many calls", 69),
    Heavy("small words", 69),
    Heavy("a gzip bomb of text", 69),
    Heavy("a gzip bomb of nothing", 69),
    Heavy("a document", 69),
    Heavy("an error", 69),
    Heavy("a head", 69),
    Heavy("a chunk size", 69),
    Heavy("a tool", 0),
    Heavy("a tool that reports", 0),
)
TOOL = """
def big() -> str:
    \"\"\"Says a lot.\"\"\"
    return "x" * (SIZE << 20)

async def reports() -> str:
    \"\"\"Reports a lot.\"\"\"
    for _ in range(SIZE):
        yield "x" * (1 << 20)
"""


def _bombed(piece: bytes, size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(piece) for _ in range(size)) + packer.flush()


def pour(what: str, size: int) -> Reply:
    """The reply; `size` in MiB is as much as there is of it."""
    word = event({"content": "x" * 1000})
    big = word * (MIB // len(word))

    def endless(piece: bytes, head: bytes = b"") -> Reply:
        return Reply([head or piece, *[piece] * (size * MIB // len(piece))], framing="close")

    match what:
        case "a line without an end":
            return endless(b"x" * MIB, b"data: ")
        case "an event of 100 MiB":
            return Reply([b'data: {"choices": [{"delta": {"content": "', *[b"x" * MIB] * 100, b'"}}]}\n\n', DONE], framing="close")
        case "comments":
            return endless(b": a comment\n" * 90_000)
        case "pings":
            return Reply([], stall="after headers", ping=0.01)
        case "text":
            return endless(big)
        case "wide text":  # in memory, one such letter makes four bytes of every other one
            return endless(big, event({"content": "🌍"}))
        case "small words":
            return endless(event({"content": "a "}) * 10_000)
        case "thinking":
            return endless(event({"reasoning_content": "x" * 1000}) * 1000)
        case "arguments":
            call = {"index": 0, "id": "a", "function": {"name": "big", "arguments": "x" * 1000}}
            return endless(event({"tool_calls": [call]}) * 1000)
        case "many calls":
            calls = [{"index": n, "id": f"c{n}", "function": {"name": "big", "arguments": "{}"}} for n in range(400_000)]
            return Reply([event({"tool_calls": calls[n : n + 100]}) for n in range(0, 400_000, 100)], framing="close")
        case "a gzip bomb of text":
            headers = (("content-type", "text/event-stream"), ("content-encoding", "gzip"))
            return Reply([_bombed(big, size)], 200, headers, framing="close")
        case "a gzip bomb of nothing":
            return Reply([_bombed(b"\n" * MIB, size)], 200, (("content-encoding", "gzip"),), framing="close")
        case "a document":
            return endless(b"x" * MIB, b'{"choices": [{"message": {"content": "')
        case "an error":
            return Reply([b"x" * MIB] * size, 500, framing="close")
        case "a head":
            return Reply([b"x-more: " + b"x" * 1000 + b"\r\n"] * (size * 1000), head=b"HTTP/1.1 200 OK\r\n", framing="close")
        case "a chunk size":
            return Reply([b"0" * MIB] * size, head=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", framing="close")
    name = "big" if what == "a tool" else "reports"
    return Reply([event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": name, "arguments": "{}"}}]}, "tool_calls"), DONE])


def heavy(case: Heavy, size: int, bug: str = "") -> str:
    with new_home() as home, ModelServer().replies(pour(case.what, size)).then.says("ok") as server:
        (home.work / "mine.py").write_text(TOOL.replace("SIZE", str(min(size, 64))))
        tools = ["--tool", "mine.py:big", "--tool", "mine.py:reports"]
        code, peak, err = _measured(home, [*tools, "--idle-timeout", "1", "hi"], server, bug)
        if peak > MOST:
            return f"{peak:.0f} MiB"
        if code != case.code:
            return f"exit code {code}: {err[-300:]}"
        if case.what == "a tool":
            return _spilt(home, min(size, 64) * MIB)
        return left(home) or ("a traceback" if "Traceback" in err else "")


def _measured(home: Home, words: list[str], server: ModelServer, bug: str) -> tuple[int, float, str]:
    """Run `ask`: its exit code, the most memory it ever had in MiB, what it said on stderr."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            [*program(bug), "ask", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=home.environment(server, **ONCE),
            cwd=home.work,
        )
        peak, end = 0.0, monotonic() + 120
        while child.poll() is None and monotonic() < end:
            with suppress(OSError, IndexError):  # it is over
                peak = max(peak, int(Path(f"/proc/{child.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024)
            sleep(0.005)  # the figure only grows; what comes in the last instant is missed
        child.kill()
        code = child.wait()
        err.seek(0)
        return code, peak, err.read().decode(errors="replace")


def _spilt(home: Home, size: int) -> str:
    """What is wrong with what is kept of a big output."""
    result = home.threads()[0].messages[2].results[0].content
    kept, _, note = result.partition("\n[cut here")
    if len(kept) != MIB:
        return f"{len(kept)} characters were kept"
    files = [path for path in (home.path / "home").rglob("*.txt") if str(path) in note]
    return "" if files and files[0].stat().st_size == size else f"the rest is not in a file that is named: {note}"


@promise(
    "P15",
    "Memory stays under 200 MB",
    "servers and tools that pour out without an end: the most memory of `ask`, and how it ends",
    quick=5,
    full=len(HEAVY),
    planted=lambda: at_once(lambda case: heavy(case, 64, "fills the memory"), [Heavy("text", 69)]),
)
def p15_heavy(count: int) -> Outcome:
    """The quick count takes a few of them, and less of each."""
    if not Path("/proc/self/status").exists():
        return Outcome(0, [], "/proc")
    cases = (
        [HEAVY[number] for number in (0, 2, 5, 10, 16)]
        if count < len(HEAVY)
        else [HEAVY[number % len(HEAVY)] for number in range(count)]
    )
    return at_once(lambda case: heavy(case, 64 if count < len(HEAVY) else 1024), cases, 2)
