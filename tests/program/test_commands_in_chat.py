"""Slash commands and `!command`, as a person has them: the real program on a real terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import ModelServer
from tests.program import PROGRAM, environment
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")


def chat(server: ModelServer, *arguments: str, **more: Any) -> Terminal:
    settings = {"TERM": "xterm-256color", "NO_COLOR": None, "SHELL": "/bin/sh", **more.pop("env", {})}
    return Terminal([*PROGRAM, *arguments], env=environment(server, **settings), **more)


def home() -> Path:
    return Path(os.environ["AGENTCLI_HOME"]) / "threads"


def threads() -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in home().glob("*.json")]


def last_row(terminal: Terminal) -> str:
    return next((row for row in reversed(terminal.screen()) if row), "")


def ready(terminal: Terminal) -> bool:
    """Does the prompt stand, with nothing on it?"""
    return last_row(terminal) == ">"


def asked(terminal: Terminal) -> bool:
    """Does the input line belong to a question?"""
    return last_row(terminal).startswith("?")


def type_in(terminal: Terminal, line: str, until: str) -> None:
    """Type a line; wait for what comes of it, and for the prompt."""
    count = terminal.text().count(until)
    terminal.send(f"{line}\r")
    terminal.until(lambda terminal: terminal.text().count(until) > count and ready(terminal))


@pytest.fixture
def terminal(server: ModelServer, tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "here").mkdir()
    with chat(server.echo(), cwd=tmp_path / "here", size=(100, 40)) as running:
        running.until(ready)
        yield running


@pytest.fixture
def editor(tmp_path: Path) -> Any:
    """An editor that carries out a Python program on the `text` of its file."""

    def make(program: str) -> dict[str, str | None]:
        script = tmp_path / "editor"
        script.write_text(
            f"#!{sys.executable}\nimport sys\npath = sys.argv[-1]\ntext = open(path).read()\n{program}\nopen(path, 'w').write(text)\n"
        )
        script.chmod(0o755)
        return {"EDITOR": str(script), "VISUAL": None}

    return make


def said(request: Any) -> list[str]:
    """The texts of what was sent to the model."""
    return [message["content"] for message in request.body["messages"]]


class TestCommands:
    def test_fork_goes_on_in_a_copy(self, terminal: Terminal, server: ModelServer) -> None:
        type_in(terminal, "one", "one\n\n")
        type_in(terminal, "two", "two\n\n")
        type_in(terminal, "/fork 2", "a copy of")
        type_in(terminal, "three", "three\n\n")
        assert said(server.requests[-1]) == ["one", "one", "three"]
        assert sorted(len(thread["messages"]) for thread in threads()) == [4, 4]

    def test_fork_lets_one_pick_the_message(self, terminal: Terminal, server: ModelServer) -> None:
        type_in(terminal, "one", "one\n\n")
        type_in(terminal, "two", "two\n\n")
        terminal.send("/fork\r")
        terminal.until("Enter picks")
        terminal.send("\x1b[A\x1b[A")
        terminal.until("> 2")
        terminal.send("\r")
        terminal.until("its first 2 messages")
        terminal.until(ready)

    def test_undo_puts_the_question_on_the_input_line(self, terminal: Terminal, server: ModelServer) -> None:
        type_in(terminal, "What are cats?", "What are cats?\n\n")
        terminal.send("/undo\r")
        terminal.until("Taken back: What are cats?")
        terminal.until(lambda terminal: last_row(terminal) == "> What are cats?")
        terminal.send("\x7f and dogs?\r")
        server.wait_until(lambda: len(server.requests) == 2)
        assert said(server.requests[-1]) == ["What are cats and dogs?"]

    def test_an_answer_that_was_stopped_is_gone_on_with(self, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Once upon a").then.says(" time.")
        with chat(server) as terminal:
            terminal.until(ready)
            terminal.send("Tell me a story.\r")
            terminal.until("Once")
            terminal.send("\x03")
            terminal.until("interrupted")
            terminal.until(ready)
            type_in(terminal, "/continue", "time.")
        text = threads()[0]["messages"][1]["parts"][0]["text"]
        assert text.startswith("Once")
        assert text.endswith(" time.")
        assert len(threads()[0]["messages"]) == 2

    @pytest.mark.parametrize(("answer", "count"), [("c", 2), ("", 2), ("d", 0)])
    def test_an_unfinished_turn_is_offered_at_the_start(self, answer: str, count: int, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Once upon a").then.says(" time.")
        with chat(server) as terminal:
            terminal.until(ready)
            terminal.send("Tell me a story.\r")
            terminal.until(lambda terminal: any(b"Once" in path.read_bytes() for path in home().glob("*.journal")))
            os.killpg(terminal.pid, signal.SIGKILL)
        with chat(server, "-c") as terminal:
            terminal.until(asked)
            assert "being written when agentcli ended" in terminal.text()
            terminal.send(f"{answer}\r")
            if answer == "d":
                terminal.until("Taken back")
                terminal.until(lambda terminal: last_row(terminal) == "> Tell me a story.")
                terminal.send("\x03")
            terminal.until("time." if answer == "c" else ready)
            terminal.until(ready)
            terminal.send("\x04")
            assert terminal.wait() == 0
        assert len(threads()[0]["messages"]) == count

    def test_what_was_said_before_is_shown_on_demand(self, server: ModelServer) -> None:
        with chat(server.echo()) as terminal:
            terminal.until(ready)
            type_in(terminal, "first question", "first question\n\n")
            type_in(terminal, "second question", "second question\n\n")
            terminal.send("\x04")
            terminal.wait()
        with chat(server, "-c", size=(80, 40)) as terminal:
            terminal.until(ready)
            assert "first question" not in terminal.text()
            assert "2 earlier messages: /show all" in terminal.text()
            type_in(terminal, "/show all", "4 · ")
            assert terminal.text().count("first question") == 2

    def test_commands_are_carried_out_while_an_answer_comes(self, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Once upon a")
        with chat(server, size=(100, 50)) as terminal:
            terminal.until(ready)
            terminal.send("Tell me a story.\r")
            terminal.until("Once")
            terminal.send("/help retry\r")
            terminal.until("ask the last question again")
            terminal.send("/timeout 5m\r")
            terminal.until("A turn may take 300 s.")
            terminal.send("/undo\r")  # waits
            terminal.send("/quit\r")
            assert terminal.wait() == 0

    def test_rename_and_save(self, terminal: Terminal, tmp_path: Path) -> None:
        type_in(terminal, "hi", "hi\n\n")
        type_in(terminal, "/rename Plants 🌱 and\u202e light", "This thread is called")
        assert threads()[0]["title"] == "Plants 🌱 and\u202e light"
        assert "\u202e" not in terminal.text()
        type_in(terminal, "/save", "Written to Plants-and-light.md")
        before = (tmp_path / "here" / "Plants-and-light.md").read_text()
        terminal.send("/save\r")
        terminal.until(asked)
        terminal.send("\r")
        terminal.until("Nothing was written.")
        assert (tmp_path / "here" / "Plants-and-light.md").read_text() == before

    def test_system_of_many_lines(self, terminal: Terminal, server: ModelServer) -> None:
        terminal.send("\x1b[200~/system Be brief.\nBe kind.\x1b[201~\r")
        terminal.until("The instructions are:")
        terminal.until(ready)
        type_in(terminal, "hi", "hi\n\n")
        assert server.requests[-1].body["messages"][0] == {"role": "system", "content": "Be brief.\nBe kind."}

    def test_a_path_is_no_command(self, terminal: Terminal, server: ModelServer) -> None:
        type_in(terminal, "/etc/hosts is what?", "/etc/hosts is what?\n\n")
        assert said(server.requests[-1]) == ["/etc/hosts is what?"]


class TestEditor:
    def test_the_last_question_is_changed_and_asked_again(self, server: ModelServer, editor: Any) -> None:
        with chat(server.echo(), env=editor("text = text.replace('cats', 'dogs')")) as terminal:
            modes = terminal.modes()
            terminal.until(ready)
            type_in(terminal, "What are cats?", "What are cats?\n\n")
            type_in(terminal, "/edit", "What are dogs?")
            terminal.send("\x04")
            assert terminal.wait() == 0
            assert terminal.modes() == modes
        assert said(server.requests[-1]) == ["What are dogs?"]

    def test_the_editor_has_the_terminal_to_itself(self, server: ModelServer, editor: Any, tmp_path: Path) -> None:
        dies = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)"  # at once, wherever it is
        program = f"{dies}; print('EDITOR'); open({str(tmp_path / 'seen')!r}, 'w').write(input('edit> ')); print('BYE')"
        with chat(server.echo(), env=editor(program)) as terminal:
            modes = terminal.modes()
            terminal.until(ready)
            type_in(terminal, "What are cats?", "What are cats?\n\n")
            terminal.send("/edit\r")
            terminal.until("edit>")
            assert terminal.modes() == modes
            terminal.send("\x03\x03\x03")  # the editor's affair; this one dies of it
            terminal.until("editor was ended by signal 2")
            terminal.until(ready)
            terminal.send("/edit\r")
            terminal.until(lambda terminal: terminal.text().count("EDITOR") == 2)
            terminal.send("typed in the editor\r")
            terminal.until("BYE")
            terminal.until("Nothing was changed.")
            terminal.until(ready)
            type_in(terminal, "still here", "still here\n\n")
        assert (tmp_path / "seen").read_text() == "typed in the editor"

    def test_a_whole_thread(self, server: ModelServer, editor: Any) -> None:
        with chat(server.echo(), env=editor("text = text.replace('cats', 'dogs')"), size=(100, 40)) as terminal:
            terminal.until(ready)
            type_in(terminal, "What are cats?", "What are cats?\n\n")
            type_in(terminal, "/edit thread", "Messages: 2 changed.")
            found = re.search(r"As it was, it is thread (\w{8})", terminal.text())
            assert found
        by_id = {thread["id"]: [message["parts"][0]["text"] for message in thread["messages"]] for thread in threads()}
        assert by_id.pop(found[1]) == ["What are cats?", "What are cats?"]
        assert list(by_id.values()) == [["What are dogs?", "What are dogs?"]]


class TestRun:
    def test_its_output_goes_with_the_next_message(self, terminal: Terminal, server: ModelServer) -> None:
        type_in(terminal, "!echo out; echo err >&2; exit 3", "goes with your next message")
        assert "exit code 3" in terminal.text()
        terminal.send("Why?\r")
        server.wait_until(lambda: server.requests)
        content = json.dumps(server.requests[0].body["messages"][-1]["content"])
        assert "Why?" in content
        assert "out\\nerr" in content
        terminal.until(ready)
        terminal.send("And now?\r")
        server.wait_until(lambda: len(server.requests) == 2)
        assert server.requests[1].body["messages"][-1]["content"] == "And now?"

    def test_its_output_comes_as_it_is_written_and_ctrl_c_stops_it(self, terminal: Terminal, server: ModelServer) -> None:
        modes = terminal.modes()
        terminal.send("!echo begun; sleep 60\r")
        terminal.until("\nbegun")
        terminal.send("\x03")
        terminal.until("stopped")
        terminal.until(ready)
        assert terminal.modes() == modes
        type_in(terminal, "/file clear", "Dropped: 1.")
        type_in(terminal, "hi", "hi\n\n")

    def test_an_attack_in_its_output_is_shown(self, terminal: Terminal) -> None:
        type_in(terminal, r"!!printf '\033]0;title\007\033[2J\n'", "␛]0;title␇␛[2J")
        assert b"\x1b]0;title" not in terminal.raw
        type_in(terminal, "/file", "Nothing is attached.")

    def test_it_cannot_read_the_terminal(self, terminal: Terminal) -> None:
        type_in(terminal, "!!cat; cat </dev/tty; echo done", "\ndone")


class TestPlain:
    def test_commands_where_nothing_is_drawn(self, server: ModelServer, editor: Any) -> None:
        with chat(server.echo(), "--plain", env=editor("text = text.replace('cats', 'dogs')"), size=(100, 60)) as terminal:
            terminal.until(ready)
            terminal.send("What are cats?\r")
            terminal.until(lambda terminal: terminal.text().count("What are cats?") == 2 and ready(terminal))
            terminal.send("/edit\r")
            terminal.until(lambda terminal: len(server.requests) == 2 and ready(terminal))
            terminal.send("/fork\r")
            terminal.until("After which message?")
            terminal.send("1\r")
            terminal.until("its first 1 message")
            terminal.until(ready)
            terminal.send("!echo begun; sleep 60\r")
            terminal.until("\nbegun")
            terminal.send("\x03")
            terminal.until("stopped")
            terminal.until(ready)
            terminal.send("/quit\r")
            assert terminal.wait() == 0
            assert b"\x1b[" not in terminal.raw
