"""Threads: always sendable, and a document that loses nothing."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentcli.core.document import Origin
from agentcli.core.message import (
    Blob,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    user,
)
from agentcli.core.thread import MAY_HAVE_RUN, NOT_RUN, TITLE_LENGTH, Thread, sendable, title_of
from agentcli.errors import UserError

few_ids = st.sampled_from(["a", "b", "c"])
parts_of: dict[Role, st.SearchStrategy[Part]] = {
    "user": st.one_of(
        st.builds(Text, st.sampled_from(["", "hello"])), st.builds(Blob, st.just("image/png"), st.none() | st.just(b"x"))
    ),
    "assistant": st.one_of(
        st.builds(Text, st.sampled_from(["", "words"])),
        st.builds(Reasoning, st.sampled_from(["", "hm"]), st.sampled_from([{}, {"anthropic": "sig"}])),
        st.builds(ToolCall, few_ids, st.sampled_from(["", "clock"]), st.sampled_from(["", "{}", "[1]", '{"a": ', "NaN"])),
    ),
    "tool": st.builds(ToolResult, few_ids, st.sampled_from(["", "done"]), st.booleans()),
}
any_part = st.one_of(*parts_of.values())


def messages_of(parts: dict[Role, st.SearchStrategy[Part]]) -> st.SearchStrategy[list[Message]]:
    return st.lists(
        st.sampled_from(list(parts)).flatmap(
            lambda role: st.builds(Message, role=st.just(role), parts=st.lists(parts[role], max_size=4).map(tuple))
        ),
        max_size=8,
    )


likely = messages_of(parts_of)
absurd = messages_of(dict.fromkeys(parts_of, any_part))  # parts in the mouths of the wrong speakers


def assert_valid(sent: list[Message]) -> None:
    """What every provider asks of a conversation."""
    for index, message in enumerate(sent):
        assert message.parts
        assert all(not isinstance(part, Text) or part.text or part.private for part in message.parts)
        if index:
            assert message.role != sent[index - 1].role, "a speaker twice in a row"
        if message.role == "tool":
            asked = [call.id for call in sent[index - 1].calls]
            assert [result.call_id for result in message.results] == asked
            assert all(isinstance(part, ToolResult) for part in message.parts)
        elif message.calls:
            assert message.role == "assistant"
            assert index + 1 < len(sent)
            assert sent[index + 1].role == "tool"
            ids = [call.id for call in message.calls]
            assert len(set(ids)) == len(ids)
            assert all(call.name and isinstance(msgspec.json.decode(call.arguments), dict) for call in message.calls)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.one_of(likely, absurd))
@example([Message(role="assistant", parts=(ToolCall("a", "f", "{}"), ToolCall("a", "f", "{}")))])
@example([assistant(ToolCall("a", "f", "{}")), user("well?"), Message(role="tool", parts=(ToolResult("a", "late"),))])
def test_what_is_sent_is_valid_whatever_was_said(messages: list[Message]) -> None:
    before = msgspec.json.encode(messages)
    sent = sendable(messages)
    assert_valid(sent)
    assert sendable(sent) == sent
    assert msgspec.json.encode(messages) == before, "the messages themselves stay as they are"


@settings(deadline=None, derandomize=True, max_examples=120)
@given(likely, st.sets(few_ids), st.sets(few_ids))
def test_settling_answers_each_call_and_settling_again_adds_nothing(messages: list[Message], known: set[str], begun: set[str]) -> None:
    thread = Thread(messages=list(messages))
    done = {one: ToolResult(one, "known") for one in known}
    added = thread.settle(done, begun)
    assert thread.settle(done, begun) == []
    assert [message for message in thread.messages if message not in added] == messages
    assert all(result.content for message in added for result in message.results)
    waiting: set[str] = set()
    for message in thread.messages:
        if message.role == "tool":
            waiting -= {result.call_id for result in message.results}
        else:
            assert not waiting
            waiting = {call.id for call in message.calls}
    assert not waiting


def test_settling_says_which_calls_may_have_run() -> None:
    thread = Thread.of(user("go"), assistant(*(ToolCall(one, "f", "{}") for one in "abc")))
    (added,) = thread.settle({"a": ToolResult("a", "fine")}, {"b"})
    assert added.results == (
        ToolResult("a", "fine"),
        ToolResult("b", MAY_HAVE_RUN, is_error=True),
        ToolResult("c", NOT_RUN, is_error=True),
    )


def test_settling_adds_only_what_is_missing_and_once() -> None:
    """Found by review: the second settling took the missing ones for the only ones, and answered the others again."""
    thread = Thread.of(user("go"), assistant(ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))
    thread.append(Message(role="tool", parts=(ToolResult("b", "fine"),)))
    assert [result.call_id for message in thread.settle() for result in message.results] == ["a"]
    assert thread.settle() == []
    assert [result.call_id for result in sendable(thread.messages)[-1].results] == ["a", "b"]


def test_a_call_id_used_again_later_has_its_own_result() -> None:
    """Some servers call every first call of an answer `call_0`."""
    thread = Thread.of(
        user("go"),
        assistant(ToolCall("call_0", "f", "{}")),
        Message(role="tool", parts=(ToolResult("call_0", "first"),)),
        assistant(ToolCall("call_0", "f", "{}")),
    )
    thread.settle()
    assert [message.results[0].content for message in sendable(thread.messages) if message.results] == ["first", NOT_RUN]


def test_an_interrupted_thought_is_not_sent() -> None:
    thought = Message(role="assistant", stop="interrupted", parts=(Reasoning("hm"),))
    assert [message.text for message in sendable([user("a"), thought, user("b")])] == ["ab"]


def test_a_thread_is_held_by_one_turn_at_a_time_and_can_be_held_again() -> None:
    thread = Thread()
    for _ in range(3):
        with thread.held():
            with pytest.raises(UserError, match="already answering"), thread.held():
                pass
    with pytest.raises(ZeroDivisionError), thread.held():
        _ = 1 / 0
    with thread.held():
        pass


def test_marking_names_the_cause_of_an_interruption_only() -> None:
    thread = Thread.of(user("a"), Message(role="assistant", stop="interrupted", parts=(Text("half"),)), user("b"))
    thread.mark("timed_out")
    assert thread.messages[1].stop == "timed_out"
    thread.mark("interrupted")
    assert thread.messages[1].stop == "timed_out"
    whole = Thread.of(user("a"), assistant("all"))
    whole.mark("interrupted")
    assert whole.messages[1].stop == "done"


def test_a_fork_shares_the_beginning_and_goes_its_own_way() -> None:
    thread = Thread.of(user("a"), assistant(ToolCall("1", "f", "{}")), Message(role="tool", parts=(ToolResult("1", "x"),)))
    thread.model, thread.agent = "openai/x", "chief"
    branch = thread.fork(2)
    assert branch.id != thread.id
    assert (branch.title, branch.model, branch.agent) == (thread.title, thread.model, thread.agent)
    assert branch.parent == Origin(thread.id, thread.messages[1].id)
    assert branch.messages[:2] == thread.messages[:2]
    assert branch.messages[2].results == (ToolResult("1", NOT_RUN, is_error=True),)
    branch.append(user("b"))
    assert len(thread.messages) == 3
    assert thread.fork().messages == thread.messages
    assert thread.fork(0).parent == Origin(thread.id, None)


def test_undo_takes_back_the_last_turn() -> None:
    thread = Thread.of(user("a"), assistant("b"), user("c"), assistant("d"), assistant("e"))
    taken = thread.undo()
    assert taken is not None
    assert taken.text == "c"
    assert [message.text for message in thread.messages] == ["a", "b"]
    assert thread.undo() is not None
    assert thread.undo() is None
    assert thread.messages == []


def test_last_is_the_last_answer() -> None:
    assert Thread.of(user("a")).last is None
    answer = assistant("b")
    assert Thread.of(user("a"), answer, user("c")).last is answer


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("What is photosynthesis?", "What is photosynthesis?"),
        ("  two\n\nlines\tand a tab ", "two lines and a tab"),
        ("", ""),
        ("word " * 30, " ".join(["word"] * 12) + "…"),
        ("x" * 100, "x" * 59 + "…"),
        ("a" * 60, "a" * 60),
        (
            "Please explain to me, in some detail, slowly, the nature, perhaps, of things",
            "Please explain to me, in some detail, slowly, the nature…",
        ),
    ],
)
def test_a_title_is_the_beginning_cut_between_words(said: str, title: str) -> None:
    made = title_of(said)
    assert len(made) <= TITLE_LENGTH
    assert made == title


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(max_size=300))
def test_no_title_is_too_long_or_has_line_ends(text: str) -> None:
    made = title_of(text)
    assert len(made) <= TITLE_LENGTH
    assert made.splitlines() in ([made], [])


def test_the_title_comes_from_the_first_words_of_the_user_and_stays() -> None:
    thread = Thread()
    thread.append(assistant("hello"))
    assert thread.title == ""
    thread.append(user(Blob("image/png", b"x")))
    assert thread.title == ""
    thread.append(user("What is this?"))
    thread.append(user("And this?"))
    assert thread.title == "What is this?"
    assert Thread.of(user("a"), title="mine").title == "mine"


# The document


def example_thread() -> Thread:
    thread = Thread.of(
        user("a", Blob("image/png", ref="sha", name="a.png")),
        Message(
            role="assistant",
            author="agentcli",
            model="openai/x",
            stop="tools",
            usage=Usage(1, 2),
            parts=(Reasoning("hm", {"anthropic": {"signature": "s"}}), ToolCall("1", "f", '{"a": ')),
        ),
        Message(role="tool", parts=(ToolResult("1", "é\u2028\u0085", is_error=True),)),
    )
    thread.parent = Origin("k7m29xqd", "abc")
    return thread


def test_a_document_comes_back_the_same() -> None:
    thread = example_thread()
    data = thread.dump()
    again = Thread.load(data)
    assert msgspec.structs.asdict(again) == msgspec.structs.asdict(thread)
    assert again.dump() == data


def test_the_keys_stand_in_the_order_of_the_contract() -> None:
    document = msgspec.json.decode(example_thread().dump())
    assert list(document) == [
        "format", "id", "title", "created", "updated", "revision", "agent", "model", "parent", "messages",
    ]  # fmt: skip
    assert list(document["messages"][0]) == ["id", "at", "role", "parts"]
    assert document["messages"][2]["parts"][0] == {
        "type": "tool_result", "call_id": "1", "content": "é\u2028\u0085", "is_error": True,
    }  # fmt: skip
    assert example_thread().dump().endswith(b"}\n")
    assert "é".encode() in example_thread().dump(), "readable, not escaped"


def test_unknown_keys_survive_at_every_depth() -> None:
    document = msgspec.json.decode(example_thread().dump())
    document["colour"] = {"deep": [1, None]}
    document["parent"]["since"] = 3
    document["messages"][0]["pinned"] = True
    document["messages"][1]["usage"]["audio"] = 5
    document["messages"][1]["parts"][1]["note"] = "kept"
    thread = Thread.load(msgspec.json.encode(document))
    thread.append(user("next"))
    again = msgspec.json.decode(thread.dump())
    assert len(again["messages"]) == 4
    again["messages"].pop()
    again["updated"] = document["updated"]
    assert again == document


def test_unknown_keys_follow_their_message_when_others_come_before_it() -> None:
    document = msgspec.json.decode(Thread.of(user("a"), assistant(ToolCall("1", "f", "{}")), user("b")).dump())
    document["messages"][2]["pinned"] = True
    thread = Thread.load(msgspec.json.encode(document))
    assert thread.settle()
    again = msgspec.json.decode(thread.dump())["messages"]
    assert [message.get("pinned") for message in again] == [None, None, None, True]
    branch = msgspec.json.decode(thread.fork().dump())["messages"]
    assert [message.get("pinned") for message in branch] == [None, None, None, True]


def test_a_fork_does_not_inherit_notes_about_the_whole_document() -> None:
    document = msgspec.json.decode(example_thread().dump())
    document["colour"] = "red"
    document["parent"]["since"] = 3
    branch = msgspec.json.decode(Thread.load(msgspec.json.encode(document)).fork().dump())
    assert "colour" not in branch
    assert "since" not in branch["parent"]


def test_unknown_keys_of_a_message_without_an_id_are_kept() -> None:
    bare = b'{"format":1,"id":"x","messages":[{"role":"user","parts":[{"type":"text","text":"a","k":1}],"j":2}]}'
    (message,) = msgspec.json.decode(Thread.load(bare).dump())["messages"]
    assert (message["j"], message["parts"][0]["k"]) == (2, 1)


def test_unknown_keys_of_two_messages_with_one_id_stay_with_their_own() -> None:
    said: dict[str, Any] = {"id": "same", "role": "user", "parts": [{"type": "text", "text": "a"}]}
    odd = {"id": "parent", "role": "user", "parts": [{"type": "text", "text": "a", "k": 6}]}
    usage = {"input": 1, "output": 1}
    messages: list[dict[str, Any]] = [
        {**said, "first": 1, "usage": {**usage, "u": 1}},
        {**said, "second": 2, "usage": usage, "parts": [{"type": "text", "text": "a", "k": 2}]},
        {**odd, "third": 3},
        said,
    ]
    document = {"format": 1, "id": "x", "parent": {"thread": "y", "since": 7}, "messages": messages}
    again = msgspec.json.decode(Thread.load(msgspec.json.encode(document)).dump())
    assert again["parent"] == {"thread": "y", "message": None, "since": 7}
    for one, other in zip(messages, again["messages"], strict=True):
        assert {key: other[key] for key in one} == one
        assert other.keys() - one.keys() <= {"at", "usage"}


BAD = {
    "empty": b"",
    "one byte": b"{",
    "nul": b"\0" * 100,
    "list": b"[]",
    "text": b'"thread"',
    "not a thread": b"{}",
    "two joined": Thread(id="x").dump() * 2,
    "utf-16": Thread(id="x").dump().decode().encode("utf-16"),
    "byte-order mark": b"\xef\xbb\xbf" + Thread(id="x").dump(),
    "nan": b'{"format":1,"id":"x","messages":[],"revision":NaN}',
    "infinity": b'{"format":1,"id":"x","messages":[],"x":1e999}',
    "deep": b'{"format":1,"id":"x","messages":[],"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep and open": b"[" * 200_000,
    "newer": b'{"format":2,"id":"x","messages":[]}',
    "format of text": b'{"format":"1","id":"x","messages":[]}',
    "id of number": b'{"format":1,"id":7,"messages":[]}',
    "messages of object": b'{"format":1,"id":"x","messages":{}}',
    "message of text": b'{"format":1,"id":"x","messages":["a"]}',
    "unknown role": b'{"format":1,"id":"x","messages":[{"role":"god","parts":[]}]}',
    "unknown part": b'{"format":1,"id":"x","messages":[{"role":"user","parts":[{"type":"smell"}]}]}',
    "part type of list": b'{"format":1,"id":"x","messages":[{"role":"user","parts":[{"type":[]}]}]}',
    "half a surrogate": b'{"format":1,"id":"x","messages":[],"title":"\\ud800"}',
    "not utf-8": b'{"format":1,"id":"x","messages":[],"title":"\xff"}',
    "bad time": b'{"format":1,"id":"x","messages":[],"created":"yesterday"}',
}  # fmt: skip


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_is_a_clear_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        Thread.load(data)
    assert len(str(caught.value)) < 300


def test_a_newer_format_is_named() -> None:
    with pytest.raises(ValueError, match="its format is 2; this version reads up to 1"):
        Thread.load(BAD["newer"])


def test_a_document_cut_or_changed_anywhere_is_read_or_refused_and_never_a_crash() -> None:
    data = example_thread().dump()
    for end in range(len(data) - 2):
        with pytest.raises(ValueError, match=r"\w"):
            Thread.load(data[:end])
    chance = random.Random(7)
    for _ in range(2000):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with contextlib.suppress(ValueError):
            Thread.load(bytes(changed)).dump()


def test_halves_of_surrogate_pairs_do_not_keep_a_thread_from_being_saved() -> None:
    bad = "x\ud800"
    thread = Thread.of(Message(role="user", parts=(Text(bad, {"p": {bad: [bad]}}),)))
    again = Thread.load(thread.dump())
    assert again.messages[0].parts == (Text("x�", {"p": {"x�": ["x�"]}}),)
    assert again.title == "x�"


def test_what_only_another_model_can_read_again_is_not_given_to_one_that_is_joined_with_it() -> None:
    def said(model: str, text: str) -> Message:
        return Message(role="assistant", model=model, stop="interrupted", parts=(Reasoning("hm", {"x": 1}), Text(text, {"x": 2})))

    (_, joined) = sendable([user("hello"), said("a/one", "first "), said("b/two", "second")])
    assert joined.model == "b/two"
    assert joined.parts == (Text("first "), Reasoning("hm", {"x": 1}), Text("second", {"x": 2}))
    (_, same) = sendable([user("hello"), said("a/one", "first "), said("a/one", "second")])
    assert [part.private for part in same.parts if isinstance(part, Reasoning)] == [{"x": 1}, {"x": 1}]
