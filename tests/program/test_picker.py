"""Picking a thread, as a person does it: the real `agentcli resume` on a real terminal."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import quantiles
from time import monotonic, sleep
from typing import Any

import pytest

from agentcli import assemble
from agentcli.core.message import Message, Text, assistant, now, user
from agentcli.core.thread import Thread
from agentcli.ui.pick.picture import inside
from tests.model_server import ModelServer
from tests.program import PROGRAM, environment
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")

QUESTION = "Which thread?"
FOOT = "Esc leaves"
UP, DOWN, PAGE_UP, PAGE_DOWN, ESCAPE = "\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~", "\x1b"
PRINTED = "before"

# A thread's title may be anything.
NAUGHTY = [
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "\x9b31m\x90q\x9c",
    "turned \u202eround\u202c \u2066and\u2069",
    "日本語のタイトル" * 8,
    "👩‍👩‍👧 ❤️‍🔥 🇩🇪 👍🏽 1️⃣ 🏴‍☠️",
    "שלום עולם العربية",
    "Z\u0351\u036b\u0343a\u0325\u032c\u0323lgo" * 9,
    "x" * 300,
    "tab\there\r\nand lines",
    "\ufeff\u200b\u2060\u00ad\U000e0041\ufffe",
    "'\"<b>&amp;[bold]{0}%s\\",
    "",
]


def resume(server: ModelServer | None, *arguments: str, size: tuple[int, int] = (80, 24), **more: Any) -> Terminal:
    """`agentcli resume`, under a line that was printed before."""
    env = environment(server, **{"TERM": "xterm-256color", "NO_COLOR": None, **more.pop("env", {})})
    return Terminal(
        ["/bin/sh", "-c", f'echo "{PRINTED}"; exec "$@"', "sh", *PROGRAM, "resume", *arguments], env=env, size=size, **more
    )


def save(*messages: Message, title: str, age: float = 0, model: str = "openai/any") -> str:
    """A saved thread that changed so many minutes ago."""
    thread = Thread.of(*(messages or (user("q"), assistant("a"))), title=title)
    thread.model = model
    thread.updated = now() - timedelta(minutes=age)
    assemble.store().save(thread)
    return thread.id


def some() -> list[str]:
    """Four threads, newest first."""
    return [
        save(user("How do plants breathe?"), assistant("Through\n\n**stomata**, mostly at night."), title="Plants and light", age=1),
        save(user("How high?"), assistant("Forty metres of lighthouse."), title="Lighthouses", age=90),
        save(user("What is in the hay?"), assistant("Straw.\nA needle of steel, perhaps.\nMore straw."), title="Hay", age=60 * 30),
        save(user("And granite?"), assistant("It is a stone."), title="Stones", age=60 * 24 * 30),
    ]


def many(count: int, words: int = 100) -> list[str]:
    """So many threads, newest first."""
    folder = assemble.store().path("").parent
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        thread = Thread.of(
            user(f"question {number}"), assistant("some words " * (words // 2) + f"word{number}"), title=f"Title of {number}"
        )
        thread.updated = now() - timedelta(minutes=number)
        thread.revision = 1
        (folder / f"{thread.id}.json").write_bytes(thread.dump())
        made.append(thread.id)
    return made


def selected(terminal: Terminal) -> str:
    """The row with the mark, without it."""
    rows = [row for row in terminal.screen()[1:] if row.startswith("> ") and not row.startswith("> …")]
    return rows[0][2:] if rows else ""


def selects(what: str) -> Callable[[Terminal], bool]:
    return lambda terminal: selected(terminal).startswith(what)


def line_of(terminal: Terminal) -> str:
    """What is typed in the box."""
    return next((row for row in terminal.screen() if row.startswith(QUESTION)), "")


def fills(columns: int, terminal: Terminal) -> bool:
    """Is the box there, once, in a window of so many columns?"""
    rows = terminal.screen()
    if len([row for row in rows if row.startswith(QUESTION)]) != 1 or not any(FOOT in row for row in rows):
        return False
    if columns >= 120:
        return any("│" in row for row in rows)
    return columns < 60 or any(len(row) == inside(columns) for row in rows)


def goes_on_from(before: str, last: str, terminal: Terminal) -> bool:
    return last in before or selected(terminal) not in (before, "")


def shows_more_than(before: str, terminal: Terminal) -> bool:
    return line_of(terminal) not in (before, "")


def opened(terminal: Terminal, thread: str) -> None:
    """The chat is there, in this thread."""
    terminal.until(lambda terminal: terminal.raw.count(b"\x1b[?2004h") == 2)  # that of the box, and that of the prompt
    assert QUESTION not in terminal.text()
    terminal.send("\x04")
    assert terminal.wait() == 0, terminal.text()
    assert f"agentcli resume {thread}" in terminal.text()


def left_clean(terminal: Terminal, modes: list[Any], code: int = 0) -> None:
    assert terminal.wait() == code, terminal.text()
    assert terminal.modes() == modes
    assert terminal.text() == PRINTED
    assert terminal.raw.count(b"\x1b[?2004h") == terminal.raw.count(b"\x1b[?2004l") > 0
    assert b"\x1b[?25l" not in terminal.raw  # the cursor was never hidden
    assert b"\x1b[6n" not in terminal.raw  # and the terminal not asked where it is
    assert b"\x1b[?1049h" not in terminal.raw


class TestPicking:
    def test_the_first_is_the_newest(self, server: ModelServer) -> None:
        threads = some()
        with resume(server) as terminal:
            terminal.until(FOOT)
            rows = [row for row in terminal.screen() if any(thread in row for thread in threads)]
            assert [row.split()[-1] for row in rows] == threads
            assert rows[0].startswith("> Plants and light ")
            assert "1 minute ago" in rows[0]
            assert "openai/any" in rows[0]
            assert "1 day ago" in rows[2]
            terminal.send("\r")
            opened(terminal, threads[0])
            assert "stomata" in terminal.text()

    @pytest.mark.parametrize(
        ("typed", "which"), [("light", 0), ("LIGHTH", 1), ("light plants", 0), ("stone", 3), ("hay\x7f\x7f\x7fSto", 3)]
    )
    def test_by_words_of_the_title(self, typed: str, which: int, server: ModelServer) -> None:
        threads = some()
        with resume(server) as terminal:
            terminal.until(FOOT)
            terminal.send(typed)
            terminal.until(lambda terminal: threads[which] in selected(terminal) and "4 · " not in terminal.text())
            terminal.send("\r")
            opened(terminal, threads[which])

    def test_by_the_beginning_of_its_id(self, server: ModelServer) -> None:
        threads = some()
        with resume(server) as terminal:
            terminal.until(FOOT)
            terminal.send(threads[2][:6])
            terminal.until(lambda terminal: "1 of 4" in terminal.text())
            terminal.send("\r")
            opened(terminal, threads[2])

    def test_by_what_was_said(self, server: ModelServer) -> None:
        threads = some()
        with resume(server) as terminal:
            terminal.until(FOOT)
            terminal.send("Needle")
            terminal.until("    A needle of steel, perhaps.")
            terminal.until("1 of 4 · ")
            assert b"\x1b[0;1mneedle\x1b[0" in terminal.raw
            terminal.send(" straw\r")
            opened(terminal, threads[2])

    def test_by_a_word_of_the_title_and_one_that_was_said(self, server: ModelServer) -> None:
        threads = some()
        with resume(server) as terminal:
            terminal.until(FOOT)
            terminal.send("stomata plants")
            terminal.until("1 of 4 · ")
            terminal.send("\r")
            opened(terminal, threads[0])

    def test_the_newest_search_is_the_one_that_counts(self, server: ModelServer) -> None:
        threads = some()
        with resume(server) as terminal:
            terminal.until(FOOT)
            for typed in ("straw", "\x15granite", "\x15stomata"):
                terminal.send(typed)
            terminal.until("1 of 4 · ")
            assert threads[0] in selected(terminal)
            terminal.send("\x15nowhere at all")
            terminal.until("nothing has these words in it")
            terminal.until("0 of 4 · ")
            terminal.send("\r")  # there is nothing to take
            terminal.send("\x15")
            terminal.until("4 · Enter")

    def test_the_keys(self, server: ModelServer) -> None:
        threads = many(60)
        with resume(server) as terminal:
            terminal.until(FOOT)
            for keys, number in (
                (DOWN, 1), ("\x0e", 2), (UP, 1), ("\x10", 0), (UP, 0), (PAGE_DOWN, 8), (PAGE_DOWN + PAGE_DOWN, 24), (PAGE_UP, 16),
                ("\x1b[1;5F", 59), (DOWN, 59), (PAGE_UP, 51), ("\x1b[1;5H", 0), (DOWN * 30, 30),
            ):  # fmt: skip
                terminal.send(keys)
                terminal.until(selects(f"Title of {number} "))
            terminal.send("\r")
            opened(terminal, threads[30])

    def test_the_preview_is_the_last_exchange_of_what_is_selected(self, server: ModelServer) -> None:
        some()
        with resume(server) as terminal:
            terminal.until("> How do plants breathe?")
            terminal.until("**stomata**, mostly at night.")
            terminal.send(DOWN)
            terminal.until("Forty metres of lighthouse.")
            assert "stomata" not in terminal.text()

    def test_an_answer_that_is_not_whole_says_so(self, server: ModelServer) -> None:
        save(user("Long?"), Message(role="assistant", stop="interrupted", parts=(Text("A long"),)), title="Cut")
        with resume(server) as terminal:
            terminal.until("stopped before it was finished")

    def test_damaged_threads_are_not_offered_and_none_at_all_is_an_error(self, server: ModelServer) -> None:
        path = assemble.store().path("badbad00")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"{")
        with resume(server) as terminal:
            assert terminal.wait() == 2
            assert "there is no thread to resume" in terminal.text()
            assert QUESTION not in terminal.text()
        thread = save(title="Whole")
        with resume(server) as terminal:
            terminal.until("1 · Enter")
            terminal.send("\r")
            opened(terminal, thread)

    def test_a_copy_of_it(self, server: ModelServer) -> None:
        some()
        with resume(server.echo(), "--fork") as terminal:
            terminal.until(FOOT)
            terminal.send("stones\r")
            terminal.until(lambda terminal: terminal.raw.count(b"\x1b[?2004h") == 2)
            assert "It is a stone." in terminal.text()
            terminal.send("more\r")
            server.wait_until(lambda: server.requests)
            assert len(assemble.store().rows()) == 5


class TestTypingAhead:
    def test_what_is_typed_before_there_is_a_box_is_typed_into_it(self, server: ModelServer) -> None:
        threads = some()
        with resume(server) as terminal:
            terminal.send("stones\r")
            opened(terminal, threads[3])

    def test_an_enter_waits_for_what_is_searched(self, server: ModelServer) -> None:
        threads = some()
        with resume(server) as terminal:
            terminal.send("needle\r")
            opened(terminal, threads[2])

    def test_what_is_typed_behind_it_is_for_the_chat(self, server: ModelServer) -> None:
        some()
        with resume(server.echo()) as terminal:
            terminal.send("needle\rhello there\r")
            server.wait_until(lambda: server.requests)
        assert [message["content"] for message in server.requests[0].body["messages"]][-1] == "hello there"
        assert server.requests[0].body["messages"][0]["content"] == "What is in the hay?"

    def test_what_is_typed_behind_an_enter_that_finds_nothing_stays_in_the_box(self, server: ModelServer) -> None:
        some()
        with resume(server) as terminal:
            terminal.until(FOOT)
            terminal.send("nowher\re at")
            terminal.until(lambda terminal: line_of(terminal) == f"{QUESTION} nowhere at")
            terminal.send("\x15stone")
            terminal.until(selects("Stones"))

    def test_escape_does_not_wait(self, server: ModelServer) -> None:
        many(500)
        with resume(server) as terminal:
            terminal.until(FOOT)
            modes_before = terminal.raw.count(b"\x1b[?2004l")
            terminal.send("nowhere\r\x1b")
            assert terminal.wait() == 0
            assert terminal.raw.count(b"\x1b[?2004l") == modes_before + 1

    def test_a_paste_is_one_line_of_words(self, server: ModelServer) -> None:
        some()
        with resume(server) as terminal:
            terminal.until(FOOT)
            terminal.send("\x1b[200~plants\r\nlight\x1b]0;title\x07\u202e\x1b[201~")
            terminal.until("Which thread? plants light")
            assert b"\x1b]0;" not in terminal.raw
            assert "\u202e".encode() not in terminal.raw
            assert b"\x1b[31m" not in terminal.raw


class TestLeaving:
    @pytest.mark.parametrize(("key", "code"), [(ESCAPE, 0), ("\x04", 0), ("\x03", 130)])
    @pytest.mark.parametrize("typed", ["", "needle", "nowhere\r"])
    def test_by_a_key(self, key: str, code: int, typed: str, server: ModelServer) -> None:
        some()
        with resume(server) as terminal:
            modes = terminal.modes()
            terminal.until(FOOT)
            terminal.send(typed + key)
            left_clean(terminal, modes, code)

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
    def test_by_a_signal(self, number: signal.Signals, code: int, server: ModelServer) -> None:
        some()
        with resume(server) as terminal:
            modes = terminal.modes()
            terminal.until(FOOT)
            terminal.send("needle")
            terminal.until("1 of 4")
            terminal.signal(number)
            left_clean(terminal, modes, code)

    def test_the_scrollback_keeps_nothing_of_it(self, server: ModelServer) -> None:
        some()
        with Terminal(
            ["/bin/sh", "-c", 'for i in $(seq 40); do echo "line $i"; done; "$@"; echo after', "sh", *PROGRAM, "resume"],
            env=environment(server, TERM="xterm-256color"),
        ) as terminal:
            terminal.until(FOOT)
            terminal.send(f"light{DOWN}{UP}")
            terminal.until("Lighthouses")
            terminal.send(ESCAPE)
            assert terminal.wait() == 0
            assert terminal.text().split("\n") == [*(f"line {number}" for number in range(1, 41)), "after"]


class TestSizes:
    @pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60), (20, 5), (10, 3)])
    def test_it_takes_two_thirds_of_the_window_and_no_more(self, size: tuple[int, int], server: ModelServer) -> None:
        threads = many(100)
        with resume(server, size=size) as terminal:
            modes = terminal.modes()
            terminal.until(selects("Title"[: size[0] - 4]))
            if size[1] >= 10:
                terminal.until(FOOT)
            used = [row for row in terminal.screen() if row and row != PRINTED]
            assert len(used) <= max(size[1] * 2 // 3, min(size[1] - 1, 4))
            terminal.send(DOWN)
            terminal.until(lambda terminal: terminal.text().count("\n> ") + terminal.text().startswith("> ") >= 1)
            if size[0] >= 40:
                terminal.send("of 42")
                terminal.until(selects("Title of 42"))
                assert "42 minutes ago" in selected(terminal)
            if size[0] >= 80:
                terminal.until("question 42")  # the preview
                assert threads[42] in selected(terminal)
            terminal.send(ESCAPE)
            left_clean(terminal, modes)

    def test_the_window_may_change(self, server: ModelServer) -> None:
        some()
        with resume(server) as terminal:
            modes = terminal.modes()
            terminal.until("stomata")
            for columns, rows in ((200, 60), (100, 30), (60, 20), (40, 10), (90, 40)):
                terminal.resize(columns, rows)
                terminal.until(partial(fills, columns))
            terminal.send("stones")
            terminal.until(selects("Stones"))
            terminal.send(ESCAPE)
            assert terminal.wait() == 0
            assert terminal.modes() == modes
            assert QUESTION not in "\n".join(terminal.screen())

    def test_naughty_titles_do_nothing_and_the_columns_stand(self, server: ModelServer) -> None:
        threads = [save(user(title or "q"), assistant(title or "a"), title=title, age=number) for number, title in enumerate(NAUGHTY)]
        store = assemble.store()
        for thread, title in zip(threads, NAUGHTY, strict=True):  # also what no program of ours would have saved
            with store.take(thread) as writer:
                writer.thread.title = title
                writer.commit()
        with resume(server, size=(100, 50)) as terminal:
            modes = terminal.modes()
            terminal.until(FOOT)
            terminal.until(lambda terminal: all(thread in terminal.text() for thread in threads))
            for _ in threads:
                before = selected(terminal)
                terminal.send(DOWN)
                terminal.until(partial(goes_on_from, before, threads[-1]))
            places = set()
            for row in range(50):
                cells = [terminal.display.buffer[row][column].data for column in range(100)]
                text = "".join(cell[:1] or "\0" for cell in cells)
                places |= {text.index(thread) for thread in threads if thread in text}
            assert len(places) == 1, "\n".join(terminal.screen())
            terminal.send(ESCAPE)
            assert terminal.wait() == 0
            assert terminal.modes() == modes
            seen = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", terminal.raw).decode()
            assert not re.search(
                "[\x00-\x07\x0b-\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]", seen
            )
            assert b"\x1b[31m" not in terminal.raw
            assert b"\x1b[2J" not in terminal.raw


class TestEyes:
    def test_no_colour(self, server: ModelServer) -> None:
        some()
        for wanted, environ in ((True, {}), (False, {"NO_COLOR": "1"})):
            with resume(server, env=environ) as terminal:
                terminal.until(FOOT)
                terminal.send(ESCAPE)
                assert terminal.wait() == 0
                assert bool(re.search(rb"\x1b\[[0-9;]*(3[0-7]|38;)[0-9;]*m", terminal.raw)) == wanted

    @pytest.mark.parametrize("how", ["--plain", "ACCESSIBLE", "TERM", "AGENTCLI_PLAIN"])
    def test_where_nothing_is_redrawn_it_is_a_list_and_a_question(self, how: str, server: ModelServer) -> None:
        threads = some()
        environ = {how: {"TERM": "dumb"}.get(how, "1")} if how != "--plain" else {}
        with resume(server, *([how] if how == "--plain" else []), env=environ) as terminal:
            terminal.until("Which one?")
            assert re.search(rf"  1  {threads[0]}  Plants and light\r\n  2  {threads[1]}  Lighthouses\r\n", terminal.raw.decode())
            terminal.send("light\r")
            terminal.until(lambda terminal: terminal.text().count("Which one?") == 2)
            assert b"\x1b" not in terminal.raw
            terminal.send("2\r")
            terminal.until("Forty metres")

    def test_plain_answers(self, server: ModelServer) -> None:
        threads = some()
        for answer, which in (("\r", 0), ("3\r", 2), (f"{threads[1][:7]}\r", 1)):
            with resume(server, "--plain") as terminal:
                terminal.until("Which one?")
                terminal.send(answer)
                terminal.until(["stomata", "Forty metres", "needle", "stone"][which])
        for answer, said in (("\x04", "no thread was picked"), ("zzzzz\r", "no thread")):
            with resume(server, "--plain") as terminal:
                terminal.until("Which one?")
                terminal.send(answer)
                assert terminal.wait() == 2
                assert said in terminal.text()


class TestMany:
    def test_typing_never_waits_for_what_is_searched(self, server: ModelServer) -> None:
        many(2000, words=4000)
        with resume(server) as terminal:
            terminal.until("2,000 · Enter", timeout=20)
            took = []
            for key in "some words question":
                before = line_of(terminal)
                began = monotonic()
                terminal.send(key)
                if key != " ":
                    terminal.until(partial(shows_more_than, before))
                    took.append(monotonic() - began)
                sleep(0.2)  # as people type: long enough for a search to begin
            assert quantiles(took, n=20)[-1] < 0.25, took
            terminal.send("\x15word1999")
            terminal.until("word1999")
            terminal.until("1 of 2,000 · ")

    def test_a_search_that_nobody_wants_any_more_adds_nothing(self, server: ModelServer) -> None:
        many(2000, words=1000)
        with resume(server) as terminal:
            terminal.until("2,000 · Enter", timeout=20)
            terminal.send("some words")
            terminal.until(" of 2,000 … · ")
            terminal.until(selects("Title of 0 "))
            terminal.send("\x15word1999")
            terminal.until("1 of 2,000 · Enter")


NESTED = """
import asyncio, sys
from contextlib import asynccontextmanager
from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from agentcli import assemble
from agentcli.ui.pick import pick_message, pick_thread

