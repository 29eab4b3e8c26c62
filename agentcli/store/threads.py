"""Saved conversations: one folder, one document each.

`<id>.json` is a thread: human-readable, always whole, replaced and never edited (disk.py). `<id>.journal` is there while a turn runs
or after the program died in one (journal.py), `<id>.lock` while somebody may write (lock.py).

`Store` is what the rest of the program sees. Its promises:

- A document that cannot be read, or that a newer version wrote, is left byte for byte as it is and named, with the way out.
- Whoever writes holds the lock, and has seen that the document is still the one it read: an update is never lost to a second process.
- A document that something else wrote meanwhile, without a lock, is set aside under another name and not overwritten.
- `open()` brings back what a dead process left in a journal, saves it, and only then removes the journal. With a living owner it
  touches nothing.

Names come from people and may be anything: they are understood as an id, or refused before they touch the file system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentcli.core.message import Blob, new_id, speakable
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.store import disk, index, journal
from agentcli.store.blobs import Blobs
from agentcli.store.folder import Folder
from agentcli.store.index import Row
from agentcli.store.journal import Writer
from agentcli.store.lock import BusyError, Lock
from agentcli.store.search import Hit, found, suspect, together

if TYPE_CHECKING:
    from agentcli.store.repair import Finding

__all__ = ["Store"]

_READ_AS = str.maketrans("ilo", "110")  # letters that Crockford's base32 leaves out because they are read as digits
_SHOWN = 10  # candidates


class Store:
    """The threads in one folder."""

    def __init__(self, threads: Path, blobs: Path, cache: Path) -> None:
        self.threads = threads
        self.blobs = Blobs(blobs)
        self._folder = Folder(threads, self.blobs)
        self._cache = cache / "threads"

    def path(self, name: str) -> Path:
        """Where the document of a thread is, or would be."""
        return self._folder.document(name)

    def resolve(self, prefix: str) -> str:
        """The id that begins with what was typed."""
        typed = prefix.lower().translate(_READ_AS) if len(prefix) <= 8 else ""
        known: list[str] = []
        if typed and index.ID.fullmatch(typed.ljust(8, "0")):
            if len(typed) == 8 and self._folder.has(typed):
                return typed
            known = [name for name in index.names(self.threads) if name.startswith(typed)]
        if len(known) == 1:
            return known[0]
        shown = ascii(prefix) if len(prefix) <= 40 else f"{prefix[:40]!a}…"
        if not known:
            raise UserError(f"no thread {shown}", hint=self._nearest(prefix), exit_code=Exit.USAGE)
        candidates = [row for row in self.rows() if row.id in known]
        raise UserError(
            f"{shown} is the beginning of {len(known)} threads",
            hint=f"Type more of the one that is meant:{_listed(candidates)}",
            exit_code=Exit.USAGE,
        )

    def _nearest(self, prefix: str) -> str:
        from difflib import SequenceMatcher

        wanted = prefix[:60].casefold()
        rows = [row for row in self.rows() if row.damaged is None][:1000]
        if not rows:
            return "There are no saved threads yet."

        def likeness(row: Row) -> float:
            title = row.title[:60].casefold()
            if len(wanted) > 2 and wanted in title:
                return 1.0
            return max(SequenceMatcher(None, wanted, other).ratio() for other in (row.id, title))

        near = sorted(rows, key=likeness, reverse=True)[:3]
        return f"`agentcli threads list` shows all of them. The nearest:{_listed(near)}"

    def rows(self) -> list[Row]:
        """All threads, newest first; what cannot be read is among them and says why."""
        return index.rows(self._folder, self._cache)

    def latest(self) -> str | None:
        """The thread that was changed last."""
        return next((row.id for row in self.rows() if row.damaged is None), None)

    def search(self, text: str) -> Iterator[Hit]:
        """Each line of each message that contains the text, newest thread first."""
        if not text:
            return
        in_flight = index.in_flight(self.threads)
        for row in self.rows():
            if row.damaged is None and (thread := self._that_may_say([text], row, in_flight)):
                yield from found(text, row, thread.messages)

    def find(self, wanted: Iterable[tuple[Row, Sequence[str]]]) -> Iterator[Hit | None]:
        """For each thread, one after the other: a line of it, if every one of its words is said somewhere in it."""
        in_flight = index.in_flight(self.threads)
        for row, words in wanted:
            thread = self._that_may_say(words, row, in_flight)
            yield together(words, row, thread.messages) if thread else None

    def _that_may_say(self, texts: Sequence[str], row: Row, in_flight: set[str]) -> Thread | None:
        """The thread, unless one of the texts is certainly not in it, or it was removed or damaged since it was listed."""
        try:
            if row.id in in_flight:
                return self._folder.seen(row.id)
            data = disk.read(Path(row.path))
            return self._folder.decode(row.id, data) if all(suspect(text)(data) for text in texts) else None
        except (OSError, ValueError, UserError):
            return None

    def seen(self, name: str) -> Thread:
        """A thread, with what its journal has, by its whole id. Nothing is written, and whoever holds it is not disturbed."""
        return self._folder.seen(name)

    def open(self, prefix: str) -> Thread:
        """A thread as it was left, with what a dead process had not saved yet."""
        folder = self._folder
        name = self.resolve(prefix)
        if not folder.has_journal(name):
            return folder.load(name)
        try:
            lock = folder.lock(name, patience=0)
        except BusyError:
            return folder.load(name) if folder.has_document(name) else folder.seen(name)
        except disk.SaveError:  # a folder that cannot be written
            return folder.seen(name)
        with lock:
            return folder.recover(name)

    def save(self, thread: Thread) -> None:
        """Write a thread once: a new one, or one that nobody has changed since it was opened."""
        with self.hold(thread) as writer:
            writer.commit()

    def hold(self, thread: Thread) -> Writer:
        """Hold a thread for writing. UserError if another process does, or has changed it since it was opened here."""
        if not index.ID.fullmatch(thread.id):  # it becomes the name of a file
            raise UserError(f"{ascii(thread.id)[:40]} is not the id of a thread", hint="Leave the id out: a new thread makes its own.")
        lock = self._folder.lock(thread.id)
        try:
            revision = self._folder.recover(thread.id).revision if self._folder.has(thread.id) else 0
            if revision != thread.revision:
                raise UserError(
                    f"thread {thread.id} was changed or deleted by another process after it was opened here",
                    hint="Open it again, or go on in a copy with --fork.",
                )
            return self._writer(thread, lock)
        except BaseException:
            lock.release()
            raise

    def take(self, prefix: str) -> Writer:
        """Open a thread and hold it, so that nobody can change it in between. The thread is the writer's."""
        name = self.resolve(prefix)
        lock = self._folder.lock(name)
        try:
            return self._writer(self._folder.recover(name), lock)
        except BaseException:
            lock.release()
            raise

    def add(self, thread: Thread) -> str:
        """Save a thread that came from elsewhere, under a new id if its own is taken or not one of ours. Says which."""
        while not index.ID.fullmatch(thread.id) or self._folder.has(thread.id):
            thread.id = new_id()
        thread.revision = 0
        journal.unsaved(thread)
        self.save(thread)
        return thread.id

    def rename(self, name: str, title: str) -> None:
        with self.take(name) as writer:
            writer.thread.title = " ".join(speakable(title).split())
            writer.commit()

    def delete(self, name: str) -> None:
        """Remove a thread. Its attachments stay until `check(repair=True)`: other threads may name them."""
        name = self.resolve(name)
        with self._folder.lock(name):
            disk.remove(self._folder.document(name))
            disk.remove(self._folder.journal(name))
        disk.sync_folder(self.threads)

    def bytes_of(self, blob: Blob) -> bytes:
        return self.blobs.get(blob)

    def load_blobs(self, thread: Thread) -> None:
        """Bring the bytes of all attachments into memory: whoever sends the thread to a model needs them."""
        thread.messages[:] = [self.blobs.load(message) for message in thread.messages]

    def check(self, repair: bool = False, name: str | None = None) -> list[Finding]:
        """What is wrong in the folder, or with one thread; with `repair`, also what was done about it."""
        from agentcli.store.repair import check

        return check(self._folder, repair=repair, only=name)

    def _writer(self, thread: Thread, lock: Lock) -> Writer:
        path = self.path(thread.id)
        seen = disk.signature(path)

        def save(changed: Thread) -> None:
            nonlocal seen
            if (there := disk.signature(path)) is not None and there != seen:
                disk.set_aside(path, copy=True)  # somebody's editor: it takes no locks
            try:
                self._folder.write(changed)
            finally:
                seen = disk.signature(path)

        return Writer(thread, self._folder.journal(thread.id), lock, save=save, stow=self.blobs.stow)


def _listed(rows: list[Row]) -> str:
    lines = [f"\n  {row.id}  {' '.join(row.title.split())[:60]}" for row in rows[:_SHOWN]]
    more = f"\n  and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return "".join(lines) + more
