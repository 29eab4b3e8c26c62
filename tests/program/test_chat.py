"""The chat, as a person has it: the real program on a real terminal."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import ModelServer
from tests.program import PROGRAM, agentcli, environment
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")

PROMPT = "\n> "


def chat(server: ModelServer | None, *arguments: str, **more: Any) -> Terminal:
    env = environment(server, TERM="xterm-256color", NO_COLOR=None, **more.pop("env", {}))
    return Terminal([*PROGRAM, *arguments], env=env, **more)


def threads() -> list[dict[str, Any]]:
    folder = Path(os.environ["AGENTCLI_HOME"]) / "threads"
    return [json.loads(path.read_bytes()) for path in folder.glob("*.json")]


def prompts(terminal: Terminal) -> int:
    """How many prompts there have been: each one switches bracketed paste on."""
    return terminal.raw.count(b"\x1b[?2004h")


def ready(terminal: Terminal) -> bool:
    """Does the prompt stand, with nothing on it?"""
    return next((row for row in reversed(terminal.screen()) if row), "") == ">"


def asked(terminal: Terminal) -> bool:
    """Does the input line belong to a question?"""
    rows = [row for row in terminal.screen() if row]
    return bool(rows) and rows[-1].startswith("?")


@pytest.fixture
def terminal(server: ModelServer) -> Iterator[Terminal]:
    with chat(server.echo()) as running:
        running.until(ready)
        yield running


def ask(terminal: Terminal, text: str) -> None:
    before = prompts(terminal)
    terminal.send(f"{text}\r")
    terminal.until(lambda terminal: prompts(terminal) > before)


def test_the_banner_says_which_model_and_why(terminal: Terminal) -> None:
    assert "openai/any" in terminal.text()
    assert "AGENTCLI_MODEL" in terminal.text()


def test_a_conversation_and_how_to_come_back_to_it(server: ModelServer) -> None:
    with chat(server.echo()) as terminal:
        terminal.until(ready)
        ask(terminal, "one")
        ask(terminal, "two")
        terminal.send("\x04")
        assert terminal.wait() == 0
        thread = threads()[0]["id"]
        assert f"agentcli resume {thread}" in terminal.text()
    assert [message["content"] for message in server.requests[-1].body["messages"]] == ["one", "one", "two"]
    with chat(server, "resume", thread) as terminal:
        terminal.until("two")
        terminal.until(ready)
        ask(terminal, "three")
    assert len(server.requests[-1].body["messages"]) == 5


def test_markdown_is_rendered(server: ModelServer) -> None:
    with chat(server.says("Some **bold** words and `code`.", chunks=5)) as terminal:
        terminal.until(ready)
        ask(terminal, "hi")
        assert "Some bold words and code." in terminal.text()


def test_ctrl_c_stops_the_answer_keeps_it_and_the_next_turn_works(server: ModelServer) -> None:
    server.stalls("mid-stream", text="Hello there").then.says("Back again")
    with chat(server) as terminal:
        terminal.until(ready)
        modes = terminal.modes()
        terminal.send("hi\r")
        terminal.until("Hello")
        terminal.send("\x03")
        terminal.until("interrupted")
        terminal.until(lambda terminal: prompts(terminal) == 2)
        server.wait_until(lambda: server.connections[-1].closed is not None)
        ask(terminal, "again")
        terminal.until("Back again")
        assert terminal.modes() == modes
        terminal.send("\x04")
        assert terminal.wait() == 0
    assert [message.get("stop") for message in threads()[0]["messages"]] == [None, "interrupted", None, "done"]


@pytest.mark.parametrize("where", ["before headers", "after headers"])
def test_ctrl_c_works_before_the_answer_has_begun(where: Any, server: ModelServer) -> None:
    with chat(server.stalls(where)) as terminal:
        terminal.until(ready)
        terminal.send("hi\r")
        server.wait_until(lambda: server.requests)
        terminal.send("\x03")
        terminal.until(lambda terminal: prompts(terminal) == 2)
        assert "Traceback" not in terminal.text()


def test_ctrl_c_clears_a_line_and_says_how_to_leave_on_an_empty_one(terminal: Terminal) -> None:
    terminal.send("something")
    terminal.until("something")
    terminal.send("\x03")
    terminal.until(lambda terminal: "something" not in terminal.screen()[-1] and "Ctrl-D" not in terminal.text())
    terminal.send("\x03")
    terminal.until("Ctrl-D")


def test_time_runs_out_and_the_chat_goes_on(server: ModelServer) -> None:
    with chat(server.stalls("mid-stream", text="Hello there").then.says("ok"), "--timeout", "0.5") as terminal:
        terminal.until(ready)
        ask(terminal, "hi")
        terminal.until("longer than 0.5 s")
        ask(terminal, "again")
        terminal.until("ok")
    assert threads()[0]["messages"][1]["stop"] == "timed_out"


def test_a_failure_is_told_and_the_chat_goes_on(server: ModelServer) -> None:
    with chat(server.fails(401).then.says("ok")) as terminal:
        terminal.until(ready)
        ask(terminal, "hi")
        terminal.until("error:")
        ask(terminal, "again")
        terminal.until("ok")


class TestTyping:
    def test_a_paste_of_many_lines_does_not_send(self, terminal: Terminal, server: ModelServer) -> None:
        terminal.send("\x1b[200~one\ntwo\r\nthree\x1b[201~")
        terminal.until("three")
        assert server.requests == []
        terminal.send("\r")
        server.wait_until(lambda: server.requests)
        assert server.requests[0].body["messages"][0]["content"] == "one\ntwo\nthree"

    @pytest.mark.parametrize("keys", ["\x1b\r", "\n"])
    def test_a_new_line_without_sending(self, keys: str, terminal: Terminal, server: ModelServer) -> None:
        terminal.send(f"one{keys}two\r")
        server.wait_until(lambda: server.requests)
        assert server.requests[0].body["messages"][0]["content"] == "one\ntwo"

    def test_history_is_kept_across_runs_and_private(self, server: ModelServer) -> None:
        for number in (1, 2):
            with chat(server.echo()) as terminal:
                terminal.until(ready)
                if number == 1:
                    ask(terminal, "remember me")
                else:
                    terminal.send("\x1b[A")
                    terminal.until("remember me")
                terminal.send("\x03\x04")
                terminal.wait()
        path = Path(os.environ["AGENTCLI_HOME"]) / "history"
        assert path.stat().st_mode & 0o777 == 0o600

    def test_the_editor(self, server: ModelServer, tmp_path: Path) -> None:
        editor = tmp_path / "editor"
        editor.write_text('#!/bin/sh\nprintf "from the editor" > "$1"\n')
        editor.chmod(0o755)
        with chat(server.echo(), env={"EDITOR": str(editor), "VISUAL": None}) as terminal:
            terminal.until(ready)
            terminal.send("before\x18\x05")
            terminal.until("from the editor")
            assert server.requests == []
            terminal.send(" and after\r")
            server.wait_until(lambda: server.requests)
        assert server.requests[0].body["messages"][-1]["content"] == "from the editor and after"

    def test_searching_what_was_typed_before(self, terminal: Terminal, server: ModelServer) -> None:
        ask(terminal, "remember me")
        terminal.send("\x12mem")
        terminal.until("search")
        terminal.send("\r")
        terminal.until(lambda terminal: "search" not in terminal.text())
        terminal.send("\r")
        server.wait_until(lambda: len(server.requests) == 2)
        assert server.requests[1].body["messages"][-1]["content"] == "remember me"
        terminal.until(lambda terminal: prompts(terminal) == 3)
        terminal.send("\x12nothing\x03\x03still here")
        terminal.until("still here")

    def test_what_is_typed_during_an_answer_does_not_land_in_it_and_is_not_lost(self, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Hello there")
        with chat(server) as terminal:
            terminal.until(ready)
            terminal.send("hi\r")
            terminal.until("Hello")
            terminal.send("typed ahead")
            terminal.send("\x03")
            terminal.until("> typed ahead")
            assert "typed ahead" not in terminal.text().split("interrupted")[0]

    def test_a_message_typed_during_an_answer_is_the_next_one(self, server: ModelServer) -> None:
        server.says("first answer", delay=0.5).then.says("second answer")
        with chat(server) as terminal:
            terminal.until(ready)
            terminal.send("one\r")
            server.wait_until(lambda: server.requests)
            terminal.send("two\r")
            terminal.until("second answer")
        assert server.requests[-1].body["messages"][-1]["content"] == "two"

    def test_what_is_typed_before_the_first_prompt_is_sent(self, server: ModelServer) -> None:
        with chat(server.echo()) as terminal:
            terminal.send("early\r")
            server.wait_until(lambda: server.requests)
        assert server.requests[0].body["messages"][-1]["content"] in ("early", "early\n")

    def test_escape_sequences_in_a_paste_do_nothing(self, terminal: Terminal, server: ModelServer) -> None:
        terminal.send("\x1b[200~a\x1b]0;title\x07b\x1b[201~\r")
        server.wait_until(lambda: server.requests)
        terminal.until(lambda terminal: prompts(terminal) == 2)
        assert b"\x1b]0;title" not in terminal.raw

    def test_vi(self, server: ModelServer) -> None:
        with chat(server.echo(), env={"AGENTCLI_EDITING": "vi"}) as terminal:
            terminal.until(ready)
            terminal.send("wrong words")
            terminal.until("> wrong words")
            terminal.send("\x1b")
            terminal.send("0")
            terminal.until(lambda terminal: terminal.display.cursor.x == 2)
            terminal.send("cwright \x1b")
            terminal.until("> right words")
            terminal.send("\r")
            server.wait_until(lambda: server.requests)
        assert server.requests[0].body["messages"][0]["content"] == "right words"

    @pytest.mark.parametrize(("how", "rings"), [("none", False), ("bell", True), ("desktop", True)])
    def test_the_end_of_a_long_turn_is_told_if_one_wants_it(self, how: str, rings: bool, server: ModelServer) -> None:
        with chat(server.echo(), env={"AGENTCLI_NOTIFY": how, "AGENTCLI_NOTIFY_AFTER": "0"}) as terminal:
            terminal.until(ready)
            ask(terminal, "ring the bell")
            written = terminal.raw.replace(b"\x1b]11;?\x07", b"")
        assert (b"\x07" in written) == rings
        assert (b"\x1b]9;agentcli: ring the bell\x07" in written) == (how == "desktop")


class TestCommands:
    def test_help_lists_them_all(self, terminal: Terminal) -> None:
        terminal.send("/help\r")
        for name in ("/new", "/threads", "/resume", "/retry", "/undo", "/model", "/timeout", "/quit"):
            terminal.until(name)

    def test_an_unknown_one_offers_the_nearest(self, terminal: Terminal) -> None:
        terminal.send("/hepl\r")
        terminal.until("Did you mean /help?")
        terminal.send("/quit now\r")
        terminal.until("takes nothing")

    def test_new_threads_and_resume(self, terminal: Terminal, server: ModelServer) -> None:
        ask(terminal, "first")
        ask(terminal, "/new")
        ask(terminal, "second")
        assert len(threads()) == 2
        terminal.send("/threads\r")
        terminal.until("Enter opens")
        terminal.send("\x1b")
        terminal.until(ready)
        first = next(thread["id"] for thread in threads() if thread["title"] == "first")
        ask(terminal, f"/resume {first[:6]}")
        ask(terminal, "third")
        assert [message["content"] for message in server.requests[-1].body["messages"]] == ["first", "first", "third"]

    def test_retry_and_undo(self, terminal: Terminal, server: ModelServer) -> None:
        ask(terminal, "one")
        ask(terminal, "/retry")
        assert [message["content"] for message in server.requests[-1].body["messages"]] == ["one"]
        ask(terminal, "/undo")
        terminal.until("Taken back: one")
        assert threads()[0]["messages"] == []
        terminal.until("\n> one")
        terminal.send("\x03")
        terminal.until(ready)
        ask(terminal, "/undo")
        terminal.until("nothing to take back")

    def test_retry_keeps_the_old_answer_unless_there_is_a_new_one(self, server: ModelServer) -> None:
        with chat(server.says("first answer").then.fails(401).then.says("second answer")) as terminal:
            terminal.until(ready)
            ask(terminal, "one")
            ask(terminal, "/retry")
            terminal.until("error:")
            assert [message["parts"][0]["text"] for message in threads()[0]["messages"]] == ["one", "first answer"]
            ask(terminal, "/retry")
            assert [message["parts"][0]["text"] for message in threads()[0]["messages"]] == ["one", "second answer"]
            ask(terminal, "/retry please")
            terminal.until("takes `-m MODEL` or nothing")

    def test_model_and_timeout(self, terminal: Terminal, server: ModelServer) -> None:
        ask(terminal, "/model openai/other")
        terminal.until("The model is openai/other.")
        ask(terminal, "hi")
        assert server.requests[-1].body["model"] == "other"
        ask(terminal, "/model nobody/x")
        terminal.until("no provider is called")
        ask(terminal, "/timeout 7")
        terminal.until("A turn may take 7 s.")
        ask(terminal, "/timeout soon")
        terminal.until("not a number of seconds")

    def test_quit(self, terminal: Terminal) -> None:
        terminal.send("/quit\r")
        assert terminal.wait() == 0


TOOL = '''
from agentcli import tool

@tool(asks=True)
def risky(what: str) -> str:
    """Do something risky."""
    open("ran", "a").write(what)
    return "done it"
'''


class TestApproval:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "mine.py").write_text(TOOL)
        return tmp_path

    @pytest.mark.parametrize(
        ("answer", "runs", "result"),
        [("y", True, "done it"), ("", False, "did not allow"), ("n", False, "did not allow"), ("rather not", False, "rather not")],
    )
    def test_is_asked_and_enter_is_no(self, answer: str, runs: bool, result: str, folder: Path, server: ModelServer) -> None:
        server.calls("risky", {"what": "a\u202eb\x1b[2J"}).then.says("Fine.")
        with chat(server, "--tool", "mine.py:risky", cwd=folder) as terminal:
            terminal.until(ready)
            terminal.send("go\r")
            terminal.until(asked)
            assert "\u202e" not in terminal.text()
            assert not (folder / "ran").exists()
            terminal.send(f"{answer}\r")
            terminal.until("Fine.")
        assert (folder / "ran").exists() == runs
        assert result in server.requests[-1].body["messages"][-1]["content"]

    def test_what_was_typed_before_is_not_the_answer(self, folder: Path, server: ModelServer) -> None:
        server.calls("risky", {"what": "x"}, delay=0.5).then.says("Fine.")
        with chat(server, "--tool", "mine.py:risky", cwd=folder) as terminal:
            terminal.until(ready)
            terminal.send("go\r")
            server.wait_until(lambda: server.requests)
            terminal.send("y\r")
            terminal.until(asked)
            terminal.send("\r")
            terminal.until("Fine.")
        assert not (folder / "ran").exists()

    def test_yes_for_this_thread_is_asked_once_and_again_in_the_next(self, folder: Path, server: ModelServer) -> None:
        server.calls("risky", {"what": "x"}).then.calls("risky", {"what": "x"}).then.says("Fine.").then.calls("risky", {"what": "y"})
        with chat(server, "--tool", "mine.py:risky", cwd=folder) as terminal:
            terminal.until(ready)
            terminal.send("go\r")
            terminal.until(asked)
            terminal.send("a\r")
            terminal.until("Fine.")
            assert (folder / "ran").read_text() == "xx"
            terminal.until(lambda terminal: prompts(terminal) == 2)
            terminal.send("/new\r")
            terminal.until(lambda terminal: prompts(terminal) == 3)
            terminal.send("go on\r")
            terminal.until(lambda terminal: terminal.raw.count(b"or say why not:") == 2)
        assert (folder / "ran").read_text() == "xx"

    def test_ctrl_c_at_the_question_stops_the_turn(self, folder: Path, server: ModelServer) -> None:
        with chat(server.calls("risky", {"what": "x"}), "--tool", "mine.py:risky", cwd=folder) as terminal:
            terminal.until(ready)
            modes = terminal.modes()
            terminal.send("go\r")
            terminal.until(asked)
            terminal.send("\x03")
            terminal.until(lambda terminal: prompts(terminal) == 2)
            assert terminal.modes() == modes
        assert not (folder / "ran").exists()


class TestLeaving:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    @pytest.mark.parametrize("busy", [False, True])
    def test_signals_save_and_restore_the_terminal(self, number: int, code: int, busy: bool, server: ModelServer) -> None:
        with chat(server.stalls("mid-stream", text="Hello there")) as terminal:
            modes = terminal.modes()
            terminal.until(ready)
            if busy:
                terminal.send("hi\r")
                terminal.until("Hello")
            terminal.signal(number)
            assert terminal.wait() == code
            assert terminal.modes() == modes
            assert "Traceback" not in terminal.text()
        if busy:
            assert threads()[0]["messages"][1]["stop"] == "interrupted"

    def test_a_signal_before_the_first_prompt_restores_the_terminal(self, server: ModelServer, tmp_path: Path) -> None:
        config = tmp_path / "config.toml"
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        config.write_text(f'[providers.lab]\nbase-url = "{server.url}"\nkey-command = "cat {fifo}"\n')
        with chat(None, "-m", "lab/x", "--config", str(config)) as terminal:
            modes = terminal.modes()
            terminal.until(lambda terminal: terminal.modes() != modes)
            terminal.signal(signal.SIGTERM)
            assert terminal.wait() == 143
            assert terminal.modes() == modes

    def test_a_second_process_on_the_thread_is_refused_and_may_fork(self, terminal: Terminal, server: ModelServer) -> None:
        ask(terminal, "one")
        thread = threads()[0]["id"]
        done = agentcli("ask", "-t", thread, "two", server=server)
        assert done.returncode != 0
        assert "in use" in done.stderr
        assert "--fork" in done.stderr
        assert agentcli("ask", "-t", thread, "--fork", "two", server=server).returncode == 0

    def test_without_a_terminal_it_says_what_to_do(self, server: ModelServer) -> None:
        done = agentcli(server=server)
        assert done.returncode == 2
        assert "agentcli ask" in done.stderr

    def test_an_unsaved_conversation_is_said(self, server: ModelServer) -> None:
        with chat(server.echo(), "--no-save") as terminal:
            terminal.until(ready)
            ask(terminal, "one")
            terminal.send("\x04")
            assert terminal.wait() == 0
            assert "not saved" in terminal.text()


class TestForms:
    def test_a_dumb_terminal_gets_text_that_only_goes_forward(self, server: ModelServer) -> None:
        env = environment(server.says("Some **bold** words", chunks=3), TERM="dumb")
        with Terminal([*PROGRAM, "ask", "hi"], env=env) as terminal:
            assert terminal.wait() == 0
            assert terminal.raw.replace(b"\r\n", b"\n") == b"Some **bold** words\n"

    def test_resuming_without_an_id_lets_one_pick(self, server: ModelServer) -> None:
        agentcli("ask", "the one thread", server=server.echo())
        with chat(server, "resume") as terminal:
            terminal.until("the one thread")
            terminal.send("\r")
            terminal.until(ready)
            ask(terminal, "more")
        assert len(server.requests[-1].body["messages"]) == 3
