"""One writer for a thread.

The owner holds an advisory lock (flock; a locked byte on Windows) on `<id>.lock`, a file of its own that is never replaced or renamed.
The operating system drops the lock when the process ends, however it ends, so a dead owner holds nothing and there is no stale lock to
guess about; what the file says (process, program, host, since) is only for the message.

The file is removed by its owner while the lock is still held, so that ten thousand threads do not leave ten thousand lock files.
That alone would be the classic race (one process waits on the file that another has just removed, while a third makes a new one), so
nobody believes a lock before having seen that the name still means the file that was locked.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from agentcli.core.message import now
from agentcli.errors import UserError
from agentcli.store import disk

__all__ = ["PATIENCE", "BusyError", "Lock"]

PATIENCE = 0.3  # seconds: a save by another process is over by then, a chat is not
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


if sys.platform == "win32":
    import msvcrt

    def _try(descriptor: int) -> bool:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # beyond what others read: Windows locks are mandatory
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def _try(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class _Owner(Struct, frozen=True):
    """Who holds a lock."""

    pid: int
    program: str
    host: str
    since: datetime


class BusyError(UserError):
    """A live process has the thread. `ours`: this very one has it, under another lock."""

    def __init__(self, what: str, owner: _Owner | None) -> None:
        self.ours = owner is not None and owner.pid == os.getpid() and owner.host == _host()
        if owner is None:
            by = "another process"
        elif self.ours:
            by = "this program already"
        else:
            by = _named(owner)
        hint = "Go on there, or work on a copy with --fork." if self.ours else "Leave it there first, or work on a copy with --fork."
        super().__init__(f"{what} is in use by {by}", hint=hint)


class Lock:
    """Held from `take()` to `release()`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, what: str, patience: float = PATIENCE) -> Lock:
        """The lock, or BusyError, which says who has it. `what` is named in that message."""
        end = monotonic() + patience
        while True:
            try:
                descriptor = _take(path)
            except OSError as error:
                raise disk.SaveError(path, error, doing="lock") from error
            if descriptor is not None:
                lock = cls(path, descriptor)
                lock._sign()
                return lock
            if monotonic() >= end:
                raise BusyError(what, _owner(path))
            sleep(0.01)

    def _sign(self) -> None:
        owner = _Owner(os.getpid(), "agentcli", _host(), now())
        with suppress(OSError):  # a full disk must not keep a thread from being saved elsewhere
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, msgspec.json.encode(owner) + b"\n")

    def release(self) -> None:
        if self._descriptor < 0:
            return
        with suppress(OSError):  # Windows does not remove an open file; the next owner will use it again
            os.unlink(self._path)
        disk.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _take(path: Path) -> int | None:
    disk.create_folder(path.parent)
    descriptor = os.open(path, _OPEN, 0o600)
    try:
        if _owned(path, descriptor):
            return descriptor
    except BaseException:
        disk.close(descriptor)
        raise
    disk.close(descriptor)
    return None


def _owned(path: Path, descriptor: int) -> bool:
    """Lock the open file, if nobody has it and the name still means it."""
    try:
        return _try(descriptor) and os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _owner(path: Path) -> _Owner | None:
    try:
        return msgspec.json.decode(disk.read(path, 4096), type=_Owner)
    except (OSError, ValueError):
        return None


def _named(owner: _Owner) -> str:
    since = owner.since.astimezone()
    when = since.strftime("%H:%M" if since.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")
    host = "" if owner.host == _host() else f" on {owner.host}"
    return f"{owner.program}, process {owner.pid}{host}, since {when}"


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
