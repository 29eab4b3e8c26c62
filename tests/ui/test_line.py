"""The screen that only appends: typed at on a real terminal, and never a byte that moves a cursor."""

from __future__ import annotations

import os
import re
import signal
import struct
import sys
import time
from ast import literal_eval
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals on Windows", allow_module_level=True)

import fcntl
import termios

from tests.terminal import Terminal

ARGV = [sys.executable, "-W", "error", "-m", "tests.ui.line_program"]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """The program at its first prompt. Whatever a test does, it leaves on Ctrl-D, with the terminal as it was and clean bytes."""
    with Terminal([*ARGV, str(tmp_path / "history")]) as running:
        modes = running.modes()
        running.until(at("> "))
        yield running
        running.until(at("> "))
        running.send("\x03\x04")
        assert running.wait() == 0
        assert running.text().endswith("left")
        assert running.modes() == modes
        assert acting(running.raw) == []


def acting(raw: bytes) -> list[str]:
    """What does more than append: ESC, BEL, CSI, and CR but in the terminal's own CR LF."""
    return re.findall(r"[\x1b\x07\x0c\x9b]|\r(?!\n)", raw.decode())


def at(mark: str) -> Callable[[Terminal], bool]:
    """Does the prompt wait?"""
    return lambda terminal: terminal.raw.endswith(mark.encode())


def got(terminal: Terminal) -> list[str]:
    """What was sent, in order."""
    return [literal_eval(line.removeprefix("got ")) for line in lines(terminal)[:-1] if line.startswith("got ")]


def lines(terminal: Terminal) -> list[str]:
    return terminal.raw.decode().replace("\r\n", "\n").split("\n")


def has_got(*texts: str) -> Callable[[Terminal], bool]:
    return lambda terminal: got(terminal) == list(texts) and at("> ")(terminal)


def stopped(times: int) -> Callable[[Terminal], bool]:
    """Were so many turns stopped, and is the prompt back?"""
    return lambda terminal: terminal.raw.count(b"interrupted") == times and at("> ")(terminal)


def prompts_further(times: int) -> Callable[[Terminal], bool]:
    """Did it prompt so often for another line of a message?"""
    return lambda terminal: terminal.raw.count(b"\n. ") >= times


def type_ahead(terminal: Terminal, text: str) -> None:
    """Type a line as a person does: with a moment after it. Without that it is a paste."""
    terminal.send(text)
    deadline = time.monotonic() + 10
    while unread(terminal) and time.monotonic() < deadline:  # the moment begins when the program has it
        time.sleep(0.01)
    time.sleep(0.2)


def unread(terminal: Terminal) -> int:
    """Bytes of whole lines that the program has not read."""
    (count,) = struct.unpack("i", fcntl.ioctl(terminal._slave, termios.FIONREAD, bytes(4)))
    return int(count)


def go(terminal: Terminal) -> None:
    """The turn goes on."""
    os.kill(terminal.pid, signal.SIGUSR1)


def turn(terminal: Terminal, kind: str = "turn") -> None:
    before = terminal.raw.count(b"Working")
    terminal.send(f"{kind}\r")
    terminal.until(lambda terminal: terminal.raw.count(b"Working on it.\r\n") > before)


def test_a_line_is_edited_by_the_terminal_and_sent_by_enter(terminal: Terminal) -> None:
    terminal.send("hello thrre\x7f\x7fee\r")
    terminal.until(has_got("hello three"))
    terminal.send("nonsense\x15naïve 日本\r")
    terminal.until(has_got("hello three", "naïve 日本"))
    assert lines(terminal)[0] == "> hello thrre\b \b\b \bee"


def test_a_prompt_stands_once_for_each_line(terminal: Terminal) -> None:
    terminal.send("\r")
    terminal.until(lambda terminal: terminal.raw == b"> \r\n> ")
    terminal.send("   \r")
    terminal.until(has_got("   "))
    assert terminal.raw.count(b"> ") == 3


def test_messages_of_several_lines(terminal: Terminal) -> None:
    terminal.send("one\\\r")
    terminal.until(at(". "))
    terminal.send("two\r")
    terminal.until(has_got("one\ntwo"))
    for line in ('"""', "first\\", "", "/last"):
        terminal.send(f"{line}\r")
        terminal.until(at(f"{line}\r\n. "))
    terminal.send('"""\r')
    terminal.until(has_got("one\ntwo", "first\\\n\n/last"))


