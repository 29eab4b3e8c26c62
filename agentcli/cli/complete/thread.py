"""The saved threads: their ids, newest first, each with its title.

Letters that are typed are the beginning of an id. If no id begins so, they are looked for in the titles.

Ten thousand threads must not be felt, so little is read: the names and times of all the files, and of those that are offered the
title. Titles come out of the list's cache (store/index.py), or, where a thread has changed since that was written, out of the
document, for as long as there is time. Nothing is written, also not the cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import monotonic

import msgspec

from agentcli.cli.complete import Asked, Word
from agentcli.config import places
from agentcli.store import disk, index

__all__ = ["threads"]

MOST = 100  # words
LARGEST = 4 << 20  # bytes of a document whose title is looked for
PATIENCE = 0.05  # seconds for reading titles

_READ_AS = str.maketrans("ilo", "110")  # as `Store.resolve` reads them


def threads(asked: Asked) -> list[Word]:
    """The threads that may be meant."""
    here = places()
    typed = asked.typed.lower()
    begun = typed.translate(_READ_AS)
    files = [each for each in index.files(here.threads) if each[0] not in asked.arguments]
    meant = [each for each in files if each[0].startswith(begun)] if begun else files
    titles = _Titles(here.threads)
    known = index.cached(here.cache / "threads", here.threads)
    order = _newest_first(meant or files, known, titles)
    if not meant:
        words = typed.split()
        order = (name for name in order if all(word in titles(name).casefold() for word in words))
    return [Word(name, titles(name), not name.startswith(asked.typed)) for name in islice(order, MOST)]


def _newest_first(files: Iterable[tuple[str, str, os.DirEntry[str]]], known: dict[str, index.Entry], titles: _Titles) -> Iterator[str]:
    """The threads that these files are of; what the cache knows of their titles is noted."""
    newest: dict[str, float] = {}
    for name, kind, item in files:
        try:
            status = item.stat()
        except OSError:  # gone meanwhile
            continue
        at, entry = status.st_mtime, known.get(name)
        if kind == "json" and entry and (entry.changed, entry.size) == (status.st_mtime_ns, status.st_size):
            at, titles.known[name] = entry.updated, entry.title
        newest[name] = max(at, newest.get(name, 0.0))
    return iter(sorted(newest, key=newest.__getitem__, reverse=True))


class _Head(msgspec.Struct):
    title: str = ""


class _Titles:
    """The title of a thread, "" if it cannot be had in time. `known` are those that need not be read."""

    def __init__(self, folder: Path) -> None:
        self.known: dict[str, str] = {}
        self._folder = folder
        self._until = monotonic() + PATIENCE
        self._decode = msgspec.json.Decoder(_Head).decode

    def __call__(self, name: str) -> str:
        if name not in self.known:
            self.known[name] = self._read(name) if monotonic() < self._until else ""
        return self.known[name]

    def _read(self, name: str) -> str:
        with suppress(OSError, ValueError, RecursionError):
            return self._decode(disk.read(self._folder / f"{name}.json", LARGEST)).title
        return ""
