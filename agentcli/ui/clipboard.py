"""A text onto the clipboard: by a program that can, or else by the terminal itself.

A program is only asked where it can reach a clipboard: there is a display, or the system has just one. Without any, the terminal gets
an OSC 52 sequence, which many take (also over ssh), some take if they are told to, and none answers. It is the one sequence of this
kind that we ever send, at the person's word, with nothing in it but Base64; and it is short, because terminals cut it at 100 kB.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from agentcli.errors import UserError
from agentcli.ui.ability import dumb

__all__ = ["copy"]

_PATIENCE = 5.0  # seconds
_MOST = 74_000  # bytes that OSC 52 carries


class _Program(NamedTuple):
    """A program that takes what it reads for the clipboard; `fits` says whether there is one that it can reach."""

    command: tuple[str, ...]
    fits: Callable[[], bool]
    encoding: str = "utf-8"


_PROGRAMS = (
    _Program(("wl-copy",), lambda: "WAYLAND_DISPLAY" in os.environ),
    _Program(("xclip", "-selection", "clipboard", "-in"), lambda: "DISPLAY" in os.environ),
    _Program(("xsel", "--clipboard", "--input"), lambda: "DISPLAY" in os.environ),
    _Program(("pbcopy",), lambda: sys.platform == "darwin"),
    _Program(("clip.exe",), lambda: sys.platform == "win32" or "WSL_DISTRO_NAME" in os.environ, "utf-16"),
    _Program(("termux-clipboard-set",), lambda: "TERMUX_VERSION" in os.environ),
    _Program(("tmux", "load-buffer", "-w", "-"), lambda: "TMUX" in os.environ),
)


async def copy(text: str) -> str:
    """Put the text there; says how. UserError if there is no way."""
    for program in _usable():
        if await _fed(program, text):
            return f"with {program.command[0]}"
    _to_terminal(text)
    return "through the terminal (OSC 52); not every terminal takes it"


def _usable() -> Iterator[_Program]:
    return (program for program in _PROGRAMS if program.fits() and shutil.which(program.command[0]))


async def _fed(program: _Program, text: str) -> bool:
    """Did the program take it? Those of X11 and Wayland leave a process behind, which is not waited for."""
    nowhere = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *program.command, stdin=asyncio.subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.communicate(text.encode(program.encoding, "replace"))
    except TimeoutError:
        return False
    else:
        return process.returncode == 0
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()


def _to_terminal(text: str) -> None:
    data = text.encode(errors="replace")
    if dumb() or not (sys.stdout and sys.__stdout__ and sys.__stdout__.isatty()):
        raise UserError("there is no way to the clipboard from here", hint="/save writes to a file.")
    if len(data) > _MOST:
        raise UserError(
            f"this is too long for the clipboard of a terminal: {len(data) / 1000:.0f} kB of {_MOST // 1000}",
            hint="/save writes to a file. With wl-copy, xclip or xsel there is no limit.",
        )
    sequence = memoryview(b"\x1b]52;c;" + b64encode(data) + b"\x07")
    with suppress(OSError):  # the terminal is gone
        while sequence:
            sequence = sequence[os.write(sys.__stdout__.fileno(), sequence) :]
