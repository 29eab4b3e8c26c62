"""`threads check`, and what `--repair` saves."""

from __future__ import annotations

import os
from pathlib import Path
from time import time

import pytest

from agentcli.core.document import Compaction
from agentcli.core.event import MessageAdded
from agentcli.core.message import Blob, assistant, user
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store.repair import salvage
from agentcli.store.threads import Store
from tests.store.test_threads import DAMAGE, saved

NAME = "k7m29xqd"


def thread() -> Thread:
    made = Thread()
    for number in range(4):
        made.append(user(f"question {number}"))
        made.append(assistant(f"answer {number} in light"))
    made.id, made.title, made.model = NAME, "Title", "fake/m"
    made.unknown["messages", made.messages[1].id, 0] = {"mood": 3}
    return made


def write(store: Store, data: bytes) -> Path:
    store.threads.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = store.path(NAME)
    path.touch(0o600)
    path.write_bytes(data)
    return path


def test_a_healthy_folder_has_no_findings(store: Store) -> None:
    store.save(thread())
    store.save(Thread.of(user("x", Blob("image/png", os.urandom(50_000)))))
    assert store.check() == []
    assert store.check(repair=True) == []


def test_what_is_whole_in_a_cut_document_is_saved(store: Store) -> None:
    data = thread().dump()
    cut = data[: data.index(b"answer 2")]
    path = write(store, cut)
    (finding,) = store.check()
    assert finding.done is None
    assert "truncated" in finding.problem
    (finding,) = store.check(repair=True)
    assert finding.done == "renamed to k7m29xqd.json.damaged-1; 5 messages of it are in the thread again"
    assert path.with_name("k7m29xqd.json.damaged-1").read_bytes() == cut
    opened = store.open(NAME)
    assert [message.text for message in opened.messages] == [message.text for message in thread().messages[:5]]
    assert (opened.title, opened.model) == ("Title", "fake/m")
    assert opened.unknown["messages", opened.messages[1].id, 0] == {"mood": 3}
    assert store.check() == []


def test_what_was_compacted_is_saved_as_long_as_its_messages_are(store: Store) -> None:
    made = thread()
    for count in (2, 4, 8):
        made.compact(Compaction(through=made.messages[count - 1].id, count=count, summary=f'{count} "messages": [ [{{'))
    data = made.dump()
    write(store, data[: data.index(b"answer 2")])
    store.check(repair=True)
    opened = store.open(NAME)
    assert [one.count for one in opened.standing] == [2, 4]
    assert (len(opened.messages), opened.compactions) == (5, opened.standing)
    found = salvage(data.replace(b'"through"', b'"thru"', 1), NAME)
    assert found
    assert (len(found.messages), found.standing) == (8, [])


def test_a_cut_at_any_byte_saves_every_whole_message() -> None:
    whole = thread()
    data = whole.dump()
    for length in range(len(data)):
        found = salvage(data[:length], NAME)
        got = found.messages if found else []
        assert got == whole.messages[: len(got)]
        assert len(got) == data[:length].count(b"\n    }")


def test_a_damaged_message_costs_only_itself(store: Store) -> None:
    data = thread().dump()
    at = data.index(b"question 1")
    write(store, data[: at - 30] + b"\0" * 60 + data[at + 30 :])
    store.check(repair=True)
    texts = [message.text for message in store.open(NAME).messages]
    assert texts[:2] == ["question 0", "answer 0 in light"]
    assert texts[-2:] == ["question 3", "answer 3 in light"]
    assert len(texts) >= 6


@pytest.mark.parametrize("damage", DAMAGE)
def test_repair_never_loses_a_byte_and_leaves_a_folder_that_works(store: Store, damage: str) -> None:
    path = write(store, data := DAMAGE[damage](thread().dump()))
    (finding,) = store.check(repair=True)
    kept = path if damage == "newer" else path.with_name(f"{path.name}.damaged-1")
    assert kept.read_bytes() == data
    if damage == "newer":
        assert finding.done is None
        return
    assert finding.done
    if damage in (
        "half",
        "two joined",
        "UTF-16",
        "byte-order mark",
        "another thread",
        "NaN",
        "Infinity",
        "bad UTF-8",
        "lone surrogate",
    ):
        assert len(store.open(NAME).messages) > 1
    assert all(row.damaged is None for row in store.rows())


