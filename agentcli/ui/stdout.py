"""Standard output, which is for data: exact bytes into a pipe, and on a terminal nothing that acts on it.

The commands that print and are done write here. (Answers that stream go through `pipe.py`, which never holds up the loop.)
A reader that went away, or a stdout that was closed from the start, is a BrokenPipeError, which ends the program quietly; whatever
else keeps data from being written is a UserError.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from re import Match
from typing import TYPE_CHECKING, Any

from agentcli.errors import UserError
from agentcli.ui.sanitise import SUSPECT, visible
from agentcli.ui.talk import colours

if TYPE_CHECKING:
    from agentcli.ui.pipe import Pipe

__all__ = [
    "apart",
    "bold",
    "columns",
    "dim",
    "fault_of",
    "on_terminal",
    "print_json",
    "put",
    "put_json",
    "put_text",
    "reserved",
    "stream_json",
    "warning",
]


def on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[22m" if colours(1) and text else text


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[22m" if colours(1) and text else text


def warning(text: str) -> str:
    return f"\x1b[33m{text}\x1b[39m" if colours(1) else text


def columns() -> int:
    return shutil.get_terminal_size().columns


def put(text: str) -> None:
    """Data to stdout, all of it: UTF-8 into a pipe, whatever the locale; to a terminal, as far as its encoding goes.

    It does not go through `sys.stdout`, which writes only a part where it is unbuffered (`python -u`) or the pipe does not block.
    """
    if sys.stdout is None:  # started with a closed stdout: nobody reads
        raise BrokenPipeError
    encoding = (sys.stdout.encoding or "utf-8") if on_terminal() else "utf-8"
    encoded = text.encode(encoding, "backslashreplace")
    if os.name == "nt" and on_terminal():  # a console there takes characters, not bytes
        sys.stdout.write(encoded.decode(encoding))
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise (fault_of(error) or BrokenPipeError()) from None
    fd = sys.stdout.fileno()
    data = memoryview(encoded)
    while data:
        try:
            data = data[os.write(fd, data[:65536]) :]
        except BlockingIOError:
            select.select((), (fd,), ())
        except OSError as error:
            raise (fault_of(error) or BrokenPipeError()) from None  # without its errno, which Typer would make an exit code of 1


def put_text(text: str) -> None:
    """A text of a thread's: exact in a pipe, harmless on a terminal."""
    put(visible(text) if on_terminal() else text)


def put_json(document: str) -> None:
    """A JSON document."""
    put(_harmless(document) if on_terminal() else document)


def stream_json(out: Pipe, document: bytes) -> None:
    """A JSON document, where the loop must not be held up."""
    out.write(_harmless(document.decode()).encode() if out.is_terminal else document)


def print_json(value: Any) -> None:
    """A value as JSON."""
    import msgspec

    put_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def fault_of(error: OSError) -> UserError | None:
    """Why stdout could not be written; None if that is because nobody reads it any more."""
    if isinstance(error, ConnectionError) or error.errno == errno.EBADF:
        return None
    return UserError(f"cannot write to stdout: {error.strerror or error}")


@contextmanager
def reserved() -> Iterator[None]:
    """Within the block stdout is for answers only: what a tool prints goes to stderr."""
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def apart() -> Iterator[int]:
    """A descriptor for answers. Within the block number 1 is stderr, also for the programs that a tool starts."""
    try:
        answers = os.dup(1)
    except OSError:  # closed from the start
        yield 1
        return
    try:
        with suppress(OSError):
            os.dup2(2, 1)
        yield answers
    finally:
        os.dup2(answers, 1)
        os.close(answers)


def _harmless(document: str) -> str:
    """The same JSON document for a terminal: what could act on it, or hide in it, is written as escapes."""
    return SUSPECT.sub(_escaped, document.replace("\r\n", "\n"))


def _escaped(character: Match[str]) -> str:
    if character[0] == "\r":  # JSON has it raw between its tokens only
        return "\n"
    units = character[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
