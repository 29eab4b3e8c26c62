"""What the program says to a person: on stderr, because stdout is for data.

Errors are two lines: `error: …`, what happened, and after a blank line `hint: …`, what to do about it. Everything that is said passes
`visible()`: a message may quote a model, a server or a file name.

Not all of it is written to stderr here. While a turn runs, what is said can go `through` a pipe that does not wait for whoever reads
stderr. While a prompt stands on the screen, it goes `into` what prints above the prompt; lines are then broken at that one's width.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agentcli.errors import UserError
from agentcli.ui import theme
from agentcli.ui.ability import dumb
from agentcli.ui.sanitise import visible
from agentcli.ui.terminal import write_whole
from agentcli.ui.theme import Role, paint

if TYPE_CHECKING:
    from agentcli.ui.pipe import Pipe

__all__ = ["colours", "heard", "into", "no_colours", "say", "say_error", "seconds", "through"]


class _Way:
    """Where what is said goes: what takes it, how wide that is (0: no terminal), the descriptor of the terminal behind it, and the
    pipe in which it may wait."""

    def __init__(self, write: Callable[[str], None], columns: Callable[[], int], fd: int, pipe: Pipe | None = None) -> None:
        self.write = write
        self.columns = columns
        self.fd = fd
        self.pipe = pipe


def no_colours() -> None:
    """From now on nothing is coloured: `--plain`."""
    theme.forbid()


def colours(fd: int = 2) -> bool:
    """May what goes to this file descriptor be coloured?"""
    if not theme.current().colours or os.environ.get("NO_COLOR") or dumb():
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
    way = _way
    text = _fitted(visible(text), way) if end == "\n" else visible(text)  # a piece of a line may stand anywhere in it
    way.write((paint("dim", text) if dim and colours(way.fd) else text) + end)


async def heard() -> None:
    """Wait until all that was said is written: before a question, for instance."""
    if _way.pipe:
        await _way.pipe.drain()


def say_error(error: UserError) -> None:
    """What happened, and what to do about it."""
    way = _way
    hint = "\n" + _labelled("hint:", "dim", error.hint, way) if error.hint else ""
    way.write(_labelled("error:", "error", error.message, way) + hint)


@contextmanager
def through(pipe: Pipe) -> Iterator[None]:
    """Within the block, what is said goes this way to stderr."""
    write = _to_stderr if os.name == "nt" else lambda text: _to_pipe(pipe, text)  # a console there takes characters, not bytes
    with _by(_Way(write, _columns_of_stderr, 2, pipe)):
        yield


@contextmanager
def into(write: Callable[[str], None], *, columns: Callable[[], int], fd: int = 1) -> Iterator[None]:
    """Within the block, what is said goes to `write`, in whole lines but where `say` was told another end. It is `columns` wide, and
    what it writes comes to the terminal at `fd`. It may be called by any thread."""
    with _by(_Way(write, columns, fd)):
        yield


@contextmanager
def _by(way: _Way) -> Iterator[None]:
    global _way
    before, _way = _way, way
    try:
        yield
    finally:
        _way = before


def _labelled(label: str, role: Role, text: str, way: _Way) -> str:
    line = _fitted(f"{label} {visible(text)}", way) + "\n"
    return paint(role, label) + line.removeprefix(label) if colours(way.fd) else line


def _fitted(text: str, way: _Way) -> str:
    """The text with its lines broken between words where a terminal would break them anywhere."""
    width = way.columns()
    if width < 20 or all(len(line) <= width for line in text.split("\n")):
        return text
    from textwrap import wrap

    fitted: list[str] = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        fitted += wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [line]
    return "\n".join(fitted)


def _columns_of_stderr() -> int:
    try:
        return os.get_terminal_size(2).columns
    except (OSError, ValueError):  # not a terminal
        return 0


def _to_stderr(text: str) -> None:
    if sys.stderr is None:  # started with a closed stderr
        return
    write_whole(sys.stderr, text, "backslashreplace")


def _to_pipe(pipe: Pipe, text: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            pipe.write(text.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))


_way = _Way(_to_stderr, _columns_of_stderr, 2)
