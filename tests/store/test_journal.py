"""The turn in flight: written before anything acts on it, and the same thread when it is read again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.agent import Agent
from agentcli.core.compact import view
from agentcli.core.document import Compaction
from agentcli.core.event import (
    Compacted,
    Event,
    MessageAdded,
    NotCompacted,
    ReasoningDelta,
    Switched,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    Waiting,
)
from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.provider import Chunk, ReasoningChunk, Request, TextChunk
from agentcli.core.thread import MAY_HAVE_RUN, NOT_RUN, Thread, sendable
from agentcli.core.tool import tool
from agentcli.errors import UserError
from agentcli.session import Session
from agentcli.store import disk, replay
from agentcli.store.journal import Writer
from agentcli.store.threads import Store
from tests.core.fake import ScriptedProvider, calls, says

NAME = "agentcli"


def crash(store: Store, writer: Writer) -> None:
    """As after kill -9: what is written stays, the lock is free."""
    writer._lock.release()
    writer._shut()


def added(message: Message, source: str = NAME) -> MessageAdded:
    return MessageAdded(source=source, message=message)


def texts(thread: Thread) -> list[str]:
    return [message.text for message in thread.messages]


@tool
def add(a: int, b: int) -> str:
    """Add."""
    return str(a + b)


def events_of(text: str = "What is 2+2?") -> list[Event]:
    """The events of a whole turn with two tool calls."""
    provider = ScriptedProvider(calls(("add", '{"a": 2, "b": 2}'), ("nothing", "{}")), says("It ", "is ", "4."))
    agent = Agent(provider, "m", tools=[add])

    async def run() -> list[Event]:
        async with aclosing(agent.stream(text)) as events:
            return [event async for event in events]

    return asyncio.run(run())


def test_a_new_thread_exists_from_its_first_word_on(store: Store) -> None:
    thread = Thread(model="fake/m")
    writer = store.hold(thread)
    writer.begin()
    writer.record(added(user("Hello there")))
    crash(store, writer)
    assert not store.path(thread.id).exists()
    assert [(row.id, row.title, row.messages) for row in store.rows()] == [(thread.id, "Hello there", 1)]
    opened = store.open(thread.id)
    assert texts(opened) == ["Hello there"]
    assert opened.model == "fake/m"
    assert opened.revision == 1
    assert sorted(os.listdir(store.threads)) == [f"{thread.id}.json"]


def test_the_pieces_of_an_unfinished_answer_come_back_marked(store: Store) -> None:
    thread = Thread.of(user("one"), assistant("two"))
    store.save(thread)
    with store.hold(thread) as writer:
        writer.begin(model="fake/other")
        writer.record(added(user("three")))
        writer.record(Waiting(NAME, thread.id, "answering"))
        writer.record(ReasoningDelta(NAME, thread.id, "hm"))
        for piece in ("fo", "u", "r"):
            writer.record(TextDelta(NAME, thread.id, piece))
        writer.record(TextDelta("team/other", thread.id, "not mine"))
        writer.flush()
        crash(store, writer)
    opened = store.open(thread.id)
    assert texts(opened) == ["one", "two", "three", "four"]
    last = opened.messages[-1]
    assert (last.stop, last.reasoning, last.author, last.model) == ("crashed", "hm", NAME, "fake/other")
    assert store.open(thread.id).messages == opened.messages


def test_a_dead_process_loses_at_most_the_pieces_of_a_twentieth_of_a_second(store: Store) -> None:
    script = f"""
import os, sys, pathlib, time
from agentcli.core.event import TextDelta
from agentcli.core.thread import Thread
from agentcli.core.message import user
from agentcli.core.event import MessageAdded
from agentcli.store.threads import Store
home = pathlib.Path({str(store.threads.parent)!r})
thread = Thread(id="k7m29xqd")
writer = Store(home / "threads", home / "blobs", home / "cache").hold(thread)
writer.begin()
writer.record(MessageAdded(source="agentcli", message=user("hi")))
end = time.monotonic() + 0.4
count = 0
while time.monotonic() < end:
    writer.record(TextDelta("agentcli", thread.id, "x"))
    count += 1
    if time.monotonic() < end - 0.1:
        early = count
