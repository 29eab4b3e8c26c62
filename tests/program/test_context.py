"""A thread that is too long for its model, as a user meets it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agentcli.core.thread import Thread
from agentcli.store.threads import Store
from tests.core.test_compact import conversation
from tests.model_server import ModelServer
from tests.program import PROGRAM, agentcli, environment
from tests.terminal import Terminal

TOO_LONG = {"error": {"message": "This model's maximum context length is 8192 tokens.", "code": "context_length_exceeded"}}


@pytest.fixture
def thread() -> Thread:
    """A saved thread of about ten thousand tokens."""
    home = Path(os.environ["AGENTCLI_HOME"])
    made = conversation(turns=10)
    Store(home / "threads", home / "blobs", home / "cache").save(made)
    return made


def document(thread: Thread) -> Any:
    return json.loads((Path(os.environ["AGENTCLI_HOME"]) / "threads" / f"{thread.id}.json").read_bytes())


def is_for_a_summary(body: Any) -> bool:
    return "=== record ===" in str(body["messages"][0]["content"])


def test_a_context_length_error_compacts_once_and_asks_again(server: ModelServer, thread: Thread) -> None:
    server.fails(400, body=TOO_LONG).then.says("They asked.").then.says("They asked more.").then.says("Here you are")
    done = agentcli("ask", "-t", thread.id, "and now?", server=server)
    assert (done.stdout, done.returncode) == ("Here you are\n", 0)
    assert "compacted: 16 messages became a summary, about 10k → " in done.stderr
    assert [is_for_a_summary(asked.body) for asked in server.requests] == [False, True, True, False]
    assert len(server.requests[3].body["messages"]) < len(server.requests[0].body["messages"])
    saved = document(thread)
    assert len(saved["messages"]) == 22
    assert [one["summary"] for one in saved["compactions"]] == ["They asked more."]
    agentcli("ask", "-t", thread.id, "go on", server=server.says("Gladly"))
    assert "They asked more." in server.requests[4].body["messages"][0]["content"]
    assert server.requests[4].body["messages"][0]["content"].startswith("[This conversation is too long")


def test_as_events_for_a_program(server: ModelServer, thread: Thread) -> None:
    server.fails(400, body=TOO_LONG).then.says("They asked.").then.says("They asked more.").then.says("Here you are")
    done = agentcli("ask", "-t", thread.id, "--jsonl", "and now?", server=server)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (compacted,) = [event for event in events if event["event"] == "compacted"]
    assert (compacted["compaction"]["count"], compacted["compaction"]["model"]) == (16, "openai/any")
    assert {"event": "waiting", "source": "agentcli", "thread": thread.id, "what": "compacting"} in events
    assert events[-1]["text"] == "Here you are"


def test_twice_is_an_error_that_says_what_helps(server: ModelServer, thread: Thread) -> None:
    server.fails(400, body=TOO_LONG).then.says("They asked.").then.says("They asked more.").then.fails(400, body=TOO_LONG)
    done = agentcli("ask", "-t", thread.id, "and now?", server=server)
    assert (done.stdout, done.returncode) == ("", 69)
    assert "/compact, /new, or /model" in done.stderr
    assert len(server.requests) == 4


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_person_compacts_in_a_chat(server: ModelServer, thread: Thread) -> None:
    server.says("They asked for numbers.").then.says("Gladly")
    env = environment(server, TERM="xterm-256color", NO_COLOR=None)

    def prompts() -> int:
        return terminal.raw.count(b"\x1b[?2004h")

    with Terminal([*PROGRAM, "resume", thread.id], env=env, size=(100, 30)) as terminal:
        terminal.until(lambda terminal: prompts() > 0)
        terminal.send("/compact the numbers\r")
        terminal.until(lambda terminal: prompts() > 1)
        terminal.until("messages became a summary, about 10k → ")
        assert "the numbers" in server.requests[0].body["messages"][0]["content"]
        assert document(thread)["compactions"][0]["summary"] == "They asked for numbers."
        terminal.send("go on\r")
        terminal.until("Gladly")
        terminal.until(lambda terminal: prompts() > 2)
        assert "They asked for numbers." in server.requests[1].body["messages"][0]["content"]
        terminal.send("/new\r")
        terminal.until(lambda terminal: prompts() > 3)
        terminal.send("/compact\r")
        terminal.until("there is nothing to leave out yet")
    assert len(server.requests) == 2


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_ctrl_c_stops_a_summary(server: ModelServer, thread: Thread) -> None:
    server.stalls("mid-stream", text="They asked for").then.says("Gladly")
    env = environment(server, TERM="xterm-256color", NO_COLOR=None)

    def prompts() -> int:
        return terminal.raw.count(b"\x1b[?2004h")

    with Terminal([*PROGRAM, "resume", thread.id], env=env, size=(100, 30)) as terminal:
        terminal.until(lambda terminal: prompts() > 0)
        terminal.send("/compact\r")
        terminal.until("openai/any summarises what was said so far")
        terminal.send("\x03")
        terminal.until(lambda terminal: prompts() > 1)
        server.wait_until(lambda: server.connections[-1].closed is not None)
        terminal.send("go on\r")
        terminal.until("Gladly")
        assert len(server.requests[1].body["messages"]) == 21
    assert "compactions" not in document(thread)
