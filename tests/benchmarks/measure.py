"""Measuring: a program run to its end, contenders in turns, and a program on a pseudo-terminal.

CPU is what the kernel accounted to the child (`wait4`), user and system together. Wall time is `time.monotonic`, which is the server's
clock too. The children's environment is that of a user with an installed program: byte code is written and used, and nothing of this
session's settings leaks in. The first round is not counted, so that byte code and the disk's cache are warm for everybody.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from tests.benchmarks import Setup

__all__ = [
    "AGENTCLI",
    "ROOT",
    "Pty",
    "Run",
    "agentcli",
    "answer",
    "environment",
    "exponent",
    "in_turns",
    "middle",
    "nothing",
    "percentile",
    "program",
    "run",
]

T = TypeVar("T")

LIMIT = 300.0  # seconds that anything may take
ROOT = Path(__file__).parents[2]

_SCRIPT = Path(sys.executable).with_name("agentcli")
AGENTCLI = [str(_SCRIPT)] if _SCRIPT.exists() else [sys.executable, "-m", "agentcli"]


class Run(NamedTuple):
    """One run of a program. Seconds, and bytes for the peak of its memory."""

    cpu: float
    wall: float
    first: float  # to the first byte on stdout
    peak: int
    out: bytes


def program(name: str, *arguments: object) -> list[str]:
    """The command line of one of `programs/`."""
    return [sys.executable, str(Path(__file__).parent / "programs" / f"{name}.py"), *map(str, arguments)]


def nothing(folder: Path) -> list[str]:
    """A console script that does nothing: the installed one's own wrapper around an empty function."""
    text = _SCRIPT.read_text() if _SCRIPT.exists() else ""
    if "agentcli.__main__" not in text:
        return program("nothing")
    script = folder / "nothing"
    script.write_text(text.replace("agentcli.__main__", "nothing"))
    script.chmod(0o700)
    (folder / "nothing.py").write_text(Path(program("nothing")[1]).read_text())
    return [str(script)]


def agentcli(setup: Setup, *arguments: str) -> Callable[[], Run]:
    """agentcli, to be run by `in_turns`."""
    return lambda: run([*AGENTCLI, *arguments], environment(setup))


def environment(setup: Setup, **more: str) -> dict[str, str]:
    """A user's environment with a home in the folder."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV") if name in os.environ}
    home = {"HOME": str(setup.folder), "AGENTCLI_HOME": str(setup.folder / "home"), "LLM_USER_PATH": str(setup.folder / "llm")}
    return {**kept, **home, "TERM": "xterm-256color", "OPENAI_BASE_URL": setup.url, "OPENAI_API_KEY": "none", "PYTHONPATH": "", **more}


def run(argv: Sequence[str], env: Mapping[str, str]) -> Run:
    """Run a program to its end with nothing on stdin and a pipe for its output."""
    with tempfile.TemporaryFile() as errors:
        began = monotonic()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=env)
        watch = threading.Timer(LIMIT, child.kill)
        watch.start()
        assert child.stdout
        out = bytearray()
        first = 0.0
        with child.stdout:
            while data := os.read(child.stdout.fileno(), 1 << 16):
                first = first or monotonic() - began
                out += data
        _, status, usage = os.wait4(child.pid, 0)
        wall = monotonic() - began
        watch.cancel()
        watch.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            raise RuntimeError(f"{list(argv)} ended with {child.returncode}: {errors.read().decode(errors='replace')[-2000:]}")
    return Run(usage.ru_utime + usage.ru_stime, wall, first or wall, usage.ru_maxrss * _MAXRSS, bytes(out))


_MAXRSS = 1 if sys.platform == "darwin" else 1024


def answer(argv: Sequence[str], env: Mapping[str, str]) -> Any:
    """Run a program that prints one JSON document."""
    return json.loads(run(argv, env).out)


def in_turns(rounds: int, contenders: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Run them A B C A B C …; a further round before warms up and does not count. A single round is only to see that they run."""
    done: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(rounds + 1 if rounds > 1 else 1):
        for name, contender in contenders.items():
            done[name].append(contender())
    return {name: results[-rounds:] for name, results in done.items()}


def middle(runs: Sequence[Run], field: str) -> float:
    """The median of one figure of the runs."""
    return float(median(getattr(each, field) for each in runs))


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def exponent(small: float, large: float, times: float) -> float:
    """n^?: how it grows when there is so many times as much."""
    return math.log(large / small) / math.log(times)


class Pty:
    """A program on a pseudo-terminal, read by this thread alone, so that the moment of a byte is the moment it came."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], size: tuple[int, int] = (80, 24)) -> None:
        self.began = monotonic()
        self.seen = bytearray()
        self._from = 0
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            with suppress(OSError):
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
                os.execvpe(argv[0], list(argv), dict(env))
            os._exit(127)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)

    def send(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def until(self, pattern: bytes, limit: float = 30.0) -> float:
        """Read until this comes, after what the last `until` found. Returns when it came."""
        end = monotonic() + limit
        wanted = re.compile(pattern)
        came = monotonic()
        while not (found := wanted.search(self.seen, self._from)):
            if not self._read(end - monotonic()):
                raise RuntimeError(f"{pattern!r} did not come; last: {bytes(self.seen[-500:])!r}")
            came = monotonic()
        self._from = found.end()
        return came

    def forget(self) -> None:
        """What has come until now is not what the next `until` looks for."""
        self._from = len(self.seen)

    def rest(self, seconds: float) -> None:
        """Let it run for so long, and read what it writes."""
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            self._read(left)

    def end(self) -> Run:
        """Read to the end and wait for it."""
        end = monotonic() + LIMIT
        while self._read(end - monotonic()):
            pass
        _, status, usage = os.wait4(self.pid, 0)
        self.pid = 0
        if status:
            raise RuntimeError(f"it ended with {os.waitstatus_to_exitcode(status)}: {bytes(self.seen[-500:])!r}")
        return Run(usage.ru_utime + usage.ru_stime, monotonic() - self.began, 0, usage.ru_maxrss * _MAXRSS, bytes(self.seen))

    def _read(self, seconds: float) -> bool:
        if not select.select((self._terminal,), (), (), max(0, seconds))[0]:
            return False
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:  # nobody has the other end open
            return False
        self.seen += data
        for _ in range(data.count(b"\x1b[6n")):  # where is the cursor?
            self.send(b"\x1b[1;1R")
        for _ in range(data.count(b"\x1b[c")):  # what are you?
            self.send(b"\x1b[?62;22c")
        return bool(data)
