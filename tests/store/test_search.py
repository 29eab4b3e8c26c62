"""Words found in all that was said."""

from __future__ import annotations

import json
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.event import MessageAdded
from agentcli.core.message import Message, Reasoning, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.thread import Thread
from agentcli.store.search import found, suspect
from agentcli.store.threads import Store


def lines(store: Store, text: str) -> list[tuple[int, str, str]]:
    return [(hit.number, hit.role, hit.line) for hit in store.search(text)]


def test_all_that_was_said_is_searched(store: Store) -> None:
    store.save(
        Thread.of(
            user("first line\nneedle one\r\nlast"),
            Message(role="assistant", stop="tools", parts=(Reasoning("a needle thought"), ToolCall("c", "x", '{"a": "needle"}'))),
            Message(role="tool", parts=(ToolResult("c", "a\nNEEDLE needle\n"),)),
            assistant("none"),
        )
    )
    assert lines(store, "Needle") == [
        (1, "user", "needle one"),
        (2, "assistant", "a needle thought"),
        (3, "tool", "NEEDLE needle"),
    ]
    assert lines(store, "absent") == []
    assert lines(store, "") == []


@pytest.mark.parametrize(
    ("said", "searched"),
    [
        ("ÉTÉ à la plage", "été À"),
        ("Straße", "STRASSE"[:4]),
        ('say "hello" now', '"HELLO"'),
        (r"C:\users\ada", r"\USERS"),
        ("a\tb", "A\tB"),
        ("escape \x1b[31m", "\x1b[31"),
        ("日本語のテキスト", "本語"),
        ("one\ntwo", "ONE\nTWO"),
        ("a.b*c", "a.b*C"),
        ("half/whole", "F/W"),
        ("🙂 smile", "🙂"),
    ],
)
def test_as_people_write(store: Store, said: str, searched: str) -> None:
    thread = Thread.of(user(said))
    store.save(thread)
    assert len(lines(store, searched)) == 1
    path = store.path(thread.id)
    path.write_text(json.dumps(json.loads(path.read_text())).replace("/", "\\/"))  # as another program would have written it
    assert len(lines(store, searched)) == 1


def test_newest_thread_first(store: Store) -> None:
    threads = [Thread.of(user(f"needle {number}")) for number in range(3)]
    for thread in threads:
        store.save(thread)
    assert [hit.line for hit in store.search("needle")] == ["needle 2", "needle 1", "needle 0"]


def test_a_thread_that_is_only_a_journal_is_searched(store: Store) -> None:
    from agentcli.core.event import MessageAdded

    with store.hold(Thread()) as writer:
        writer.begin()
        writer.record(MessageAdded(source="agentcli", message=user("needle")))
        assert lines(store, "needle") == [(1, "user", "needle")]


@pytest.mark.parametrize(
    ("said", "searched", "expected"),
    [
        ("a a a\na a\n\nb", "a", ["a a a", "a a"]),
        ("a\na\na", "a\na", ["a", "a"]),
        ("a\n\n\nb\n", "\n", ["a", "", "", "b"]),
        ("\na", "\na", [""]),
    ],
)
def test_each_line_is_given_once(said: str, searched: str, expected: list[str]) -> None:
    assert [hit.line for hit in found(searched, None, [user(said)])] == expected  # type: ignore[arg-type]


def test_a_line_full_of_matches_is_looked_at_once() -> None:
    def seconds(said: str, lines: int) -> float:
        began = perf_counter()
        assert len(list(found("needle", None, [user(said)]))) == lines  # type: ignore[arg-type]
        return perf_counter() - began

    whole = min(seconds("x" * 2_000_000, 0) for _ in range(3))
    assert min(seconds("needle" * 333_333, 1) for _ in range(3)) < whole


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_the_quick_test_never_misses_what_is_there(needle: str, before: str, after: str) -> None:
    data = Thread.of(Message(role="user", parts=(Text(before + needle + after),))).dump()
    assert suspect(needle)(data)
    (*hits,) = found(needle, None, Thread.load(data).messages)  # type: ignore[arg-type]
    assert hits


def test_threads_in_which_all_words_are_said(store: Store) -> None:
    thread = Thread.of(user("one Needle\nand hay"), assistant("a stone\nneedle, hay and stone"))
    other = Thread.of(user("needle"))
    for each in (thread, other):
        store.save(each)
    rows = {row.id: row for row in store.rows()}
    first, second = rows[thread.id], rows[other.id]
    found = list(
        store.find([(first, ["needle"]), (first, ["stone", "HAY", "needle"]), (second, ["needle", "hay"]), (second, ["needle"])])
    )
    assert [hit and hit.line for hit in found] == ["one Needle", "needle, hay and stone", None, "needle"]
    store.path(other.id).write_bytes(b"{ needle")
    store.delete(thread.id)
    assert list(store.find([(first, ["needle"]), (second, ["needle"])])) == [None, None]


def test_what_is_in_flight_is_seen_and_nothing_is_written(store: Store) -> None:
    thread = Thread.of(user("first"))
    with store.hold(thread) as writer:
        writer.commit()
        writer.begin()
        writer.record(MessageAdded("agentcli", thread.id, message=user("a needle")))
        before = {path: path.read_bytes() for path in store.threads.iterdir()}
        assert [message.text for message in store.seen(thread.id).messages] == ["first", "a needle"]
        (row,) = store.rows()
        assert [hit and hit.line for hit in store.find([(row, ["needle"])])] == ["a needle"]
        assert {path: path.read_bytes() for path in store.threads.iterdir()} == before
