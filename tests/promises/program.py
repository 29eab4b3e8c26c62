"""The real program under trial: in a home of its own, asked once or chatted with, and what is true of what it leaves behind.

`bug` names one in `faulty.py`: then that program is started in place of the real one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple, Self, TypeVar

from agentcli.core.thread import Thread
from tests.model_server import ModelServer
from tests.promises import Outcome
from tests.terminal import Terminal

__all__ = [
    "STALE",
    "Answered",
    "Home",
    "StaleError",
    "Talk",
    "ask",
    "at_once",
    "children_of",
    "descriptors",
    "each",
    "left",
    "new_home",
    "program",
    "settings_left",
    "threads_of",
    "wait_for",
]

ROOT = Path(__file__).parents[2]
_FOREIGN = ("_API_KEY", "_BASE_URL", "_PROXY")
_ON, _OFF = b"\x1b[?2004h", b"\x1b[?2004l"  # bracketed paste: on while there is a prompt

STALE = 99  # the exit code of a faulty program that cannot be put together any more

A = TypeVar("A")


class StaleError(BaseException):
    """The planted bug was not tried: nothing that went wrong counts."""


class Home:
    """A folder for everything that agentcli keeps, and one to be in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.work.mkdir()

    def environment(self, server: ModelServer | None = None, **more: str) -> dict[str, str]:
        found = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith("AGENTCLI_")
            and not name.upper().endswith(_FOREIGN)
            and name not in ("NO_COLOR", "OLLAMA_HOST")
        }
        found |= {"AGENTCLI_HOME": str(self.path / "home"), "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        if server:
            found |= {"OPENAI_BASE_URL": server.url, "AGENTCLI_MODEL": "openai/any"}
        return found | more

    def configure(self, text: str) -> None:
        folder = self.path / "home"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "config.toml").write_text(text)

    def threads(self) -> list[Thread]:
        return [Thread.load(path.read_bytes()) for path in (self.path / "home" / "threads").glob("*.json")]

    def journals(self) -> list[Path]:
        return list((self.path / "home" / "threads").glob("*.journal"))


