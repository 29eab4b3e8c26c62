"""Threads on a terminal: laid out for a person, and nothing in them acts on it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentcli import assemble
from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, assistant, now, user
from agentcli.core.thread import Thread
from agentcli.ui.threads import ago

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals on Windows", allow_module_level=True)

import fcntl
import pty
import struct
import termios

ATTACK = "\x1b]0;title\x07\x1b[2J\x1b]52;c;ZXZpbA==\x07\x1b[?1049h\x9b31m\r\x08\x7f\u202eevil\u2066\u200b\U000e0041"
STYLE = re.compile(rb"\x1b\[[0-9;]*m")
LIMIT = 30.0


class Terminal:
    """`agentcli threads …` with a pseudo-terminal for stdin, stdout and stderr."""

    def __init__(self, *arguments: str, columns: int = 80, term: str = "xterm-256color") -> None:
        self._master, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "agentcli", "threads", *arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment | {"TERM": term},
            start_new_session=True,
        )
        os.close(follower)
        self.seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def until(self, text: bytes) -> None:
        """Read until the text is there, or for `None` until the end."""
        deadline = time.monotonic() + LIMIT
        while text not in self.seen:
            assert self._read(deadline), f"ended before {text!r}: {self.seen!r}"

    def end(self) -> int:
        deadline = time.monotonic() + LIMIT
        while self._read(deadline):
            pass
        return self._process.wait(timeout=LIMIT)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self, deadline: float) -> bool:
        assert select.select([self._master], [], [], deadline - time.monotonic())[0], f"nothing more came after {self.seen!r}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says EIO at the end
            data = b""
        self.seen += data
        return bool(data)


def screen(*arguments: str, columns: int = 80, term: str = "xterm-256color") -> str:
    """What is on the terminal after the command, without colours."""
    with closing(Terminal(*arguments, columns=columns, term=term)) as terminal:
        assert terminal.end() == 0
        if term == "dumb":
            assert b"\x1b" not in terminal.seen
        return STYLE.sub(b"", terminal.seen).decode().replace("\r\n", "\n")


def save(messages: Sequence[Message], name: str = "k7m29xqd", title: str = "", age: float = 0, model: str = "openai/gpt-5.4") -> None:
    thread = Thread.of(*messages, title=title)
    thread.id = name
    thread.model = model
    thread.updated = now() - timedelta(seconds=age)
    assemble.store().save(thread)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "just now"),
        (-30, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (2 * 3600, "2 hours ago"),
        (86_400, "1 day ago"),
        (6.9 * 86_400, "6 days ago"),
        (7 * 86_400, "2026-01-24"),
        (-3600, "2026-01-31"),
    ],
)
def test_times_as_a_person_says_them(seconds: float, said: str) -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert ago(at - timedelta(seconds=seconds), at) == said


def test_the_list_is_a_table() -> None:
    save([user("A short one")], "aaaaaaaa", age=0)
    save([user("漢字 wide"), assistant("x")], "bbbbbbbb", age=7300)
    save([user("A title that is rather long and goes on to its end")], "cccccccc", age=90_000)
    lines = screen("list").splitlines()
    assert lines == [
        "ID        TITLE                            MESSAGES  UPDATED      MODEL",
        "aaaaaaaa  A short one                             1  just now     openai/gpt-5.4",
        "bbbbbbbb  漢字 wide                               2  2 hours ago  openai/gpt-5.4",
        "cccccccc  A title that is rather long an…         1  1 day ago    openai/gpt-5.4",
    ]


@pytest.mark.parametrize("columns", [1, 20, 40, 60])
def test_a_narrow_list_keeps_id_and_title(columns: int) -> None:
    save([user("漢字漢字漢字漢字 A title that is rather long and goes on to its end")])
    head, row = screen("list", columns=columns).splitlines()
    assert head.startswith("ID        TITLE")
    assert row.startswith("k7m29xqd  漢")
    assert "openai" not in row


def test_the_rest_of_the_list_is_counted() -> None:
    for number in range(22):
        save([user("q")], f"aaaaaa{number:02}")
    text = screen("list")
    assert text.count("aaaaaa") == 20
    assert "2 more" in text


COMMANDS = (
    ["list"],
    ["list", "--json"],
    ["show", "k7m"],
    ["show", "k7m", "--json"],
    ["search", "evil"],
    ["search", "evil", "--json"],
    ["export", "k7m"],
    ["export", "k7m", "--format", "html"],
    ["export", "k7m", "--format", "json"],
    ["check"],
    ["path", "k7m"],
)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_in_a_thread_acts_on_the_terminal(command: list[str]) -> None:
    blob = Blob("image/png", b"x", name=ATTACK)
    answer = (
        Reasoning(ATTACK),
        Text(f"{ATTACK}\n\n```{ATTACK}\n{ATTACK}\n```\n[{ATTACK}](http://x/{ATTACK})"),
        ToolCall("c", ATTACK, ATTACK),
    )
    messages = [
        user(ATTACK, blob),
        Message(role="assistant", author=ATTACK, model=ATTACK, stop="tools", parts=answer),
        Message(role="tool", parts=(ToolResult("c", ATTACK),)),
    ]
    save(messages, title=f"t {ATTACK}", model=ATTACK)
    with closing(Terminal(*command)) as terminal:
        assert terminal.end() == 0
    text = STYLE.sub(b"", terminal.seen).decode()
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\U000e0000-\U000e007f]", text), text
    assert "\r" not in text.replace("\r\n", "")
    if command == ["show", "k7m", "--json"]:
        assert Thread.load(text.encode()).messages == messages


def test_errors_quote_harmlessly() -> None:
    path = assemble.store().path("badbad00")
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"format": 1, "id": {ATTACK!r}')
    for arguments in (["show", ATTACK], ["show", "bad"], ["export", "bad", "--format", ATTACK], ["import", ATTACK], ["list"]):
        with closing(Terminal(*arguments)) as terminal:
            terminal.end()
        text = STYLE.sub(b"", terminal.seen).decode()
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), text


def test_show_renders_answers_and_numbers_messages() -> None:
    answer = Message(role="assistant", author="agentcli", model="openai/gpt-5.4", stop="timed_out", parts=(Text("It is **noon**."),))
    save([user("*When?*"), answer])
    text = screen("show", "k7m")
    assert text.startswith(
        "*When?*\nk7m29xqd · openai/gpt-5.4 · 2 messages · just now\n\n1 · You · just now\n*When?*\n\n2 · agentcli ("
    )
    assert "\nIt is noon.\nThis answer ran out of time before it was finished.\n" in text
    assert "It is **noon**." in screen("show", "k7m", term="dumb")


def test_long_results_are_cut_with_a_note() -> None:
    call, result = ToolCall("c", "read", "{}"), ToolResult("c", "line\n" * 100 + "end")
    save([user("q"), Message(role="assistant", stop="tools", parts=(call,)), Message(role="tool", parts=(result,))])
    text = screen("show", "k7m")
    assert text.count("  line\n") == 12
    assert "… 444 characters more" in text
    wide = ToolResult("c", "x" * 5000)
    save([user("q"), Message(role="assistant", stop="tools", parts=(call,)), Message(role="tool", parts=(wide,))], "aaaaaaaa")
    assert screen("show", "aaa").count("x") == 2000


def test_search_marks_what_it_found_in_a_long_line() -> None:
    save([user("q"), assistant(f"{'before ' * 50}The Needle is here{' after' * 50}\nno\nneedle")], title="Hay")
    text = screen("search", "needle", columns=60)
    head, first, second = text.splitlines()
    assert head == "k7m29xqd  Hay"
    assert re.fullmatch(r" {4}2 assistant: ….*The Needle is here.*…", first)
    assert len(first) <= 60
    assert second == "    2 assistant: needle"
    with closing(Terminal("search", "needle")) as terminal:
        terminal.end()
    assert b"\x1b[1mNeedle\x1b[22m" in terminal.seen


def test_no_colour_where_none_is_wanted() -> None:
    save([user("q"), assistant("**a** `b`\n\n```py\nx = 1\n```")])
    for command in (["list"], ["show", "k7m"], ["search", "q"]):
        screen(*command, term="dumb")


@pytest.mark.parametrize(("typed", "gone"), [(b"y\n", True), (b"YES\n", True), (b"\n", False), (b"n\n", False), (b"\x04", False)])
def test_delete_asks_and_enter_is_no(typed: bytes, gone: bool) -> None:
    save([user(f"A title {ATTACK}")])
    with closing(Terminal("delete", "k7m")) as terminal:
        terminal.until(b"[y/N] ")
        assert b"k7m29xqd  A title " in terminal.seen
        terminal.type(typed)
        assert terminal.end() == (0 if gone else 1)
    assert (assemble.store().latest() is None) == gone


def test_delete_forgets_what_was_typed_before_it_asked() -> None:
    save([user("q")])
    save([user("r")], "zzzzzzzz")
    with closing(Terminal("delete", "k7m", "zzz")) as terminal:
        terminal.type(b"y\n")
        terminal.until(b"Delete these 2 threads for good? [y/N] ")
        terminal.type(b"\n")
        assert terminal.end() == 1
    assert len(assemble.store().rows()) == 2


def test_a_damaged_thread_can_be_deleted_by_name(tmp_path: Path) -> None:
    path = assemble.store().path("badbad00")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{")
    with closing(Terminal("delete", "bad")) as terminal:
        terminal.until(b"[y/N] ")
        assert b"cannot be read" in terminal.seen
        terminal.type(b"y\n")
        assert terminal.end() == 0
    assert not path.exists()