print(early, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.returncode == -9, done.stderr
    assert len(store.open("k7m29xqd").messages[-1].text) >= int(done.stdout)


def test_calls_and_results_are_on_the_disk_when_record_returns(store: Store) -> None:
    thread = Thread()
    with store.hold(thread) as writer:
        writer.begin()
        path = store.threads / f"{thread.id}.journal"
        for event in (
            added(user("go")),
            added(Message(role="assistant", stop="tools", parts=(ToolCall("c1", "add", "{}"),))),
            ToolStarted(NAME, "", "c1", "add", "{}"),
            ToolFinished(NAME, "", "c1", "add", "4"),
        ):
            writer.record(TextDelta(NAME, "", "x"))
            writer.record(event)
            assert path.read_bytes().endswith(msgspec.json.encode(event) + b"\n")
        size = path.stat().st_size
        writer.record(ToolProgress(NAME, "", "c1", "half"))
        assert path.stat().st_size == size


def test_after_a_crash_begun_calls_may_have_run_and_known_results_hold(store: Store) -> None:
    thread = Thread()
    writer = store.hold(thread)
    writer.begin()
    three = tuple(ToolCall(f"c{number}", "add", "{}") for number in range(3))
    writer.record(added(user("go")))
    writer.record(added(Message(role="assistant", stop="tools", parts=three)))
    writer.record(ToolStarted(NAME, "", "c0", "add", "{}"))
    writer.record(ToolStarted(NAME, "", "c1", "add", "{}"))
    writer.record(ToolFinished(NAME, "", "c1", "add", "done"))
    writer.record(ToolFinished("agentcli/other", "", "c2", "add", "of a nested agent"))
    crash(store, writer)
    results = store.open(thread.id).messages[-1].results
    assert [(result.call_id, result.content) for result in results] == [("c0", MAY_HAVE_RUN), ("c1", "done"), ("c2", NOT_RUN)]


def test_call_ids_that_a_server_uses_twice_are_told_apart_by_their_answer(store: Store) -> None:
    thread = Thread()
    writer = store.hold(thread)
    writer.begin()
    call = Message(role="assistant", stop="tools", parts=(ToolCall("c", "add", "{}"),))
    writer.record(added(user("go")))
    writer.record(added(call))
    writer.record(ToolStarted(NAME, "", "c", "add", "{}"))
    writer.record(ToolFinished(NAME, "", "c", "add", "first"))
    writer.record(added(Message(role="tool", parts=(ToolResult("c", "first"),))))
    writer.record(added(msgspec.structs.replace(call, id="second00")))
    crash(store, writer)
    assert store.open(thread.id).messages[-1].results[0].content == NOT_RUN


def test_the_document_a_turn_begins_before_its_end(store: Store) -> None:
    """/retry and /undo take messages away before the turn begins."""
    thread = Thread.of(user("a"), assistant("b"), user("c"), assistant("d"))
    store.save(thread)
    with store.hold(thread) as writer:
        thread.undo()
        thread.append(assistant("not from a turn"))
        writer.begin()
        writer.record(added(user("e")))
        header = replay.read(store.threads / f"{thread.id}.journal", thread.id).header
        assert (header.messages, header.revision, len(header.said)) == (2, 1, 1)
        crash(store, writer)
    assert texts(store.open(thread.id)) == ["a", "b", "not from a turn", "e"]


def test_a_thread_made_from_messages_is_whole_in_its_first_journal(store: Store) -> None:
    thread = Thread.of(user("My name is Ada."), assistant("Hello, Ada."), title="Ada")
    writer = store.hold(thread)
    writer.begin()
    crash(store, writer)
    opened = store.open(thread.id)
    assert texts(opened) == ["My name is Ada.", "Hello, Ada."]
    assert opened.title == "Ada"
    assert opened.created == thread.created


def test_commit_replaces_the_document_and_removes_the_journal(store: Store) -> None:
    thread = Thread()
    with store.hold(thread) as writer:
        writer.begin()
        thread.append(user("hi"))
        writer.record(added(thread.messages[0]))
        dirty = [writer.dirty]
        writer.commit()
        dirty.append(writer.dirty)
        assert dirty == [True, False]
        assert thread.revision == 1
        assert not (store.threads / f"{thread.id}.journal").exists()
    assert os.listdir(store.threads) == [f"{thread.id}.json"]


@pytest.mark.parametrize("earlier", [0, 1, 2])
def test_a_journal_of_another_revision_is_stale(store: Store, earlier: int) -> None:
    thread = Thread()
    for number in range(earlier):
        thread.append(user(f"{number}"))
        store.save(thread)
    writer = store.hold(thread)
    writer.begin()
    writer.record(added(user("b")))
    journal = (store.threads / f"{thread.id}.journal").read_bytes()
    thread.append(user("b"))
    thread.append(assistant("c"))
    writer.commit()
    writer.close()
    (store.threads / f"{thread.id}.journal").write_bytes(journal)  # died between replacing and removing
    assert len(store.open(thread.id).messages) == earlier + 2
    assert not (store.threads / f"{thread.id}.journal").exists()


def test_a_living_owners_journal_is_left_alone(store: Store) -> None:
    thread = Thread.of(user("a"))
    store.save(thread)
    with store.hold(thread) as writer:
        writer.begin()
        writer.record(added(user("b")))
        assert texts(store.open(thread.id)) == ["a"]
        assert (store.threads / f"{thread.id}.journal").exists()
    new = Thread()
    with store.hold(new) as writer:
        writer.begin()
        writer.record(added(user("only in a journal")))
        assert texts(store.open(new.id)) == ["only in a journal"]
        assert not store.path(new.id).exists()
        writer.commit()


def test_a_failed_save_keeps_the_turn_in_the_journal_and_the_next_one_saves_it(store: Store) -> None:
    thread = Thread.of(user("a"))
    store.save(thread)
    writer = store.hold(thread)
    path = store.path(thread.id)

    def turn(question: str, answer: str) -> None:
        writer.begin()
        for message in (user(question), assistant(answer)):
            thread.append(message)
            writer.record(added(message))

    turn("b", "c")
    document = path.read_bytes()
    path.unlink()
    path.mkdir()  # nothing can be saved over a folder
    (path / "full").touch()
    aside = store.threads / f"{thread.id}.json.damaged-1"
    writer._save = lambda changed: disk.replace(path, changed.dump())
    with pytest.raises(UserError, match="cannot save"):
        writer.commit()
    assert writer.dirty
    assert thread.revision == 1
    turn("d", "e")
    with pytest.raises(UserError):
        writer.commit()
    (path / "full").unlink()
    path.rmdir()
    path.write_bytes(document)
    crash(store, writer)
    assert texts(store.open(thread.id)) == ["a", "b", "c", "d", "e"]
    assert not aside.exists()


def test_commit_after_a_failed_one_saves_everything(store: Store) -> None:
    thread = Thread.of(user("a"))
    store.save(thread)
    with store.hold(thread) as writer:
        save = writer._save
        writer._save = lambda changed: disk.replace(store.threads / "no" / "\0", b"")
        thread.append(user("b"))
        with pytest.raises(ValueError, match="null"):
            writer.commit()
        writer._save = save
        thread.append(user("c"))
        writer.commit()
        assert not writer.dirty
    assert texts(store.open(thread.id)) == ["a", "b", "c"]


def test_a_save_that_may_not_last_is_protected_in_both_outcomes(store: Store) -> None:
    """The folder's fsync failed after the rename: the document on the disk may be the new one or, after a power cut, the old one."""
    thread = Thread.of(user("a"))
    store.save(thread)
    old = store.path(thread.id).read_bytes()
    writer = store.hold(thread)

    def half(changed: Thread) -> None:
        disk.replace(store.path(changed.id), changed.dump())
        raise disk.SaveError(store.path(changed.id), OSError(5, "Input/output error"), replaced=True)

    writer.begin()
    thread.append(user("b"))
    writer.record(added(thread.messages[-1]))
    writer._save = half
    with pytest.raises(UserError):
        writer.commit()
    new = store.path(thread.id).read_bytes()
    writer.begin()
    thread.append(user("c"))
    writer.record(added(thread.messages[-1]))
    journal = (store.threads / f"{thread.id}.journal").read_bytes()
    crash(store, writer)
    for document in (old, new):
        store.path(thread.id).write_bytes(document)
        (store.threads / f"{thread.id}.journal").write_bytes(journal)
        assert texts(store.open(thread.id)) == ["a", "b", "c"]


def test_close_without_a_commit_leaves_the_turn_to_the_journal(store: Store) -> None:
    thread = Thread()
    with store.hold(thread) as writer:
        writer.begin()
        writer.record(TextDelta(NAME, "", "half"))
    assert texts(store.open(thread.id)) == ["half"]
    other = Thread()
    with store.hold(other) as writer:
        writer.begin()  # and nothing came
    assert not (store.threads / f"{other.id}.journal").exists()


def test_a_journal_that_cannot_be_understood_is_set_aside_and_kept(store: Store) -> None:
    thread = Thread.of(user("a"))
    store.save(thread)
    journal = store.threads / f"{thread.id}.journal"
    for number, data in enumerate((b"", b"{", b'{"format": 2}', b"\xff\xfe\n", b"[" * 100_000 + b"\n"), 1):
        journal.write_bytes(data)
        assert texts(store.open(thread.id)) == ["a"]
        assert journal.with_name(f"{journal.name}.damaged-{number}").read_bytes() == data


def test_reading_stops_at_a_damaged_line_and_keeps_the_rest_aside(store: Store) -> None:
    thread = Thread()
    writer = store.hold(thread)
    writer.begin()
    for text in ("a", "b", "c"):
        writer.record(added(user(text)))
    crash(store, writer)
    journal = store.threads / f"{thread.id}.journal"
    lines = journal.read_bytes().split(b"\n")
    lines[2] = b"\0" * len(lines[2])
    journal.write_bytes(b"\n".join(lines))
    assert texts(store.open(thread.id)) == ["a"]
    assert journal.with_name(f"{journal.name}.damaged-1").read_bytes() == b"\n".join(lines)


def test_events_of_a_newer_version_are_passed_over(store: Store) -> None:
    thread = Thread()
    writer = store.hold(thread)
    writer.begin()
    writer.record(added(user("a")))
    crash(store, writer)
    journal = store.threads / f"{thread.id}.journal"
    with journal.open("ab") as file:
        file.write(b'{"event": "handed_off", "to": "editor"}\n' + msgspec.json.encode(added(assistant("b"))) + b"\n")
    assert texts(store.open(thread.id)) == ["a", "b"]


def test_halves_of_surrogate_pairs_do_not_stop_a_turn(store: Store) -> None:
    thread = Thread()
    with store.hold(thread) as writer:
        writer.begin()
        writer.record(TextDelta(NAME, "", "\ud83d"))
        writer.record(ToolFinished(NAME, "", "c", "add", "\udcff"))
        thread.append(user("x"))
        thread.append(Message(role="tool", parts=(ToolResult("c", "\udcff"),)))
        thread.unknown[()] = {"note": "\udcff"}
        writer.commit()
    assert "�" in store.open(thread.id).messages[-1].results[0].content


def test_large_attachments_do_not_go_through_the_journal(store: Store) -> None:
    thread = Thread()
    data = os.urandom(100_000)
    with store.hold(thread) as writer:
        writer.begin()
        message = user("look", Blob("image/png", data))
        thread.append(message)
        writer.record(added(message))
        assert (store.threads / f"{thread.id}.journal").stat().st_size < 1000
        crash(store, writer)
    opened = store.open(thread.id)
    (blob,) = (part for part in opened.messages[0].parts if isinstance(part, Blob))
    assert blob.data is None
    assert store.bytes_of(blob) == data


def test_record_before_begin_is_a_fault_of_ours(store: Store) -> None:
    with store.hold(Thread()) as writer, pytest.raises(RuntimeError):
        writer.record(added(user("a")))


def test_a_full_disk_is_said_by_record_and_no_torn_line_is_left(store: Store, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    thread = Thread()
    with store.hold(thread) as writer:
        writer.begin()
        writer.record(added(user("a")))
        kept, writer._descriptor = writer._descriptor, os.open("/dev/full", os.O_WRONLY)
        with pytest.raises(UserError, match="No space left") as error:
            writer.record(added(user("b")))
        assert "space" in error.value.hint
        os.close(writer._descriptor)
        writer._descriptor = kept
        writer.record(added(user("c")))
        crash(store, writer)
    assert texts(store.open(thread.id)) == ["a", "b", "c"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_half_written_line_is_taken_back_before_the_next(store: Store) -> None:
    script = f"""
import os, pathlib, resource
from agentcli.core.event import MessageAdded
from agentcli.core.message import user
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store.threads import Store
home = pathlib.Path({str(store.threads.parent)!r})
store = Store(home / "threads", home / "blobs", home / "cache")
writer = store.hold(Thread(id="k7m29xqd"))
writer.begin()
writer.record(MessageAdded(source="agentcli", message=user("a")))
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, ((store.threads / "k7m29xqd.journal").stat().st_size + 20, most))
try:
    writer.record(MessageAdded(source="agentcli", message=user("b")))
except UserError as error:
    print(error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
writer.record(MessageAdded(source="agentcli", message=user("c")))
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-u", "-c", script], capture_output=True, text=True, timeout=30)
    assert "File too large" in done.stdout, done.stderr
    assert texts(store.open("k7m29xqd")) == ["a", "b", "c"]


def test_after_a_failed_fsync_nothing_counts_as_safe_until_a_new_journal(store: Store) -> None:
    thread = Thread()
    with store.hold(thread) as writer:
        writer.begin()
        kept = writer._descriptor
        reading, writer._descriptor = os.pipe()  # a pipe takes what is written, and fsync of it fails
        for _ in range(2):
            with pytest.raises(UserError):
                writer.record(added(user("a")))
        os.close(reading)
        os.close(writer._descriptor)
        writer._descriptor = kept
        with pytest.raises(UserError, match="Input/output error"):
            writer.record(added(user("b")))
        thread.append(user("a"))
        writer.begin()
        writer.record(added(user("b")))
        crash(store, writer)
    assert texts(store.open(thread.id)) == ["a", "b"]


EVENTS = events_of()


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_any_crash_leaves_a_thread_that_can_be_sent(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    home = tmp_path_factory.mktemp("any")
    store = Store(home / "threads", home / "blobs", home / "cache")
    thread = Thread()
    writer = store.hold(thread)
    writer.begin()
    for event in EVENTS:
        writer.record(event)
    writer.flush()
    crash(store, writer)
    path = store.threads / f"{thread.id}.journal"
    whole = path.read_bytes()
    head = whole.index(b"\n") + 1
    path.write_bytes(whole[: data.draw(st.integers(head, len(whole)))])
    if len(path.read_bytes().splitlines()) < 3:
        return  # nothing had been said yet
    opened = store.open(thread.id)
    sent = sendable(opened.messages)
    for message, following in zip(sent, [*sent[1:], None], strict=True):
        assert message.parts
        if message.calls:
            assert following
            assert [result.call_id for result in following.results] == [call.id for call in message.calls]
    recorded = [event.message for event in EVENTS if isinstance(event, MessageAdded)]
    kept = opened.messages[: len(recorded)]
    assert [message.id for message in kept if message in recorded] == [
        message.id for message in recorded[: len(kept)] if message in kept
    ]


def test_the_live_thread_and_the_replayed_one_are_the_same(store: Store) -> None:
    thread = Thread()
    writer = store.hold(thread)
    writer.begin()
    for event in EVENTS:
        writer.record(event)
    writer.flush()
    crash(store, writer)
    assert store.open(thread.id).messages == [event.message for event in EVENTS if isinstance(event, MessageAdded)]


def test_open_hold_and_save_from_many_threads_lose_no_update(store: Store) -> None:
    thread = Thread.of(user("0"))
    store.save(thread)
    refused: list[UserError] = []

    def work() -> None:
        done = 0
        while done < 5:
            try:
                with store.take(thread.id) as writer:
                    writer.thread.append(user("x"))
                    writer.commit()
                done += 1
            except UserError as error:
                refused.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    opened = store.open(thread.id)
    assert len(opened.messages) == 21
    assert opened.revision == 21


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_close_that_cannot_write_still_gives_the_thread_free(store: Store) -> None:
    thread = Thread.of(user("one"))
    store.save(thread)
    writer = store.hold(thread)
    writer.begin()
    writer.record(added(user("two")))
    writer.record(TextDelta(NAME, thread.id, "lost"))
    descriptor = writer._descriptor
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    os.close(full)
    with pytest.raises(disk.SaveError):
        writer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    writer.close()
    with store.take(thread.id) as again:
        assert texts(again.thread) == ["one", "two"]


@pytest.mark.parametrize("instead", [False, True])
@pytest.mark.parametrize("answered", [False, True])
def test_a_crash_while_asking_again_costs_the_old_answer_only_if_there_is_a_new_one(
    answered: bool, instead: bool, store: Store
) -> None:
    thread = Thread.of(user("one"), assistant("old"))
    writer = store.hold(thread)
    writer.commit()
    old = [thread.messages.pop()]
    writer.begin(NAME, "fake/m", old if instead else ())
    writer.record(Waiting(source=NAME, what="answering"))
    if answered:
        writer.record(TextDelta(source=NAME, text="ne"))
        writer.flush()
    crash(store, writer)
    expected = ["one", *(["ne"] if answered else ["old"] if instead else [])]
    assert texts(store.open(thread.id)) == expected


def long_thread(store: Store) -> Thread:
    thread = Thread.of(*(make(f"{number}") for number in range(5) for make in (user, assistant)))
    store.save(thread)
    return thread


def compaction(thread: Thread, count: int = 4, summary: str = "They counted.") -> Compaction:
    return Compaction(through=thread.messages[count - 1].id, count=count, summary=summary)


def test_after_a_crash_what_was_compacted_stays_compacted(store: Store) -> None:
    thread = long_thread(store)
    made = compaction(thread)
    with store.hold(thread) as writer:
        writer.begin()
        writer.record(added(user("next")))
        writer.record(NotCompacted(NAME, thread.id, "busy"))
        writer.record(Compacted(f"{NAME}/inner", "other", compaction=compaction(thread, 2, "not mine")))
        writer.record(Compacted(NAME, thread.id, compaction=made))
        writer.record(TextDelta(NAME, thread.id, "half"))
        writer.flush()
        crash(store, writer)
    opened = store.open(thread.id)
    assert opened.standing == [made]
    assert "They counted." in view(opened)[0].text
    assert texts(opened)[-2:] == ["next", "half"]
    assert store.open(thread.id).standing == [made], "and it is saved"


def test_an_unfinished_answer_of_another_model_is_its_own(store: Store) -> None:
    thread = long_thread(store)
    with store.hold(thread) as writer:
        writer.begin(model="fake/first")
        writer.record(added(user("next")))
        writer.record(Switched(f"{NAME}/inner", "other", model="fake/inner"))
        writer.record(TextDelta(NAME, thread.id, "half"))
        writer.flush()
        journal = (store.threads / f"{thread.id}.journal").read_bytes()
        crash(store, writer)
    opened = store.open(thread.id)
    assert (opened.messages[-1].text, opened.messages[-1].model) == ("half", "fake/first")
    with store.hold(opened) as writer:
        writer.begin(model="fake/first")
        writer.record(Switched(NAME, thread.id, model="fake/second", instead_of="fake/first"))
        writer.record(TextDelta(NAME, thread.id, "half"))
        writer.flush()
        crash(store, writer)
    opened = store.open(thread.id)
    assert (opened.messages[-1].model, opened.model) == ("fake/second", "fake/first")
    assert b"fake/inner" in journal


def test_a_compaction_that_could_not_be_saved_is_in_the_next_journal(store: Store, tmp_path: Path) -> None:
    thread = long_thread(store)
    made = compaction(thread)
    with store.hold(thread) as writer:
        writer.begin()
        thread.compact(made)
        writer.record(Compacted(NAME, thread.id, compaction=made))
        writer.begin()  # the save failed, and the next turn begins
        writer.record(added(user("next")))
        crash(store, writer)
    opened = store.open(thread.id)
    assert (opened.standing, texts(opened)[-1]) == ([made], "next")


def test_a_journal_of_an_older_version_leaves_what_was_compacted_alone(store: Store) -> None:
    thread = long_thread(store)
    thread.compact(compaction(thread))
    store.save(thread)
    with store.hold(thread) as writer:
        writer.begin()
        writer.record(added(user("next")))
        path = store.threads / f"{thread.id}.journal"
        header, rest = path.read_bytes().split(b"\n", 1)
        old = {key: value for key, value in msgspec.json.decode(header).items() if key != "compactions"}
        crash(store, writer)
    path.write_bytes(msgspec.json.encode(old) + b"\n" + rest)
    assert store.open(thread.id).standing == thread.standing


def test_a_turn_that_compacts_and_crashes_anywhere_can_go_on(store: Store) -> None:
    thread = Thread.of(*(make(f"{number} " + "x" * 3_500) for number in range(5) for make in (user, assistant)))
    provider = ScriptedProvider(says("They said x."), says("o", "k"))
    agent = Agent(provider, "m", window=10_000)

    async def run() -> list[Event]:
        async with aclosing(agent.stream("and now?", thread.fork())) as events:
            return [event async for event in events]

    events = asyncio.run(run())
    assert any(isinstance(event, Compacted) for event in events)
    for length in range(len(events)):
        mine = Thread(messages=list(thread.messages))
        with store.hold(mine) as writer:
            writer.begin()
            for event in events[:length]:
                writer.record(event)
            writer.flush()
            crash(store, writer)
        opened = store.open(mine.id) if store.path(mine.id).exists() or length or mine.messages else mine
        assert len(opened.standing) == any(isinstance(event, Compacted) for event in events[:length])
        assert sendable(view(opened)) == view(opened)


# An answer that is gone on with


def begun_thread(store: Store) -> Thread:
    thread = Thread.of(user("one"), Message(role="assistant", model="fake/m", stop="timed_out", parts=(Reasoning("hm"), Text("Once"))))
    store.save(thread)
    return thread


def going_on(thread: Thread) -> list[Event]:
    """The events of a turn that goes on with the thread's last answer, and runs a tool in it."""
    provider = ScriptedProvider(
        [ReasoningChunk("well"), TextChunk(" upon"), TextChunk(" a time:"), *calls(("add", '{"a": 2, "b": 2}'))], says("4", ".")
    )
    agent = Agent(provider, "m", tools=[add])

    async def run() -> list[Event]:
        async with aclosing(agent.stream(None, Thread.load(thread.dump()))) as events:
            return [event async for event in events]

    return asyncio.run(run())


def test_a_crash_while_an_answer_is_gone_on_with_leaves_what_there_was_and_what_had_come(store: Store) -> None:
    thread = begun_thread(store)
    with store.hold(thread) as writer:
        writer.begin(model="fake/m", goes_on=True)
        writer.record(ReasoningDelta(NAME, thread.id, "well"))
        writer.record(TextDelta(NAME, thread.id, " upon"))
        writer.record(TextDelta("agentcli/other", thread.id, "not mine"))
        writer.flush()
        crash(store, writer)
    opened = store.open(thread.id)
    assert texts(opened) == ["one", "Once upon"]
    last = opened.messages[-1]
    assert (last.id, last.stop, last.parts) == (
        thread.messages[-1].id,
        "crashed",
        (Reasoning("hm"), Reasoning("well"), Text("Once upon")),
    )
    assert store.open(thread.id).messages == opened.messages
    with store.hold(opened) as writer:
        writer.begin(model="fake/other", goes_on=True)
        writer.record(TextDelta(NAME, thread.id, " a"))
        writer.flush()
        crash(store, writer)
    opened = store.open(thread.id)
    assert texts(opened) == ["one", "Once upon a"]
    assert opened.messages[-1].model == "fake/other"


@pytest.mark.parametrize("came", [[], [Waiting(NAME, "", "answering")], [ReasoningDelta(NAME, "", "well")]])
def test_a_crash_before_any_more_words_leaves_the_answer_as_it_was(came: list[Event], store: Store) -> None:
    thread = begun_thread(store)
    with store.hold(thread) as writer:
        writer.begin(model="fake/m", goes_on=True)
        for event in came:
            writer.record(event)
        writer.flush()
        crash(store, writer)
    assert store.open(thread.id).messages == thread.messages


def test_every_cut_of_a_journal_of_an_answer_that_is_gone_on_with(store: Store) -> None:
    """At every byte: the answer is what it was and a beginning of what came, and never less than was on the disk before."""
    thread = begun_thread(store)
    events = going_on(thread)
    recorded = [event.message for event in events if isinstance(event, MessageAdded)]
    assert [message.text for message in recorded] == ["Once upon a time:", "", "4."]
    document = store.path(thread.id).read_bytes()
    writer = store.hold(thread)
    writer.begin(model="fake/m", goes_on=True)
    for event in events:
        writer.record(event)
    writer.flush()
    crash(store, writer)
    path = store.threads / f"{thread.id}.journal"
    whole = path.read_bytes()
    seen: list[str] = []
    for length in range(whole.index(b"\n") + 1, len(whole) + 1):
        store.path(thread.id).write_bytes(document)
        path.write_bytes(whole[:length])
        opened = store.open(thread.id)
        assert sendable(opened.messages)[-1].parts
        assert opened.settle() == []
        assert opened.messages[0] == thread.messages[0]
        assert opened.messages[1].id == thread.messages[1].id
        assert (opened.messages[1] == thread.messages[1]) == (opened.messages[1].stop == "timed_out")
        said = "".join(texts(opened)[1:])
        assert said == "Once upon a time:4."[: len(said)]
        assert not seen or said.startswith(seen[-1])
        if not seen or said != seen[-1]:
            seen.append(said)
    assert seen == ["Once", "Once upon", "Once upon a time:", "Once upon a time:4", "Once upon a time:4."]
    assert opened.messages[1:] == recorded


def test_a_journal_of_an_older_version_does_not_join_answers(store: Store) -> None:
    thread = begun_thread(store)
    with store.hold(thread) as writer:
        writer.begin(model="fake/m")
        writer.record(TextDelta(NAME, thread.id, "Twice"))
        writer.flush()
        path = store.threads / f"{thread.id}.journal"
        header, rest = path.read_bytes().split(b"\n", 1)
        old = {key: value for key, value in msgspec.json.decode(header).items() if key != "goes_on"}
        crash(store, writer)
    path.write_bytes(msgspec.json.encode(old) + b"\n" + rest)
    opened = store.open(thread.id)
    assert texts(opened) == ["one", "Once", "Twice"]
    assert opened.messages[1] == thread.messages[1]


def test_an_answer_gone_on_with_that_could_not_be_saved_is_in_the_next_journal(store: Store) -> None:
    thread = begun_thread(store)
    events = going_on(thread)
    with store.hold(thread) as writer:
        writer.begin(model="fake/m", goes_on=True)
        for event in events:
            writer.record(event)
        thread.messages[1:] = [event.message for event in events if isinstance(event, MessageAdded)]
        writer.begin(model="fake/m")  # the save failed, and the next turn begins
        writer.record(added(user("next")))
        crash(store, writer)
    assert texts(store.open(thread.id)) == ["one", "Once upon a time:", "", "4.", "next"]


def test_whenever_going_on_is_cancelled_the_document_has_what_was_shown(store: Store) -> None:
    """Through the session: at every moment, once and twice."""

    class Slow(ScriptedProvider):
        async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
            async with aclosing(super().stream(request)) as chunks:
                async for chunk in chunks:
                    await asyncio.sleep(0)
                    yield chunk

    async def main() -> int:
        moments = 0
        while True:
            thread = begun_thread(store)
            provider = Slow([TextChunk(" upon"), TextChunk(" a time:"), *calls(("add", '{"a": 2, "b": 2}'))], says("4", "."))
            session = Session(Agent(provider, "m", tools=[add]), thread, store.hold)
            session.say_meanwhile("and 5?")
            shown: list[str] = []

            def show(event: Event, shown: list[str] = shown) -> None:
                if isinstance(event, TextDelta):
                    shown.append(event.text)

            task = asyncio.create_task(session.go_on(show))
            for _ in range(moments // 2):
                await asyncio.sleep(0)
            if task.done():
                session.close()
                return moments
            task.cancel()
            if moments % 2:
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task], timeout=5)
            assert task.cancelled()
            session.close()
            for _ in range(10):
                await asyncio.sleep(0)
            opened = store.open(thread.id)
            assert opened.messages == thread.messages
            answers = [message.text for message in opened.messages if message.role == "assistant"]
            assert "".join(answers) == "Once" + "".join(shown)
            said = [message.text for message in (*opened.messages[1:], *session.unsaid()) if message.role == "user"]
            assert said == ["and 5?"]
            moments += 1

    assert asyncio.run(main()) > 20
