"""The list: what is in it, and that its cache is never believed too much."""

from __future__ import annotations

import os
from pathlib import Path
from time import time

import msgspec
import pytest

from agentcli.core.event import MessageAdded, TextDelta
from agentcli.core.message import Message, user
from agentcli.core.thread import Thread
from agentcli.store.index import Row
from agentcli.store.threads import Store
from tests.store.test_journal import crash


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


def crashed(store: Store, thread: Thread, said: Message, answer: str) -> None:
    """A turn of a process that died in the middle of the answer."""
    writer = store.hold(thread)
    writer.begin()
    writer.record(MessageAdded(source="agentcli", message=said))
    writer.record(TextDelta("agentcli", thread.id, answer))
    writer.flush()
    crash(store, writer)


def files(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.threads.iterdir()}


def test_a_turn_that_crashed_in_an_older_thread_is_the_latest_and_is_found(store: Store) -> None:
    older, newer = many(store, 2)
    age(store)
    assert store.latest() == newer.id
    crashed(store, older, user("a needle?"), "half an answer")
    before = files(store)
    assert store.latest() == older.id
    assert [(row.id, row.messages) for row in store.rows()] == [(older.id, 3), (newer.id, 1)]
    assert [(hit.row.id, hit.number, hit.line) for hit in store.search("needle")] == [(older.id, 2, "a needle?")]
    assert [hit.number for hit in store.search("half an")] == [3]
    assert files(store) == before, "a reader writes nothing"
    (row, _) = store.rows()
    assert store.open(older.id).messages[1].text == "a needle?"
    assert (row.updated, row.messages) == (store.rows()[0].updated, store.rows()[0].messages), "listed as it was opened"


def test_a_turn_in_flight_is_listed_and_its_owner_not_disturbed(store: Store) -> None:
    older, newer = many(store, 2)
    with store.hold(older) as writer:
        writer.begin()
        writer.record(MessageAdded(source="agentcli", message=user("a needle?")))
        before = files(store)
        assert [row.id for row in store.rows()] == [older.id, newer.id]
        assert [hit.row.id for hit in store.search("needle")] == [older.id]
        assert files(store) == before
        writer.commit()


def test_a_journal_that_is_stale_or_damaged_or_beside_a_damaged_document_changes_nothing(store: Store) -> None:
    first, second, third = many(store, 3)
    for thread in (first, second, third):
        crashed(store, thread, user("a needle?"), "half")
    stale = (store.threads / f"{first.id}.journal").read_bytes()
    with store.take(first.id) as writer:
        writer.commit()
    (store.threads / f"{first.id}.journal").write_bytes(stale)
    (store.threads / f"{second.id}.journal").write_bytes(b"no journal")
    store.path(third.id).write_bytes(b"no document")
    rows = {row.id: row for row in store.rows()}
    assert rows[first.id].messages == 3
    assert rows[second.id].messages == 1
    assert rows[third.id].damaged
    assert {hit.row.id for hit in store.search("needle")} == {first.id}