class TestCtrlC:
    def test_clears_what_was_typed_and_says_how_to_leave(self, terminal: Terminal) -> None:
        terminal.send("half\x03")
        terminal.until(at("half^C\r\n> "))
        assert "Ctrl-D" not in terminal.text()
        terminal.send("\x03")
        terminal.until("Ctrl-D or /quit leaves.")
        terminal.until(at("> "))
        terminal.send("whole\r")
        terminal.until(has_got("whole"))

    def test_clears_a_message_that_is_not_finished(self, terminal: Terminal) -> None:
        for line in ("one\\", '"""'):
            terminal.send(f"{line}\r")
            terminal.until(at(". "))
            terminal.send("\x03")
            terminal.until(at("> "))
        terminal.send("new\r")
        terminal.until(has_got("new"))
        assert "Ctrl-D" not in terminal.text()

    def test_what_is_typed_before_and_after_it_stays_apart(self, terminal: Terminal) -> None:
        terminal.send("forget this\x03and take this\r")
        terminal.until(has_got("and take this"))

    def test_stops_a_turn_and_what_was_typed_ahead_is_next(self, terminal: Terminal) -> None:
        turn(terminal)
        type_ahead(terminal, "the next question\r")
        terminal.send("\x03")
        terminal.until("interrupted")
        terminal.until(has_got("the next question"))

    def test_right_behind_enter_it_stops_what_that_began(self, terminal: Terminal) -> None:
        for number in range(1, 6):
            terminal.send("turn\r\x03")
            terminal.until(stopped(number))
        assert got(terminal) == []

    def test_keeps_the_beginning_of_a_line(self, terminal: Terminal) -> None:
        turn(terminal)
        type_ahead(terminal, "begin")
        terminal.send("\x03")
        terminal.until(at("> begin"))
        terminal.send("ning\r")
        terminal.until(has_got("beginning"))

    def test_at_a_question_stops_the_turn(self, terminal: Terminal) -> None:
        turn(terminal, "ask")
        go(terminal)
        terminal.until(at("2 no: "))
        terminal.send("ye\x03")
        terminal.until("interrupted")
        terminal.until(at("> "))
        assert "answer '" not in terminal.text()
        terminal.send("on\r")
        terminal.until(has_got("on"))

    def test_again_and_again(self, terminal: Terminal) -> None:
        for number in range(20):
            turn(terminal, "ask" if number % 2 else "turn")
            if number % 4 == 1:
                go(terminal)
                terminal.until(at("2 no: "))
            terminal.send("\x03")
            terminal.until(at("whole —\r\n> "))


class TestTypedAhead:
    def test_it_is_not_shown_in_the_answer_and_is_what_comes_next(self, terminal: Terminal) -> None:
        turn(terminal)
        type_ahead(terminal, "first\r")
        type_ahead(terminal, "second\r")
        assert terminal.text().endswith("Working on it.")
        go(terminal)
        terminal.until(has_got("first", "second"))
        assert terminal.text().endswith("Working on it.\nReady.\n> first\ngot 'first'\n> second\ngot 'second'\n>")

    def test_the_beginning_of_a_line_is_shown_behind_the_prompt(self, terminal: Terminal) -> None:
        turn(terminal)
        type_ahead(terminal, "begu")
        go(terminal)
        terminal.until(at("> begu"))
        terminal.send("nn\x7f\r")
        terminal.until(has_got("begun"))

    def test_nothing_is_lost_however_much_it_is(self, terminal: Terminal) -> None:
        turn(terminal)
        text = "\n".join(f"line {number} " + "x" * (number % 70) for number in range(400))
        for begin in range(0, len(text), 999):
            terminal.send(text[begin : begin + 999].replace("\n", "\r"))
        go(terminal)
        terminal.until("Enter sends")
        terminal.send("\r")
        terminal.until(lambda terminal: "\n".join(got(terminal)) == text)

    def test_it_cannot_act_on_the_terminal(self, terminal: Terminal) -> None:
        turn(terminal)
        type_ahead(terminal, "\x1b[2J\x1b]0;owned\x07\u202eabc\u009b2J\r")
        go(terminal)
        terminal.until(has_got("\x1b[2J\x1b]0;owned\x07\u202eabc\u009b2J"))
        assert "> ␛[2J␛]0;owned␇‹202E›abc‹9B›2J" in lines(terminal)

    def test_before_the_program_looks(self, tmp_path: Path) -> None:
        slow = "import sys, runpy; input(); sys.argv = ['x']; runpy.run_module('tests.ui.line_program', run_name='__main__')"
        with Terminal([sys.executable, "-c", slow]) as terminal:
            terminal.send("go\rone\rtwo\rthr")
            terminal.until(lambda terminal: got(terminal) == ["one", "two"] and terminal.raw.endswith(b"> thr"))
            terminal.send("ee\r")
            terminal.until(has_got("one", "two", "three"))


