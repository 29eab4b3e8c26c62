"""Files that may be lost: what a server listed today, what a package knows. Nothing here ever fails: such a file is there or not.

A file is replaced as a whole, by one of the same folder that is moved over it, and is readable for its owner alone. It is not synced:
after a power cut it is empty or old, and is made again.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["keep", "kept"]

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def kept(path: Path, most: int) -> bytes:
    """All of a plain file of at most so many bytes; nothing if there is none, or something else."""
    try:
        descriptor = os.open(path, _READ)
    except (OSError, ValueError):
        return b""
    try:
        with suppress(OSError):
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_size <= most:
                with open(descriptor, "rb", closefd=False) as file:
                    return file.read(status.st_size)
        return b""
    finally:
        os.close(descriptor)


def keep(path: Path, data: bytes) -> bool:
    """Make `path` mean this data, or leave it as it was. False: it could not be kept."""
    temporary = path.parent / f".{path.name}.{os.getpid()}-{os.urandom(6).hex()}.tmp"
    try:
        _create_folder(path.parent)
        descriptor = os.open(temporary, _CREATE, 0o600)
        try:
            with open(descriptor, "wb", closefd=True) as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except (OSError, ValueError):
        return False
    return True


def _create_folder(folder: Path) -> None:
    """The folder and those above it, each new one closed to others."""
    if not folder.is_dir():
        if folder != folder.parent:
            _create_folder(folder.parent)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
