"""What is wrong in the folder of threads, and what can be done about it.

`check()` looks and says; with `repair` it acts, one thread at a time and under its lock. It never deletes what a person may have said:

- A damaged document keeps its bytes under `<name>.damaged-<n>`. Where whole messages can be read out of it, a thread with those
  is written under the old id.
- A turn that was never saved is brought back from its journal.
- What a save that was cut off has left behind (a temporary file, an hour old at least) is removed. So are attachments that no thread
  names, but only when every thread could be read and nothing is set aside.
- Files and folders that others may read get their mode back.

What a newer version wrote is not damaged, and is left alone.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from time import time
from typing import Any

import msgspec
from msgspec import Struct

from agentcli.core.document import FORMAT, encode
from agentcli.core.message import Blob, Message
from agentcli.core.thread import Thread, title_of
from agentcli.errors import UserError
from agentcli.store import disk, index, replay
from agentcli.store.folder import Folder
from agentcli.store.lock import BusyError

__all__ = ["Finding", "check", "salvage"]

OLD = 3600.0  # seconds


class Finding(Struct, frozen=True):
    """Something that is not as it should be. `done` is what was done about it, None if nothing was."""

    path: str
    problem: str
    done: str | None = None


def check(folder: Folder, *, repair: bool, only: str | None = None) -> list[Finding]:
    """What is wrong, and with `repair`, what was done. `only` is the id of the one thread to look at."""
    findings: list[Finding] = []
    if only is None:
        findings += _strangers(folder)
        findings += _leftovers(folder, repair)
    named: set[str] = set()
    certain = only is None and not any(".damaged-" in path.name for path in _files(folder.path))
    for name in [only] if only else sorted(index.names(folder.path)):
        try:
            with folder.lock(name, patience=0) if repair or folder.has_journal(name) else nullcontext():
                findings += _thread(folder, name, repair)
        except BusyError:  # its owner is alive and looks after it
            pass
        except disk.SaveError:  # a folder that cannot be written: look at least
            findings += _thread(folder, name, False)
        try:
            thread = folder.seen(name) if folder.has_journal(name) else folder.load(name)
        except UserError:
            certain = False
            continue
        refs = {part.ref for message in thread.messages for part in message.parts if isinstance(part, Blob) and part.ref}
        named |= refs
        for ref in sorted(refs):
            if not folder.blobs.has(ref):
                findings.append(Finding(str(folder.document(name)), f"its attachment {ref[:80]!r} is missing"))
    if certain:
        findings += _unused(folder, named, repair)
    findings += _modes(folder, repair, only)
    return findings


def _thread(folder: Folder, name: str, repair: bool) -> Iterator[Finding]:
    """One thread: first the document, then what a journal adds to it."""
    if folder.has_document(name):
        yield from _document(folder, name, repair)
    path = folder.journal(name)
    if not folder.has_journal(name):
        return
    try:
        found = replay.read(path, name)
        if not found.header.said and not found.events:
            problem = "a turn that never began"
        else:
            problem = "a turn that was not saved; opening the thread brings it back"
    except (ValueError, OSError) as error:
        problem = f"cannot read it: {error}"
    done = None
    if repair:
        try:
            folder.recover(name)
            done = "brought back" if not folder.has_journal(name) else None
        except UserError as error:
            done = None if folder.has_journal(name) else error.message
        if done is None and not folder.has_document(name):
            done = f"renamed to {disk.set_aside(path).name}"
    yield Finding(str(path), problem, done)


def _document(folder: Folder, name: str, repair: bool) -> Iterator[Finding]:
    path = folder.document(name)
    data = None
    try:
        data = disk.read(path)
        folder.decode(name, data)
    except FileNotFoundError:
        return
    except ValueError as error:
        problem = f"cannot read it: {error}"
    else:
        return
    unrepairable = "this version reads" in problem or (data is None and path.is_file())
    if not repair or unrepairable:
        yield Finding(str(path), problem)
        return
    thread = salvage(data, name) if data else None
    if thread is None:
        yield Finding(str(path), problem, f"renamed to {disk.set_aside(path).name}; nothing in it could be read")
        return
    aside = disk.set_aside(path, copy=True)
    folder.write(thread)
    count = len(thread.messages)
    yield Finding(str(path), problem, f"renamed to {aside.name}; {count} messages of it are in the thread again")


def _strangers(folder: Folder) -> Iterator[Finding]:
    """Files that look like threads and are not named like one."""
    for path in _files(folder.path):
        if path.suffix == ".json" and not path.name.startswith(".") and not index.ID.fullmatch(path.stem):
            yield Finding(str(path), "not the name of a thread, so it is not listed; `agentcli threads import` takes it in")


def _leftovers(folder: Folder, repair: bool) -> Iterator[Finding]:
    for path in (*_files(folder.path), *_files(folder.blobs.folder)):
        if path.name.startswith(".") and path.suffix == ".tmp" and _age(path) > OLD:
            if repair:
                disk.remove(path)
            yield Finding(str(path), "left behind by a save that was cut off", "removed" if repair else None)


def _unused(folder: Folder, named: set[str], repair: bool) -> Iterator[Finding]:
    for path in _files(folder.blobs.folder):
        if path.name not in named and not path.name.startswith(".") and _age(path) > OLD:
            if repair:
                disk.remove(path)
            yield Finding(str(path), "an attachment that no thread names", "removed" if repair else None)


def _modes(folder: Folder, repair: bool, only: str | None) -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    folders = [] if only else [folder.path, folder.blobs.folder]
    for path in (*folders, *_files(folder.path), *([] if only else _files(folder.blobs.folder))):
        if only and not path.name.startswith(only):
            continue
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if not mode & 0o077 or path.is_symlink():
            continue
        done = None
        if repair:
            path.chmod(right := mode & 0o700)
            done = f"mode is {right:o} now"
        yield Finding(str(path), f"others may read or write it (mode {mode & 0o777:o})", done)


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries)
    except FileNotFoundError:
        return []


def _age(path: Path) -> float:
    try:
        return time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


_MESSAGES = re.compile(r'"messages"\s*:\s*\[')
_NEXT = re.compile(r"\n    \{")  # where a message begins in a document of ours
_BETWEEN = re.compile(r"[\s,]*")
_FIELDS = {field.encode_name: field.type for field in msgspec.structs.fields(Thread) if field.name != "messages"}


def salvage(data: bytes, name: str) -> Thread | None:
    """A thread with every whole message that stands in a damaged document. None if there is none."""
    import json

    text = _text(data)
    if not (start := _MESSAGES.search(text)):
        return None
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    document = dict(_keys(text[: start.start()], decoder))
    messages = list(_whole_messages(text, start.end(), decoder))
    if not messages:
        return None
    document.update(format=FORMAT, id=name, messages=messages)
    thread = Thread.load(encode(document))
    if not thread.title:
        thread.title = next((title_of(message.text) for message in thread.messages if message.role == "user"), "")
    thread.settle()
    return thread


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _keys(head: str, decoder: Any) -> Iterator[tuple[str, Any]]:
    """What stands before the messages and is what it should be."""
    for key, kind in _FIELDS.items():
        if found := re.search(rf'"{key}"\s*:\s*', head):
            try:
                value, _ = decoder.raw_decode(head, found.end())
                msgspec.convert(value, kind)
            except (ValueError, RecursionError):
                continue
            yield key, value


def _whole_messages(text: str, position: int, decoder: Any) -> Iterator[dict[str, Any]]:
    """Each message that can be read; what cannot be is passed over, up to where the next one begins."""
    while True:
        between = _BETWEEN.match(text, position)
        position = between.end() if between else position
        try:
            value, position = decoder.raw_decode(text, position)
            msgspec.convert(value, Message)
        except (ValueError, RecursionError):
            following = _NEXT.search(text, position)
            if following is None:
                return
            position = following.start() + 1
            continue
        yield value
