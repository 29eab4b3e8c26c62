"""Standard output, which is for data: exact bytes into a pipe, and on a terminal nothing that acts on it.

The commands that print and are done write here. (Answers that stream go through `pipe.py`, which never holds up the loop.)
A reader that went away, or a stdout that was closed from the start, is a BrokenPipeError, which ends the program quietly; whatever
else keeps data from being written is a UserError.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from re import Match
from typing import TYPE_CHECKING, Any, TextIO

from agentcli.errors import UserError
from agentcli.ui.sanitise import SUSPECT, visible
from agentcli.ui.talk import colours
from agentcli.ui.terminal import write_all
from agentcli.ui.theme import nested

if TYPE_CHECKING:
    from agentcli.ui.pipe import Pipe

__all__ = [
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
    "take_apart",
    "warning",
]


_answers: TextIO | None = None  # once stdout was taken apart


def on_terminal() -> bool:
    out = _stdout()
    return out is not None and out.isatty()


def dim(text: str) -> str:
    return nested("dim", text) if colours(1) else text


def bold(text: str) -> str:
    return nested("bold", text) if colours(1) else text


def warning(text: str) -> str:
    return nested("warn", text) if colours(1) else text


def columns() -> int:
    return shutil.get_terminal_size().columns


def put(text: str) -> None:
    """Data to stdout, all of it: UTF-8 into a pipe, whatever the locale; to a terminal, as far as its encoding goes.

    It does not go through `sys.stdout`, which writes only a part where it is unbuffered (`python -u`) or the pipe does not block.
    """
    out = _stdout()
    if out is None:  # started with a closed stdout: nobody reads
        raise BrokenPipeError
    encoding = (out.encoding or "utf-8") if on_terminal() else "utf-8"
    encoded = text.encode(encoding, "backslashreplace")
    if os.name == "nt" and on_terminal():  # a console there takes characters, not bytes
        out.write(encoded.decode(encoding))
        return
    try:
        out.flush()
    except OSError as error:
        raise (fault_of(error) or BrokenPipeError()) from None
    try:
        write_all(out.fileno(), encoded)
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


def take_apart() -> int:
    """From now on stdout is for answers only: its descriptor. Number 1 and `sys.stdout` are stderr, for tools and what they start.

    This is not taken back: what is left of a tool may still print while the program ends.
    """
    global _answers
    if sys.stdout is None:  # closed from the start
        return 1
    sys.stdout.flush()
    _answers = open(os.dup(1), "w", encoding=sys.stdout.encoding, closefd=False)  # noqa: SIM115  (as long as the program)
    with suppress(OSError):
        os.dup2(2, 1)
    sys.stdout = sys.stderr
    return _answers.fileno()


def _stdout() -> TextIO | None:
    return _answers or sys.stdout


def _harmless(document: str) -> str:
    """The same JSON document for a terminal: what could act on it, or hide in it, is written as escapes."""
    return SUSPECT.sub(_escaped, document.replace("\r\n", "\n"))


def _escaped(character: Match[str]) -> str:
    if character[0] == "\r":  # JSON has it raw between its tokens only
        return "\n"
    units = character[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
