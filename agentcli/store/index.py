"""The list of threads, quick even when there are ten thousand.

A row says what a list shows of a thread. Rows are kept in one cache file, each under the signature (inode, time, size) of the document
it was made from; a document with another signature is read again. The cache is never more than that: it may be missing, damaged, of
another version or impossible to write, and the list is the same, only slower. A document changed within the last second is not cached,
because the clock of some file systems cannot tell two such changes apart.

Everything is decoded strictly, so a document that could not be opened is already named as damaged here, and the others still list.
A thread that has a journal, because a turn is in flight or its program died in one, is listed with what the journal adds: a question
that crashed is still the last thing that was said. That is read each time, without a lock and without writing anything.

With each row goes what the thread's answers took, packed (usage.py): a list that does not show it does not unpack it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import time

import msgspec
from msgspec import UNSET, Struct, UnsetType

from agentcli.core.document import FORMAT, Compaction, Origin
from agentcli.core.message import Message
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store import disk
from agentcli.store.folder import DamagedError, Folder
from agentcli.store.usage import packed, spent

__all__ = ["ID", "Entry", "Row", "cached", "files", "in_flight", "names", "rows"]

VERSION = 2  # of the cache
RACY = 1.0  # seconds

ID = re.compile(r"[0-9a-hjkmnp-tv-z]{8}")  # Crockford base32


class Row(Struct, frozen=True, omit_defaults=True):
    """What a list shows of a thread. `damaged` says why it cannot be read; `spent` is packed."""

    id: str
    title: str
    created: datetime
    updated: datetime
    messages: int
    model: str | None
    agent: str | None
    path: str
    damaged: str | None = None
    spent: bytes = b""


class _Document(Struct):
    """The document without the keys that this version does not know."""

    format: int
    id: str
    messages: list[Message]
    title: str = ""
    created: datetime | UnsetType = UNSET
    updated: datetime | UnsetType = UNSET
    revision: int = 0
    agent: str | None = None
    model: str | None = None
    parent: Origin | None = None
    compactions: list[Compaction] | UnsetType = UNSET


class Entry(Struct, array_like=True):
    """A row in the cache: the signature first."""

    inode: int
    changed: int
    size: int
    title: str
    created: float
    updated: float
    messages: int
    model: str | None
    agent: str | None
    damaged: str | None
    spent: bytes


class _Cache(Struct, array_like=True):
    version: int
    folder: str
    entries: dict[str, Entry]


_DECODE = msgspec.json.Decoder(_Document)


def names(folder: Path) -> Iterator[str]:
    """The ids of all threads, from the names of the files alone."""
    seen = set()
    for stem, _, _ in files(folder):
        if stem not in seen:
            seen.add(stem)
            yield stem


def in_flight(folder: Path) -> set[str]:
    """The ids of the threads that have a journal: of those the document is not all."""
    return {stem for stem, kind, _ in files(folder) if kind == "journal"}


def rows(folder: Folder, cache: Path) -> list[Row]:
    """A row for each thread in the folder, newest first."""
    known = cached(cache, folder.path)
    entries: dict[str, Entry] = {}
    fresh = False
    recent = (time() - RACY) * 1e9
    journals = []
    for stem, kind, item in files(folder.path):
        if kind == "journal":
            journals.append(stem)
            continue
        try:
            status = item.stat()
        except OSError:  # gone meanwhile, or a link to nowhere
            continue
        entry = known.get(stem)
        if entry is None or (entry.inode, entry.changed, entry.size) != (
            status.st_ino or item.inode(),
            status.st_mtime_ns,
            status.st_size,
        ):
            entry = _read(Path(item.path), stem, status.st_ino or item.inode(), status.st_mtime_ns, status.st_size)
            if entry is None:
                continue
            fresh = True
        entries[stem] = entry
    if fresh or len(known) != len(entries):
        _store(cache, folder.path, {name: entry for name, entry in entries.items() if entry.changed < recent})
    listed = {name: _row(folder.path, name, entry) for name, entry in entries.items()}
    for name in journals:
        if (name not in listed or listed[name].damaged is None) and (row := _seen(folder, name)):
            listed[name] = row
    return sorted(listed.values(), key=lambda row: (row.updated, row.id), reverse=True)


def files(folder: Path) -> Iterator[tuple[str, str, os.DirEntry[str]]]:
    """The documents and journals: whose it is, which of the two, and the file."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            stem, _, kind = entry.name.partition(".")
            if kind in ("json", "journal") and ID.fullmatch(stem):
                yield stem, kind, entry


