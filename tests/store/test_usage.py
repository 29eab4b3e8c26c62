"""What answers took: summed so that days and prices can still be told, cached, and counted once."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time

import msgspec
import pytest

from agentcli.core.document import Compaction
from agentcli.core.event import MessageAdded
from agentcli.core.message import Message, Text, Usage, user
from agentcli.core.thread import Thread
from agentcli.store.threads import Store
from agentcli.store.usage import SMALL, Spent, packed, spent, unpacked
from tests.store.test_journal import crash

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def answer(minutes: float = 0, model: str | None = "fake/m", usage: Usage | None = Usage(10, 5)) -> Message:  # noqa: B008  (frozen)
    return Message(role="assistant", parts=(Text("x"),), model=model, usage=usage, at=NOON + timedelta(minutes=minutes))


def told(found: list[Spent]) -> list[tuple[str, str, int, int, int]]:
    return [(f"{each.at:%H:%M}", each.model, each.answers, each.usage.read, each.usage.written) for each in found]


def test_small_answers_of_a_quarter_and_model_are_one_sum() -> None:
    messages = [user("q"), answer(0), answer(14.9), answer(15), answer(16, "fake/n"), answer(17, usage=None), answer(18)]
    assert told(spent(messages)) == [
        ("12:00", "fake/m", 2, 20, 10),
        ("12:15", "fake/m", 2, 20, 10),
        ("12:15", "fake/n", 1, 10, 5),
    ]


def test_large_ones_stand_alone() -> None:
    large = Usage(SMALL - 10, 1, more_input=11)
    found = spent([answer(), answer(usage=large), answer(), answer(usage=large)])
    assert [(each.answers, each.usage.read) for each in found] == [(2, 20), (1, SMALL + 1), (1, SMALL + 1)]


def test_every_field_is_kept() -> None:
    usage = Usage(*range(1, len(Usage.__struct_fields__) + 1))
    assert spent([answer(usage=usage)])[0].usage == usage
    assert spent([answer(usage=usage), answer(usage=usage)])[0].usage == usage + usage


def test_what_no_answer_can_take() -> None:
    found = spent([answer(usage=Usage(1 << 80, -5)), answer(usage=Usage(0, 0))])
    assert [(each.answers, each.usage.input, each.usage.output) for each in found] == [(1, 1 << 40, 0)]
    assert unpacked(packed(found)) == found


def test_who_does_not_say_a_model_has_the_threads() -> None:
    assert spent([answer(model=None)], model="fake/t")[0].model == "fake/t"
    assert spent([answer(model=None)])[0].model == ""


def test_a_time_without_a_zone_is_utc() -> None:
    naive = msgspec.structs.replace(answer(), at=NOON.replace(tzinfo=None))
    assert spent([naive]) == spent([answer()])


def test_packing() -> None:
    assert packed([]) == b""
    assert unpacked(b"") == []
    found = spent([answer(), answer(20, "fake/n")])
    assert unpacked(packed(found)) == found
    assert len(packed(spent([answer()]))) < 40
    for damaged in (b"\xc1", b"x", packed(found)[:-1]):
        assert unpacked(damaged) == []


# In the list of threads.


def saved(store: Store, *messages: Message) -> Thread:
    thread = Thread.of(*messages)
    thread.model = "fake/t"
    store.save(thread)
    return thread


def taken(store: Store) -> dict[str, int]:
    return {row.id: sum(each.usage.total for each in unpacked(row.spent)) for row in store.rows()}


def test_rows_carry_it_through_the_cache(store: Store) -> None:
    one, other = saved(store, user("q"), answer(), answer()), saved(store, user("q"))
    for path in store.threads.iterdir():
        os.utime(path, (time() - 60,) * 2)
    assert taken(store) == {one.id: 30, other.id: 0}
    cache = store.threads.parent / "cache" / "threads"
    assert packed(spent([answer(), answer()])) in cache.read_bytes()
    assert taken(store) == {one.id: 30, other.id: 0}
    one.append(answer())
    store.save(one)
    assert taken(store)[one.id] == 45


def test_a_cache_without_it_is_made_again(store: Store) -> None:
    thread = saved(store, user("q"), answer())
    os.utime(store.path(thread.id), (time() - 60,) * 2)
    store.rows()
    cache = store.threads.parent / "cache" / "threads"
    version, folder, entries = msgspec.msgpack.decode(cache.read_bytes())
    cache.write_bytes(msgspec.msgpack.encode([version - 1, folder, {name: entry[:-1] for name, entry in entries.items()}]))
    assert taken(store) == {thread.id: 15}


def test_what_a_fork_shares_counts_once(store: Store) -> None:
    parent = saved(store, user("q"), answer(), user("r"), answer())
    fork = parent.fork(2)
    store.save(fork)
    assert taken(store) == {parent.id: 30, fork.id: 0}
    fork.append(Message(role="assistant", parts=(Text("x"),), usage=Usage(1, 1)))
    store.save(fork)
    assert taken(store) == {parent.id: 30, fork.id: 2}
    again = fork.fork()
    again.undo()
    again.append(Message(role="assistant", parts=(Text("x"),), usage=Usage(3, 3)))
    store.save(again)
    assert taken(store) == {parent.id: 30, fork.id: 2, again.id: 6}


def test_compactions_count(store: Store) -> None:
    thread = Thread.of(user("q"), answer())
    summary = Compaction(through=thread.messages[1].id, count=2, at=NOON, summary="s", model="fake/s", usage=Usage(100, 7))
    thread.compact(summary)
    store.save(thread)
    (row,) = store.rows()
    assert told(unpacked(row.spent)) == [("12:00", "fake/m", 1, 10, 5), ("12:00", "fake/s", 1, 100, 7)]


def test_a_turn_that_crashed_counts_what_it_had(store: Store) -> None:
    thread = saved(store, user("q"), answer())
    writer = store.hold(thread)
    writer.begin()
    writer.record(MessageAdded(source="agentcli", message=answer(1)))
    writer.flush()
    crash(store, writer)
    assert taken(store) == {thread.id: 30}


@pytest.mark.parametrize("escape", ["", "\\u0041"])
def test_documents_that_are_read_in_either_way(store: Store, tmp_path: Path, escape: str) -> None:
    thread = saved(store, user("q"), answer())
    path = store.path(thread.id)
    path.write_bytes(path.read_bytes().replace(b'"title": "q"', f'"title": "q{escape}"'.encode()))
    assert taken(store) == {thread.id: 15}
