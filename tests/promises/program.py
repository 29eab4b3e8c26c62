"""The real program under trial: in a home of its own, asked once, and what is true of what it leaves behind. (talk.py chats with it.)

`bug` names one in `faulty.py`: then that program is started in place of the real one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple, TypeVar

from agentcli.core.thread import Thread
from tests.model_server import ModelServer
from tests.promises import Outcome

__all__ = [
    "STALE",
    "Answered",
    "Home",
    "StaleError",
    "ask",
    "at_once",
    "children_of",
    "descriptors",
    "each",
    "left",
    "new_home",
    "processes_of",
    "program",
    "threads_of",
    "wait_for",
]

ROOT = Path(__file__).parents[2]
_FOREIGN = ("_API_KEY", "_BASE_URL", "_PROXY")

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

    def latest(self) -> Thread | None:
        """The thread that was saved last."""
        paths = list((self.path / "home" / "threads").glob("*.json"))
        return Thread.load(max(paths, key=lambda path: path.stat().st_mtime_ns).read_bytes()) if paths else None

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


def processes_of(home: Home, *but: int) -> list[str]:
    """The processes that were started by a program of this home, and by theirs, whoever their parent is now. `but` these."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(folder.name) not in but and os.fsencode(home.path / "home") in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
    return found


def children_of(pid: int) -> list[str]:
    """The processes that this one has started, dead ones that it did not wait for included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text(errors="replace").rpartition(") ")
            if int(rest.split()[1]) == pid:
                found.append(f"{name})")
    return found
