"""Standard output, which is for data: exact bytes into a pipe, and on a terminal nothing that acts on it.

The commands that print and are done write here. (Answers that stream go through `output.py`, which never holds up the loop.)
"""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
from typing import Any

import msgspec

from agentcli.ui.sanitise import visible
from agentcli.ui.talk import colours

__all__ = ["bold", "columns", "dim", "on_terminal", "print_json", "put", "put_json", "put_text", "warning"]


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
    sys.stdout.flush()
    fd = sys.stdout.fileno()
    data = memoryview(encoded)
    while data:
        try:
            data = data[os.write(fd, data[:65536]) :]
        except BlockingIOError:
            select.select((), (fd,), ())
        except BrokenPipeError:
            raise BrokenPipeError from None  # without its errno, which Typer would make an exit code of 1


def put_text(text: str) -> None:
    """A text of a thread's: exact in a pipe, harmless on a terminal."""
    put(visible(text) if on_terminal() else text)


def put_json(document: str) -> None:
    """A JSON document. A terminal gets the same document with what could act on it written as escapes."""
    put(re.sub(r"[^\x20-\x7e\n]", _escaped, document) if on_terminal() else document)


def print_json(value: Any) -> None:
    """A value as JSON."""
    put_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def _escaped(character: re.Match[str]) -> str:
    if character[0].isprintable():
        return character[0]
    units = character[0].encode("utf-16-be")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
