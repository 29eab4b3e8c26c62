"""What the program says to a person: on stderr, because stdout is for data.

Errors are two lines: `error: …`, what happened, and after a blank line `hint: …`, what to do about it. Everything that is said passes
`visible()`: a message may quote a model, a server or a file name. While a turn runs, what is said can go `through` a pipe that does
not wait for whoever reads stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agentcli.errors import UserError
from agentcli.ui.sanitise import visible

if TYPE_CHECKING:
    from agentcli.ui.pipe import Pipe

__all__ = ["colours", "no_colours", "say", "say_error", "seconds", "through"]

_RED, _DIM, _PLAIN = "\x1b[1;31m", "\x1b[2m", "\x1b[0m"

_may_colour = True
_pipe: Pipe | None = None


def no_colours() -> None:
    """From now on nothing is coloured: `--plain`."""
    global _may_colour
    _may_colour = False


def colours(fd: int = 2) -> bool:
    """May what goes to this file descriptor be coloured?"""
    if not _may_colour or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("dumb", ""):
        return False
    try:
        return os.isatty(fd)
    except OSError:
        return False


def seconds(delay: float) -> str:
    """A time to wait, in words."""
    return f"{delay:.1f} s" if delay < 1 else f"{delay:.0f} s"


def say(text: str, *, dim: bool = False, end: str = "\n") -> None:
    """One notice."""
    text = _fitted(visible(text)) if end == "\n" else visible(text)  # a piece of a line may stand anywhere in it
    _write((f"{_DIM}{text}{_PLAIN}" if dim and colours() else text) + end)


def say_error(error: UserError) -> None:
    """What happened, and what to do about it."""
    _write(_labelled("error:", _RED, error.message))
    if error.hint:
        _write("\n" + _labelled("hint:", _DIM, error.hint))


@contextmanager
def through(pipe: Pipe) -> Iterator[None]:
    """Within the block, what is said goes this way."""
    global _pipe
    before, _pipe = _pipe, pipe
    try:
        yield
    finally:
        _pipe = before


def _labelled(label: str, colour: str, text: str) -> str:
    line = _fitted(f"{label} {visible(text)}") + "\n"
    return f"{colour}{label}{_PLAIN}{line.removeprefix(label)}" if colours() else line


def _fitted(text: str) -> str:
    """The text with its lines broken between words where a terminal would break them anywhere."""
    try:
        width = os.get_terminal_size(2).columns
    except (OSError, ValueError):  # not a terminal
        return text
    if width < 20 or all(len(line) <= width for line in text.split("\n")):
        return text
    from textwrap import wrap

    fitted: list[str] = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        fitted += wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [line]
    return "\n".join(fitted)


def _write(text: str) -> None:
    if sys.stderr is None:  # started with a closed stderr
        return
    with suppress(OSError, ValueError):
        encoding = sys.stderr.encoding or "utf-8"
        data = text.encode(encoding, "backslashreplace")
        if _pipe and os.name != "nt":  # a console there takes characters, not bytes
            _pipe.write(data)
        else:
            print(data.decode(encoding), end="", file=sys.stderr, flush=True)
