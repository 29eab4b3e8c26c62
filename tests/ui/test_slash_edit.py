"""Editing what was said, in an editor that is a real program; and the text that a whole thread is edited as."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.document import Compaction
from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.thread import Thread, sendable
from agentcli.errors import UserError
from agentcli.ui import manuscript
from agentcli.ui.chat import Chat
from tests.core.fake import says
from tests.ui.chats import Paper, chat_on, play, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the editors here are shell scripts")


@pytest.fixture(autouse=True)
def _kept_files(tmp_path: Path) -> Iterator[None]:
    """What is kept for a person is kept within the test's own folder."""
    (tmp_path / "kept").mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path / "kept")
    yield
    tempfile.tempdir = before


@pytest.fixture
def editor(tmp_path: Path) -> Any:
    """Makes `$EDITOR` a Python program: `text` is what is in the file, `again` how often it was opened, `path` where it is."""

    def make(program: str, *, code: str = "0") -> Path:
        log = tmp_path / "edited"
        script = tmp_path / "my editor"
        script.write_text(
            f"#!{sys.executable}\nimport os, stat, sys, signal, time\npath = sys.argv[-1]\ntext = open(path, newline='').read()\n"
            f"again = os.path.exists({str(log)!r})\n"
            f"open({str(log)!r}, 'a').write(path + ' ' + oct(stat.S_IMODE(os.stat(path).st_mode)) + '\\n')\n{program}\n"
            f"open(path, 'w', newline='').write(text)\nsys.exit({code})\n"
        )
        script.chmod(0o755)
        os.environ["EDITOR"] = f"'{script}' --wait"
        os.environ.pop("VISUAL", None)
        return log

    return make


def kept(said: str) -> Path:
    """The file that a person is told of."""
    found = re.search(r"What you typed is in (.+)\n", said)
    assert found
    return Path(found[1])


def conversation() -> Thread:
    call = ToolCall("c1", "clock", '{"zone": "UTC"}', private={"wire": {"x": 1}})
    return Thread.of(
        user("What time is it?", Blob("image/png", b"\x89PNG", name="a.png"), '<file name="n.txt">\nmilk\n</file>'),
        Message(role="assistant", stop="tools", parts=(Reasoning("Hm.\nLet me see."), Text("Let me look.", {"wire": 1}), call)),
        Message(role="tool", parts=(ToolResult("c1", "12:00\nUTC"),)),
        assistant("It is noon.\n\n```\n%%% not ours\n```\n"),
        user("Thanks!"),
        assistant("You are welcome."),
    )


