"""What goes wrong, and the exit code that says so.

Every fault that a person should read is a `UserError`: one sentence saying what happened, and a hint saying what to do about it.
The command line prints `error: …`, a blank line, `hint: …`, and leaves with `exit_code`. Anything else that escapes is a fault
of ours. The table of exit codes is the contract with scripts; docs/reference/exit-codes.md says the same to users.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit", "UserError"]


class Exit(IntEnum):
    """Exit codes: sysexits(3) where it has one, the shell's 128 + signal for signals, timeout(1)'s 124."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DATA = 65
    UNAVAILABLE = 69
    TRY_LATER = 75
    DENIED = 77
    CONFIG = 78
    TIMED_OUT = 124
    HUNG_UP = 129
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


class UserError(Exception):
    """A fault told to a person: what happened, what to do, and the exit code for scripts."""

    def __init__(self, message: str, *, hint: str = "", exit_code: int = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
