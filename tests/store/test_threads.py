"""Finding, opening and changing threads; and what happens with files that are none."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agentcli.core.message import assistant, user
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store.threads import Store


def saved(store: Store, name: str, *texts: str, title: str = "") -> Thread:
    thread = Thread.of(*(user(text) for text in texts or ("hi",)), title=title)
    thread.id = name
    store.save(thread)
    return thread


def test_what_is_saved_is_what_is_opened(store: Store) -> None:
    thread = Thread.of(user("Ünïcödé \u2028 \x1b[31m"), assistant("yes"), title="t")
    store.save(thread)
    opened = store.open(thread.id)
    assert msgspec.to_builtins(opened) == msgspec.to_builtins(thread)
    assert opened.revision == 1


def test_an_id_is_found_by_any_prefix_and_as_it_is_misread(store: Store) -> None:
    saved(store, "k1m29xq0")
    saved(store, "k2m29xqd")
    for typed in ("k1m29xq0", "k1", "K1M29XQO", "kIm", "klm29xqo", "k1m29xq"):
        assert store.resolve(typed) == "k1m29xq0"


BAD = [
    "../x",
    "/etc/passwd",
    "",
    "-rf",
    "x" * 300,
    "\x1b[31m",
    "\u202ek7m",
    "k7m29xqd/",
    ".",
    "..",
    "k7m29xqu",
    "k7m29xqd0",
    "\udcff",
    "\0",
    "%s",
]


@pytest.mark.parametrize("typed", BAD)
def test_what_is_no_id_is_refused_and_shown_harmlessly(store: Store, typed: str) -> None:
    saved(store, "k7m29xqd", title="Photosynthesis")
    for action in (store.resolve, store.open, store.take, store.delete, lambda name: store.rename(name, "x")):
        with pytest.raises(UserError, match=r"^no thread") as error:
            action(typed)
        assert error.value.exit_code == 2
        assert error.value.message.isascii() or "…" in error.value.message
        assert error.value.message.isprintable()
        assert len(error.value.message) < 120
        assert "k7m29xqd" in error.value.hint
    assert os.listdir(store.threads) == ["k7m29xqd.json"]


def test_an_unknown_id_names_the_nearest(store: Store) -> None:
    saved(store, "k7m29xqd", title="Photosynthesis")
    for number in range(20):
        saved(store, f"000000{number:02d}", title=f"Thread {number}")
    with pytest.raises(UserError, match="no thread 'k7m29xqe'") as error:
        store.resolve("k7m29xqe")
    assert error.value.hint.splitlines()[1] == "  k7m29xqd  Photosynthesis"
    with pytest.raises(UserError) as error:
        store.resolve("photosyn")
    assert error.value.hint.splitlines()[1] == "  k7m29xqd  Photosynthesis"


def test_no_threads_at_all(store: Store) -> None:
    with pytest.raises(UserError, match="no thread 'abc'") as error:
        store.resolve("abc")
    assert "no saved threads" in error.value.hint
    assert store.latest() is None
    assert store.rows() == []
    assert store.check() == []
    assert not store.threads.exists()


def test_an_ambiguous_prefix_lists_the_candidates(store: Store) -> None:
    for number in range(12):
        saved(store, f"k7m290{number:02d}", title=f"Thread {number}")
    with pytest.raises(UserError, match="'k7' is the beginning of 12 threads") as error:
        store.resolve("k7")
    assert error.value.exit_code == 2
    assert "  k7m29011  Thread 11" in error.value.hint
    assert "and 2 more" in error.value.hint


def test_latest_is_the_one_changed_last(store: Store) -> None:
    first, second = saved(store, "00000001"), saved(store, "00000002")
    assert store.latest() == second.id
    first.append(user("more"))
    store.save(first)
    assert store.latest() == first.id


def test_a_thread_changed_meanwhile_is_not_overwritten(store: Store) -> None:
    thread = saved(store, "k7m29xqd", "a")
    stale = store.open(thread.id)
    thread.append(user("b"))
    store.save(thread)
    stale.append(user("lost?"))
    with pytest.raises(UserError, match="was changed"):
        store.save(stale)
    assert [message.text for message in store.open(thread.id).messages] == ["a", "b"]
    new = Thread.of(user("new"))
    new.id = thread.id
    with pytest.raises(UserError, match="was changed"):
        store.save(new)


def test_a_document_that_an_editor_wrote_while_it_was_held_is_kept(store: Store) -> None:
    thread = saved(store, "k7m29xqd", "a")
    with store.hold(thread) as writer:
        store.path(thread.id).write_bytes(b"edited")
        thread.append(user("b"))
        writer.commit()
        writer.commit()
    assert len(store.open(thread.id).messages) == 2
    assert (store.threads / "k7m29xqd.json.damaged-1").read_bytes() == b"edited"
    assert len(os.listdir(store.threads)) == 2


def test_rename_delete_add(store: Store) -> None:
    thread = saved(store, "k7m29xqd", "a")
    store.rename("k7", "  New\n title \udcff")
    opened = store.open(thread.id)
    assert opened.title == "New title �"
    assert store.add(opened) != "k7m29xqd"
    opened.id = "../../evil"
    assert (store.threads / f"{store.add(opened)}.json").exists()
    assert len(store.rows()) == 3
    store.delete("k7m29xqd")
    with pytest.raises(UserError, match="no thread"):
        store.open("k7m29xqd")
    assert len(os.listdir(store.threads)) == 2


@pytest.mark.parametrize("name", ["../evil", "", "K7M29XQD", "k7m29xqd\n"])
def test_an_id_from_elsewhere_never_becomes_a_path(store: Store, name: str) -> None:
    with pytest.raises(UserError, match="not the id"):
        store.save(Thread(id=name))
    assert not store.threads.exists()


def test_a_held_thread_is_neither_renamed_nor_deleted(store: Store) -> None:
    thread = saved(store, "k7m29xqd")
    with store.hold(thread):
        with pytest.raises(UserError, match="in use"):
            store.rename("k7", "x")
        with pytest.raises(UserError, match="in use"):
            store.delete("k7")
        with pytest.raises(UserError, match="in use"):
            store.save(thread)
        assert store.open("k7").title == thread.title


def test_a_fork_of_a_thread_is_a_thread(store: Store) -> None:
    thread = saved(store, "k7m29xqd", "a", "b")
    fork = thread.fork(1)
    store.save(fork)
    opened = store.open(fork.id)
    assert opened.parent
    assert opened.parent.thread == "k7m29xqd"
    assert len(opened.messages) == 1


def test_keys_that_are_not_known_survive(store: Store) -> None:
    store.threads.mkdir(parents=True)
    document = {
        "format": 1,
        "id": "k7m29xqd",
        "messages": [
            {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "hi", "colour": "red"}], "mood": 3},
            {"id": "m2", "role": "assistant", "stop": "done", "parts": [], "usage": {"input": 1, "output": 2}},
        ],
        "tags": ["a", {"b": None}],
    }
    store.path("k7m29xqd").write_bytes(msgspec.json.encode(document))
    with store.take("k7") as writer:
        writer.thread.append(user("more"))
        writer.commit()
    again = msgspec.json.decode(store.path("k7m29xqd").read_bytes())
    assert again["tags"] == document["tags"]
    assert again["messages"][0]["mood"] == 3
    assert again["messages"][0]["parts"][0]["colour"] == "red"


def whole() -> bytes:
    thread = Thread.of(user("What is photosynthesis?"), assistant("Plants make sugar from light. " * 3), title="Photosynthesis")
    thread.id = "k7m29xqd"
    return thread.dump()


DOCUMENT = whole()

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "one byte": lambda data: b"{",
    "NULs": lambda data: b"\0" * len(data),
    "a block of NULs": lambda data: data[:200] + b"\0" * 100 + data[300:],
    "half": lambda data: data[: len(data) // 2],
    "two joined": lambda data: data + data,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "byte-order mark": lambda data: b"\xef\xbb\xbf" + data,
    "NaN": lambda data: data.replace(b'"revision": 0', b'"revision": NaN'),
    "Infinity": lambda data: data.replace(b'"revision": 0', b'"revision": 1e999'),
    "lone surrogate": lambda data: data.replace(b"light", b"\\ud800"),
    "bad UTF-8": lambda data: data.replace(b"light", b"\xff\xfe"),
    "deep": lambda data: b'{"format": 1, "id": "k7m29xqd", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep private": lambda data: b'{"format": 1, "id": "k7m29xqd", "messages": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a list": lambda data: b"[]",
    "not a thread": lambda data: b'{"name": "package"}',
    "HTML": lambda data: b"<!doctype html><title>no</title>",
    "wrong type": lambda data: data.replace(b'"messages": [', b'"messages": 3, "x": ['),
    "another thread": lambda data: data.replace(b"k7m29xqd", b"aaaaaaaa"),
    "newer": lambda data: data.replace(b'"format": 1', b'"format": 2'),
}


def refuse(store: Store) -> str:
    """Everything that would read or write the thread is refused; what the message was."""
    path = store.path("k7m29xqd")
    for action in (store.open, store.take, lambda name: store.rename(name, "x")):
        with pytest.raises(UserError) as error:
            action("k7m29xqd")
        assert error.value.exit_code == 65
        assert str(path) in error.value.message
    thread = Thread.of(user("overwrites?"))
    thread.id = "k7m29xqd"
    with pytest.raises(UserError):
        store.save(thread)
    return error.value.message + error.value.hint


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_document_is_named_left_alone_and_the_rest_lists(store: Store, damage: str) -> None:
    saved(store, "00000001")
    path = store.path("k7m29xqd")
    path.write_bytes(data := DAMAGE[damage](DOCUMENT))
    said = refuse(store)
    assert ("Update agentcli" if damage == "newer" else "threads check --repair k7m29xqd") in said
    rows = {row.id: row.damaged for row in store.rows()}
    assert rows["00000001"] is None
    assert rows["k7m29xqd"]
    assert store.latest() == "00000001"
    assert [hit.row.id for hit in store.search("hi")] == ["00000001"]
    assert len(store.check()) == 1 + (path.stat().st_mode & 0o077 != 0)
    assert path.read_bytes() == data
    assert sorted(os.listdir(store.threads)) == ["00000001.json", "k7m29xqd.json"]


def test_a_document_cut_at_any_byte_is_never_taken_for_whole(store: Store) -> None:
    store.threads.mkdir(parents=True)
    path = store.path("k7m29xqd")
    for length in range(len(DOCUMENT) - 1):  # without the last line end it is still whole
        path.write_bytes(DOCUMENT[:length])
        with pytest.raises(UserError) as error:
            store.open("k7m29xqd")
        assert error.value.exit_code == 65
        assert store.rows()[0].damaged


def test_flipped_bits_never_crash_and_never_change_the_file(store: Store) -> None:
    store.threads.mkdir(parents=True)
    path = store.path("k7m29xqd")
    chance = random.Random(7)
    for _ in range(600):
        data = bytearray(DOCUMENT)
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        damaged = store.rows()[0].damaged
        if damaged:
            with pytest.raises(UserError) as error:
                store.open("k7m29xqd")
            assert error.value.exit_code == 65
        else:
            store.open("k7m29xqd").dump()
        assert path.read_bytes() == data


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs")
def test_a_fifo_a_folder_and_a_broken_link_in_place_of_the_document(store: Store, tmp_path: Path) -> None:
    store.threads.mkdir(parents=True, mode=0o700)
    path = store.path("k7m29xqd")
    os.mkfifo(path, 0o600)
    assert "FIFO" in refuse(store)
    assert "FIFO" in str(store.rows()[0].damaged)
    path.unlink()
    path.mkdir(mode=0o700)
    assert "folder" in refuse(store)
    path.rmdir()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError):
        store.open("k7m29xqd")
    assert store.rows() == []
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert "at most" in refuse(store)


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may read everything")
def test_a_document_that_may_not_be_read(store: Store) -> None:
    saved(store, "k7m29xqd")
    store.path("k7m29xqd").chmod(0)
    assert "Permission denied" in refuse(store)


def test_times_without_a_zone_are_taken_for_utc(store: Store) -> None:
    store.threads.mkdir(parents=True)
    store.path("k7m29xqd").write_bytes(
        b'{"format": 1, "id": "k7m29xqd", "created": "0001-01-01T00:00:00", "updated": "2026-01-31T12:00:00", "messages": []}'
    )
    assert store.open("k7").updated.isoformat() == "2026-01-31T12:00:00+00:00"
    assert store.rows()[0].updated.isoformat() == "2026-01-31T12:00:00+00:00"
