"""One model in a process of its own: its start, its questions, its end. `child` is the other side, and says what is said.

A thread owns the process from start to end: it starts it, hands on what it says, and reaps it. It has to be a thread that lives as
long as the process, since Linux ends a child with the *thread* that started it; and it belongs to no event loop, so the model can be
loaded before there is a question, and serve one loop after another. Two more threads write to the process and read its log, so that
nobody is ever held up by it.

Promises: one process for each model file, whoever asks (`hold`); questions wait in the process for their turn; closing a talk that
has not ended stops the model; a process that fell over is told to all who wait, and the next question starts another; no process
outlives this one, however this one ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from agentcli import extra
from agentcli.core.apart import in_thread
from agentcli.core.provider import ProviderError
from agentcli.providers.local import child, gguf
from agentcli.providers.local.gguf import About
from agentcli.providers.local.verdict import judge, over, short

__all__ = ["Process", "Talk", "hold", "let_go"]

_STOP = 2.0  # seconds that the model has to stop, before its process is ended and started anew
_END = 2.0  # seconds that are waited for the end of a process that was killed
CONTEXT = 8192  # tokens, if nothing else is said: more take memory, and most questions need fewer
_THREADS = 8  # more do not make a model faster that is as large as a small machine can hold
_LOG = 40  # lines of its log that are kept
# The variables that Python, the system's loader and llama.cpp look at. Keys are none of its business.
_PASSED = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TMP|TEMP|TMPDIR|SYSTEMROOT|WINDIR|VIRTUAL_ENV|(LD|DYLD|GGML|CUDA|HIP|HSA|ROCR|VK|OMP|PYTHON)\w+",
    re.IGNORECASE,
)

State: TypeAlias = Literal["loading", "ready", "ended"]


class _Said(Struct):
    """A line of the process."""

    ready: bool = False
    of: int = 0
    begun: bool = False
    chunk: msgspec.Raw = msgspec.Raw()
    error: str = ""
    end: bool = False


_decoder = msgspec.json.Decoder(_Said)

# What a talk hears: "ready", "begun", bytes of a chunk, an error, or None at the end.
_News: TypeAlias = Literal["ready", "begun"] | bytes | ProviderError | None


class Talk:
    """One question to the model. It belongs to the loop that it was begun in."""

    def __init__(self, process: Process, number: int) -> None:
        self.number = number
        self.body: bytes | None = None
        self.begun = False
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[_News] = asyncio.Queue()

    async def loaded(self, patience: float) -> About:
        """What the model file says of itself, once the model is there."""
        while await self._next(patience, "did not load within") != "ready":
            pass
        return self._process.about

    def ask(self, body: dict[str, Any]) -> None:
        self._process.ask(self, msgspec.json.encode({"ask": self.number, "body": body}))

    async def chunk(self, patience: float) -> bytes | None:
        """The next piece of the answer; None after the last. `patience` runs while it is this question's turn."""
        while True:
            news = await self._next(patience, "has said nothing for")
            if news is None or isinstance(news, bytes):
                return news

    def close(self) -> None:
        """It is not wanted any more, if it has not ended."""
        self._process.leave(self)

    def hear(self, news: _News) -> None:
        """Called from the thread that owns the process."""
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
            self._loop.call_soon_threadsafe(self._news.put_nowait, news)

    async def _next(self, patience: float, what: str) -> _News:
        while True:
            try:
                async with asyncio.timeout(patience):
                    news = await self._news.get()
            except TimeoutError:
                if not self.begun and self.body and monotonic() - self._process.heard < patience:
                    continue  # it answers others
                hint = "Try again, or let it think for longer: --idle-timeout SECONDS."
                raise ProviderError("stalled", f"{self._process.name} {what} {patience:g} s", hint=hint) from None
            if isinstance(news, ProviderError):
                raise news
            return news


