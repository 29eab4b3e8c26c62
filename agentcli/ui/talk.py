"""What the program says to a person: on stderr, because stdout is for data.

Errors are two lines: `error: …`, what happened, and after a blank line `hint: …`, what to do about it. Everything that is said passes
`visible()`: a message may quote a model, a server or a file name.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from agentcli.errors import UserError
from agentcli.ui.sanitise import visible

__all__ = ["colours", "say", "say_error", "seconds"]

_RED, _DIM, _BOLD_OFF, _PLAIN = "\x1b[1;31m", "\x1b[2m", "\x1b[22m", "\x1b[0m"


def colours(fd: int = 2) -> bool:
    """May what goes to this file descriptor be coloured?"""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("dumb", ""):
        return False
    try:
        return os.isatty(fd)
    except OSError:
        return False


def seconds(delay: float) -> str:
    """A time to wait, in words."""
    return f"{delay:.1f} s" if delay < 1 else f"{delay:.0f} s"


def say(text: str, *, dim: bool = False) -> None:
    """One notice."""
    _write(f"{_DIM}{visible(text)}{_PLAIN}" if dim and colours() else visible(text))


def say_error(error: UserError) -> None:
    """What happened, and what to do about it."""
    label = f"{_RED}error:{_PLAIN}" if colours() else "error:"
    _write(f"{label} {visible(error.message)}")
    if error.hint:
        hint = f"{_DIM}hint:{_PLAIN}" if colours() else "hint:"
        _write(f"\n{hint} {visible(error.hint)}")


def _write(text: str) -> None:
    if sys.stderr is None:  # started with a closed stderr
        return
    with suppress(OSError, ValueError):
        encoding = sys.stderr.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)
