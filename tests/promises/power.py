"""A disk that loses power.

The model is the contract that POSIX and careful file systems keep, and no more: bytes of a file are safe after fsync of the file,
names are safe after fsync of their folder. At a power cut, of the bytes not yet safe none, half or all may be there, and of the names
not yet safe any selection. `Disk` is told what was done, and says every state that a cut at this instant could leave.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

__all__ = ["Disk"]


class _File:
    def __init__(self) -> None:
        self.safe = b""
        self.data = b""

    def left(self) -> set[bytes]:
        if self.safe == self.data:
            return {self.data}
        if self.data.startswith(self.safe):
            return {self.safe, self.data[: (len(self.safe) + len(self.data)) // 2], self.data}
        return {self.safe, b"", self.data[: len(self.data) // 2], self.data}


class Disk:
    """What is in a folder, what of that is safe, and what is on its way."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self._safe: dict[str, _File] = {}
        self._names: dict[str, _File] = {}
        self._pending: list[tuple[str, str | None, _File | None]] = []  # (name, old name, file); no file: removed
        self._open: dict[int, _File | None] = {}
        for entry in os.scandir(folder):
            file = self._safe[entry.name] = self._names[entry.name] = _File()
            file.safe = file.data = Path(entry.path).read_bytes()

    def did(self, call: str, args: tuple[Any, ...], result: Any) -> None:
        """Take in a call that was made."""
        match call:
            case "open" if str(args[0]) == self.folder:
                self._open[result] = None
            case "open" if (name := self._name(args[0])) is not None:
                if name not in self._names:
                    self._link(name, _File())
                elif args[1] & os.O_TRUNC:
                    self._names[name].data = b""
                self._open[result] = self._names[name]
            case "write" if args[0] in self._open and (file := self._open[args[0]]):
                file.data += bytes(args[1][:result])
            case "ftruncate" if args[0] in self._open and (file := self._open[args[0]]):
                file.data = file.data[: args[1]]
            case "fsync" if args[0] in self._open:
                if file := self._open[args[0]]:
                    file.safe = file.data
                else:
                    for change in self._pending:
                        _apply(self._safe, change)
                    self._pending.clear()
            case "close":
                self._open.pop(args[0], None)
            case "replace" | "rename" if (name := self._name(args[1])) is not None:
                old = self._name(args[0]) or ""
                file = self._names.pop(old)
                self._names[name] = file
                self._pending.append((name, old, file))
            case "link" if (name := self._name(args[1])) is not None:
                self._link(name, self._names[self._name(args[0]) or ""])
            case "unlink" if (name := self._name(args[0])) is not None:
                del self._names[name]
                self._pending.append((name, None, None))

    def cuts(self) -> Iterator[dict[str, bytes]]:
        """Every content of the folder that a power cut now could leave."""
        pending = self._pending
        if len(pending) <= 5:
            selections = list(product((False, True), repeat=len(pending)))
        else:  # too many for all of them: every beginning
            selections = [tuple(at < count for at in range(len(pending))) for count in range(len(pending) + 1)]
        for selection in selections:
            names = dict(self._safe)
            for change, kept in zip(pending, selection, strict=True):
                if kept:
                    _apply(names, change)
            shown = sorted(name for name in names if not name.startswith(".") and not name.endswith(".lock"))
            for contents in product(*(sorted(names[name].left()) for name in shown)):
                yield dict(zip(shown, contents, strict=True))

    def _name(self, path: Any) -> str | None:
        folder, _, name = str(path).rpartition(os.sep)
        return name if folder == self.folder else None

    def _link(self, name: str, file: _File) -> None:
        self._names[name] = file
        self._pending.append((name, None, file))


def _apply(names: dict[str, _File], change: tuple[str, str | None, _File | None]) -> None:
    name, old, file = change
    if old:
        names.pop(old, None)
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file