class Lent:
    plain = False

    @asynccontextmanager
    async def aside(self):
        async with in_terminal():
            yield

async def main():
    prompt = PromptSession("outer> ", erase_when_done=True)
    talking = asyncio.create_task(prompt.prompt_async(handle_sigint=False))
    while not prompt.app.render_counter:
        await asyncio.sleep(0.01)
    async def within():
        store = assemble.store()
        thread = await pick_thread(Lent(), store, *sys.argv[1:])
        print("thread", thread)
        if thread:
            print("message", await pick_message(Lent(), store.open(thread)))
    await asyncio.get_running_loop().create_task(within(), context=prompt.app.context)
    print("said", await talking)

asyncio.run(main())
"""


class TestInAChat:
    """Within a prompt that goes on behind it."""

    @pytest.fixture
    def program(self, tmp_path: Path) -> list[str]:
        path = tmp_path / "nested.py"
        path.write_text(NESTED)
        return [sys.executable, str(path)]

    def test_a_thread_and_a_message_of_it(self, program: list[str]) -> None:
        threads = some()
        with Terminal([*program, "needle"], env=environment(None, TERM="xterm-256color")) as terminal:
            modes = terminal.modes()
            terminal.until(f"{QUESTION} needle")
            terminal.until("1 of 4 · ")
            terminal.resize(100, 30)
            terminal.until("1 of 4 · ")
            terminal.send("\r")
            terminal.until(f"thread {threads[2]}")
            terminal.until("After which message?")
            terminal.until(selects("2  Assistant  Straw."))
            terminal.send("hay")
            terminal.until(selects("1  You        What is in the hay?"))
            terminal.send("\r")
            terminal.until("message 1")
            terminal.until("outer>")
            terminal.send("still here\r")
            terminal.until("said still here")
            assert terminal.wait() == 0
            assert terminal.modes() == modes
            assert QUESTION not in terminal.text()

    @pytest.mark.parametrize("key", [ESCAPE, "\x03", "\x04"])
    def test_leaving_it_leaves_the_chat_as_it_was(self, key: str, program: list[str]) -> None:
        some()
        with Terminal(program, env=environment(None, TERM="xterm-256color")) as terminal:
            terminal.until(FOOT)
            terminal.send(key)
            terminal.until("thread None")
            terminal.send("still here\r")
            terminal.until("said still here")
            assert terminal.wait() == 0

    @pytest.fixture
    def chat(self, server: ModelServer) -> Iterator[Terminal]:
        some()
        with Terminal(PROGRAM, env=environment(server.echo(), TERM="xterm-256color", NO_COLOR=None)) as terminal:
            terminal.until(lambda terminal: b"\x1b[?2004h" in terminal.raw)
            yield terminal

    def test_the_real_one(self, chat: Terminal, server: ModelServer) -> None:
        chat.send("/threads needle\r")
        chat.until("    A needle of steel, perhaps.")
        chat.resize(100, 30)
        chat.until("1 of 4 · ")
        chat.send("\r")
        chat.until("> What is in the hay?")
        chat.until(lambda chat: QUESTION not in chat.text())
        chat.send("typed on\r")
        server.wait_until(lambda: server.requests)
        assert [message["content"] for message in server.requests[0].body["messages"]][::2] == ["What is in the hay?", "typed on"]

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_a_signal_while_it_is_open_ends_the_chat(self, number: signal.Signals, code: int, server: ModelServer) -> None:
        some()
        with Terminal(PROGRAM, env=environment(server, TERM="xterm-256color")) as terminal:
            modes = terminal.modes()
            terminal.until(lambda terminal: b"\x1b[?2004h" in terminal.raw)
            terminal.send("/threads\r")
            terminal.until(FOOT)
            terminal.signal(number)
            assert terminal.wait() == code
            assert terminal.modes() == modes
            assert QUESTION not in terminal.text()
            assert terminal.raw.rindex(b"\x1b[?2004l") > terminal.raw.rindex(b"\x1b[?2004h")
