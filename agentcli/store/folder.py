"""The files of single threads in a folder: document, journal and lock, and how they go together.

`load()` is the document alone. `seen()` adds what a journal has, and writes nothing. `recover()` does so under the lock, saves it, and
removes the journal. What cannot be understood is never removed: a document is left where it is, a journal that is in the way is set
aside under another name.
"""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path

import msgspec

from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.store import disk, journal, replay
from agentcli.store.blobs import Blobs, written
from agentcli.store.lock import PATIENCE, Lock

__all__ = ["DamagedError", "Folder"]


class DamagedError(UserError):
    """A file of a thread that cannot be read, and was left as it is."""

    def __init__(self, path: Path, reason: str, hint: str) -> None:
        super().__init__(f"cannot read {path}: {reason}", hint=f"The file was left as it is. {hint}", exit_code=Exit.DATA)
        self.reason = reason


class Folder:
    """Where threads are. `name` is always a whole, valid id."""

    def __init__(self, path: Path, blobs: Blobs) -> None:
        self.path = path
        self.blobs = blobs

    def document(self, name: str) -> Path:
        return self.path / f"{name}.json"

    def journal(self, name: str) -> Path:
        return self.path / f"{name}.journal"

    def lock(self, name: str, patience: float = PATIENCE) -> Lock:
        return Lock.take(self.path / f"{name}.lock", f"thread {name}", patience)

    def has_document(self, name: str) -> bool:
        """Whatever it is: also a broken link or a FIFO is not to be overwritten."""
        return os.path.lexists(self.document(name))

    def has_journal(self, name: str) -> bool:
        return self.journal(name).is_file()

    def has(self, name: str) -> bool:
        return self.has_document(name) or self.has_journal(name)

    def decode(self, name: str, data: bytes) -> Thread:
        """The thread in a document of that name, or a ValueError that says what is wrong."""
        thread = Thread.load(data)
        if thread.id != name:
            raise ValueError(f"it says that its id is {ascii(thread.id)[:40]}: a copy under another name?")
        thread.created, thread.updated = (
            when if when.tzinfo else when.replace(tzinfo=UTC) for when in (thread.created, thread.updated)
        )
        journal.stored(thread)
        return thread

    def load(self, name: str) -> Thread:
        """The document as it is on the disk. UserError if it cannot be had; then it is left as it is."""
        path = self.document(name)
        try:
            return self.decode(name, disk.read(path))
        except FileNotFoundError:
            raise UserError(f"no thread {name}", hint="It was deleted just now.", exit_code=Exit.USAGE) from None
        except ValueError as error:
            newer = "this version reads" in str(error)
            hint = "Update agentcli to read it." if newer else f"`agentcli threads check --repair {name}` saves what can be saved."
            raise DamagedError(path, str(error), hint) from error

    def seen(self, name: str) -> Thread:
        """The thread with its journal, and nothing written."""
        document = self.load(name) if self.has_document(name) else None
        try:
            found = replay.read(self.journal(name), name)
        except (ValueError, OSError) as error:
            if document:
                return document
            raise self._lost(name, str(error)) from error
        if found.fits(document):
            return replay.apply(found, document)
        if document:
            return document
        raise self._lost(name, "the document it goes on from is missing")

    def recover(self, name: str) -> Thread:
        """The thread with its journal, saved. The caller holds the lock. Without a journal, the document."""
        path = self.journal(name)
        document = self.load(name) if self.has_document(name) or not self.has_journal(name) else None
        try:
            found = replay.read(path, name)
        except FileNotFoundError:
            return document or self.load(name)
        except (ValueError, OSError) as error:
            if document is None:
                raise self._lost(name, str(error)) from error
            disk.set_aside(path)
            return document
        if not found.fits(document):
            if document is None:
                raise self._lost(name, "the document it goes on from is missing")
            if found.header.revision < document.revision:
                disk.remove(path)  # the program died between replacing the document and removing this
            else:
                disk.set_aside(path)
            return document
        thread = replay.apply(found, document)
        if not thread.messages and document is None:
            disk.remove(path)
            raise UserError(f"no thread {name}", hint="Nothing had been said in it.", exit_code=Exit.USAGE)
        thread.revision += 1
        try:
            self.write(thread)
        except disk.SaveError as error:
            if error.replaced:
                raise
            thread.revision -= 1
            return thread  # the journal stays, and the next one tries again
        if found.whole:
            disk.remove(path)
        else:
            disk.set_aside(path)
        return thread

    def write(self, thread: Thread) -> None:
        """Replace the document, attachments first. The caller holds the lock."""
        thread.messages[:] = [self.blobs.stow(message) for message in thread.messages]
        bare = [written(message) for message in thread.messages]
        whole = thread
        if any(one is not other for one, other in zip(bare, thread.messages, strict=True)):
            whole = msgspec.structs.replace(thread, messages=bare)
            whole.unknown.update(thread.unknown)
        disk.replace(self.document(thread.id), whole.dump())
        journal.stored(thread)

    def _lost(self, name: str, reason: str) -> DamagedError:
        return DamagedError(self.journal(name), reason, "`agentcli threads check` says more.")