class TestQuestion:
    def test_is_asked_again_as_it_was_changed_and_keeps_what_was_attached(self, tmp_path: Path, editor: Any) -> None:
        log = editor("text = text.replace('cats', 'dogs')")
        screen = Paper()
        chat = chat_on(tmp_path, screen, answers=[says("1"), says("2")])
        picture = Blob("image/png", b"\x89PNG", name="a.png")
        chat.attached = [picture]
        asyncio.run(play(chat, "What are cats?", "/edit"))
        messages = chat.session.thread.messages
        assert [message.text for message in messages] == ["What are dogs?", "2"]
        assert picture in messages[0].parts
        path, mode = log.read_text().split()
        assert mode == "0o600"
        assert not Path(path).parent.exists()
        assert screen.asides == 1

    @pytest.mark.parametrize("program", ["pass", "text = ''", "text = '  \\n'", "text += '\\n'", "os.unlink(path); sys.exit()"])
    def test_an_empty_or_unchanged_file_changes_nothing(
        self, program: str, tmp_path: Path, editor: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        editor(program)
        chat = chat_on(tmp_path)
        asyncio.run(play(chat, "What are cats?", "/edit"))
        assert [message.text for message in chat.session.thread.messages] == ["What are cats?", "Hello."]
        assert "Nothing was changed." in capsys.readouterr().err

    def test_an_editor_that_fails_changes_nothing(self, tmp_path: Path, editor: Any) -> None:
        log = editor("text = 'other'", code="3")
        chat = chat_on(tmp_path)
        with pytest.raises(UserError, match="ended with 3"):
            asyncio.run(play(chat, "What are cats?", "/edit"))
        assert chat.session.thread.messages[0].text == "What are cats?"
        assert not Path(log.read_text().split()[0]).exists()

    def test_what_was_typed_in_an_editor_that_dies_is_kept(
        self, tmp_path: Path, editor: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        editor("open(path, 'w').write('precious'); os.kill(os.getpid(), signal.SIGKILL)")
        with pytest.raises(UserError, match="ended by signal 9"):
            asyncio.run(play(chat_on(tmp_path), "What are cats?", "/edit"))
        assert kept(capsys.readouterr().err).read_text() == "precious"

    def test_there_may_be_no_editor(self, tmp_path: Path) -> None:
        os.environ.update(VISUAL="", EDITOR="/nowhere/ed -x")
        with pytest.raises(UserError, match=r"editor of .EDITOR is not there"):
            asyncio.run(play(chat_on(tmp_path), "hi", "/edit"))
        os.environ.update(EDITOR="'half")
        with pytest.raises(UserError, match="cannot be understood"):
            asyncio.run(play(chat_on(tmp_path), "hi", "/edit"))
        os.environ.update(EDITOR="", PATH=str(tmp_path))
        with pytest.raises(UserError, match="there is no editor"):
            asyncio.run(play(chat_on(tmp_path), "hi", "/edit"))

    def test_ctrl_c_is_the_editors_own_affair(self, tmp_path: Path, editor: Any) -> None:
        editor("os.kill(os.getppid(), signal.SIGINT); os.kill(os.getppid(), signal.SIGQUIT); text = 'still here'")
        chat = chat_on(tmp_path)
        asyncio.run(play(chat, "What are cats?", "/edit"))
        assert chat.session.thread.messages[0].text == "still here"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_a_program_that_is_told_to_end_ends_the_editor(self, tmp_path: Path, editor: Any) -> None:
        log = editor("open(path, 'w').write('precious'); open(path + '.ready', 'w').close(); time.sleep(60)")
        chat = chat_on(tmp_path)

        async def main() -> Path:
            await play(chat, "What are cats?")
            editing = asyncio.create_task(play(chat, "/edit"))
            await until(
                lambda: log.exists() and log.read_text().endswith("\n") and Path(log.read_text().split()[0] + ".ready").exists()
            )
            editing.cancel()
            await asyncio.wait({editing}, timeout=10)
            assert editing.cancelled()
            return Path(log.read_text().split()[0])

        assert asyncio.run(main()).read_text() == "precious"
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


class TestThread:
    def chat(self, tmp_path: Path, *answers: str) -> Chat:
        chat = chat_on(tmp_path / "home", Paper(*answers), thread=conversation())
        chat.session.save()
        return chat

    def test_what_is_changed_is_changed_and_the_rest_is_the_same_to_the_byte(
        self, tmp_path: Path, editor: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        editor("text = text.replace('It is noon.', 'It is late.').replace('Thanks!', 'Thank you!')")
        chat = self.chat(tmp_path)
        before = list(chat.session.thread.messages)
        asyncio.run(play(chat, "/edit thread"))
        after = chat.store.seen(chat.session.thread.id).messages
        assert after[:3] == before[:3]
        assert after[3].text == "It is late.\n\n```\n%%% not ours\n```"
        assert after[4].text == "Thank you!"
        assert after[5] == before[5]
        said = capsys.readouterr().err
        assert "Messages: 2 changed." in said
        found = re.search(r"it is thread (\w+)\.", said)
        assert found
        assert chat.store.seen(found[1]).messages == before

    def test_a_message_without_its_heading_is_gone_and_the_thread_can_be_sent(self, tmp_path: Path, editor: Any) -> None:
        editor("import re\ntext = re.sub(r'(?s)%%%%+ 2 assistant.*?(?=%%%%+ 3 tool)', '', text)")
        chat = self.chat(tmp_path)
        asyncio.run(play(chat, "/edit thread"))
        messages = chat.session.thread.messages
        assert [message.role for message in messages] == ["user", "assistant", "user", "assistant"]  # its results went with it
        assert [message.role for message in sendable(messages)] == ["user", "assistant", "user", "assistant"]

    def test_nothing_changed_makes_no_copy(self, tmp_path: Path, editor: Any) -> None:
        editor("text = '\\ufeff' + text.replace('\\n', '\\r\\n') + '\\r\\n\\r\\n'")  # some editors do
        chat = self.chat(tmp_path)
        before = list(chat.session.thread.messages)
        asyncio.run(play(chat, "/edit thread"))
        assert chat.session.thread.messages == before
        assert len(chat.store.rows()) == 1

    def test_a_text_that_cannot_be_read_back_is_kept(self, tmp_path: Path, editor: Any, capsys: pytest.CaptureFixture[str]) -> None:
        editor("text = text.replace('%%%% 4 assistant', '%%%% 5 assistant')")
        chat = self.chat(tmp_path)
        before = list(chat.session.thread.messages)
        asyncio.run(play(chat, "/edit thread"))
        assert chat.session.thread.messages == before
        said = capsys.readouterr().err
        assert "This cannot be the thread: " in said
        file = kept(said)
        assert "%%%% 5 assistant" in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_it_can_be_edited_again(self, tmp_path: Path, editor: Any) -> None:
        log = editor("text = text.replace('9 ', '4 ').replace('noon', 'late') if again else text.replace('%%%% 4 ', '%%%% 9 ')")
        chat = self.chat(tmp_path, "e")
        asyncio.run(play(chat, "/edit thread"))
        assert "late" in chat.session.thread.messages[3].text
        assert len(log.read_text().splitlines()) == 2
        assert not Path(log.read_text().split()[0]).exists()

    def test_what_was_typed_is_not_lost_by_looking_at_it_again(
        self, tmp_path: Path, editor: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        editor("text = text if again else 'precious\\n' + text")
        asyncio.run(play(self.chat(tmp_path, "e"), "/edit thread"))
        assert kept(capsys.readouterr().err).read_text().startswith("precious")

    def test_a_summary_of_what_was_changed_is_no_longer_sent(self, tmp_path: Path, editor: Any) -> None:
        chat = self.chat(tmp_path)
        thread = chat.session.thread
        thread.compact(Compaction(through=thread.messages[1].id, count=2, summary="a"))
        thread.compact(Compaction(through=thread.messages[4].id, count=5, summary="b"))
        editor("text = text.replace('It is noon.', 'It is late.')")
        asyncio.run(play(chat, "/edit thread"))
        assert [one.summary for one in chat.session.thread.standing] == ["a"]

    def test_what_cannot_be_saved_as_it_was_is_not_changed(
        self, tmp_path: Path, editor: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        editor("text = text.replace('It is noon.', 'It is late.')")
        chat = self.chat(tmp_path)
        folder = chat.store.threads
        chat.session.close()
        folder.rename(tmp_path / "gone")
        folder.write_text("a file in the place of the folder")
        with pytest.raises(UserError):
            asyncio.run(play(chat, "/edit thread"))
        assert "It is noon." in chat.session.thread.messages[3].text
        assert "It is late." in kept(capsys.readouterr().err).read_text()


class TestManuscript:
    def test_it_can_be_read(self) -> None:
        text = manuscript.write(conversation())
        assert "\n%%%% 1 user\nWhat time is it?\n%%%% 1.2 attachment a.png (image/png)\n%%%% 1.3 text\n<file" in text
        assert '\n%%%% 2.1 reasoning: Hm. Let me see.\n%%%% 2.2 text\nLet me look.\n%%%% 2.3 call clock {"zone": "UTC"}\n' in text
        assert "\n%%%% 3.1 result clock: 12:00 UTC\n" in text

    def test_read_back_unchanged_it_is_the_same(self) -> None:
        thread = conversation()
        changes = manuscript.read_back(manuscript.write(thread), thread)
        assert (changes.changed, changes.removed) == (0, 0)
        assert all(new is old for new, old in zip(changes.messages, thread.messages, strict=True))

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.text(st.sampled_from("ab \t\n\r%\u2028\x0b\x0c\x85\x1b0=1u"), max_size=30), min_size=1, max_size=6), st.data())
    def test_whatever_was_said(self, said: list[str], data: st.DataObject) -> None:
        thread = Thread.of(*(user(text, text) if at % 2 else assistant(text) for at, text in enumerate(said)))
        text = manuscript.write(thread)
        changes = manuscript.read_back(text, thread)
        assert all(new is old for new, old in zip(changes.messages, thread.messages, strict=True))
        assert manuscript.read_back(text.replace("\n", "\r\n"), thread).changed == 0
        at = data.draw(st.integers(0, len(text)))
        with suppress(ValueError):  # whatever is done to it, it is read as a thread or refused
            manuscript.read_back(text[:at] + data.draw(st.text(st.sampled_from("a\n% 12.user"), max_size=8)) + text[at:], thread)

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            ("%%%% 4 assistant", "%%%% 4 user", "message 4 is one of the assistant"),
            ("%%%% 4 assistant", "%%%% 9 assistant", "there is no message 9"),
            ("%%%% 4 assistant", "%%%% 2 assistant", "message 2 stands behind message 3"),
            ("%%%% 1.2 attachment a.png (image/png)\n", "", "here should be: %%%% 1.2 attachment"),
            ("%%%% 1.3 text\n", "", "message 1 lacks its line: %%%% 1.3 text"),
            ("call clock", "call rm", "here should be: %%%% 2.3 call clock"),
            ("%%%% 3 tool\n", "%%%% 3 tool\nwords\n", "message 3 has words where none can be: words"),
            (
                "%%%% 3.1 result clock: 12:00 UTC\n",
                "%%%% 3.1 result clock: 12:00 UTC\nwords\n",
                "message 3 has words where none can be",
            ),
            ("It is noon.", "%%%%", "no text can have a line that begins with %%%%"),
            ("%%%% 1 user", "words\n%%%% 1 user", "belongs to no message: words"),
            ("%%%% 1 user", "", "belongs to no message"),
        ],
    )
    def test_what_is_not_clear_is_refused(self, old: str, new: str, why: str) -> None:
        thread = conversation()
        text = manuscript.write(thread)
        assert old in text
        with pytest.raises(ValueError, match=re.escape(why)):
            manuscript.read_back(text.replace(old, new, 1), thread)

    def test_a_changed_text_loses_what_only_its_old_words_were_signed_with(self) -> None:
        thread = conversation()
        changes = manuscript.read_back(manuscript.write(thread).replace("Let me look.", "Wait."), thread)
        assert changes.messages[1].parts[1] == Text("Wait.")
        assert changes.messages[1].parts[2] is thread.messages[1].parts[2]
        assert changes.first == 1