def cached(cache: Path, folder: Path) -> dict[str, Entry]:
    """What the cache has of each thread of this folder. It counts only for a document that has the same signature."""
    try:
        loaded = msgspec.msgpack.decode(disk.read(cache), type=_Cache)
    except (OSError, ValueError, RecursionError):
        return {}
    return loaded.entries if loaded.version == VERSION and loaded.folder == str(folder) else {}


def _store(cache: Path, folder: Path, entries: dict[str, Entry]) -> None:
    with suppress(disk.SaveError):
        disk.replace(cache, msgspec.msgpack.encode(_Cache(VERSION, str(folder), entries)), durable=False)


def _read(path: Path, name: str, inode: int, changed: int, size: int) -> Entry | None:
    at = changed / 1e9
    entry = Entry(inode, changed, size, "", at, at, 0, None, None, None, b"")
    try:
        document = _understood(disk.read(path), name)
    except FileNotFoundError:
        return None
    except ValueError as error:
        entry.damaged = str(error)
        return entry
    entry.title, entry.model, entry.agent = document.title, document.model, document.agent
    entry.messages = len(document.messages)
    entry.created = _seconds(document.created, at)
    entry.updated = _seconds(document.updated, at)
    entry.spent = _spent(document)
    return entry


def _spent(thread: _Document | Thread) -> bytes:
    """What the thread's own answers took: not those that it shares with the one it was forked from."""
    compactions = thread.compactions if thread.compactions is not UNSET else ()
    since = _seconds(thread.created, 0) if thread.parent else None
    return packed(spent(thread.messages, compactions, model=thread.model, since=since))


def _seconds(when: datetime | UnsetType, otherwise: float) -> float:
    if when is UNSET:
        return otherwise
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _understood(data: bytes, name: str) -> _Document | Thread:
    """The document, checked as `Thread.load()` would, in a third of the time."""
    try:
        data.decode()  # keys that are not known are passed over unseen, also where they are not UTF-8
        document: _Document | Thread = Thread.load(data) if b"\\u" in data else _DECODE.decode(data)
    except (ValueError, RecursionError):
        document = Thread.load(data)  # says better what is wrong
    if document.format > FORMAT:
        Thread.load(data)
    if document.id != name:
        raise ValueError(f"it says that its id is {ascii(document.id)[:40]}: a copy under another name?")
    return document


def _row(folder: Path, name: str, entry: Entry) -> Row:
    return Row(
        name,
        entry.title,
        datetime.fromtimestamp(entry.created, UTC),
        datetime.fromtimestamp(entry.updated, UTC),
        entry.messages,
        entry.model,
        entry.agent,
        f"{folder}{os.sep}{name}.json",
        entry.damaged,
        entry.spent,
    )


def _seen(folder: Folder, name: str) -> Row | None:
    """A row of the thread with its journal, or of why it cannot be read. None if nothing was said in it, or it is gone."""
    stands = folder.has_document(name)
    path = folder.document(name) if stands else folder.journal(name)
    try:
        thread = folder.seen(name)
    except DamagedError as error:
        if (status := disk.signature(path)) is None:
            return None
        at = datetime.fromtimestamp(status[1] / 1e9, UTC)
        return Row(name, "", at, at, 0, None, None, str(path), error.reason)
    except UserError:
        return None
    if not thread.messages and not stands:
        return None
    count = len(thread.messages)
    return Row(name, thread.title, thread.created, thread.updated, count, thread.model, thread.agent, str(path), None, _spent(thread))
