"""A file as a part of a message. What is none (a folder, a device) is refused, and so is a pipe that nobody writes to."""

from __future__ import annotations

import os
import stat
import sys

from agentcli.core.message import Part
from agentcli.errors import Exit, UserError
from agentcli.ui.attach.kind import MOST, media_type, part_of

__all__ = ["read"]


def read(name: str) -> Part:
    """The file, or stdin for `-`."""
    data = _stdin() if name == "-" else _bytes(os.path.expanduser(name), name)
    if len(data) > MOST:
        raise _refused(name, f"it is larger than {MOST >> 20} MiB", hint="Attach a part of it.")
    try:
        return part_of(data, media_type(data), os.path.basename(name.rstrip("/")))
    except ValueError as error:
        raise _refused(name, str(error)) from None


def _stdin() -> bytes:
    """Everything, by the descriptor: a read of `sys.stdin` in a thread that is left behind holds up the end of the program."""
    if sys.stdin is None:
        return b""
    data = bytearray()
    try:
        while len(data) <= MOST and (piece := os.read(sys.stdin.fileno(), 1 << 20)):
            data += piece
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise _refused("-", getattr(error, "strerror", None) or str(error)) from None
    return bytes(data)


def _bytes(path: str, name: str) -> bytes:
    try:
        # a pipe without a writer would hang a plain open; a shell's <(command) is a pipe with one
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0))
        try:
            return _content(fd, name)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _refused(name, getattr(error, "strerror", None) or str(error)) from None


def _content(fd: int, name: str) -> bytes:
    kind = os.fstat(fd).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
        raise _refused(name, "it is not a file")
    if sys.platform != "win32":
        os.set_blocking(fd, True)
    with open(fd, "rb", closefd=False) as file:
        data = file.read(MOST + 1)
    if not data and stat.S_ISFIFO(kind):
        raise _refused(name, "nothing came out of this pipe")
    return data


def _refused(name: str, why: str, hint: str = "") -> UserError:
    return UserError(f"cannot attach {name}: {why}", hint=hint, exit_code=Exit.USAGE)
