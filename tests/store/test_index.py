"""The list: what is in it, and that its cache is never believed too much."""

from __future__ import annotations

import os
from pathlib import Path
from time import time

import msgspec
import pytest

from agentcli.core.message import user
from agentcli.core.thread import Thread
from agentcli.store.index import Row
from agentcli.store.threads import Store


def many(store: Store, count: int) -> list[Thread]:
    threads = []
    for number in range(count):
        thread = Thread.of(user(f"question {number}"), title=f"Thread {number}")
        thread.id = f"0000{number:04d}"
        store.save(thread)
        threads.append(thread)
    return threads


def age(store: Store, seconds: float = 60) -> None:
    """Make all documents old enough for the cache."""
    for path in store.threads.iterdir():
        os.utime(path, (time() - seconds,) * 2)


def cache(store: Store) -> Path:
    return store.threads.parent / "cache" / "threads"


def test_a_row_says_what_a_list_shows(store: Store) -> None:
    thread = Thread.of(user("a"), user("b"), title="Title")
    thread.model, thread.agent = "fake/m", "chief"
    store.save(thread)
    (row,) = store.rows()
    assert row == Row(thread.id, "Title", thread.created, thread.updated, 2, "fake/m", "chief", str(store.path(thread.id)))
    assert list(msgspec.json.decode(msgspec.json.encode(row))) == [
        "id", "title", "created", "updated", "messages", "model", "agent", "path"
    ]  # fmt: skip


def test_newest_first(store: Store) -> None:
    threads = many(store, 5)
    assert [row.id for row in store.rows()] == [thread.id for thread in reversed(threads)]
    threads[2].append(user("more"))
    store.save(threads[2])
    assert next(row.id for row in store.rows()) == threads[2].id


def test_the_cache_gives_the_same_list(store: Store) -> None:
    threads = many(store, 5)
    store.path("00000009").write_bytes(b"damaged")
    age(store)
    first = store.rows()
    assert cache(store).exists()
    written = cache(store).stat().st_mtime_ns
    assert store.rows() == first
    assert cache(store).stat().st_mtime_ns == written
    threads[0].title = "Other"
    store.save(threads[0])
    assert {row.id: row.title for row in store.rows()}[threads[0].id] == "Other"
    store.delete(threads[1].id)
    assert len(store.rows()) == 5


def test_the_cache_is_used(store: Store) -> None:
    many(store, 1)
    age(store)
    store.rows()
    planted = cache(store).read_bytes().replace(b"Thread 0", b"Planted!")
    cache(store).write_bytes(planted)
    assert store.rows()[0].title == "Planted!"


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"x" * 1000, msgspec.msgpack.encode([99, "", {}]), b"\x93" * 100_000])
def test_a_damaged_cache_is_made_again(store: Store, damage: bytes) -> None:
    many(store, 3)
    age(store)
    first = store.rows()
    cache(store).write_bytes(damage)
    assert store.rows() == first
    assert cache(store).read_bytes() != damage


def test_a_cache_of_another_folder_is_not_used(store: Store) -> None:
    many(store, 2)
    age(store)
    store.rows()
    other = Store(store.threads.parent / "other", store.blobs.folder, cache(store).parent)
    assert other.rows() == []
    assert len(store.rows()) == 2


def test_a_cache_that_cannot_be_written_is_done_without(store: Store) -> None:
    many(store, 2)
    cache(store).parent.parent.mkdir(exist_ok=True)
    cache(store).parent.rmdir() if cache(store).parent.exists() else None
    cache(store).parent.write_text("a file")
    assert len(store.rows()) == 2


def test_what_has_just_changed_is_not_cached(store: Store) -> None:
    """Two changes within the same tick of a coarse clock look alike."""
    (thread,) = many(store, 1)
    store.rows()
    path = store.path(thread.id)
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"Thread 0", b"Thread 9"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.rows()[0].title == "Thread 9"


def test_foreign_names_are_not_listed(store: Store) -> None:
    many(store, 1)
    for name in (".0000.json.1-2.tmp", "notes.json", "00000000.json.damaged-1", "00000000.lock", "0000000u.json", "README"):
        (store.threads / name).write_text("{}")
    (store.threads / "00000007.journal").write_text("not a journal")
    rows = store.rows()
    assert [(row.id, row.damaged is None) for row in rows if row.id == "00000000"] == [("00000000", True)]
    assert [row.id for row in rows if row.damaged] == ["00000007"]
    assert len(rows) == 2