class TestPaste:
    def test_it_is_one_message_and_not_sent_before_enter(self, terminal: Terminal) -> None:
        terminal.send("one\rtwo\r\rthree\r")
        terminal.until("4 lines pasted. Enter sends, Ctrl-C clears.")
        assert got(terminal) == []
        terminal.send("\r")
        terminal.until(has_got("one\ntwo\n\nthree"))

    def test_without_a_last_end_of_line(self, terminal: Terminal) -> None:
        terminal.send("one\rtwo")
        terminal.until("A line pasted. Enter sends, Ctrl-C clears.")
        terminal.until(at(". two"))
        assert got(terminal) == []
        terminal.send("\r")
        terminal.until(has_got("one\ntwo"))
        assert "> one\ntwo\nA line pasted. Enter sends, Ctrl-C clears.\n. two\ngot" in terminal.text()

    def test_it_can_be_cleared(self, terminal: Terminal) -> None:
        terminal.send("one\rtwo\r")
        terminal.until("2 lines pasted.")
        terminal.send("\x03")
        terminal.until(at("> "))
        terminal.send("three\r")
        terminal.until(has_got("three"))

    def test_while_a_turn_runs(self, terminal: Terminal) -> None:
        turn(terminal)
        terminal.send("one\rtwo\rthree")
        time.sleep(0.2)
        go(terminal)
        terminal.until("2 lines pasted.")
        assert got(terminal) == []
        terminal.send("\r")
        terminal.until(has_got("one\ntwo\nthree"))

    def test_quotes_in_it_are_text(self, terminal: Terminal) -> None:
        terminal.send('"""\r')
        terminal.until(at(". "))
        terminal.send('def f():\r"""\rwords\r"""\rreturn 1\r')
        terminal.until(at(". "))
        terminal.send('"""\r')
        terminal.until(has_got('def f():\n"""\nwords\n"""\nreturn 1'))

    @pytest.mark.skipif(sys.platform != "linux", reason="how long a line may be differs")
    def test_a_line_that_is_too_long_for_the_terminal_is_not_sent_as_if_it_were_whole(self, terminal: Terminal) -> None:
        terminal.send("x" * 6000 + "\r")
        terminal.until("the end of this one")
        terminal.until(at(". "))
        assert got(terminal) == []
        terminal.send("\x03")
        terminal.until(at("^C\r\n> "))


class TestQuestions:
    def test_what_was_typed_before_is_no_answer_and_is_not_lost(self, terminal: Terminal) -> None:
        turn(terminal, "ask")
        type_ahead(terminal, "1\r")
        type_ahead(terminal, "1")
        go(terminal)
        terminal.until(at("2 no: "))
        terminal.send("2\r")
        terminal.until("answer '2'")
        terminal.until(lambda terminal: got(terminal) == ["1"] and terminal.raw.endswith(b"> 1"))
        terminal.send("\r")
        terminal.until(has_got("1", "1"))

    @pytest.mark.parametrize(
        ("typed", "answer"), [("\r", ""), ("\x04", ""), (" two words \r", " two words "), ("1\rand more\r", "1\nand more")]
    )
    def test_answers(self, typed: str, answer: str, terminal: Terminal) -> None:
        turn(terminal, "ask")
        go(terminal)
        terminal.until(at("Run it? 1 yes, 2 no: "))
        terminal.send(typed)
        terminal.until(f"answer {answer!r}")
        terminal.until(at("Ready.\r\n> "))

    def test_an_answer_is_seen_and_a_command_may_ask_too(self, terminal: Terminal) -> None:
        terminal.send("question\r")
        terminal.until(at("Which one? "))
        terminal.send("tw\x7fhree\r")
        terminal.until("answer 'three'")
        assert "Which one? tw\b \bhree" in lines(terminal)


