"""`!command` and `/copy`, with real programs."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from pathlib import Path
from time import monotonic, sleep

import psutil  # type: ignore[import-untyped]
import pytest

from agentcli.core.message import Text, assistant, user
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.ui.attached import apart, describe
from agentcli.ui.run import KEPT, PATIENCE, Ran, run
from tests.terminal import Terminal
from tests.ui.chats import Paper, chat_on, play, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the programs here are shell scripts")


@pytest.fixture(autouse=True)
def _shell() -> None:
    os.environ["SHELL"] = "/bin/sh"


def is_gone(number: int) -> bool:
    """Has the process ended? It may take a moment from there until that can be seen."""
    end = monotonic() + 5
    while monotonic() < end:
        try:
            if psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        sleep(0.01)
    return False


class TestRun:
    def go(self, tmp_path: Path, line: str, *answers: str) -> tuple[Ran, list[Text], Paper]:
        screen = Paper(*answers)
        chat = chat_on(tmp_path, screen)
        ran = asyncio.run(run(chat, line))
        return ran, [part for part in chat.attached if isinstance(part, Text)], screen

    def test_its_output_is_seen_and_goes_with_the_next_message(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        ran, attached, screen = self.go(tmp_path, " echo 'a < b'; echo err >&2; exit 3 ")
        assert ran == Ran("echo 'a < b'; echo err >&2; exit 3", "a < b\nerr\n", 3)
        assert attached == [
            Text('<command line="echo &#x27;a &lt; b&#x27;; echo err &gt;&amp;2; exit 3" exit="3">\na < b\nerr\n</command>')
        ]
        assert describe(attached[0]).startswith("echo 'a < b'; echo err >&2; exit 3, output of a command, ")
        assert apart(user("hi", *attached)) == ("hi", attached)
        said = capsys.readouterr().err
        assert said.startswith("a < b\nerr\nexit code 3\n")
        assert "Its output (2 lines, 10 B) goes with your next message; /file clear drops it." in said
        assert screen.asides == 0  # the prompt stays

    def test_two_marks_keep_it_from_that_and_so_does_silence(self, tmp_path: Path) -> None:
        assert self.go(tmp_path, "!echo secret")[1] == []
        assert self.go(tmp_path, "true")[1] == []
        with pytest.raises(UserError, match="no command"):
            self.go(tmp_path, "  ")

    def test_its_output_is_harmless_and_kept_as_it_is(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        ran, _, _ = self.go(tmp_path, r"printf '\033]0;title\007a\r\n\033[2Jb\377\303'; sleep 0.05; printf '\251'")
        assert ran.output == "\x1b]0;title\x07a\r\n\x1b[2Jb\ufffdé"
        said = capsys.readouterr().err
        assert said.startswith("␛]0;title␇a\n␛[2Jb\ufffdé\n")

    def test_long_output_is_asked_about(self, tmp_path: Path) -> None:
        assert self.go(tmp_path, "seq 10000")[1] == []
        ran, attached, screen = self.go(tmp_path, "seq 10000", "y")
        assert "10000 lines, 48.9 kB" in screen.asked[0]
        assert ran.output.count("\n") == 10000
        assert len(attached) == 1

    def test_of_very_long_output_the_beginning_and_the_end_are_kept(self, tmp_path: Path) -> None:
        ran, _, _ = self.go(tmp_path, "echo begin; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end")
        assert ran.output.startswith("begin\nxxx")
        assert ran.output.endswith("x\nend\n")
        assert "bytes are left out here" in ran.output
        assert KEPT <= len(ran.output) < KEPT + 200_000

    def test_it_reads_nothing_and_has_no_terminal(self, tmp_path: Path) -> None:
        assert self.go(tmp_path, "cat; echo done")[0].output == "done\n"
        assert "done" in self.go(tmp_path, "cat < /dev/tty; echo done")[0].output

    def test_ctrl_c_stops_it_with_all_that_it_started(self, tmp_path: Path) -> None:
        os.environ["WHERE"] = str(os.getpid())
        ran, attached, _ = self.go(tmp_path, "sleep 50 & echo $!; kill -INT $WHERE; sleep 60")
        assert ran.stopped
        assert ran.code == -signal.SIGTERM
        assert len(attached) == 1
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert is_gone(int(ran.output))

    def test_one_that_does_not_heed_is_killed(self, tmp_path: Path) -> None:
        os.environ["WHERE"] = str(os.getpid())
        ran, _, _ = self.go(tmp_path, "trap '' TERM; echo begun; kill -INT $WHERE; while :; do sleep 0.1; done")
        assert ran.code == -signal.SIGKILL

    def test_neither_is_anything_left_of_one_whose_shell_heeds(self, tmp_path: Path) -> None:
        os.environ["WHERE"] = str(os.getpid())
        deaf = "trap '' TERM; echo $$; kill -INT $WHERE; while :; do sleep 0.1; done"
        ran, _, _ = self.go(tmp_path, f'sh -c "{deaf.replace("$", chr(92) + "$")}"; true')
        assert ran.code == -signal.SIGTERM
        assert is_gone(int(ran.output))

    def test_what_cleans_up_has_its_time(self, tmp_path: Path) -> None:
        os.environ["WHERE"] = str(os.getpid())
        tidy = "trap 'sleep 0.3; echo tidied; exit' TERM; kill -INT $WHERE; while :; do sleep 0.1; done"
        (tmp_path / "tidy").write_text(tidy)
        assert self.go(tmp_path, f"sh {tmp_path}/tidy; true")[0].output.endswith("tidied\n")

    def test_a_second_ctrl_c_does_not_wait(self, tmp_path: Path) -> None:
        os.environ["WHERE"] = str(os.getpid())
        before = monotonic()
        deaf = "trap '' TERM; kill -INT $WHERE; sleep 0.2; kill -INT $WHERE; while :; do sleep 0.1; done"
        assert self.go(tmp_path, deaf)[0].code == -signal.SIGKILL
        assert monotonic() - before < PATIENCE

    def test_what_no_shell_can_be_given(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="cannot start /bin/sh: embedded null byte"):
            self.go(tmp_path, "echo \0")

    def test_something_left_behind_does_not_hold_it_up(self, tmp_path: Path) -> None:
        before = monotonic()
        ran, _, _ = self.go(tmp_path, "sleep 30 & echo $!")
        assert monotonic() - before < 3
        assert ran.code == 0
        os.kill(int(ran.output), signal.SIGKILL)

    def test_a_program_that_is_told_to_end_ends_it(self, tmp_path: Path) -> None:
        async def main() -> None:
            chat = chat_on(tmp_path)
            task = asyncio.create_task(run(chat, f"touch {tmp_path}/begun; sleep 60"))
            await until((tmp_path / "begun").exists)
            task.cancel()
            await asyncio.wait({task}, timeout=10)
            assert task.cancelled()

        asyncio.run(main())
        assert not psutil.Process().children(recursive=True)

    def test_a_shell_that_is_not_there(self, tmp_path: Path) -> None:
        os.environ["SHELL"] = "/nowhere/sh"
        with pytest.raises(UserError, match="cannot start /nowhere/sh"):
            self.go(tmp_path, "true")


ANSWER = "Look:\n\n```python\nfirst()\n```\n\n- and\n\n  ```\n  second()\n  third()\n  ```\n\nDone \x1b[2J."


class TestCopy:
    @pytest.fixture(autouse=True)
    def _programs(self, tmp_path: Path) -> None:
        """A folder that is all there is of `PATH`, and no display."""
        (tmp_path / "bin").mkdir()
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "TMUX", "WSL_DISTRO_NAME", "TERMUX_VERSION"):
            os.environ.pop(name, None)
        self.board = tmp_path / "board"
        os.environ["PATH"] = str(tmp_path / "bin")

    def program(self, tmp_path: Path, name: str, script: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        path.chmod(0o755)

    def copy(self, tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]) -> str:
        chat = chat_on(tmp_path, thread=Thread.of(user("one"), assistant(ANSWER), user("two")))
        asyncio.run(play(chat, line))
        return capsys.readouterr().err

    def test_by_a_program_that_leaves_another_behind(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.program(tmp_path, "wl-copy", f"cat > {self.board}; sleep 3 &")
        os.environ["WAYLAND_DISPLAY"] = "wayland-0"
        said = self.copy(tmp_path, "/copy", capsys)
        assert self.board.read_text() == ANSWER
        assert said == "Copied the last answer, 81 B, with wl-copy.\n"

    def test_code_and_messages(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.program(tmp_path, "xclip", f"cat > {self.board}")
        os.environ["DISPLAY"] = ":0"
        assert "the last block of code" in self.copy(tmp_path, "/copy code", capsys)
        assert self.board.read_text() == "second()\nthird()"
        assert "message 1, 3 B, with xclip" in self.copy(tmp_path, "/copy 1", capsys)
        assert self.board.read_text() == "one"
        with pytest.raises(UserError, match="not the number"):
            self.copy(tmp_path, "/copy 4", capsys)

    def test_a_program_without_its_display_is_not_asked_and_one_that_fails_is_passed_over(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.program(tmp_path, "xclip", f"cat > {self.board}")
        self.program(tmp_path, "wl-copy", "exit 1")
        os.environ["WAYLAND_DISPLAY"] = "wayland-0"
        os.environ["TERM"] = "dumb"
        with pytest.raises(UserError, match="no way to the clipboard"):
            self.copy(tmp_path, "/copy", capsys)
        assert not self.board.exists()

    def test_nothing_to_copy(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="there is no answer to copy"):
            asyncio.run(play(chat_on(tmp_path), "/copy"))
        with pytest.raises(UserError, match="there is no block of code to copy"):
            asyncio.run(play(chat_on(tmp_path, thread=Thread.of(user("a"), assistant("b"))), "/copy code"))

    def test_through_the_terminal(self, tmp_path: Path) -> None:
        script = tmp_path / "copy.py"
        script.write_text(
            "import asyncio, sys\nfrom agentcli.ui.clipboard import copy\nfrom agentcli.errors import UserError\n"
            "print(asyncio.run(copy('é\\x1b[2J')))\n"
            "try:\n    asyncio.run(copy('x' * 80_000))\nexcept UserError as error:\n    print(error.message)\n"
        )
        with Terminal([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(Path.cwd())}) as terminal:
            assert terminal.wait() == 0
            assert b"\x1b]52;c;" + base64.b64encode("é\x1b[2J".encode()) + b"\x07" in terminal.raw
            assert "not every terminal takes it" in terminal.text()
            assert "too long for the clipboard of a terminal: 80 kB of 74" in terminal.text()
