"""What is made of whatever a server that speaks the Responses API sends."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.message import Message, Reasoning, Text, ToolCall, Usage, user
from agentcli.core.provider import Draft, Request, StopChunk, TextChunk
from agentcli.providers.openai_responses import Extras, encode
from agentcli.providers.openai_responses.answer import Answer
from agentcli.providers.sse import LIMIT
from tests.model_server import sse
from tests.providers.responses import (
    HELLO,
    LAB,
    THOUGHT,
    added,
    back,
    bad,
    call,
    completed,
    done,
    good,
    message,
    read,
    said,
    shape,
    stream,
    thinking,
    turn,
    words,
)

# --- what comes back ---


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("after", [b"", b"data: [DONE]\n\n"])
def test_text_usage_and_stop(named: bool, after: bytes) -> None:
    whole = good(stream(b": PROCESSING\n\n", *HELLO, after, named=named))
    assert (whole.text, whole.stop, whole.usage) == ("Hello 🐎", "done", Usage(12, 40, 8, 30, 2))
    assert whole.parts == (Text("Hello 🐎", {"openai-responses": {"id": "msg_1"}}),)


def test_the_type_may_stand_beside_the_data_only() -> None:
    bare = [sse({**event, "type": None}, event=str(event["type"])) for event in HELLO]
    assert good(b"".join(bare)).text == "Hello 🐎"


def test_cut_at_every_byte_is_never_whole_and_never_more_than_was_sent() -> None:
    body = stream(*HELLO)
    for end in range(len(body)):
        _, half, error = read(body[:end])
        assert "Hello 🐎".startswith(half.text)
        assert error is not None, body[:end]
        assert error.kind == "cut"
    assert read(body)[2] is None


def test_said_once_whatever_is_left_out() -> None:
    """Servers leave out the pieces, or the beginnings and ends of them, or all but the last event."""
    pieces, others = (3, 4), (0, 1, 2, 5, 6, 7)
    for left in range(1 << len(others)):
        for said_in_pieces in (True, False):
            kept = {number for bit, number in enumerate(others) if left >> bit & 1} | {8, *(pieces if said_in_pieces else ())}
            _, whole, error = read(stream(*(event for number, event in enumerate(HELLO) if number in kept)))
            assert (whole.text, whole.stop, error) == ("Hello 🐎", "done", None), kept


def test_a_whole_that_is_not_what_was_said_is_not_said_again() -> None:
    assert good(stream(words("Hello"), done(0, **message("Goodbye")), completed(message("Hello, dear")))).text == "Hello, dear"
    assert good(stream(words("Hello"), completed(message("Goodbye")))).text == "Hello"


def test_the_rest_of_what_was_said_is_added() -> None:
    assert good(stream(words("Hel"), said("output_text.done", text="Hello"), completed())).text == "Hello"
    assert good(stream(words("Hel"), done(0, **message("Hello")), completed())).text == "Hello"
    assert good(stream(words("Hel"), completed(message("Hello")))).text == "Hello"


def test_items_without_a_place_and_items_whose_ids_change() -> None:
    unplaced = [_unplaced(event) for event in HELLO]
    assert good(stream(*unplaced)).text == "Hello 🐎"
    turning = [json.loads(re.sub(r'msg_1"', f'msg_1{number}"', json.dumps(event))) for number, event in enumerate(HELLO)]
    assert good(stream(*turning)).text == "Hello 🐎"
    both = [_unplaced(event) for event in turning]
    assert good(stream(*both)).text == "Hello 🐎"


def _unplaced(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("output_index", "content_index")}


def test_items_that_are_all_numbered_the_same() -> None:
    """Told apart by their ids."""
    whole = good(
        stream(
            added(0, type="reasoning", id="rs_1", summary=[]),
            said("reasoning_summary_text.delta", item_id="rs_1", delta="Hm"),
            added(0, type="message", id="msg_1"),
            words("One", item_id="msg_1"),
            added(0, type="message", id="msg_2"),
            words("Two", item_id="msg_2"),
            completed(message("One"), message("Two", "msg_2")),
        )
    )
    assert (whole.reasoning, whole.text) == ("Hm", "OneTwo")


def test_two_messages_are_two_parts_with_their_phases() -> None:
    whole = good(
        stream(
            added(0, type="message", id="msg_1", phase="commentary"),
            words("Look: ", item_id="msg_1"),
            added(1, type="message", id="msg_2"),
            words("four", item_id="msg_2", place=1),
            done(1, **message("four", "msg_2", phase="final_answer")),
            completed(message("Look: ", phase="commentary"), message("four", "msg_2", phase="final_answer")),
        )
    )
    assert whole.parts == (
        Text("Look: ", {"openai-responses": {"id": "msg_1", "phase": "commentary"}}),
        Text("four", {"openai-responses": {"id": "msg_2", "phase": "final_answer"}}),
    )


def test_several_parts_of_one_message() -> None:
    two = {**message("One. "), "content": [{"type": "output_text", "text": "One. "}, {"type": "output_text", "text": "Two."}]}
    pieces = (words("One. ", content_index=0), words("Tw", content_index=1), words("o.", content_index=1))
    assert good(stream(*pieces, done(0, **two), completed(two))).text == "One. Two."
    assert good(stream(*map(_unplaced, pieces), _unplaced(done(0, **two)), completed(two))).text == "One. Two."
    assert good(stream(completed(two))).text == "One. Two."


def test_a_refusal_is_text_and_the_answer_is_refused() -> None:
    refusal = {**message(""), "content": [{"type": "refusal", "refusal": "I can't do that."}]}
    pieces = (said("refusal.delta", delta="I can't "), said("refusal.delta", delta="do that."))
    for body in (
        stream(*pieces, said("refusal.done", refusal="I can't do that."), done(0, **refusal), completed(refusal)),
        stream(*pieces, completed()),
        stream(said("refusal.done", refusal="I can't do that."), completed(refusal)),
        stream(completed(refusal)),
    ):
        whole = good(body)
        assert (whole.text, whole.stop) == ("I can't do that.", "refused")


@pytest.mark.parametrize(
    ("status", "details", "stop"),
    [
        ("completed", None, "done"),
        ("incomplete", {"reason": "max_output_tokens"}, "length"),
        ("incomplete", {"reason": "content_filter"}, "refused"),
        ("incomplete", {"reason": "something new"}, "length"),
        ("incomplete", None, "length"),
        ("incomplete", "x", "length"),
    ],
)
def test_how_it_ended(status: str, details: Any, stop: str) -> None:
    assert good(stream(words("x"), completed(status=status, incomplete_details=details))).stop == stop
    ended = {"type": "response.completed", "response": {"status": status, "output": [message("x")], "incomplete_details": details}}
    assert good(stream(ended)).stop == stop
    assert good(json.dumps(ended["response"]).encode()).stop == stop


def test_an_end_by_another_name() -> None:
    ended = {"type": "response.done", "response": {"status": "completed", "output": [message("Hi")]}}
    assert good(stream(said("content_part.delta", delta="H"), ended)).text == "Hi"
    assert good(stream(words("Hi"), {"type": "response.completed"})).stop == "done"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b": PROCESSING\n\n",
        b"da",
        stream(*HELLO[:-1]),
        stream(*HELLO[:-1], b"data: [DONE]\n\n"),
        stream(words("x"), {"type": "response.in_progress", "response": {"status": "in_progress"}}),
        stream(completed(status="cancelled")),
        b'{"object": "response", "status": "in_progress", "output": []}',
        b'{"object": "response", "status": "comple',
    ],
)
def test_without_an_end_it_is_a_cut(body: bytes) -> None:
    assert bad(body)[1].kind == "cut"


def test_nothing_after_the_end_counts() -> None:
    whole = good(stream(*HELLO, words("more"), {"error": "late"}, b"data: {\n\n"))
    assert (whole.text, whole.stop) == ("Hello 🐎", "done")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 1}, Usage(5, 1)),
        ({"input_tokens": 5}, Usage(5, 0)),
        ({"input_tokens": -5, "output_tokens": 10**30}, Usage(0, 0)),
        ({"input_tokens": 5, "output_tokens": 1, "input_tokens_details": 7, "output_tokens_details": None}, Usage(5, 1)),
        (
            {"input_tokens": 5, "output_tokens": 1, "total_tokens": 9, "output_tokens_details": {"reasoning_tokens": 3}},
            Usage(5, 1, 0, 3, 0, 0, 3),
        ),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_of_every_shape(usage: Any, expected: Usage | None) -> None:
    assert good(stream(words("a"), completed(usage=usage))).usage == expected


def test_keep_alives_unknown_events_and_pings() -> None:
    noise = (
        b': keep-alive\n\ndata: keepalive\n\nevent: keepalive\ndata: {"type": "keepalive", "sequence_number": 3}\n\n'
        b'data: {"type": "response.new_thing.delta", "delta": "no"}\n\ndata: {"choices": []}\n\ndata: {}\n\nid: 1\n\n'
    )
    assert good(stream(noise, words("a"), noise, words("b"), noise, completed())).text == "ab"


def test_separators_that_are_not_line_ends_stay_in_the_text() -> None:
    text = "a\u2028b\u2029c\u0085d\r\ne\u000bf"
    assert good(stream(words(text), completed(message(text)))).text == text


# --- thinking ---


def test_parts_of_a_summary_are_paragraphs_and_the_item_is_kept_whole() -> None:
    for events in (thinking(), thinking()[-1:], []):
        whole = good(stream(*events, words("Four.", place=1), completed(THOUGHT, message("Four."))))
        assert (whole.reasoning, whole.text) == ("First.\n\nThen.", "Four.")
        if events:
            thought, _ = whole.parts
            assert isinstance(thought, Reasoning)
            assert thought.private == {"openai-responses": {"item": THOUGHT}}


def test_several_thoughts_are_paragraphs_too() -> None:
    second = {**THOUGHT, "id": "rs_2", "summary": [{"type": "summary_text", "text": "At last."}]}
    whole = good(stream(*thinking(), done(1, **second), completed(THOUGHT, second, message("Four."))))
    assert whole.reasoning == "First.\n\nThen.\n\nAt last."
    assert [type(part) for part in whole.parts] == [Reasoning, Reasoning, Text]


def test_thinking_in_full_and_not_in_both_forms() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm, so."}]}
    pieces = [said("reasoning_text.delta", content_index=0, delta=text) for text in ("Hm, ", "so.")]
    whole = good(stream(*pieces, said("reasoning_text.done", content_index=0, text="Hm, so."), done(0, **item), completed(item)))
    assert whole.parts == (Reasoning("Hm, so.", {"openai-responses": {"item": item}}),)
    both = {**item, "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert (
        good(stream(*pieces, said("reasoning_summary_text.delta", delta="Hm."), done(0, **both), completed(both))).reasoning
        == "Hm, so."
    )
    assert good(stream(completed(both))).reasoning == "Hm."


def test_thinking_that_is_only_opaque_is_kept_without_words() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ZW5j", "content": [], "status": "completed"}
    whole = good(
        stream(added(0, **{**item, "encrypted_content": None}), done(0, **item), words("4", place=1), completed(item, message("4")))
    )
    kept = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ZW5j"}
    assert whole.parts[0] == Reasoning("", {"openai-responses": {"item": kept}})


def test_items_that_end_only_at_the_end_are_put_in_their_places() -> None:
    """As llama.cpp ends them."""
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm."}],
        "encrypted_content": "",
    }
    body = stream(
        added(None, type="reasoning", id="rs_1", summary=[], content=[]),
        said("reasoning_text.delta", None, item_id="rs_1", delta="Hm."),
        added(None, type="message", id="msg_1", content=[]),
        words("Noon.", item_id="msg_1", place=None),
        added(None, **call("clock", "")),
        said("function_call_arguments.delta", None, item_id="fc_1", delta="{}"),
        done(None, **item),
        done(None, **message("Noon.")),
        done(None, **call("clock", "{}")),
        completed(item, message("Noon."), call("clock", "{}")),
    )
    whole = good(body)
    assert (whole.reasoning, whole.text, whole.stop) == ("Hm.", "Noon.", "tools")
    sent = back(whole)
    assert [one["type"] for one in sent] == ["reasoning", "message", "function_call", "function_call_output"]
    assert sent[0] == {key: value for key, value in item.items() if value != ""}
    assert [one.get("id") for one in sent] == ["rs_1", "msg_1", "fc_1", None]


def test_what_is_read_is_what_is_sent_back() -> None:
    assert back(good(turn())) == [
        THOUGHT,
        {
            "type": "message",
            "id": "msg_see",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
            "phase": "commentary",
        },
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "clock",
            "arguments": "{}",
            "id": "fc_1",
            "namespace": "time",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "12:00"},
    ]


@pytest.mark.parametrize(
    "how", [{"model": "other/qwen"}, {"ask": "qwen-2"}, {"model": "lab/gpt-4o", "ask": "gpt-4o"}, {"extras": Extras(thinking=False)}]
)
def test_ids_go_only_with_the_thinking_that_led_to_them(how: dict[str, Any]) -> None:
    sent = back(good(turn()), **how)
    assert [item["type"] for item in sent] == ["message", "function_call", "function_call_output"]
    assert [item.get("id") for item in sent] == ["msg_1", None, None]


def test_thinking_that_cannot_go_back_takes_the_ids_along() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    whole = good(
        stream(added(0, **item), done(0, **item), added(1, **call("clock", "{}")), done(1, **call("clock", "{}")), completed())
    )
    assert [part.private for part in whole.parts if isinstance(part, ToolCall)] == [{}]
    assert [item["type"] for item in back(whole)] == ["function_call", "function_call_output"]


def test_no_id_goes_back_after_thinking_that_was_broken_off_up_to_the_next_that_was_not() -> None:
    whole = good(turn())
    broken = Reasoning("Let me", {"openai-responses": {"id": "rs_0"}})
    led = Text("I looked.", {"openai-responses": {"id": "msg_led"}})
    sent = [("reasoning", "rs_1"), ("message", "msg_see"), ("function_call", "fc_1"), ("function_call_output", None)]

    def shown(*parts: Any) -> list[Any]:
        ids = [(item["type"], item.get("id")) for item in back(Message(role="assistant", parts=parts))]
        return [(kind, name if name in ("msg_see", "msg_led") or kind != "message" else "new") for kind, name in ids]

    assert shown(broken, led, *whole.parts) == [("message", "new"), *sent]
    assert shown(*whole.parts, broken, led) == [*sent[:3], ("message", "new"), sent[3]]
    search = Reasoning("", {"openai-responses": {"item": {"type": "web_search_call", "id": "ws_1"}}})
    assert shown(search, led) == [("web_search_call", "ws_1"), ("message", "msg_led")]
    assert shown(broken, search, led) == [("message", "new")]


def test_thinking_that_was_begun_anew_goes_back_once() -> None:
    """As after a turn that was broken off between its thinking and its words, and gone on with by the same model."""
    first = Reasoning("Hm.", {"openai-responses": {"id": "rs_0", "item": {**THOUGHT, "id": "rs_0"}}})
    sent = back(Message(role="assistant", parts=(first, *good(turn()).parts)))
    assert [(item["type"], item.get("id")) for item in sent][:2] == [("reasoning", "rs_1"), ("message", "msg_see")]


def test_thinking_that_led_to_nothing_does_not_go_back() -> None:
    _, half, error = read(stream(*thinking()))
    assert error is not None
    assert half.reasoning == "First.\n\nThen."
    assert back(half) == []
    assert encode(Request(model="m", messages=[user("x"), half, user("y")]), LAB)["input"] == [{"role": "user", "content": "x\n\ny"}]


def test_an_answer_that_was_cut_goes_back_with_its_thinking() -> None:
    _, half, error = read(stream(*thinking(), added(1, type="message", id="msg_1"), words("Let me", place=1)))
    assert error is not None
    assert [(item["type"], item["id"]) for item in back(half)] == [("reasoning", "rs_1"), ("message", "msg_1")]


@pytest.mark.parametrize(
    "private", ["x", [], {"item": 5}, {"item": {}}, {"item": {"type": "reasoning", "id": 5}}, {"id": []}, {"phase": {}}]
)
def test_what_was_kept_and_cannot_be_read_is_left_out(private: Any) -> None:
    parts = (Reasoning("Hm", {"openai-responses": private}), Text("4", {"openai-responses": private}))
    sent = back(Message(role="assistant", parts=parts))
    assert [(item["type"], item["id"]) for item in sent] == [("message", "msg_0")]


# --- tool calls ---


def test_parallel_calls() -> None:
    whole = good(
        stream(
            added(0, **call("weather", "", "call_a")),
            added(1, **{**call("clock", "", "call_b"), "id": "fc_2"}),
            said("function_call_arguments.delta", 0, item_id="fc_1", delta='{"place": '),
            said("function_call_arguments.delta", 1, item_id="fc_2", delta="{"),
            said("function_call_arguments.delta", 0, item_id="fc_1", delta='"Rome"}'),
            said("function_call_arguments.delta", 1, item_id="fc_2", delta="}"),
            said("function_call_arguments.done", 0, item_id="fc_1", arguments='{"place": "Rome"}'),
            done(0, **call("weather", '{"place": "Rome"}', "call_a")),
            done(1, **{**call("clock", "{}", "call_b"), "id": "fc_2"}),
            completed(),
        )
    )
    assert [(one.id, one.name, one.arguments) for one in whole.calls] == [
        ("call_a", "weather", '{"place": "Rome"}'),
        ("call_b", "clock", "{}"),
    ]
    assert whole.stop == "tools"
    assert [one.private for one in whole.calls] == [{"openai-responses": {"id": name}} for name in ("fc_1", "fc_2")]


CALL = call("clock", '{"zone": "UTC"}')


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([added(0, **{**CALL, "arguments": ""}), done(0, **CALL), completed()], id="no pieces"),
        pytest.param([added(0, **CALL), completed()], id="with its beginning"),
        pytest.param([added(0, **CALL), said("function_call_arguments.delta", delta='{"zone": "UTC"}'), completed(CALL)], id="twice"),
        pytest.param([added(0, **CALL), done(0, **CALL), completed(CALL)], id="three times"),
        pytest.param([done(0, **CALL), completed(CALL)], id="no beginning"),
        pytest.param([completed(CALL)], id="at the end"),
        pytest.param([done(0, **{**CALL, "arguments": {"zone": "UTC"}}), completed(CALL)], id="an object"),
        pytest.param(
            [
                said("function_call_arguments.delta", delta='{"zone": '),
                said("function_call_arguments.delta", delta='"UTC"}'),
                done(0, **CALL),
                completed(),
            ],
            id="pieces before its beginning",
        ),
        pytest.param(
            [added(0, **{**CALL, "arguments": ""}), said("function_call_arguments.done", arguments='{"zone": "UTC"}'), completed()],
            id="done",
        ),
    ],
)
def test_a_call_however_it_is_said(events: list[Any]) -> None:
    whole = good(stream(*events))
    assert [(one.id, one.name, one.arguments) for one in whole.calls] == [("call_1", "clock", '{"zone": "UTC"}')]
    assert whole.stop == "tools"


def test_a_call_without_an_id_gets_one() -> None:
    (one,) = good(stream(done(0, type="function_call", name="clock", arguments=None), completed())).calls
    assert one.id
    assert one.arguments == "{}"


def test_tools_of_the_server_are_not_ours_to_run() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "xs_1", "name": "x_search", "input": "{}"}
    others: list[dict[str, Any]] = [
        {"type": "image_generation_call", "id": "ig_1", "result": "QUJD"},
        {"type": "mcp_approval_request", "id": "mcpr_1", "name": "fetch", "arguments": "{}"},
        {"type": "local_shell_call", "id": "ls_1", "call_id": "call_9", "action": {}},
        {"type": "something_new", "id": "sn_1", "name": "clock", "arguments": "{}"},
    ]
    whole = good(
        stream(
            *thinking(),
            added(1, **search),
            said("web_search_call.searching", 1, item_id="ws_1"),
            done(1, **search),
            added(2, **custom),
            said("custom_tool_call_input.delta", 2, item_id="ctc_1", delta="{}"),
            said("mcp_call_arguments.delta", 3, item_id="mcp_1", delta="{}"),
            said("code_interpreter_call_code.delta", 3, item_id="ci_1", delta="print()"),
            *(done(3 + number, **item) for number, item in enumerate(others)),
            words("Found.", place=9),
            completed(THOUGHT, search, custom, *others, message("Found.")),
        )
    )
    assert (whole.text, whole.calls, whole.stop) == ("Found.", (), "done")
    assert [item["type"] for item in back(whole)] == ["reasoning", "web_search_call", "message"]
    assert back(whole)[1] == search
    assert [item["type"] for item in back(whole, model="other/qwen")] == ["message"]


# --- errors ---


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "code": "rate_limit_exceeded"}, "rate_limit"),
        ({"message": "slow down", "code": 429}, "rate_limit"),
        ({"message": "too busy", "type": "overloaded_error"}, "overloaded"),
        ({"message": "too long", "code": "context_length_exceeded"}, "context_length"),
        ({"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"}, "auth"),
        ({"message": "what?", "code": "invalid_prompt"}, "bad_request"),
        ({"message": "oops", "code": "server_error"}, "server"),
        ({"message": "oops", "code": None, "param": None}, "server"),
    ],
)
def test_an_error_in_mid_stream_keeps_the_text_and_says_what_it_is(error: dict[str, Any], kind: str) -> None:
    for event in (
        {"type": "error", "sequence_number": 3, **{key: value for key, value in error.items() if key != "type"}},
        {"type": "error", "sequence_number": 3, "error": error},
        {"type": "response.failed", "response": {"status": "failed", "error": error, "output": []}},
        {"type": "response.completed", "response": {"status": "failed", "error": error}},
        {"error": error},
        {"error": {"error": error}},
        b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n",
        b"event: error\ndata: " + json.dumps({"error": error}).encode() + b"\n\n",
        b"data: " + json.dumps({"type": "error", "error": error}).encode() + b"\n\n",
        b"error: " + json.dumps(error).encode() + b"\n\n",
    ):
        if isinstance(event, dict) and "error" not in event and event["type"] == "error" and "type" in error:
            continue  # there is one `type`
        text, failed = bad(stream(words("half"), event))
        assert (text, failed.kind) == ("half", kind), event
        assert error["message"] in failed.message


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": {"status": "failed"}},
        {"type": "response.failed"},
        b"event: error\ndata: boom\n\n",
        {"type": "error"},
    ],
)
def test_an_error_without_words(event: Any) -> None:
    assert bad(stream(words("half"), event))[1].kind == "server"


@pytest.mark.parametrize("nothing", [None, "", {}, [], False])
def test_an_empty_error_is_none(nothing: Any) -> None:
    assert good(stream({**words("a"), "error": nothing}, completed(error=nothing))).text == "a"


def test_an_event_that_is_not_json_is_an_error() -> None:
    text, failed = bad(stream(words("half"), b'data: {"type": }\n\n', *HELLO))
    assert (text, failed.kind) == ("half", "protocol")


def test_an_event_of_more_than_16_mib() -> None:
    _, half, failed = read(stream(words("half"), b"data: {" + b" " * LIMIT + b"}\n\n"))
    assert failed is not None
    assert (half.text, failed.kind) == ("half", "too_large")


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert bad(stream(b'data: {"error":' + deep + b"}\n\n"))[1].kind == "protocol"
    nested = b"[" * 700 + b"]" * 700
    item = b'{"type":"reasoning","id":"rs_1","encrypted_content":"x","more":' + nested + b"}"
    good(stream(b'data: {"type":"response.output_item.done","item":' + item + b"}\n\n", completed()))


def test_very_many_items_take_no_longer_than_few() -> None:
    assert good(stream(completed(*[{"type": "message"}] * 20_000))).parts == ()


# --- bodies that are no stream ---


@pytest.mark.parametrize("before", [b"", b"\n\n ", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_response_in_place_of_a_stream(before: bytes, indent: int | None) -> None:
    response = {
        "object": "response",
        "status": "completed",
        "error": None,
        "output": [THOUGHT, message("Hé"), CALL],
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    whole = good(before + json.dumps(response, indent=indent, ensure_ascii=False).encode())
    assert (whole.reasoning, whole.text, whole.stop, whole.usage) == ("First.\n\nThen.", "Hé", "tools", Usage(1, 2))
    assert [item["type"] for item in back(whole)] == ["reasoning", "message", "function_call", "function_call_output"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error": {"message": "no", "code": 401}}', "auth"),
        (b'{"status": "failed", "output": [], "error": {"message": "no", "code": "server_error"}}', "server"),
        (b'[{"error": {"message": "no", "status": "UNAVAILABLE", "code": 503}}]', "overloaded"),
        (b'{"detail": "no"}', "server"),
        (b'{"code": "invalid-argument", "error": "no"}', "bad_request"),
        (b'{"models": []}', "protocol"),
        (b"[]", "protocol"),
        (b"[5]", "protocol"),
        (b"<!doctype html><title>Welcome</title>", "protocol"),
        (b"Not found", "protocol"),
    ],
)
def test_bodies_that_are_no_answer(body: bytes, kind: str) -> None:
    assert bad(body)[1].kind == kind


# --- shapes that are not documented ---


@pytest.mark.parametrize(
    "event",
    [
        words("", item_id=5, content_index="x"),
        {**words(""), "delta": {"text": "a"}},
        {**words(""), "output_index": "0", "delta": ""},
        {"type": 5},
        {"type": "response.output_item.added", "item": "x"},
        {"type": "response.output_item.added", "item": {"type": "message", "content": "x", "id": {"a": 1}}},
        {"type": "response.output_item.added"},
        {"type": "response.output_item.done", "item": None},
        {"type": "response.output_item.done", "item": {"type": "message", "content": [None, 5, {"text": ["a"]}]}},
        {"type": "response.output_item.done", "item": {"type": "reasoning", "summary": "x", "content": {"a": 1}}},
        {"type": "response.output_item.done", "item": {"type": ["message"]}},
        {"type": "response.created", "response": 5},
        {"type": "response.in_progress", "response": {"output": "x", "usage": 5}},
    ],
)
def test_a_wrong_shape_is_no_crash_and_costs_only_what_is_wrong(event: Any) -> None:
    assert good(stream(words("a"), event, words("!"), completed())).text == "a!"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10) | st.floats(allow_nan=True) | st.text("aé🐎\ud83d\ude00", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "id", "content", "summary", "text", "refusal", "name", "arguments", "call_id", "encrypted_content"]
            ),
            inner | st.sampled_from(["message", "reasoning", "function_call", "web_search_call", "output_text"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)
EVENTS = st.sampled_from(
    [
        "output_text.delta",
        "output_text.done",
        "refusal.delta",
        "reasoning_summary_text.delta",
        "reasoning_text.done",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.added",
        "output_item.done",
        "in_progress",
    ]
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(EVENTS, st.sampled_from(["delta", "text", "arguments", "item", "item_id", "output_index", "response"]), JSON),
        max_size=6,
    )
)
def test_whatever_comes_gives_text_that_can_be_written_and_sent(events: list[tuple[str, str, Any]]) -> None:
    body = b"".join(f"data: {json.dumps({'type': f'response.{kind}', field: value})}\n\n".encode() for kind, field, value in events)
    chunks, whole, error = read(body + stream(words("end", item_id="last", place=99), completed()))
    assert error is None
    assert whole.text.endswith("end")
    assert isinstance(chunks[-1], StopChunk)
    for chunk in chunks:
        str(getattr(chunk, "text", "")).encode()
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Message) == whole
    assert msgspec.json.encode(back(whole))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(1, 200), max_size=30))
def test_any_split_gives_the_same(sizes: list[int]) -> None:
    body, answer, draft = turn(), Answer(), Draft()
    whole = read(body)[1]
    for size in sizes:
        for chunk in answer.feed(body[:size]):
            draft.add(chunk)
        body = body[size:]
    for chunk in (*answer.feed(body), *answer.end()):
        draft.add(chunk)
    assert shape(draft.message(author=None, model=None)) == shape(whole)


# --- surrogates ---


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\\ud83d", "\\ude00b"], "a😀b"),
        (["\\ud83d", "\\ude00"], "😀"),
        (["a\\ud83d", "", "\\ude00b"], "a😀b"),
        (["a\\ud83d", "b"], "a\ufffdb"),
        (["a\\ud83d"], "a\ufffd"),
        (["\\ude00b"], "\ufffdb"),
    ],
)
@pytest.mark.parametrize("kind", ["output_text", "reasoning_summary_text"])
def test_halves_of_a_surrogate_pair(pieces: list[str], text: str, kind: str) -> None:
    name = "message" if kind == "output_text" else "reasoning"
    begun = f'data: {{"type":"response.output_item.added","output_index":0,"item":{{"type":"{name}","id":"x_1"}}}}\n\n'.encode()
    events = [f'data: {{"type":"response.{kind}.delta","output_index":0,"delta":"{piece}"}}\n\n'.encode() for piece in pieces]
    chunks, whole, error = read(stream(begun, *events, completed()))
    assert error is None
    assert (whole.text or whole.reasoning) == text
    (part,) = whole.parts
    assert isinstance(part, Text | Reasoning)
    assert part.private == {"openai-responses": {"id": "x_1"}}
    for chunk in chunks:
        str(getattr(chunk, "text", "")).encode()


def test_half_a_character_in_what_is_kept() -> None:
    item = '{"type":"reasoning","id":"rs_1","encrypted_content":"a\\ud83d","summary":[]}'
    whole = good(f'data: {{"type":"response.output_item.done","item":{item}}}\n\n'.encode() + stream(words("4"), completed()))
    assert back(whole)[0]["encrypted_content"] == "a\ufffd"
    assert msgspec.json.encode(whole)


def test_half_a_character_at_a_cut_is_kept_too() -> None:
    half = b'data: {"type":"response.output_text.delta","delta":"a\\ud83d"}\n\n'
    assert [(text, error.kind) for text, error in (bad(half), bad(half + stream({"error": "no"})))] == [
        ("a\ufffd", "cut"),
        ("a\ufffd", "server"),
    ]


def test_chunks_come_as_soon_as_their_event_has_ended() -> None:
    answer = Answer()
    body = stream(words("a"))
    assert list(answer.feed(body[:-1])) == []
    assert list(answer.feed(body[-1:])) == [TextChunk("a", {}, 0)]
