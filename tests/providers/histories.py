"""Conversations that every provider must be able to send, and the snapshots of what each makes of them.

A provider's test calls `same_as_snapshot()` with the bodies that it encodes. `SNAPSHOTS=write pytest tests/providers` writes the files
anew: read the difference before it is committed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.provider import Request, ToolSpec
from agentcli.core.thread import Thread, sendable

__all__ = ["HISTORIES", "request", "same_as_snapshot"]

SNAPSHOTS = Path(__file__).parent / "snapshots"

PIXEL = b"\x89PNG\r\n\x1a\n and so on"
WEATHER = ToolSpec(
    "weather",
    "The weather in a place.",
    {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
CLOCK = ToolSpec("clock", "The time of day.", {"type": "object", "properties": {}})


def _said(*parts: Any, model: str = "lab/qwen", stop: Any = "done") -> Message:
    return Message(role="assistant", author="agentcli", model=model, stop=stop, parts=parts)


def _results(*results: ToolResult) -> Message:
    return Message(role="tool", parts=results)


def _thoughts(text: str, **kept: Any) -> Reasoning:
    return Reasoning(text, {"openai-chat": kept})


_ITEM = {
    "type": "reasoning",
    "id": "rs_1a",
    "summary": [{"type": "summary_text", "text": "I should look."}],
    "encrypted_content": "ZW5j",
}
_PARALLEL = (
    user("What is the weather in Rome and in Oslo?"),
    _said(
        Text("I will look."),
        ToolCall("call_a", "weather", '{"place": "Rome"}'),
        ToolCall("call_b", "weather", '{"place": "Oslo"}'),
        stop="tools",
    ),
    _results(ToolResult("call_a", "25 °C"), ToolResult("call_b", "the station does not answer", is_error=True)),
)

HISTORIES: dict[str, Thread] = {
    "one question": Thread.of(user("Hello")),
    "several turns": Thread.of(user("My name is Ada."), assistant("Hello, Ada."), user("What is my name?")),
    "parallel tools": Thread.of(*_PARALLEL),
    "after the tools": Thread.of(*_PARALLEL, _said(Text("25 °C in Rome.")), user("Thank you")),
    "an image, a document and a text": Thread.of(
        user(
            "What do these say?",
            Blob("image/png", PIXEL, name="pixel.png"),
            Blob("application/pdf", b"%PDF-1.4 nothing", name="nothing.pdf"),
            Blob("text/plain", "naïve".encode(), name="note.txt"),
        )
    ),
    "thinking that must go back": Thread.of(
        user("What time is it?"),
        _said(_thoughts("I should look.", field="reasoning_content"), ToolCall("call_1", "clock", "{}"), stop="tools"),
        _results(ToolResult("call_1", "12:00")),
        _said(ToolCall("call_2", "clock", "{}"), stop="tools"),
        _results(ToolResult("call_2", "12:01")),
    ),
    "thinking without tools": Thread.of(
        user("2+2?"), _said(_thoughts("Easy.", field="reasoning_content"), Text("4")), user("And 3+3?")
    ),
    "thinking in details": Thread.of(
        user("What time is it?"),
        _said(
            _thoughts("Look.", details=[{"type": "reasoning.text", "text": "Look.", "signature": "c2ln", "index": 0}]),
            ToolCall("toolu_01", "clock", "{}"),
            _thoughts("", details=[{"type": "reasoning.encrypted", "data": "ZW5j", "id": "toolu_01"}]),
            stop="tools",
        ),
        _results(ToolResult("toolu_01", "12:00")),
    ),
    "another provider's history": Thread.of(
        user("What time is it?"),
        _said(
            Reasoning("Hm.", {"anthropic": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]}),
            ToolCall("toolu_" + "0123456789" * 4, "clock.now", "{}"),
            model="anthropic/claude-sonnet-5",
            stop="tools",
        ),
        _results(ToolResult("toolu_" + "0123456789" * 4, "12:00")),
    ),
    "stopped in the answer": Thread.of(user("Count to ten."), _said(Text("1, 2, 3,"), stop="interrupted"), user("Go on.")),
    "stopped while thinking": Thread.of(
        user("Count to ten."), _said(_thoughts("Let me", field="reasoning_content"), stop="interrupted"), user("Well?")
    ),
    "stopped in a call": Thread.of(
        user("What time is it?"), _said(ToolCall("call_1", "clock", '{"zone": "Eur'), stop="interrupted"), user("Never mind.")
    ),
    "failed before the answer": Thread.of(user("Are you there?"), user("Hello?")),
    "thinking that was signed": Thread.of(
        user("What time is it?"),
        _said(
            Reasoning("I should look.", {"anthropic": {"type": "thinking", "signature": "c2ln"}}),
            Reasoning("", {"anthropic": {"type": "redacted_thinking", "data": "ZW5j"}}),
            Text("Let me see."),
            ToolCall("toolu_01A", "clock", "{}"),
            model="anthropic/claude-sonnet-5",
            stop="tools",
        ),
        _results(ToolResult("toolu_01A", "12:00")),
        _said(ToolCall("toolu_01B", "clock", "{}"), model="anthropic/claude-sonnet-5", stop="tools"),
        _results(ToolResult("toolu_01B", "12:01")),
    ),
    "ids that come again": Thread.of(
        user("What time is it?"),
        _said(ToolCall("call_0", "clock", "{}"), stop="tools"),
        _results(ToolResult("call_0", "12:00")),
        _said(ToolCall("call_0", "clock", "{}"), stop="tools"),
        _results(ToolResult("call_0", "12:01")),
    ),
    "blanks": Thread.of(
        user("What time is it?"),
        _said(Text("\n\n"), ToolCall("call_1", "clock", "{}"), stop="tools"),
        _results(ToolResult("call_1", "", is_error=True)),
        _said(Text(" ")),
        user("Well?"),
    ),
    "thinking that is signed where it led": Thread.of(
        user("What is the weather in Rome and in Oslo?"),
        _said(
            Reasoning("Two places."),
            ToolCall("0b3pdf3o", "weather", '{"place": "Rome"}', {"gemini": {"signature": "c2lnMQ==", "id": "0b3pdf3o"}}),
            ToolCall("call_9", "weather", '{"place": "Oslo"}'),
            model="gemini/gemini-3.5-flash",
            stop="tools",
        ),
        _results(ToolResult("0b3pdf3o", "25 °C"), ToolResult("call_9", "the station does not answer", is_error=True)),
        _said(Text("25 °C in Rome."), Text("", {"gemini": {"signature": "c2lnMg=="}}), model="gemini/gemini-3.5-flash"),
        user("Thank you"),
    ),
    "thinking that is not shown": Thread.of(
        user("What is 17 * 23? Look at this, too.", Blob("image/png", PIXEL)),
        _said(
            Reasoning("Let me compute.", {"gemini": {"signature": "c2lnMw=="}}),
            Reasoning("", {"gemini": {"part": {"executableCode": {"language": "PYTHON", "code": "print(17*23)"}}}}),
            Reasoning("", {"gemini": {"part": {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "391"}}}}),
            Text("391", {"gemini": {"signature": "c2lnNA=="}}),
            model="gemini/gemini-3.5-flash",
        ),
        user("And now?"),
    ),
    "an assistant first and last": Thread.of(
        assistant("Hello, I am here."), user("Count to ten."), _said(Text("1, 2"), stop="length")
    ),
    "thinking that is encrypted": Thread.of(
        user("What time is it?"),
        _said(
            Reasoning("I should look.", {"openai-responses": {"item": _ITEM}}),
            Text("Let me see.", {"openai-responses": {"id": "msg_1a", "phase": "commentary"}}),
            ToolCall("call_1a", "clock", "{}", {"openai-responses": {"id": "fc_1a"}}),
            stop="tools",
        ),
        _results(ToolResult("call_1a", "12:00")),
        _said(Text("Noon.", {"openai-responses": {"id": "msg_1b", "phase": "final_answer"}})),
        user("And now?"),
    ),
}


def request(history: str, **more: Any) -> Request:
    """The request for a history, as an agent would make it. The history itself stays as it is."""
    thread = Thread.of(*HISTORIES[history].messages)
    thread.settle()
    return Request(
        **{"model": "qwen", "instructions": "Be brief.", "tools": (WEATHER, CLOCK), "messages": sendable(thread.messages), **more}
    )


def same_as_snapshot(name: str, bodies: dict[str, Any]) -> None:
    """Compare with snapshots/NAME.json, or write it."""
    file = SNAPSHOTS / f"{name}.json"
    if _WRITE:
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(bodies, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert bodies == json.loads(file.read_text(encoding="utf-8"))


_WRITE = os.environ.get("SNAPSHOTS") == "write"