@contextmanager
def new_home() -> Iterator[Home]:
    path = Path(tempfile.mkdtemp(prefix="promises-"))
    try:
        yield Home(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def program(bug: str = "") -> list[str]:
    return [sys.executable, "-m", *(["tests.promises.faulty", bug] if bug else ["agentcli"])]


class Answered(NamedTuple):
    """How `ask` ended."""

    code: int
    out: bytes
    err: str
    seconds: float


def ask(
    home: Home,
    *words: str,
    server: ModelServer | None = None,
    bug: str = "",
    limit: float = 30,
    interrupt_after: float | None = None,
    command: str = "ask",
    more: Mapping[str, str] = {},
) -> Answered:
    """Run a command to its end, or SIGINT it so many seconds after Python has got to the program."""
    began = monotonic()
    child = subprocess.Popen(
        [*program(bug), command, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=home.environment(server, **more),
        cwd=home.work,
    )
    try:
        if interrupt_after is not None:
            wait_for(lambda: "msgspec" in _loaded(child.pid) or child.poll() is not None, limit)
            with suppress(subprocess.TimeoutExpired):
                child.wait(interrupt_after)  # the moment is what is being tried
            child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        err += f"\nstill running after {limit:g} s".encode()
    if child.returncode == STALE:
        raise StaleError(err.decode(errors="replace"))
    return Answered(child.returncode, out, err.decode(errors="replace"), monotonic() - began)


def _loaded(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/maps").read_text()
    return ""


def left(home: Home, *, crashed: bool = False) -> str:
    """What is wrong with the threads that a program left; "" if nothing is. One that `crashed` may leave a journal."""
    try:
        threads = home.threads()
    except ValueError as error:
        return f"a thread cannot be read: {error}"
    for thread in threads:
        if thread.settle():
            return "a tool call has no result"
    if home.journals() and not crashed:
        return "a journal was left"
    return ""


def settings_left(written: bytes) -> str:
    """Which of the terminal's modes is not as it was at first, going by what was written to it."""
    state: dict[int, bool] = {}
    for numbers, end in re.findall(rb"\x1b\[\?([\d;]+)([hl])", written):
        for number in numbers.split(b";"):
            state[int(number)] = end == b"h"
    usual = {25: True, 7: True, 12: False}
    return ", ".join(f"mode {number} left {'on' if on else 'off'}" for number, on in state.items() if on != usual.get(number, False))


class Talk:
    """A chat on a terminal, driven by what it writes."""

    def __init__(
        self, home: Home, server: ModelServer | None, *words: str, bug: str = "", shell: bool = False, more: Mapping[str, str] = {}
    ) -> None:
        argv = [*program(bug), "chat", *words]
        started = ["bash", "--norc", "--noprofile", "--noediting", "-i"] if shell else argv
        self.terminal = Terminal(started, env=home.environment(server, **more), cwd=home.work)
        self.modes = _modes_of_a_new_terminal()
        if shell:
            self.terminal.until(lambda terminal: terminal.raw.endswith((b"$ ", b"# ")))
            self.terminal.send(shlex.join(argv) + "\r")

    def __enter__(self) -> Self:
        self.until_prompt(0)
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close()

    @property
    def prompts(self) -> int:
        return self.terminal.raw.count(_ON)

    def until_prompt(self, before: int, timeout: float = 15) -> float:
        """Wait for one more prompt than there were; how long that took."""
        began = monotonic()
        self.terminal.until(lambda terminal: terminal.raw.count(_ON) > before or terminal.process.poll() is not None, timeout)
        if self.terminal.process.poll() == STALE:
            raise StaleError(self.terminal.text())
        if self.prompts <= before:
            raise AssertionError(f"the chat ended with {self.terminal.process.poll()}: {self.terminal.text()[-300:]!r}")
        return monotonic() - began

    def say(self, line: str) -> int:
        """Send a line, wait until the prompt has gone; how much had been written by then."""
        gone = self.terminal.raw.count(_OFF)
        self.terminal.send(f"{line}\r")
        self.terminal.until(lambda terminal: terminal.raw.count(_OFF) > gone)
        return self.terminal.raw.rfind(_OFF)

    def until(self, text: str, since: int, timeout: float = 15) -> None:
        """Wait until a text was written after that place."""
        self.terminal.until(lambda terminal: terminal.raw.find(text.encode(), since) >= 0, timeout)

    def leave(self) -> str:
        """Ctrl-D; what is wrong about how it ended."""
        self.terminal.send("\x04")
        return self.ended(0)

    def ended(self, *codes: int, timeout: float = 15) -> str:
        """What is wrong with the end, and with the terminal after it."""
        try:
            code = self.terminal.wait(timeout)
        except AssertionError as error:
            return str(error)
        written = self.terminal.raw
        if code not in codes:
            return f"exit code {code}, not {codes}: {self.terminal.text()[-300:]!r}"
        if b"Traceback" in written:
            return f"a traceback: {self.terminal.text()[-600:]!r}"
        if self.terminal.modes() != self.modes:
            return f"the terminal's settings were {self.modes} and are {self.terminal.modes()}"
        return settings_left(written)


def _modes_of_a_new_terminal() -> list[Any]:
    ends = os.openpty()
    modes = termios.tcgetattr(ends[1])
    for end in ends:
        os.close(end)
    return modes


def at_once(work: Callable[[A], str], cases: Iterable[A], jobs: int = 4) -> Outcome:
    """Try the cases, a few at a time. A case that goes wrong is named."""

    def one(case: A) -> str:
        try:
            wrong = work(case)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        return f"{case}: {wrong}" if wrong else ""

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(one, cases))
    return Outcome(len(results), [wrong for wrong in results if wrong])


def each(*planted: Callable[[], Outcome]) -> Callable[[], Outcome]:
    """Several planted bugs: all must be seen."""

    def run() -> Outcome:
        total = Outcome(0, [])
        for one in planted:
            outcome = one()
            if not outcome.failures:
                return outcome
            total += outcome
        return total

    return run


def wait_for(is_so: Callable[[], object], timeout: float = 5) -> None:
    """Look until it is so, at what cannot say when it changes."""
    end = monotonic() + timeout
    while not is_so():
        if monotonic() > end:
            raise AssertionError(f"not so after {timeout:g} s")
        sleep(0.005)


def descriptors(pid: int) -> list[str]:
    """What the process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(os.readlink(entry))
    return sorted(found)


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def children_of(pid: int) -> list[str]:
    """The processes that this one has started, dead ones that it did not wait for included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text(errors="replace").rpartition(") ")
            if int(rest.split()[1]) == pid:
                found.append(f"{name})")
    return found