class Process:
    """A model that is being loaded, or is there, or is gone."""

    def __init__(self, name: str, path: Path, *, context: int = 0, warm: bool = False, patience: float = _STOP) -> None:
        self.name = name
        self.about = About()
        self.state: State = "loading"
        self.heard = monotonic()  # when it last said something
        self.holders = 0
        self._path = path
        self._context = context
        self._warm = warm
        self._patience = patience
        self._lock = threading.RLock()
        self._running: subprocess.Popen[bytes] | None = None
        self._orders: SimpleQueue[bytes | None] = SimpleQueue()
        self._closed = False
        self._fault: ProviderError | None = None
        self._talks: dict[int, Talk] = {}
        self._count = 0
        self._owner = threading.Thread(target=self._own, name=f"model {name}", daemon=True)
        self._owner.start()

    @property
    def pid(self) -> int:
        """The process; 0 if there is none."""
        return self._running.pid if self._running else 0

    def talk(self) -> Talk:
        """Begin a question."""
        with self._lock:
            self._count += 1
            talk = Talk(self, self._count)
            if self.state == "ended":
                talk.hear(self._fault or over(self.name, "is closed"))
            else:
                self._talks[talk.number] = talk
                if self.state == "ready":
                    talk.hear("ready")
            return talk

    def ask(self, talk: Talk, body: bytes) -> None:
        with self._lock:
            talk.body = body
            if self.state == "ready":  # or else it is sent as soon as it is
                self._orders.put(body)

    def leave(self, talk: Talk) -> None:
        with self._lock:
            if self._talks.pop(talk.number, None) and talk.body and self.state == "ready":
                self._orders.put(json.dumps({"stop": talk.number}).encode())

    def kill(self) -> None:
        """End it now."""
        with self._lock:
            self._closed = True
            if self._running:
                self._running.kill()

    async def ended(self) -> None:
        """Wait until nothing of it is left, for a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_END):
                await in_thread(self._owner.join, _END, name="end of a model")

    def _own(self) -> None:
        fault: ProviderError | None = None
        try:
            if not extra.installed("local"):
                raise ProviderError(
                    "not_found", f"{self.name} needs llama.cpp, which is not installed", hint=f"Install it: {extra.command('local')}"
                )
            self.about = gguf.read(self._path)
            code, log = self._run()
            while code == child.STUBBORN and not self._closed:
                code, log = self._run()
            fault = over(self.name, "is closed") if self._closed else judge(self.name, self._path, code, log)
        except ProviderError as error:
            fault = error
        except OSError as error:
            fault = over(self.name, f"cannot be started: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001  (those who wait are told, whatever it is)
            fault = over(self.name, f"is not looked after any more: {type(error).__name__}: {error}")
        with self._lock:
            self.state, self._fault = "ended", fault
            talks, self._talks = list(self._talks.values()), {}
        for talk in talks:
            talk.hear(fault)

    def _run(self) -> tuple[int, list[str]]:
        """One process, from its start to its end: its exit code, and the end of its log."""
        with self._lock:
            if self._closed:
                return 0, []
            self.state = "loading"
            orders: SimpleQueue[bytes | None] = SimpleQueue()
            self._orders = orders
            running = self._running = subprocess.Popen(
                [sys.executable, "-P", child.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C at the terminal is for this program
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                env={**{name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}, "GGML_NO_BACKTRACE": "1"},
            )
        log: deque[str] = deque(maxlen=_LOG)
        threads = [
            threading.Thread(target=_write, args=(running, orders), name=f"to {self.name}", daemon=True),
            threading.Thread(target=_read_log, args=(running, log), name=f"log of {self.name}", daemon=True),
        ]
        for thread in threads:
            thread.start()
        orders.put(json.dumps(self._settings()).encode())
        try:
            assert running.stdout
            with running.stdout:
                for line in running.stdout:
                    self.heard = monotonic()
                    self._hand_on(_decoder.decode(line))
        finally:
            orders.put(None)
            running.kill()
            code = running.wait()
            for thread in threads:
                thread.join(_END)
        return code, list(log)

    def _settings(self) -> dict[str, Any]:
        context = self._context or CONTEXT
        return {
            "path": os.fspath(self._path),
            "context": min(context, self.about.context or context),  # for more it would take memory, and not use it
            "threads": max(1, min(_cores() - 1, _THREADS)),
            "warm": self._warm,
            "patience": self._patience,
            "parent": os.getpid(),
        }

    def _hand_on(self, said: _Said) -> None:
        with self._lock:
            if said.ready:
                self.state = "ready"
                for talk in self._talks.values():
                    if talk.body:  # asked before the process was started anew
                        self._orders.put(talk.body)
                    talk.hear("ready")
                return
            talk_ = self._talks.get(said.of)
            if talk_ is None:
                return
            if said.end:
                del self._talks[said.of]
            talk_.begun = talk_.begun or said.begun
        if chunk := bytes(said.chunk):
            talk_.hear(chunk)
        elif said.error:
            talk_.hear(ProviderError("bad_request", f"{self.name} cannot be asked this: {short(said.error)}"))
        else:
            talk_.hear(None if said.end else "begun")


_processes: dict[tuple[str, int], Process] = {}
_table = threading.Lock()


def hold(name: str, path: Path, *, context: int = 0, warm: bool = False, patience: float = _STOP) -> Process:
    """The process of this model file, which is started if there is none. Whoever holds it lets it go."""
    key = os.path.realpath(path), context
    with _table:
        process = _processes.get(key)
        if process is None or process.state == "ended":
            process = _processes[key] = Process(name, path, context=context, warm=warm, patience=patience)
        process.holders += 1
        return process


def let_go(process: Process) -> None:
    """The last one to do so ends the process."""
    with _table:
        process.holders -= 1
        if process.holders:
            return
        for key in [key for key, other in _processes.items() if other is process]:
            del _processes[key]
    process.kill()


def _write(running: subprocess.Popen[bytes], orders: SimpleQueue[bytes | None]) -> None:
    assert running.stdin
    with suppress(OSError), running.stdin as stdin:
        while (order := orders.get()) is not None:
            stdin.write(order + b"\n")
            stdin.flush()


def _read_log(running: subprocess.Popen[bytes], log: deque[str]) -> None:
    assert running.stderr
    with running.stderr as stderr:
        while line := stderr.readline(1000):
            log.append(line.decode(errors="replace").strip())


def _cores() -> int:
    with suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