def test_a_folder_in_place_of_a_document_is_renamed(store: Store) -> None:
    store.path(NAME).mkdir(parents=True, mode=0o700)
    store.threads.chmod(0o700)
    store.check(repair=True)
    assert os.listdir(store.threads) == [f"{NAME}.json.damaged-1"]


def test_a_dead_turn_is_brought_back_and_a_living_one_left(store: Store) -> None:
    with store.hold(Thread(id=NAME)) as writer:
        writer.begin()
        writer.record(MessageAdded(source="agentcli", message=user("hi")))
        assert store.check(repair=True) == []
        assert not store.path(NAME).exists()
    (finding,) = store.check()
    assert "not saved" in finding.problem
    (finding,) = store.check(repair=True)
    assert finding.done == "brought back"
    assert len(store.open(NAME).messages) == 1


def test_a_journal_without_its_document_is_kept(store: Store) -> None:
    made = thread()
    store.save(made)
    with store.hold(made) as writer:
        writer.begin()
        writer.record(MessageAdded(source="agentcli", message=user("hi")))
    store.path(NAME).unlink()
    with pytest.raises(UserError, match="document it goes on from is missing") as error:
        store.open(NAME)
    assert error.value.exit_code == 65
    (row,) = store.rows()
    assert row.damaged
    (finding,) = store.check(repair=True)
    assert finding.done == f"renamed to {NAME}.journal.damaged-1"
    assert store.rows() == []


def test_leftovers_are_removed_when_they_are_old(store: Store) -> None:
    store.save(thread())
    old, new = store.threads / ".k7m29xqd.json.1-aa.tmp", store.threads / ".k7m29xqd.json.1-bb.tmp"
    for path in (old, new):
        path.touch(0o600)
    os.utime(old, (time() - 7200,) * 2)
    (finding,) = store.check(repair=True)
    assert (finding.path, finding.done) == (str(old), "removed")
    assert not old.exists()
    assert new.exists()


def test_unused_attachments_are_removed_only_when_all_is_readable(store: Store) -> None:
    made = Thread.of(user("x", Blob("image/png", os.urandom(50_000))))
    store.save(made)
    store.save(thread())
    unused = store.blobs.folder / store.blobs.put(b"nobody names me")
    for path in store.blobs.folder.iterdir():
        os.utime(path, (time() - 7200,) * 2)
    damaged = store.threads / "00000000.json"
    damaged.touch(0o600)
    store.check(repair=True)
    assert unused.exists()
    (store.threads / "00000000.json.damaged-1").unlink()
    assert [finding.done for finding in store.check(repair=True)] == ["removed"]
    assert len(os.listdir(store.blobs.folder)) == 1
    store.load_blobs(store.open(made.id))


def test_missing_attachments_and_strange_names_are_said(store: Store) -> None:
    store.save(Thread.of(user("x", Blob("image/png", os.urandom(50_000)))))
    for path in store.blobs.folder.iterdir():
        path.unlink()
    (store.threads / "notes.json").touch(0o600)
    first, second = store.check(repair=True)
    assert "import" in first.problem
    assert "missing" in second.problem
    assert first.done is second.done is None


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_modes_are_put_right(store: Store) -> None:
    store.save(thread())
    store.path(NAME).chmod(0o644)
    store.threads.chmod(0o755)
    assert {finding.problem for finding in store.check()} == {
        "others may read or write it (mode 644)",
        "others may read or write it (mode 755)",
    }
    assert {finding.done for finding in store.check(repair=True)} == {"mode is 600 now", "mode is 700 now"}
    assert store.check() == []


def test_one_thread_alone(store: Store) -> None:
    saved(store, "00000001")
    store.path("00000001").write_bytes(b"")
    write(store, b"")
    assert [finding.path for finding in store.check(name=NAME)] == [str(store.path(NAME))]
    store.check(repair=True, name=NAME)
    assert not store.path(NAME).exists()
    assert store.path("00000001").exists()
