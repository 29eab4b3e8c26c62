"""Bodies of the Responses API, what is read of them, and what is sent back of that."""

from __future__ import annotations

from typing import Any

from agentcli.core.message import Message, ToolResult, user
from agentcli.core.provider import Chunk, Draft, ProviderError, Request
from agentcli.core.thread import sendable
from agentcli.providers.openai_responses import Server, encode
from agentcli.providers.openai_responses.answer import Answer
from tests.model_server import sse

__all__ = [
    "HELLO",
    "LAB",
    "THOUGHT",
    "added",
    "back",
    "bad",
    "call",
    "completed",
    "done",
    "good",
    "message",
    "read",
    "said",
    "shape",
    "stream",
    "thinking",
    "turn",
    "words",
]

LAB = Server.at("http://127.0.0.1:8000/v1", "lab")


def stream(*events: Any, named: bool = True) -> bytes:
    """A body of these: objects as events, bytes as they are."""
    return b"".join(event if isinstance(event, bytes) else sse(event, event=event.get("type") if named else None) for event in events)


def added(place: int | None, **item: Any) -> dict[str, Any]:
    return _placed({"type": "response.output_item.added", "item": item}, place)


def done(place: int | None, **item: Any) -> dict[str, Any]:
    return _placed({"type": "response.output_item.done", "item": item}, place)


def said(event: str, place: int | None = 0, **fields: Any) -> dict[str, Any]:
    """An event of an item: `output_text.delta` and the like."""
    return _placed({"type": f"response.{event}", **fields}, place)


def _placed(event: dict[str, Any], place: int | None) -> dict[str, Any]:
    return event if place is None else {**event, "output_index": place}


def words(delta: str, **fields: Any) -> dict[str, Any]:
    return said("output_text.delta", delta=delta, **fields)


def message(text: str, name: str = "msg_1", **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": name, "role": "assistant", "content": content, **fields}


def call(name: str, arguments: str, call_id: str = "call_1", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name, "arguments": arguments, **fields}


def completed(*output: Any, status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{status}", "response": {"status": status, "output": list(output), **fields}}


def read(body: bytes, *, size: int = 0) -> tuple[list[Chunk], Message, ProviderError | None]:
    """The chunks, the message they make, and the error, of a body in pieces of this size."""
    answer, chunks, draft, failed = Answer(), list[Chunk](), Draft(), None
    try:
        for start in range(0, len(body), size or max(1, len(body))):
            chunks.extend(answer.feed(body[start : start + size] if size else body))
        chunks.extend(answer.end())
    except ProviderError as error:
        failed = error
    for chunk in chunks:
        draft.add(chunk)
    return chunks, draft.message(author=None, model=None), failed


def good(body: bytes) -> Message:
    """The message of a body that is whole; the same however it is split."""
    _, whole, error = read(body)
    assert error is None, error
    for size in (1, 3, 64):
        _, other, _ = read(body, size=size)
        assert shape(other) == shape(whole)
    return whole


def shape(of: Message) -> Any:
    calls = [(call.name, call.arguments) for call in of.calls]  # the ids of some are random
    return of.text, of.reasoning, calls, of.stop, of.usage, [(type(part), getattr(part, "private", {})) for part in of.parts]


def bad(body: bytes) -> tuple[str, ProviderError]:
    """The text that came before the error, and the error; the same however it is split."""
    _, half, error = read(body)
    assert error is not None
    for size in (1, 3, 64):
        _, other, same = read(body, size=size)
        assert same is not None
        assert (other.text, same.kind, same.message) == (half.text, error.kind, error.message)
    return half.text, error


HELLO = (
    {"type": "response.created", "response": {"status": "in_progress", "output": [], "error": None}},
    added(0, type="message", id="msg_1", role="assistant", content=[]),
    said("content_part.added", item_id="msg_1", content_index=0, part={"type": "output_text", "text": ""}),
    words("Hel", item_id="msg_1", content_index=0),
    words("lo 🐎", item_id="msg_1", content_index=0),
    said("output_text.done", item_id="msg_1", content_index=0, text="Hello 🐎"),
    said("content_part.done", item_id="msg_1", content_index=0, part={"type": "output_text", "text": "Hello 🐎"}),
    done(0, **message("Hello 🐎")),
    completed(
        message("Hello 🐎"),
        usage={
            "input_tokens": 12,
            "output_tokens": 40,
            "total_tokens": 52,
            "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 2},
            "output_tokens_details": {"reasoning_tokens": 30},
        },
    ),
)


THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
    "encrypted_content": "ZW5j",
}


def thinking() -> list[dict[str, Any]]:
    return [
        added(0, type="reasoning", id="rs_1", summary=[], encrypted_content=None),
        said("reasoning_summary_part.added", summary_index=0, part={"type": "summary_text", "text": ""}),
        said("reasoning_summary_text.delta", item_id="rs_1", summary_index=0, delta="Fir"),
        said("reasoning_summary_text.delta", item_id="rs_1", summary_index=0, delta="st."),
        said("reasoning_summary_text.done", item_id="rs_1", summary_index=0, text="First."),
        said("reasoning_summary_text.delta", item_id="rs_1", summary_index=1, delta="Then."),
        said("reasoning_summary_text.done", item_id="rs_1", summary_index=1, text="Then."),
        done(0, **THOUGHT, status="completed", content=None),
    ]


def turn() -> bytes:
    see = message("Let me see.", "msg_see", phase="commentary")
    look = call("clock", "{}", namespace="time")
    return stream(
        *thinking(),
        added(1, **{**see, "content": []}),
        words("Let me see.", item_id="msg_see", place=1),
        done(1, **see),
        added(2, **{**look, "arguments": ""}),
        said("function_call_arguments.delta", 2, item_id="fc_1", delta="{}"),
        done(2, **look),
        completed(THOUGHT, see, look),
    )


def back(answer: Message, *, model: str = "lab/qwen", ask: str = "qwen", **how: Any) -> list[dict[str, Any]]:
    """What is sent back of an answer, with the results of its calls."""
    results = [Message(role="tool", parts=tuple(ToolResult(one.id, "12:00") for one in answer.calls))] if answer.calls else []
    mine = Message(role="assistant", model=model, stop=answer.stop, parts=answer.parts)
    items: list[dict[str, Any]] = encode(Request(model=ask, messages=sendable([user("x"), mine, *results, user("y")])), LAB, **how)[
        "input"
    ]
    return [item for item in items if item.get("role") != "user"]
