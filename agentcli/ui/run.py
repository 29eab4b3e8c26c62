"""`!command`: a command of the person's own, in a chat.

It runs in their own shell, with their environment, in the folder where they are: nobody has to allow what a person does. Its output is
seen as it comes, made visible, and kept: up to a limit, its beginning and its end. It reads nothing, because what is typed is for the
chat; and it has a session of its own, so that a program that asks the terminal for a password says that there is none instead of
waiting for ever. Ctrl-C ends it with everything that it started: first by asking (TERM), then not (KILL). A second Ctrl-C does not
wait for that, and a third one leaves the program. What a command leaves behind when it ends by itself is left alone.

The output goes with the next message, which is said, and asked first if it is long. `!!command` keeps it from that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from agentcli.core.apart import in_thread
from agentcli.errors import Exit, UserError
from agentcli.ui.amount import size
from agentcli.ui.attached import command_block
from agentcli.ui.chat import Chat
from agentcli.ui.talk import say
from agentcli.ui.terminal import leave_now

__all__ = ["Ran", "run"]

KEPT = 1 << 20  # bytes
_LONG = 32 << 10  # bytes: from there on it is asked whether a model should read it
PATIENCE = 2.0  # seconds that a command has to end when it is told to
_PAUSE, _PAUSES = 0.3, 20  # seconds without output, after the end, and how many of them at most
_PIECE = 1 << 16


class Ran(NamedTuple):
    """What came of a command. `code` is negative for a signal, as in `subprocess`."""

    command: str
    output: str
    code: int
    stopped: bool = False  # by Ctrl-C


async def run(chat: Chat, line: str) -> Ran:
    """Run what stands behind the `!`, and attach what came of it to the next message."""
    silent = line.startswith("!")
    command = line[1:].strip() if silent else line.strip()
    if not command:
        raise UserError("there is no command behind the !", hint="For example: !git status")
    ran = await _run(command)
    if ending := _ending(ran):
        say(ending, dim=True)
    if not silent and ran.output.strip():
        await _attach(chat, ran)
    return ran


async def _attach(chat: Chat, ran: Ran) -> None:
    count = len(ran.output.encode(errors="replace"))
    lines = ran.output.strip().count("\n") + 1
    told = f"{lines} line{'' if lines == 1 else 's'}, {size(count)}"
    if count > _LONG:
        answer = await chat.screen.ask(f"Its output is long ({told}). Send it with your next message? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            return
    chat.attached.append(command_block(ran.command, ran.output, ran.code))
    say(f"Its output ({told}) goes with your next message; /file clear drops it.", dim=True)


def _ending(ran: Ran) -> str:
    """How it ended, if that was not well."""
    if ran.stopped:
        return "stopped"
    return f"ended by signal {-ran.code}" if ran.code < 0 else f"exit code {ran.code}" if ran.code else ""


async def _run(command: str) -> Ran:
    """Run it to its end. The prompt stays, so what is typed meanwhile is on it."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    kept = _Kept()
    process: asyncio.subprocess.Process | None = None
    presses = 0

    def press() -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            loop.call_soon_threadsafe(stopped.set)
        elif presses > 2:
            leave_now(Exit.INTERRUPTED)
        elif process:
            _signal(process, "SIGKILL")

    with _interrupting(press):
        read, write = os.pipe()
        try:
            process = await _start(command, write)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the command
            os.close(read)
            why = getattr(error, "strerror", None) or error
            raise UserError(f"cannot start {_shell()[0]}: {why}", hint="$SHELL names the shell.") from None
        finally:
            os.close(write)
        ended = asyncio.create_task(process.wait())
        reading = asyncio.create_task(_tee(read, kept))
        stopping = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if stopped.is_set() or not ended.done():
                await _end(process, ended, reading)
            await _drain(reading, kept)
    kept.finish()
    code = process.returncode if process.returncode is not None else -signal.SIGKILL.value
    return Ran(command, kept.text(), code, stopped.is_set())


def _shell() -> tuple[str, str]:
    if sys.platform == "win32":
        return os.environ.get("COMSPEC", "cmd.exe"), "/c"
    return os.environ.get("SHELL") or "/bin/sh", "-c"


async def _start(command: str, output: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *_shell(), command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )


async def _tee(read: int, kept: _Kept) -> None:
    """Show and keep what comes, until nobody can write any more."""
    with os.fdopen(read, "rb", 0) as pipe:
        if sys.platform == "win32":  # its loop cannot watch a pipe
            while data := await in_thread(pipe.read, _PIECE):
                kept.add(data)
            return
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        try:
            while data := await reader.read(_PIECE):
                kept.add(data)
        finally:
            transport.close()


async def _drain(reading: asyncio.Task[None], kept: _Kept) -> None:
    """What is still in the pipe after the end. Something that was left behind may hold it open."""
    for _ in range(_PAUSES):
        before = kept.size
        await asyncio.wait({reading}, timeout=_PAUSE)
        if reading.done() or kept.size == before:
            break
    reading.cancel()
    await asyncio.wait({reading}, timeout=_PAUSE)


async def _end(process: asyncio.subprocess.Process, *over: asyncio.Task[Any]) -> None:
    """See to it that nothing of the command is left, neither after Ctrl-C nor after we were told to end. Once it is `over`, what has
    outlived that is killed, too."""
    try:
        _signal(process, "SIGTERM")
        await asyncio.wait(over, timeout=PATIENCE)
    finally:
        _signal(process, "SIGKILL")
    await asyncio.wait(over, timeout=PATIENCE)


def _signal(process: asyncio.subprocess.Process, name: str) -> None:
    """Send a signal to the command and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, getattr(signal, name))


@contextmanager
def _interrupting(press: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C is for the command."""
    before = signal.signal(signal.SIGINT, lambda number, frame: press())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Kept:
    """The output: shown when it comes, kept up to a limit."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._begin = bytearray()
        self._end: deque[bytes] = deque()
        self._ends = 0  # bytes in it
        self._left_out = 0
        self._open = False  # a line that has not ended
        self.size = 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._show(self._decoder.decode(data))
        room = KEPT // 2 - len(self._begin)
        self._begin += data[:room]
        if rest := data[room:]:
            self._end.append(rest)
            self._ends += len(rest)
            while self._ends - len(self._end[0]) >= KEPT // 2:
                gone = len(self._end.popleft())
                self._ends -= gone
                self._left_out += gone

    def finish(self) -> None:
        """Nothing more comes."""
        self._show(self._decoder.decode(b"", final=True))
        if self._open:
            say("")

    def text(self) -> str:
        begin, end = bytes(self._begin), b"".join(self._end)
        if not self._left_out:
            return (begin + end).decode(errors="replace")
        left_out = f"\n[… {self._left_out} bytes are left out here …]\n"
        return begin.decode(errors="replace") + left_out + end.decode(errors="replace")

    def _show(self, text: str) -> None:
        if text:
            say(text.replace("\r\n", "\n"), end="")
            self._open = not text.endswith("\n")