class TestPutBack:
    def test_enter_sends_it(self, terminal: Terminal) -> None:
        terminal.send("back old words\r")
        terminal.until(at("takes its place.\r\n> "))
        assert "old words\nEnter on an empty line sends this." in terminal.text()
        terminal.send("\r")
        terminal.until(has_got("old words"))

    @pytest.mark.parametrize("keys", ["new words\r", "\x03"])
    def test_what_is_written_or_ctrl_c_takes_its_place(self, keys: str, terminal: Terminal) -> None:
        terminal.send("back old words\r")
        terminal.until(at("place.\r\n> "))
        terminal.send(keys)
        terminal.until(at("words'\r\n> " if "words" in keys else "^C\r\n> "))
        terminal.send("\r")
        terminal.until(at("> \r\n> "))
        assert "old words" not in got(terminal)


class TestTheTerminal:
    def test_it_is_given_away_as_it_was_found(self, terminal: Terminal) -> None:
        terminal.send("aside\r")
        terminal.until("modes [")
        found = eval(next(line for line in lines(terminal) if line.startswith("modes ")).removeprefix("modes "))
        assert found[3] & termios.ECHO
        assert found[3] & termios.ISIG
        assert found[6][termios.VINTR] == b"\x03"
        assert found[6][termios.VEOL] == b"\x00"
        terminal.send("for the child\r")
        terminal.until("child read 'for the child'")
        terminal.until(at("> "))
        terminal.send("for us\r")
        terminal.until(has_got("for us"))

    def test_after_a_stop_the_modes_and_the_prompt_are_back(self, terminal: Terminal) -> None:
        terminal.send("hal")
        terminal.until(at("> hal"))
        modes = terminal.modes()
        terminal.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, terminal.pid, os.WSTOPPED | os.WNOWAIT)
        shell = [*modes[:3], modes[3] & ~termios.ECHO, *modes[4:]]
        termios.tcsetattr(terminal._slave, termios.TCSANOW, shell)
        terminal.signal(signal.SIGCONT)
        terminal.until(lambda terminal: terminal.raw.count(b"> hal") == 2)
        terminal.until(lambda terminal: terminal.modes() == modes)
        terminal.send("f\r")
        terminal.until(has_got("half"))

    def test_ctrl_d_behind_a_word_does_not_leave(self, terminal: Terminal) -> None:
        terminal.send("word\x04")
        terminal.send(" more\r")
        terminal.until(has_got("word more"))

    def test_ctrl_d_in_a_message_says_how_it_ends(self, terminal: Terminal) -> None:
        terminal.send('"""\r')
        terminal.until(at(". "))
        terminal.send("\x04")
        terminal.until('a line of """ sends it')
        terminal.send('kept\r"""\r')
        terminal.until(has_got("kept"))

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_signals_leave_it_as_it_was(self, number: int, code: int) -> None:
        with Terminal(ARGV) as terminal:
            modes = terminal.modes()
            terminal.until(at("> "))
            terminal.signal(number)
            terminal.wait()
            assert terminal.modes() == modes

    def test_what_was_sent_is_in_the_history_of_the_other_prompt(self, terminal: Terminal, tmp_path: Path) -> None:
        from prompt_toolkit.history import FileHistory

        terminal.send("one\\\r")
        terminal.until(at(". "))
        terminal.send("two\r")
        terminal.until(has_got("one\ntwo"))
        terminal.send("three\r")
        terminal.until(has_got("one\ntwo", "three"))
        history = tmp_path / "history"
        assert list(FileHistory(str(history)).load_history_strings()) == ["three", "one\ntwo"]
        terminal.send('"""\r')
        terminal.until(at(". "))
        for _ in range(30):
            again = prompts_further(terminal.raw.count(b"\n. ") + 1)
            terminal.send("x" * 4_000 + "\r")
            terminal.until(again)
        terminal.send('"""\r')
        terminal.until(lambda terminal: len(got(terminal)) == 3)
        assert next(iter(FileHistory(str(history)).load_history_strings())) == "[pasted 120,029 characters]"
        assert history.stat().st_mode & 0o777 == 0o600
