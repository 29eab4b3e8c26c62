"""How a file is read and how it is replaced.

A file of ours is never written in place. `replace()` is the only way, and its order is the promise:

1. a temporary file in the same folder, created new (O_EXCL) with mode 600 and a name nobody else uses
2. all bytes written, then fsync: the bytes are on the disk before any name points to them
3. os.replace: at every instant the name means the whole old file or the whole new one
4. fsync of the folder: the new name survives a power cut
5. only then does it return, and only then may a user be told "saved"

When a step fails, the temporary file is removed and `SaveError` says what to do; the next try makes a new file, because after a failed
fsync the kernel may have dropped what it could not write. `SaveError.replaced` says that step 3 had been done: the new file is there,
but a power cut may take it back.

It is all synchronous. A save in another thread could land after a newer one, and an `await` in a saving `finally` is lost to the
second cancellation.

`read()` never blocks and never reads what is not a plain file: a FIFO put in place of a thread must not hang the program.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOSPC, EPERM, EROFS
from pathlib import Path

from agentcli.errors import Exit, UserError

__all__ = [
    "LIMIT",
    "ReadError",
    "SaveError",
    "close",
    "create_folder",
    "read",
    "remove",
    "replace",
    "set_aside",
    "signature",
    "sync_folder",
    "write_all",
]

LIMIT = 512 << 20  # bytes; what is larger is no thread of ours

# Flags that one platform or the other does not have.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_HINTS = {
    ENOSPC: "Free some space on that disk, then try again.",
    EDQUOT: "Your quota on that disk is used up. Free some space, then try again.",
    EFBIG: "The file is larger than this system allows (see `ulimit -f`).",
    EACCES: "See who owns that folder and whether you may write there, or set AGENTCLI_HOME to another one.",
    EPERM: "See who owns that folder and whether you may write there, or set AGENTCLI_HOME to another one.",
    EROFS: "That file system is read-only. Set AGENTCLI_HOME to a folder that can be written.",
    EIO: "The disk reports an error. Look at the system's log, and keep a copy elsewhere.",
    EMFILE: "Too many files are open (see `ulimit -n`).",
    ENFILE: "Too many files are open on this machine.",
}


class SaveError(UserError):
    """Not saved. `replaced`: the new file is in place, but it is not certain to survive a power cut."""

    def __init__(self, path: Path, error: OSError, *, replaced: bool = False, doing: str = "save") -> None:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = _HINTS.get(error.errno or 0, "See whether that folder exists and can be written.")
        super().__init__(f"cannot {doing} {path}: {reason}", hint=hint, exit_code=Exit.FAILED)
        self.replaced = replaced


class ReadError(ValueError):
    """The file is there and cannot be read; the text says why, without the path."""


def replace(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Make `path` mean exactly `data`, or leave it as it was. `durable=False` is for what can be made again, such as a cache."""
    folder = path.parent
    temporary = folder / f".{path.name}.{os.getpid()}-{os.urandom(6).hex()}.tmp"
    replaced = False
    try:
        create_folder(folder)
        try:
            _write(os.open(temporary, _CREATE, 0o600), data, durable=durable)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        replaced = True
        if durable:
            sync_folder(folder)
    except OSError as error:
        raise SaveError(path, error, replaced=replaced) from error


def _write(descriptor: int, data: bytes, *, durable: bool) -> None:
    try:
        write_all(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """os.write until everything is written: it may take less than it was given."""
    with memoryview(data) as rest:
        done = 0
        while done < len(rest):
            done += os.write(descriptor, rest[done:])


def create_folder(folder: Path) -> None:
    """The folder and those above it, each new one with mode 700 and safe from a power cut."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder == folder.parent:
            break
        folder = folder.parent
    for new in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(new, 0o700)
        with suppress(PermissionError):  # a folder above ours that may be passed through but not read
            sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows: a folder cannot be opened, and NTFS journals its names itself
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, limit: int = LIMIT) -> bytes:
    """All of a plain file. FileNotFoundError if there is none, ReadError if it is something else, too large, or forbidden."""
    with _reasons():
        descriptor = os.open(path, _READ)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ReadError(f"it is {_kind(status.st_mode)}, not a file")
        if status.st_size > limit:
            raise ReadError(f"it has {status.st_size} bytes; at most {limit} are read")
        with _reasons():
            data = os.read(descriptor, status.st_size + 1)
            if len(data) != status.st_size:
                data = _read_rest(descriptor, data, limit)
    finally:
        close(descriptor)
    return data


def close(descriptor: int) -> None:
    """Close a file of which nothing is to be learned any more: it was only read, or fsynced."""
    with suppress(OSError):
        os.close(descriptor)


@contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ReadError(os.strerror(error.errno) if error.errno else str(error)) from error


def _read_rest(descriptor: int, data: bytes, limit: int) -> bytes:
    """A file that is larger than one read takes, or that somebody is writing."""
    pieces = [data]
    size = len(data)
    while piece := os.read(descriptor, 1 << 24):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise ReadError(f"it has more than {limit} bytes")
    return b"".join(pieces)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a FIFO" if stat.S_ISFIFO(mode) else "a device or socket"


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SaveError(path, error, doing="remove") from error


def signature(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced or written: inode, time and size. None if there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _free_name(path: Path) -> Path:
    """`<name>.damaged-<n>`, the first one that is not taken."""
    number = 1
    while os.path.lexists(free := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    return free


def set_aside(path: Path, *, copy: bool = False) -> Path:
    """Give a file that is in the way another name: nothing of it is changed, nothing is overwritten. `copy` leaves the old name too,
    where the file system can, so that `replace()` may follow and at no instant there is no file."""
    aside = _free_name(path)
    try:
        try:
            if not copy:
                raise OSError
            os.link(path, aside)
        except OSError:
            os.rename(path, aside)
        sync_folder(path.parent)
    except OSError as error:
        raise SaveError(path, error, doing="rename") from error
    return aside
