"""Files and pages that go along with a question, in the real program."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import ModelServer
from tests.program import PROGRAM, agentcli, environment
from tests.terminal import Terminal
from tests.ui.pages import Page, Pages

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 2000
PASTE, END = "\x1b[200~", "\x1b[201~"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a picture, a report and notes."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "shot.png").write_bytes(PNG)
    (folder / "my report.pdf").write_bytes(b"%PDF-1.7 and so on")
    (folder / "notes.txt").write_text("buy milk\n")
    return folder


def content(server: ModelServer) -> Any:
    """What was said last."""
    return server.requests[-1].body["messages"][-1]["content"]


class TestAsk:
    def test_what_is_attached_is_said_aside(self, server: ModelServer, here: Path) -> None:
        files = ("-f", str(here / "shot.png"), "-f", str(here / "notes.txt"))
        done = agentcli("ask", "What?", *files, server=server.says("A cat."))
        assert done.stdout == "A cat.\n"
        assert "shot.png" in done.stderr
        assert "image/png" in done.stderr
        assert "2.0 kB" in done.stderr
        assert "notes.txt" in done.stderr
        assert [part["type"] for part in content(server)] == ["text", "image_url", "text"]
        assert agentcli("ask", "--quiet", "What?", *files, server=server).stderr == ""

    def test_a_page(self, server: ModelServer) -> None:
        with Pages({"/news": Page(b"<html><title>News</title><p>It rains.", "text/html")}) as web:
            done = agentcli("ask", "What?", "-f", f"{web.origin}/news", server=server.says("ok"))
            assert done.returncode == 0, done.stderr
            assert content(server) == f'What?\n\n<page url="{web.origin}/news">\nNews\n\nIt rains.\n</page>'
            assert f"{web.origin}/news" in done.stderr

    def test_a_page_that_is_not_there(self, server: ModelServer) -> None:
        with Pages({}) as web:
            done = agentcli("ask", "What?", "-f", f"{web.origin}/gone", server=server)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: cannot attach {web.origin}/gone: 127.0.0.1 says 404 (not found)\n\nhint: ")
        assert not server.requests

    def test_stdin(self, server: ModelServer) -> None:
        assert agentcli("ask", "What?", "-f", "-", server=server.says("ok"), stdin=PNG).returncode == 0
        assert [part["type"] for part in content(server)] == ["text", "image_url"]

    def test_what_the_server_cannot_take_is_said_before(self, here: Path) -> None:
        (here / "sound.mp3").write_bytes(b"ID3\x04 and so on")
        done = agentcli(
            "ask", "-m", "anthropic/claude-sonnet-5", "What?", "-f", str(here / "sound.mp3"),
            ANTHROPIC_BASE_URL="http://127.0.0.1:9", ANTHROPIC_API_KEY="sk-1",
        )  # fmt: skip
        assert done.returncode == 69
        assert "error: anthropic/claude-sonnet-5 cannot be sent sound.mp3 (audio/mpeg)\n\nhint: " in done.stderr
        assert not list((Path(os.environ["AGENTCLI_HOME"])).glob("threads/*.json"))


@pytest.fixture
def terminal(server: ModelServer, here: Path) -> Iterator[Terminal]:
    env = environment(server.echo(), TERM="xterm-256color", NO_COLOR=None)
    with Terminal(PROGRAM, env=env, cwd=here, size=(120, 40)) as running:
        running.until("openai/any")
        running.until(lambda running: running.raw.count(b"\x1b[?2004h"))
        yield running
        running.send("\x03\x04")


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
class TestChat:
    def asked(self, terminal: Terminal, server: ModelServer, count: int = 1) -> Any:
        terminal.send("\r")
        server.wait_until(lambda: len(server.requests) >= count, 20)
        return content(server)

    def test_a_mention_attaches_the_file_and_the_text_stays(self, terminal: Terminal, server: ModelServer, here: Path) -> None:
        terminal.send('look at @shot.png, @notes.txt and @"my report.pdf" for me@example.org')
        terminal.until("example.org")
        said = self.asked(terminal, server)
        assert [part["type"] for part in said] == ["text", "image_url", "text", "file"]
        assert said[0]["text"] == 'look at @shot.png, @notes.txt and @"my report.pdf" for me@example.org'
        assert said[2]["text"] == '<file name="notes.txt">\nbuy milk\n</file>'
        terminal.until("2.0 kB")

    def test_a_file_that_cannot_be_attached_costs_no_word(self, terminal: Terminal, server: ModelServer, here: Path) -> None:
        (here / "thing.bin").write_bytes(b"\0\1\2")
        terminal.send("what is @thing.bin\r")
        terminal.until("cannot attach thing.bin")
        terminal.until(lambda terminal: terminal.text().count("> what is @thing.bin") == 2)
        terminal.send("\x7f" * len("@thing.bin") + "this")
        terminal.until("> what is this")
        assert self.asked(terminal, server) == "what is this"

    def test_a_command_attaches_to_the_next_message(self, terminal: Terminal, server: ModelServer) -> None:
        terminal.send("/file my re\t")
        terminal.until("> /file my report.pdf")
        terminal.send("\r")
        terminal.until("application/pdf")
        terminal.send("what is it?")
        terminal.until("> what is it?")
        assert [part["type"] for part in self.asked(terminal, server)] == ["text", "file"]

    def test_a_dropped_file_is_a_mention(self, terminal: Terminal, server: ModelServer, here: Path) -> None:
        terminal.send("what is ")
        terminal.send(f"{PASTE}'{here}/my report.pdf' {END}")
        terminal.until('my report.pdf"')
        assert [part["type"] for part in self.asked(terminal, server)] == ["text", "file"]

    def test_a_long_paste_is_folded_and_sent_whole(self, terminal: Terminal, server: ModelServer, here: Path) -> None:
        pasted = "".join(f"{number} @notes.txt\n" for number in range(412))
        terminal.send(f"explain {PASTE}{pasted}{END}")
        terminal.until("> explain [pasted 412 lines]")
        assert self.asked(terminal, server) == f"explain {pasted}"
        history = (Path(os.environ["AGENTCLI_HOME"]) / "history").read_text()
        assert "411 @notes.txt" in history

    def test_tab_completes_files_and_commands(self, terminal: Terminal, server: ModelServer) -> None:
        terminal.send("read @not\t")
        terminal.until("> read @notes.txt")
        assert "buy milk" in json.dumps(self.asked(terminal, server))
