"""The chat for screen readers: the real program on a real terminal, judged by every byte that it writes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import ModelServer
from tests.program import PROGRAM, environment
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")

WAYS: dict[str, tuple[list[str], dict[str, str | None]]] = {
    "--plain": (["--plain"], {}),
    "ACCESSIBLE": ([], {"ACCESSIBLE": "1"}),
    "dumb": ([], {"TERM": "dumb"}),
    "configured": ([], {"AGENTCLI_PLAIN": "yes"}),
}

MARKDOWN = (
    "# A heading\n\nSome **bold** words. And `code` too!\n\n- one\n- two\n\n"
    "| a | b |\n|---|---|\n| 日本 | 👩‍🚀 |\n\n```python\nx = 1\n```\n"
)

TOOL = '''
from agentcli.core.tool import tool

@tool(asks=True)
def risky(what: str) -> str:
    """Do it."""
    open("ran", "a").write(what)
    return "done it"
'''


def chat(server: ModelServer, *arguments: str, way: str = "--plain", **more: Any) -> Terminal:
    flags, variables = WAYS[way]
    env = environment(server, **{"TERM": "xterm-256color", "NO_COLOR": None, **variables})
    return Terminal([*PROGRAM, *arguments, *flags], env=env, **more)


def at(mark: str = "\n> ") -> Callable[[Terminal], bool]:
    return lambda terminal: text(terminal).endswith(mark)


def text(terminal: Terminal) -> str:
    return terminal.raw.decode().replace("\r\n", "\n")


def ask(terminal: Terminal, line: str) -> None:
    before = text(terminal).count("\n> ")
    terminal.send(f"{line}\r")
    terminal.until(lambda terminal: text(terminal).count("\n> ") > before and at()(terminal))


def leave(terminal: Terminal, modes: list[Any]) -> None:
    """Go, and look at everything that was written: nothing but text and ends of lines."""
    terminal.send("\x04")
    assert terminal.wait() == 0
    assert terminal.modes() == modes
    assert acting(terminal.raw) == []


def acting(raw: bytes) -> list[str]:
    return re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)", raw.decode())


@pytest.mark.parametrize("way", WAYS)
def test_a_conversation_is_text_that_only_grows(way: str, server: ModelServer) -> None:
    server.says(MARKDOWN, chunks=30).then.fails(503).then.says("Again.").then.says("Once \x1b[2Jmore\r\x07 now.")
    with chat(server, way=way) as terminal:
        modes = terminal.modes()
        terminal.until(at())
        ask(terminal, "hello")
        assert f"\n> hello\n\n{MARKDOWN}" in text(terminal)
        ask(terminal, "and then?")
        assert "retry 1 of 4 in" in text(terminal)
        ask(terminal, "once more")
        assert "Once ␛[2Jmore␍␇ now." in text(terminal)
        for command in ("/help", "/usage", "/model", "/nonsense", "/retry", "/undo", "/timeout 20"):
            server.says("Fine.")
            ask(terminal, command)
        leave(terminal, modes)


def test_the_answer_comes_in_sentences(server: ModelServer) -> None:
    server.says(["One is whole. Two is n", "ot"], stall="mid-stream")
    with chat(server) as terminal:
        terminal.until(at())
        terminal.send("go\r")
        terminal.until(lambda terminal: "One is whole. " in text(terminal))
        assert text(terminal).endswith("One is whole. ")
        terminal.until(lambda terminal: text(terminal).endswith("Two is "))  # it is not held back for ever
        terminal.send("\x03")
        terminal.until("interrupted")
        assert "One is whole. Two is n\n— interrupted" in text(terminal)


class TestQuestions:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "mine.py").write_text(TOOL)
        return tmp_path

    @pytest.mark.parametrize(
        ("answer", "runs"), [("1", True), ("y", True), ("3", False), ("", False), ("not yet", False), ("\x04", False)]
    )
    def test_are_numbered(self, answer: str, runs: bool, folder: Path, server: ModelServer) -> None:
        server.calls("risky", {"what": "x"}).then.says("Fine.")
        with chat(server, "--tool", "mine.py:risky", cwd=folder) as terminal:
            modes = terminal.modes()
            terminal.until(at())
            terminal.send("go\r")
            terminal.until(at("why not: "))
            assert "1 yes, 2 " in text(terminal)
            terminal.send(answer if answer == "\x04" else f"{answer}\r")
            terminal.until(at("Fine.\n> "))
            assert (folder / "ran").exists() == runs
            leave(terminal, modes)
        if answer == "not yet":
            assert "not yet" in server.requests[-1].body["messages"][-1]["content"]

    def test_what_was_typed_before_does_not_answer_and_is_not_lost(self, folder: Path, server: ModelServer) -> None:
        server.calls("risky", {"what": "x"}, delay=0.5).then.says("Fine.").then.echo()
        with chat(server, "--tool", "mine.py:risky", cwd=folder) as terminal:
            terminal.until(at())
            terminal.send("go\r")
            server.wait_until(lambda: server.requests)
            terminal.send("1\r")
            terminal.until(at("why not: "))
            assert text(terminal).count("1") == text(terminal).count("1 yes")
            terminal.send("3\r")
            terminal.until(lambda terminal: "\n> 1\n\n1\n> " in text(terminal))
        assert not (folder / "ran").exists()

    def test_ctrl_c_at_one_stops_the_turn(self, folder: Path, server: ModelServer) -> None:
        with chat(server.calls("risky", {"what": "x"}), "--tool", "mine.py:risky", cwd=folder) as terminal:
            modes = terminal.modes()
            terminal.until(at())
            terminal.send("go\r")
            terminal.until(at("why not: "))
            terminal.send("1\x03")
            terminal.until(lambda terminal: "interrupted" in text(terminal) and at()(terminal))
            assert not (folder / "ran").exists()
            leave(terminal, modes)


def test_what_is_typed_while_an_answer_comes_is_the_next_message(server: ModelServer) -> None:
    server.says("First answer.", delay=0.5).then.echo()
    with chat(server) as terminal:
        modes = terminal.modes()
        terminal.until(at())
        terminal.send("one\r")
        server.wait_until(lambda: server.requests)
        terminal.send("two\r")
        terminal.until(lambda terminal: text(terminal).endswith("First answer.\n> two\n\ntwo\n> "))
        leave(terminal, modes)


def test_ctrl_c_stops_an_answer_and_what_was_typed_ahead_is_next(server: ModelServer) -> None:
    server.says(["Hello there. ", "And"], stall="mid-stream").then.echo()
    with chat(server) as terminal:
        modes = terminal.modes()
        terminal.until(at())
        terminal.send("one\r")
        terminal.until("Hello there.")
        terminal.send("two\r")
        terminal.send("\x03")
        terminal.until(lambda terminal: text(terminal).count("two") == 2 and at()(terminal))
        assert "interrupted" in text(terminal)
        assert server.requests[-1].body["messages"][-1]["content"] == "two"
        leave(terminal, modes)


def test_several_lines_and_pastes(server: ModelServer) -> None:
    with chat(server.echo()) as terminal:
        modes = terminal.modes()
        terminal.until(at())
        terminal.send("one\\\r")
        terminal.until(at("\n. "))
        ask(terminal, "two")
        terminal.send("three\rfour\r")
        terminal.until("2 lines pasted")
        assert len(server.requests) == 1
        ask(terminal, "")
        leave(terminal, modes)
    said = [message["content"] for message in server.requests[-1].body["messages"] if message["role"] == "user"]
    assert said == ["one\ntwo", "three\nfour"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("busy", [False, True])
def test_signals_leave_the_terminal_as_it_was(number: int, busy: bool, server: ModelServer) -> None:
    with chat(server.says(["Hello there. ", "And"], stall="mid-stream")) as terminal:
        modes = terminal.modes()
        terminal.until(at())
        if busy:
            terminal.send("hi\r")
            terminal.until("Hello there.")
        terminal.signal(number)
        assert terminal.wait() == 128 + number
        assert terminal.modes() == modes
        assert acting(terminal.raw) == []


def test_a_terminal_that_goes_away_ends_it(server: ModelServer) -> None:
    terminal = chat(server.echo())
    try:
        terminal.until(at())
        os.close(os.dup(terminal._slave))
        terminal.signal(signal.SIGHUP)
        assert terminal.wait() == 129
    finally:
        terminal.close()


@pytest.mark.parametrize("way", ["--plain", "ACCESSIBLE", "dumb"])
def test_one_question_too(way: str, server: ModelServer) -> None:
    server.fails(503).then.says(MARKDOWN, chunks=10)
    flags, variables = WAYS[way]
    env = environment(server, **{"TERM": "xterm-256color", "NO_COLOR": None, **variables})
    with Terminal([*PROGRAM, "ask", "hi", *flags], env=env) as terminal:
        assert terminal.wait() == 0
        assert acting(terminal.raw) == []
        assert text(terminal).endswith(MARKDOWN)
