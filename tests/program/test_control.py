"""Stopping, leaving and coming back, at moments that once went wrong. The many random moments are in tests/promises (P8 to P10)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired
from time import monotonic
from typing import Any

import pytest

from tests.model_server import ModelServer
from tests.program import PROGRAM, environment
from tests.promises.talk import Window, settings_left
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")

IDLE = b"\x1b[?2004h\x1b[?25h"  # written whenever the chat becomes ready again

TOOLS = '''
import asyncio, time
from agentcli import tool

@tool(asks=True)
def risky() -> str:
    """Asks."""
    return "done it"

async def stuck() -> str:
    """Holds up everything."""
    open("stuck", "x").close()
    time.sleep(10)
'''


def chat(server: ModelServer | None, *arguments: str, **more: Any) -> Window:
    env = environment(server, TERM="xterm-256color", NO_COLOR=None, **more.pop("env", {}))
    return Window([*PROGRAM, *arguments], env=env, **more)


def threads() -> list[dict[str, Any]]:
    folder = Path(os.environ["AGENTCLI_HOME"]) / "threads"
    return [json.loads(path.read_bytes()) for path in folder.glob("*.json")]


def typed(terminal: Terminal) -> str:
    """The last row that is not empty: the input line, with its mark."""
    return next((row for row in reversed(terminal.screen()) if row), "")


def ready(terminal: Terminal) -> bool:
    return typed(terminal) == ">"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(TOOLS)
    return tmp_path


@pytest.fixture
def asked(server: ModelServer, folder: Path) -> Iterator[Window]:
    """A chat whose input line belongs to a question."""
    server.calls("risky", {}).then.says("Fine.").then.says("Next.")
    with chat(server, "--tool", "mine.py:risky", cwd=folder) as terminal:
        terminal.until(ready)
        terminal.send("go\r")
        terminal.until(lambda terminal: typed(terminal) == "?")
        yield terminal


class TestCtrlC:
    def test_right_behind_enter_it_stops_that_turn(self, server: ModelServer) -> None:
        with chat(server.stalls("mid-stream", text="Hello there")) as terminal:
            terminal.until(ready)
            terminal.send("hi\r\x03")
            terminal.until(lambda terminal: IDLE in terminal.raw)
            assert "Ctrl-D or /quit leaves." not in terminal.text()
        assert threads()[0]["messages"][0]["parts"][0]["text"] == "hi"

    def test_the_third_leaves_at_once_whatever_holds_up_the_program(self, server: ModelServer, folder: Path) -> None:
        with chat(server.calls("stuck", {}), "--tool", "mine.py:stuck", cwd=folder) as terminal:
            modes = terminal.modes()
            terminal.until(ready)
            terminal.send("go\r")
            terminal.until(lambda terminal: (folder / "stuck").exists())
            began = monotonic()
            while terminal.process.poll() is None:
                assert monotonic() - began < 5
                terminal.send("\x03")
                with suppress(TimeoutExpired):
                    terminal.process.wait(0.1)
            assert terminal.wait() == 130
            assert terminal.modes() == modes
            assert settings_left(terminal.raw) == ""

    def test_what_waits_behind_a_command_is_not_sent_when_it_is_stopped(self, server: ModelServer) -> None:
        with chat(server.echo()) as terminal:
            terminal.until(ready)
            terminal.send("!echo begun; sleep 60\r")
            terminal.until("\nbegun")
            terminal.send("waits\rand a draft")
            terminal.until("+ and a draft")
            terminal.send("\x03")
            terminal.until("held: waits\nEnter sends what is held, Up takes it back\n> and a draft")
            assert server.requests == []

    def test_what_is_held_is_sent_or_taken_back_one_by_one(self, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Hello there").then.echo()
        with chat(server) as terminal:
            terminal.until(ready)
            terminal.send("go\r")
            terminal.until("Hello")
            terminal.send("one\r/usage \r!echo three\rfour\r")
            terminal.until("next: four")
            terminal.send("\x03")
            terminal.until("held: four")
            terminal.send("\x1b[A")
            terminal.until("> four")
            terminal.send(" now\r")  # what is sent now comes first
            server.wait_until(lambda: len(server.requests) == 2)
            terminal.until("held: !echo three")
            terminal.send("\r")
            server.wait_until(lambda: len(server.requests) == 3)
            terminal.until("\nthree")
        said = [request.body["messages"][-1]["content"] for request in server.requests]
        assert said == ["go", "four now", "one"]


class TestTypeAhead:
    def test_right_behind_an_answer_it_goes_on_with_the_draft(self, asked: Window, server: ModelServer) -> None:
        asked.send("y\rnext\rand a draft")
        asked.until("Next.")
        asked.until(lambda terminal: typed(terminal) == "> and a draft")
        assert server.requests[1].body["messages"][-1]["content"] == "done it"
        assert server.requests[2].body["messages"][-1]["content"] == "next"

    def test_right_behind_what_was_picked_it_is_on_the_input_line(self, server: ModelServer) -> None:
        with chat(server.echo()) as terminal:
            terminal.until(ready)
            terminal.send("one\r")
            terminal.until(lambda terminal: IDLE in terminal.raw)
            terminal.send("/new\r")
            terminal.until(lambda terminal: terminal.raw.count(IDLE) == 2)
            terminal.send("/threads\r")
            terminal.until("Enter opens")
            terminal.send("\rgo on")
            terminal.until("> go on")

    def test_while_a_command_runs_it_is_on_the_input_line(self, server: ModelServer) -> None:
        with chat(server.echo()) as terminal:
            terminal.until(ready)
            terminal.send("!!echo begun; sleep 0.5; echo ended\r")
            terminal.until("\nbegun")
            terminal.send("hello\rmore")
            terminal.until("> more")
            terminal.until("\nended")
            server.wait_until(lambda: server.requests)
        assert server.requests[0].body["messages"][-1]["content"] == "hello"


class TestLeaving:
    def test_hung_up_twice_it_still_says_how_to_come_back(self, server: ModelServer) -> None:
        with chat(server.echo()) as terminal:
            modes = terminal.modes()
            terminal.until(ready)
            terminal.send("one\r")
            terminal.until(lambda terminal: IDLE in terminal.raw)
            terminal.signal(signal.SIGHUP)
            with suppress(TimeoutExpired):
                terminal.process.wait(0.002)
            terminal.signal(signal.SIGHUP)
            assert terminal.wait() in (129, -signal.SIGHUP)  # the second may come after all is done
            assert "agentcli resume" in terminal.text()
            assert terminal.modes() == modes
            assert settings_left(terminal.raw) == ""

    def test_a_window_that_is_closed_ends_it_even_if_nobody_hangs_up(self, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Hello there")
        deaf = ["/bin/sh", "-c", 'trap "" HUP; "$@"', "sh", *PROGRAM]
        env = environment(server, TERM="xterm-256color", NO_COLOR=None)
        with Window(deaf, env=env) as terminal:
            terminal.until(ready)
            terminal.send("hi\r")
            terminal.until("Hello")
            terminal.vanish()
            assert terminal.process.wait(5) == 0
        assert threads()[0]["messages"][1]["stop"] == "interrupted"


class TestStopped:
    def test_ctrl_z_at_a_question_is_no_answer_to_it(self, asked: Window, server: ModelServer) -> None:
        asked.send("\x1a")  # nobody stops a program that has no shell: it goes on
        asked.until(lambda terminal: b"\x1b[?2004l" in terminal.raw)
        asked.until(lambda terminal: typed(terminal) == "?")
        asked.send("y\r")
        asked.until("Fine.")
        assert server.requests[1].body["messages"][-1]["content"] == "done it"


def test_the_time_for_which_it_was_stopped_does_not_count(server: ModelServer) -> None:
    server.says("One two three four five six", chunks=6, pause=0.3)
    with chat(server, "--timeout", "4", "--idle-timeout", "1.5") as terminal:
        terminal.until(ready)
        terminal.send("count\r")
        terminal.until("One")
        terminal.signal(signal.SIGSTOP)
        with suppress(TimeoutExpired):
            terminal.process.wait(5)  # it is stopped, so this is just the time
        terminal.signal(signal.SIGCONT)
        terminal.until("six")
        terminal.until(ready)
    assert [message.get("stop") for message in threads()[0]["messages"]] == [None, "done"]
