"""A text in the person's own editor: `$VISUAL`, or `$EDITOR`, or what is there.

The text lies in a file that nobody else may read, in a folder that nobody else may enter, and both are gone afterwards, unless what
was typed would be lost with them. The editor has the terminal to itself; while it runs, Ctrl-C is its own affair. If the program is
told to end, the editor is ended first.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from agentcli.errors import UserError
from agentcli.ui.screen import Screen
from agentcli.ui.talk import say

__all__ = ["Draft", "drafted", "editor"]

_USUAL = ("notepad.exe",) if sys.platform == "win32" else ("nano", "vi")
_PATIENCE = 2.0  # seconds that an editor has to end


def editor() -> list[str]:
    """The command that opens an editor, without the file."""
    for name in ("VISUAL", "EDITOR"):
        if not (value := os.environ.get(name, "").strip()):
            continue
        try:
            command = shlex.split(value, posix=sys.platform != "win32")
        except ValueError as error:
            raise UserError(f"${name} cannot be understood: {error}", hint=f"It is: {value}") from None
        if command and shutil.which(command[0]):
            return command
        raise UserError(f"the editor of ${name} is not there: {value}", hint="For example: export EDITOR=nano")
    if found := next(filter(shutil.which, _USUAL), None):
        return [found]
    raise UserError("there is no editor", hint="Set $EDITOR to the one you like, for example: export EDITOR=nano")


class Draft:
    """A text that can be edited, again and again, as long as it is in `drafted`."""

    def __init__(self, screen: Screen, path: Path, text: bytes) -> None:
        self.path = path
        self.kept = False  # the file stays
        self._screen = screen
        self._before = text

    async def edit(self) -> bytes | None:
        """What the person made of it; None if that is nothing, or nothing new. UserError if the editor failed."""
        command = editor()
        async with self._screen.aside():
            code = await _run([*command, str(self.path)])
        try:
            after = self.path.read_bytes()
        except OSError:  # removed: nothing is what is left
            after = b""
        changed = after.strip() and after != self._before
        if code:
            self.kept = self.kept or (bool(changed) and code < 0)
            ended = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
            raise UserError(f"the editor {ended}", hint="Nothing was changed.")
        self._before = after
        return after if changed else None


@asynccontextmanager
async def drafted(screen: Screen, text: bytes, name: str) -> AsyncIterator[Draft]:
    """A text to be edited in a file of this name. If the block is left by anything unforeseen, the file stays: it is said where."""
    folder = Path(tempfile.mkdtemp(prefix="agentcli-"))
    draft = Draft(screen, folder / name, text)
    try:
        _write(draft.path, text)
        yield draft
    except UserError:
        raise
    except BaseException:
        draft.kept = draft.kept or _changed(draft.path, text)
        raise
    finally:
        if draft.kept:
            say(f"What you typed is in {draft.path}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)


def _changed(path: Path, text: bytes) -> bool:
    try:
        return path.read_bytes() != text
    except OSError:
        return False


async def _run(command: list[str]) -> int:
    """Run an editor on this terminal; its exit code, negative for a signal."""
    with _not_for_us():
        try:
            process = await asyncio.create_subprocess_exec(*command)
        except OSError as error:
            raise UserError(f"cannot start {command[0]}: {error.strerror or error}") from None
        try:
            return await process.wait()
        except asyncio.CancelledError:  # we are told to end
            await _end(process)
            raise


async def _end(process: asyncio.subprocess.Process) -> None:
    for stop in (process.terminate, process.kill):
        with suppress(ProcessLookupError):
            stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await process.wait()
                return


@contextmanager
def _not_for_us() -> Iterator[None]:
    """What the terminal sends to both of us is meant for the editor."""
    names = [getattr(signal, name) for name in ("SIGINT", "SIGQUIT") if hasattr(signal, name)]
    before = {name: signal.signal(name, lambda number, frame: None) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
