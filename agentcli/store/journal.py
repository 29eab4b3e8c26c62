"""The turn in flight, on disk before anything acts on it.

`<id>.journal` exists only while a turn runs, or after the program died in one. Its first line is the `Header`: which revision of the
document the turn stands on, how many of its messages are still part of the thread (`messages`; fewer than it has after /undo or
/retry), the messages that the thread has beyond those (`said`), and whether the turn goes on with an answer that was cut off, the last
of them (`goes_on`). A thread that was never saved has revision 0 and everything in its header, so it exists from its first word on.
Then comes one event a line, as `--jsonl` would print it.

What is promised, and how:

- A message, the start of a tool and its result are written and fsynced before `record()` returns; so whoever asks the agent for the
  next event only after that has on disk everything that was ever acted on.
- Pieces of a running answer come by the thousand. They are gathered for a twentieth of a second, so that a process that dies loses
  no more than that, and fsynced once a second, so that a power cut loses no more than that. `flush()` does both at once: call it when
  the model falls silent.
- Reading it again (replay.py) is the same fold as the live path: messages appended, pieces of the unfinished answer joined by `Draft`
  into a message marked `crashed` (behind the answer that they go on with, if they do), then `Thread.settle()` with the results that
  are known. Only what the turn's own agent said counts; what nested agents did is in the journal and not in the thread.
- A last line that is torn was never acted on, and is ignored. Reading stops at a line that is damaged.
- A journal whose revision is not the document's is stale: the process died after replacing the document and before removing the
  journal. A journal that stands on no document's messages (`messages` 0) is only stale for a newer document.

A document is replaced by `commit()`. If that fails, the thread is `dirty`: the journal stays and still holds the turn, the next turn
gets a new journal that holds the unsaved messages too, and the next `commit()` saves all of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import EIO
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

from agentcli.core.document import encode
from agentcli.core.event import (
    Event,
    MessageAdded,
    NotCompacted,
    ReasoningDelta,
    Retrying,
    TextDelta,
    ToolProgress,
    TurnEnded,
    Waiting,
)
from agentcli.core.message import Message
from agentcli.core.thread import Thread
from agentcli.store import disk
from agentcli.store.blobs import written
from agentcli.store.lock import Lock
from agentcli.store.replay import Header

__all__ = ["Writer", "stored", "unsaved"]

GATHER = 0.05  # seconds that pieces of an answer may wait in this process
SYNC = 1.0  # seconds that written pieces may wait for the disk
FULL = 64 * 1024  # bytes

_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_PASSING = (Waiting, Retrying, NotCompacted, ToolProgress)  # true for a moment only: nothing of the thread comes from them


class Writer:
    """A thread held for writing: `begin()`, `record()` each event, `commit()`; `close()` gives the thread free again.

    `stow` takes the large attachments out of a message, `save` replaces the document: the store has both.
    """

    def __init__(
        self,
        thread: Thread,
        journal: Path,
        lock: Lock,
        *,
        save: Callable[[Thread], None],
        stow: Callable[[Message], Message],
    ) -> None:
        self.thread = thread
        self.dirty = False
        self._journal = journal
        self._lock = lock
        self._save = save
        self._stow = stow
        self._source = ""
        self._encode_into = msgspec.json.Encoder().encode_into
        self._gathered = bytearray()
        self._descriptor = -1
        self._size = 0
        self._unsafe = False
        self._written = 0.0
        self._synced = 0.0

    def begin(
        self, source: str = "agentcli", model: str | None = None, instead_of: Sequence[Message] = (), *, goes_on: bool = False
    ) -> None:
        """Start the journal of a turn. `source` is the agent's name, `model` what answers if it is not the thread's own.

        `instead_of` is the old answer that was taken out of the thread to make room for a new one: it stays on the disk until then.
        `goes_on`: the pieces that come first belong to the answer that the thread ends with.
        """
        thread = self.thread
        base = thread.__dict__.get("stored", ())
        messages = [*thread.messages, *instead_of]
        shared = _shared(base, messages)
        header = Header(
            id=thread.id,
            revision=thread.revision,
            messages=shared,
            source=source,
            title=thread.title,
            created=thread.created,
            agent=thread.agent,
            model=model or thread.model,
            parent=thread.parent,
            said=[self._stow(message) for message in messages[shared:]],
            instead=len(thread.messages) if instead_of else None,
            compactions=thread.compactions,
            goes_on=goes_on,
        )
        line = encode(replace(header, said=[written(message) for message in header.said])) + b"\n"
        disk.replace(self._journal, line)  # a journal that holds an unsaved turn is replaced by one that holds it too
        self._shut()
        try:
            self._descriptor = os.open(self._journal, _APPEND)
        except OSError as error:
            raise disk.SaveError(self._journal, error) from error
        self._source = source
        self._size = len(line)
        self._unsafe = False
        self._gathered.clear()
        self._written = self._synced = monotonic()

    def record(self, event: Event) -> None:
        """Write an event down. Everything but a piece of the answer is on the disk when this returns."""
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta:
            if event.source != self._source:
                return
            self.dirty = True
            gathered = self._gathered
            try:
                self._encode_into(event, gathered, -1)
            except UnicodeEncodeError:
                gathered += encode(event)
            gathered += b"\n"
            if (time := monotonic()) - self._written >= GATHER or len(gathered) >= FULL:
                self._write(sync=time - self._synced >= SYNC)
            return
        if kind in _PASSING:
            return
        if isinstance(event, MessageAdded):
            event = replace(event, message=written(self._stow(event.message)))
        self.dirty = True
        self._gathered += encode(event) + b"\n"
        if kind is not TurnEnded:  # commit() comes next
            self._write(sync=True)

    def flush(self) -> None:
        """Bring to the disk what is gathered. Whoever pulls the turn calls this every now and then, for when nothing else comes."""
        if self._descriptor >= 0 and (self._gathered or self._synced < self._written):
            self._write(sync=True)

    def commit(self) -> None:
        """Replace the document by the thread as it is now, and end the journal. Returns only when that is safe on the disk."""
        thread = self.thread
        self.dirty = True
        thread.revision += 1
        try:
            self._save(thread)
        except BaseException as error:
            if isinstance(error, disk.SaveError) and not error.replaced:
                thread.revision -= 1
            else:
                unsaved(thread)
            with suppress(disk.SaveError):
                self.flush()
            raise
        self.dirty = False
        self._shut()
        self._gathered.clear()
        with suppress(disk.SaveError):  # it is stale now
            disk.remove(self._journal)

    def close(self) -> None:
        """Give the thread free. A turn that was not committed stays in the journal, and comes back when the thread is opened."""
        try:
            self.flush()
        finally:
            empty = self._descriptor >= 0 and not self.dirty
            self._shut()
            if empty:
                with suppress(disk.SaveError):
                    disk.remove(self._journal)
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _write(self, *, sync: bool) -> None:
        if self._descriptor < 0:
            raise RuntimeError("begin() comes before record()")
        try:
            if self._unsafe:
                raise OSError(EIO, os.strerror(EIO))
            if self._gathered:
                self._append()
            self._written = monotonic()
            if sync:
                self._unsafe = True  # after a failed fsync the next one may succeed over a hole: this file is not to be trusted again
                os.fsync(self._descriptor)
                self._unsafe = False
                self._synced = self._written
        except OSError as error:
            raise disk.SaveError(self._journal, error) from error

    def _append(self) -> None:
        try:
            disk.write_all(self._descriptor, bytes(self._gathered))
        except BaseException:
            with suppress(OSError):  # no half line may stand before the next whole one
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(self._gathered)
        self._gathered.clear()

    def _shut(self) -> None:
        if self._descriptor >= 0:
            disk.close(self._descriptor)
            self._descriptor = -1


def stored(thread: Thread) -> None:
    """Remember that the document of this revision has exactly these messages."""
    thread.__dict__["stored"] = tuple(thread.messages)


def unsaved(thread: Thread) -> None:
    """Forget it: the document on the disk may be this revision or the one before."""
    thread.__dict__.pop("stored", None)


def _shared(base: tuple[Message, ...], messages: list[Message]) -> int:
    """How many messages the two begin with in common."""
    count = 0
    for one, other in zip(base, messages, strict=False):
        if one is not other and one != other:
            break
        count += 1
    return count
