"""Slash commands, in a chat without a terminal: what they do to the thread, the agent and the next message."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from agentcli.core.message import Blob, Message, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.thread import Thread
from agentcli.core.tool import Tool, tool
from agentcli.errors import UserError
from agentcli.ui import slash
from agentcli.ui.chat import Chat
from agentcli.ui.slash.words import offered
from tests.core.fake import calls, says
from tests.ui.chats import Paper, chat_on, play, turn

ATTACK = "\x1b]0;title\x07\x1b[2J\x9b31m\r\x08\u202eevil\u2066\u200b"


@tool
def clock() -> str:
    """Say what time it is."""
    return "12:00"


@tool(asks=True)
def risky(what: str) -> str:
    """Do something risky."""
    return "done it"


def go(doing: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(doing)


def texts(chat: Chat) -> list[str]:
    return [message.text for message in chat.session.thread.messages]


def stored(chat: Chat, name: str = "") -> Thread:
    return chat.store.seen(name or chat.session.thread.id)


def cut_off(text: str = "Once upon a") -> Thread:
    """A thread that ends with an answer that was cut off."""
    return Thread.of(user("Tell me a story."), Message(role="assistant", stop="crashed", parts=(Text(text),)))


class TestTable:
    def test_every_command_of_the_contract_is_there_and_helps(self) -> None:
        wanted = (
            "help new threads resume fork rename retry undo continue edit copy save model system tools file compact usage timeout quit"
        )
        assert set(wanted.split()) <= set(slash.COMMANDS)
        for name in slash.COMMANDS:
            assert slash.form_of(name).split()[0] == f"/{name}"
            assert 5 < len(slash.help_of(name)) <= 51  # a line of `/help`, on 80 columns

    def test_help_lists_all_and_says_more_of_one(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path)
        go(play(chat, "/help"))
        listed = capsys.readouterr().err
        assert all(f"/{name}" in listed for name in slash.COMMANDS)
        go(play(chat, "/help /retry"))
        said = capsys.readouterr().err
        assert "/retry [-m MODEL]: ask the last question again" in said
        assert "another model is asked" in said
        assert "Ctrl-C" in listed
        go(play(chat, "/help keys"))
        assert "Ctrl-C" in capsys.readouterr().err

    @pytest.mark.parametrize(("typed", "near"), [("/hepl", "/help"), ("/exti", "/quit"), ("/THREDS", "/threads")])
    def test_an_unknown_one_offers_the_nearest(self, typed: str, near: str, tmp_path: Path) -> None:
        with pytest.raises(UserError) as caught:
            go(play(chat_on(tmp_path), typed))
        assert caught.value.hint == f"Did you mean {near}?"

    @pytest.mark.parametrize(
        ("line", "words"), [("/quit now", "takes nothing"), ("/rename", "needs something"), ("/xyzzy", "no command")]
    )
    def test_what_is_behind_a_command_is_looked_at(self, line: str, words: str, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=words):
            go(play(chat_on(tmp_path), line))

    @pytest.mark.parametrize(
        ("text", "whether"),
        [
            ("/help", True),
            ("/help me", True),
            ("/nonsense", True),
            ("/etc/hosts is empty, why?", False),
            ("/usr/bin/env", False),
            (" /help", False),
            ("/help\nme", False),
            ("/system Be brief.\nBe kind.", True),
            ("hello", False),
            ("//", False),
        ],
    )
    def test_what_a_command_is(self, text: str, whether: bool) -> None:
        assert slash.is_command(text) == whether

    @pytest.mark.parametrize(
        ("text", "whether"),
        [
            ("/help", True),
            ("/tools", True),
            ("/tools off x", False),
            ("/undo", False),
            ("/exit", True),
            ("/hepl", True),
            ("/copy 2", True),
        ],
    )
    def test_what_runs_while_a_turn_does(self, text: str, whether: bool) -> None:
        assert slash.runs_any_time(text) == whether

    def test_words_for_completion(self, tmp_path: Path) -> None:
        chat = chat_on(tmp_path, tools=(clock,), thread=Thread.of(user("one"), assistant("two")))
        words = offered(chat, lambda: [(name, slash.help_of(name)) for name in slash.COMMANDS])
        assert [name for name, _ in words["/model"]("")] == ["fake/model", "fake/other"]
        assert [name for name, _ in words["/copy"]("")] == ["code", "2", "1"]
        assert [name for name, _ in words["/tools off"]("")] == ["clock"]
        assert ("rename", "give this thread another title") in words["/help"]("")


class TestThreads:
    def test_new_and_resume(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path)
        go(play(chat, "first"))
        first = chat.session.thread.id
        go(play(chat, "/new", "second", f"/resume {first[:6]}"))
        assert chat.session.thread.id == first
        assert texts(chat) == ["first", "Hello."]
        with pytest.raises(UserError, match="this is thread"):
            go(play(chat, f"/resume {first}"))
        with pytest.raises(UserError, match="no thread"):
            go(play(chat, "/resume ../../etc/passwd"))
        assert "> first" in capsys.readouterr().err

    def test_threads_are_picked_from_a_list_where_nothing_is_drawn(self, tmp_path: Path) -> None:
        screen = Paper("2")
        chat = chat_on(tmp_path, screen)
        go(play(chat, "first"))
        first = chat.session.thread.id
        go(play(chat, "/new", "second", "/threads"))
        assert chat.session.thread.id == first
        assert len(screen.asked) == 1
        go(play(chat, "/resume"))  # Enter: none
        assert chat.session.thread.id == first

    def test_a_thread_that_cannot_be_had_is_no_reason_to_leave_this_one(self, tmp_path: Path) -> None:
        chat, other = chat_on(tmp_path), chat_on(tmp_path)
        go(play(chat, "mine"))
        go(play(other, "theirs"))
        with pytest.raises(UserError, match="in use"):
            go(play(chat, f"/resume {other.session.thread.id}"))
        go(play(chat, "still here"))
        assert texts(chat) == ["mine", "Hello.", "still here", "Hello."]

    def test_fork(self, tmp_path: Path) -> None:
        screen = Paper("2")
        chat = chat_on(tmp_path, screen, answers=[says("1"), says("2"), says("3")])
        go(play(chat, "one", "two"))
        parent = chat.session.thread
        go(play(chat, "/fork"))
        assert texts(chat) == ["one", "1"]
        assert chat.session.thread.id != parent.id
        assert stored(chat).parent is not None
        assert [message.text for message in stored(chat, parent.id).messages] == ["one", "1", "two", "2"]
        go(play(chat, "other"))
        assert texts(chat) == ["one", "1", "other", "3"]

    def test_fork_by_number_at_a_question_and_whole(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path, answers=[says("1"), says("2"), says("again")])
        go(play(chat, "one", "two"))
        go(play(chat, "/fork 3"))
        assert texts(chat) == ["one", "1", "two"]
        assert "/retry asks it" in capsys.readouterr().err
        go(play(chat, "/retry"))
        assert texts(chat) == ["one", "1", "two", "again"]
        go(play(chat, "/fork all"))
        assert len(texts(chat)) == 4
        assert len(chat.store.rows()) == 3

    @pytest.mark.parametrize("words", ["0", "9", "-1", "two", "²", "1 2"])
    def test_fork_wants_the_number_of_a_message(self, words: str, tmp_path: Path) -> None:
        chat = chat_on(tmp_path, thread=Thread.of(user("one"), assistant("two")))
        with pytest.raises(UserError, match="not the number of a message"):
            go(play(chat, f"/fork {words}"))

    def test_fork_of_nothing_and_of_what_is_not_saved(self, tmp_path: Path) -> None:
        chat = chat_on(tmp_path, save=False)
        with pytest.raises(UserError, match="nothing to copy"):
            go(play(chat, "/fork"))
        go(play(chat, "one", "/fork all"))
        assert texts(chat) == ["one", "Hello."]
        assert chat.store.rows() == []

    @pytest.mark.parametrize("title", ["Plants and light", ATTACK, "名前 🦊 عنوان", "a\u00a0b", "-rf", "../x"])
    def test_rename_stores_the_title_as_it_is_and_shows_it_harmless(
        self, title: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chat = chat_on(tmp_path)
        go(play(chat, "one"))
        capsys.readouterr()
        go(play(chat, f"/rename {title}"))
        assert stored(chat).title == title
        said = capsys.readouterr().err
        assert not [character for character in said if character in "\x1b\x07\x9b\r\x08\u202e\u200b"]

    @pytest.mark.parametrize("words", ["0", "3", "1-2", "²", "x", "9" * 5000])
    def test_what_is_no_number_of_a_message(self, words: str, tmp_path: Path) -> None:
        chat = chat_on(tmp_path, thread=Thread.of(user("one"), assistant("two")))
        for command in ("/fork", "/copy"):
            with pytest.raises(UserError, match="is not the number of a message: there are 2"):
                go(play(chat, f"{command} {words}"))
        if words != "1-2":
            with pytest.raises(UserError, match="is not the number"):
                go(play(chat, f"/show {words}"))

    def test_rename_before_anything_was_said(self, tmp_path: Path) -> None:
        chat = chat_on(tmp_path)
        go(play(chat, "/rename Mine"))
        assert chat.store.rows() == []
        go(play(chat, "one"))
        assert stored(chat).title == "Mine"


class TestSaving:
    @pytest.fixture
    def chat(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chat:
        monkeypatch.chdir(tmp_path)
        chat = chat_on(tmp_path / "home", Paper("n", "y"))
        go(play(chat, "What / is: photosynthesis?"))
        return chat

    @pytest.mark.parametrize(
        ("name", "beginning"), [("a.md", "# "), ("a.html", "<!doctype html>"), ("a.json", "{"), ("a.txt", "What / is"), ("a", "# ")]
    )
    def test_what_the_name_ends_with_says_what_is_written(self, name: str, beginning: str, chat: Chat) -> None:
        go(play(chat, f"/save {name}"))
        assert Path(name).read_text().lower().startswith(beginning.lower())

    def test_the_title_is_the_name(self, chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
        go(play(chat, "/save"))
        assert Path("What-is-photosynthesis.md").exists()
        said = capsys.readouterr().err
        assert "Written to What-is-photosynthesis.md: " in said
        Path("folder").mkdir()
        go(play(chat, "/save folder"))
        assert Path("folder/What-is-photosynthesis.md").exists()

    def test_nothing_is_overwritten_without_asking(self, chat: Chat) -> None:
        Path("mine.md").write_text("precious")
        Path("mine.md").chmod(0o640)
        go(play(chat, "/save mine.md"))
        assert Path("mine.md").read_text() == "precious"
        go(play(chat, "/save mine.md"))
        assert Path("mine.md").read_text().startswith("# ")
        assert stat.S_IMODE(Path("mine.md").stat().st_mode) == 0o640

    def test_nothing_is_overwritten_while_an_answer_comes(self, chat: Chat) -> None:
        Path("mine.md").write_text("precious")
        chat.screen.meanwhile = lambda sent: False
        with pytest.raises(UserError, match="is there already"):
            go(play(chat, "/save mine.md"))
        assert Path("mine.md").read_text() == "precious"

    def test_what_cannot_be_written_is_told(self, chat: Chat, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(UserError, match="not a file"):
            go(play(chat, "/save fifo"))
        with pytest.raises(UserError, match="cannot write"):
            go(play(chat, "/save nowhere/a.md"))
        with pytest.raises(UserError, match="cannot write"):
            go(play(chat, "/save a\0b"))
        with pytest.raises(UserError, match="cannot write"):
            go(play(chat, f"/save {'x' * 5000}"))
        with pytest.raises(UserError, match="nothing to save"):
            go(play(chat, "/new", "/save x.md"))

    def test_attachments_go_into_the_document(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        chat = chat_on(tmp_path / "home", thread=Thread.of(user("see", Blob("image/png", b"\x89PNG" * 20_000, name="a.png"))))
        go(play(chat, "and?", "/save a.json"))
        assert "data" in json.loads(Path("a.json").read_text())["messages"][0]["parts"][1]


class TestTurns:
    def test_undo_puts_the_question_back_with_what_was_attached(self, tmp_path: Path) -> None:
        screen = Paper()
        chat = chat_on(tmp_path, screen)
        picture = Blob("image/png", b"\x89PNG", name="a.png")
        notes = Text('<file name="notes.txt">\nmilk\n</file>')
        chat.attached = [picture, notes]
        go(play(chat, "What is this?", "/undo"))
        assert screen.back == ["What is this?"]
        assert chat.attached == [picture, notes]
        assert stored(chat).messages == []
        with pytest.raises(UserError, match="nothing to take back"):
            go(play(chat, "/undo"))

    def test_continue_goes_on_from_the_text(self, tmp_path: Path) -> None:
        chat = chat_on(tmp_path, answers=[says(" time.")], thread=cut_off())
        go(play(chat, "/continue"))
        assert texts(chat)[-1] == "Once upon a time."
        with pytest.raises(UserError, match="no unfinished answer"):
            go(play(chat, "/continue"))

    def test_drop_takes_back_the_answer_and_its_question(self, tmp_path: Path) -> None:
        screen = Paper()
        chat = chat_on(tmp_path, screen, thread=cut_off())
        go(play(chat, "/drop"))
        assert screen.back == ["Tell me a story."]
        assert texts(chat) == []
        go(play(chat, "one"))
        with pytest.raises(UserError, match="no unfinished answer"):
            go(play(chat, "/drop"))

    def test_retry_with_another_model(self, tmp_path: Path) -> None:
        chat = chat_on(tmp_path, answers=[says("1"), says("2"), says("3")])
        go(play(chat, "one", "/retry"))
        assert texts(chat) == ["one", "2"]
        go(play(chat, "/retry -m other"))
        assert texts(chat) == ["one", "3"]
        assert chat.session.agent.full_model == "fake/other"
        for wrong in ("/retry please", "/retry -m", "/retry -x y"):
            with pytest.raises(UserError, match="takes `-m MODEL` or nothing"):
                go(play(chat, wrong))

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [("c", ["Tell me a story.", "Once upon a time."]), ("", ["Tell me a story.", "Once upon a"]), ("d", []), ("3", [])],
    )
    def test_an_unfinished_turn_is_offered(self, answer: str, expected: list[str], tmp_path: Path) -> None:
        screen = Paper(answer)
        chat = chat_on(tmp_path, screen, answers=[says(" time.")], thread=cut_off())

        async def start() -> None:
            await turn(chat, await slash.offer_unfinished(chat))

        go(start())
        assert texts(chat) == expected
        assert len(screen.asked) == 1

    def test_nothing_is_offered_where_the_answer_is_whole(self, tmp_path: Path) -> None:
        screen = Paper()
        chat = chat_on(tmp_path, screen, thread=Thread.of(user("one"), assistant("two")))
        assert go(slash.offer_unfinished(chat)) is None
        assert screen.asked == []

    def test_it_is_offered_on_the_way_into_a_thread_too(self, tmp_path: Path) -> None:
        chat = chat_on(tmp_path, Paper("c"), answers=[says(" time.")])
        thread = cut_off()
        chat.store.save(thread)
        go(play(chat, f"/resume {thread.id}"))
        assert texts(chat)[-1] == "Once upon a time."


class TestSeeing:
    def test_resuming_says_how_much_there_is_before(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path, thread=Thread.of(user("one"), assistant("1"), user("two"), assistant("2")))
        chat.begin()
        said = capsys.readouterr()
        assert "2 earlier messages: /show all" in said.err
        assert "> two" in said.err
        assert "> one" not in said.err
        assert said.out == "2\n"

    def test_show_tells_the_turns_as_they_were(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path, answers=[calls(("clock", "{}")), says("It is **noon**.")], tools=(clock,))
        go(play(chat, "What time is it?"))
        capsys.readouterr()
        go(play(chat, "/show all"))
        said = capsys.readouterr()
        assert "1 · You" in said.err
        assert "> What time is it?" in said.err
        assert "4 · agentcli (fake/model)" in said.err
        assert "clock" in said.out
        assert "12:00" in said.out
        assert "It is **noon**." in said.out

    def test_show_takes_a_range_and_marks_what_is_cut(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path, thread=cut_off(f"Once {ATTACK}"))
        go(play(chat, "/show 2-2"))
        said = capsys.readouterr()
        assert "story" not in said.err
        assert "not whole" in said.out
        for wrong in ("0", "3", "2-1", "1-9", "x", "1-", "²"):
            with pytest.raises(UserError, match="not the number"):
                go(play(chat, f"/show {wrong}"))

    def test_the_end_of_a_long_thread_and_long_questions_folded(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        many = [message for number in range(30) for message in (user("\n".join(["line"] * 40)), assistant(f"answer {number}"))]
        chat = chat_on(tmp_path, thread=Thread.of(*many))
        go(play(chat, "/show"))
        said = capsys.readouterr()
        assert "answer 25" in said.out
        assert "answer 24" not in said.out
        assert "… 28 more lines" in said.err
        assert "50 earlier: /show all" in said.err
        go(play(chat, "/show 1"))
        assert "more lines" not in capsys.readouterr().err

    def test_the_loop_is_not_held_up(self, tmp_path: Path) -> None:
        long = "word " * 200_000
        chat = chat_on(tmp_path, thread=Thread.of(*[message for _ in range(3) for message in (user("q"), assistant(long))]))

        async def beside() -> int:
            showing = asyncio.create_task(play(chat, "/show all"))
            turns = 0
            while not showing.done():
                await asyncio.sleep(0)
                turns += 1
            return turns

        assert go(beside()) > 500


class TestAgent:
    def test_system_stays_with_the_chat_whatever_the_model(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path, instructions="Be kind.")
        go(play(chat, "/system"))
        assert "Be kind." in capsys.readouterr().err
        go(play(chat, "/system Be brief.\nBe exact.", "/model other", "/new"))
        assert chat.session.agent.instructions == "Be brief.\nBe exact."
        go(play(chat, "one"))
        go(play(chat, "/system clear"))
        assert chat.session.agent.instructions == ""
        assert "no instructions" in capsys.readouterr().err

    def test_tools(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        tools: tuple[Tool, ...] = (clock, risky)
        chat = chat_on(tmp_path, Paper("a"), answers=[calls(("risky", '{"what": "x"}')), says("ok")], tools=tools)
        go(play(chat, "/tools"))
        assert "risky  (asks) Do something risky." in capsys.readouterr().err
        go(play(chat, "go", "/tools"))
        assert "risky  (allowed in this thread)" in capsys.readouterr().err
        go(play(chat, "/tools off risky", "/model other"))
        assert [tool.name for tool in chat.session.agent.tools] == ["clock"]
        go(play(chat, "/tools off all"))
        assert chat.session.agent.tools == ()
        go(play(chat, "/tools on risky clock"))
        assert chat.session.agent.tools == tools
        with pytest.raises(UserError) as caught:
            go(play(chat, "/tools off rsky"))
        assert "Did you mean risky?" in caught.value.hint
        with pytest.raises(UserError, match="/tools takes"):
            go(play(chat, "/tools risky"))

    @pytest.mark.parametrize(("words", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5 h", 5400), ("0", 0), (".5", 0.5)])
    def test_timeout(self, words: str, seconds: float, tmp_path: Path) -> None:
        chat = chat_on(tmp_path)
        go(play(chat, f"/timeout {words}"))
        assert chat.session.timeout == seconds

    @pytest.mark.parametrize("words", ["soon", "-1", "5 years", "nan", "inf", "1e400", "9999999999", "٣", ATTACK])
    def test_what_is_no_time(self, words: str, tmp_path: Path) -> None:
        with pytest.raises(UserError):
            go(play(chat_on(tmp_path), f"/timeout {words}"))

    def test_usage_and_model(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path)
        go(play(chat, "one", "/usage", "/model"))
        said = capsys.readouterr().err
        assert "Thread" in said
        assert "The model is fake/model." in said
        go(play(chat, "/quit"))
        assert chat.leaving

    def test_facts(self, tmp_path: Path) -> None:
        chat = chat_on(tmp_path, answers=[says("x" * 8000)])
        assert chat.facts() == ""
        go(play(chat, "one"))
        assert chat.facts() == "fake/model"  # nothing is looked up before the prompt is there
        chat.screen.drawn.set()
        assert chat.facts().endswith("k tokens")
        chat.session.agent.__dict__["window"] = 10_000
        go(play(chat, "two"))
        assert chat.facts().endswith("% full")


class TestFiles:
    def test_files_go_with_the_next_message(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "my notes.txt").write_text("milk")
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2000))
        chat = chat_on(tmp_path)
        go(play(chat, f"/file {tmp_path}/my notes.txt"))
        go(play(chat, f'/file "{tmp_path}/my notes.txt" {tmp_path}/a.png'))
        assert "a.png, image/png, 2.0 kB" in capsys.readouterr().err
        assert len(chat.attached) == 3
        go(play(chat, "What is this?", "And now?"))
        assert [len(message.parts) for message in chat.session.thread.messages] == [4, 1, 1, 1]
        assert chat.attached == []

    def test_one_that_cannot_be_had_attaches_none(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("milk")
        chat = chat_on(tmp_path)
        with pytest.raises(UserError, match="cannot attach"):
            go(play(chat, f"/file {tmp_path}/a.txt {tmp_path}/b.txt"))
        assert chat.attached == []
        with pytest.raises(UserError, match="not clear"):
            go(play(chat, '/file "a'))
        with pytest.raises(UserError, match="nothing is piped in"):
            go(play(chat, f"/file {tmp_path}/a.txt -"))

    def test_clear(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        chat = chat_on(tmp_path)
        chat.attached = [Text("x")]
        go(play(chat, "/file", "/file clear", "/file"))
        assert chat.attached == []
        assert "Nothing is attached." in capsys.readouterr().err


def test_a_thread_with_tools_can_be_forked_between_a_call_and_its_result(tmp_path: Path) -> None:
    call = Message(role="assistant", stop="tools", parts=(ToolCall("1", "clock", "{}"),))
    result = Message(role="tool", parts=(ToolResult("1", "12:00"),))
    chat = chat_on(tmp_path, thread=Thread.of(user("one"), call, result, assistant("noon")))
    go(play(chat, "/fork 2"))
    assert chat.session.thread.messages[-1].results[0].is_error
