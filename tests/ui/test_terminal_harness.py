"""The terminal that other tests drive programs with: is it one?"""

from __future__ import annotations

import os
import signal
import sys
import termios

import pytest

from tests.terminal import Terminal, replay, screen_of, scrollback_of, text_of


def python(source: str, **options: object) -> Terminal:
    return Terminal([sys.executable, "-u", "-c", source], **options)  # type: ignore[arg-type]


def test_it_shows_what_is_written_and_tells_the_exit_code() -> None:
    with python("print('hello'); raise SystemExit(7)") as terminal:
        assert terminal.wait() == 7
        assert terminal.screen()[0] == "hello"
        assert terminal.raw == b"hello\r\n"


def test_keys_reach_the_program_and_are_echoed_by_the_terminal() -> None:
    with python("import os; os.write(1, b'name?\\n'); print('hello', input())") as terminal:
        terminal.until("name?")
        terminal.send("Ada\r")
        terminal.until("hello Ada")
        assert terminal.wait() == 0
        assert terminal.screen()[1:3] == ["Ada", "hello Ada"]


def test_it_is_the_controlling_terminal_so_ctrl_c_is_a_signal() -> None:
    with python("import time; print('ready'); time.sleep(60)") as terminal:
        terminal.until("ready")
        terminal.send("\x03")
        assert terminal.wait() in (-signal.SIGINT, 130, 1)
        assert "KeyboardInterrupt" in terminal.text()


def test_a_signal_goes_to_the_program() -> None:
    with python("import time; print('ready'); time.sleep(60)") as terminal:
        terminal.until("ready")
        terminal.signal(signal.SIGTERM)
        assert terminal.wait() == -signal.SIGTERM


def test_a_resize_is_told() -> None:
    source = """
import os, signal, threading
told = threading.Event()
signal.signal(signal.SIGWINCH, lambda *_: print(os.get_terminal_size()))
print(os.get_terminal_size())
input()
"""
    with python(source, size=(40, 10)) as terminal:
        terminal.until("columns=40, lines=10")
        terminal.resize(55, 12)
        terminal.until("columns=55, lines=12")
        assert len(terminal.screen()) == 12


def test_what_leaves_the_screen_is_in_the_scrollback() -> None:
    with python("for n in range(100): print('line', n)", size=(20, 5)) as terminal:
        terminal.wait()
        assert terminal.scrollback() == [f"line {n}" for n in range(96)]
        assert terminal.text().split("\n") == [f"line {n}" for n in range(100)]


def test_it_answers_where_the_cursor_is() -> None:
    source = r"""
import sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
sys.stdout.write("abc\x1b[6n"); sys.stdout.flush()
answer = ""
while not answer.endswith("R"): answer += sys.stdin.read(1)
termios.tcsetattr(0, termios.TCSANOW, before)
print(repr(answer))
"""
    with python(source) as terminal:
        assert terminal.wait() == 0
        assert r"'\x1b[1;4R'" in terminal.text()


def test_the_modes_tell_what_a_program_left_behind() -> None:
    leaves_echo_off = "import termios; a = termios.tcgetattr(0); a[3] &= ~termios.ECHO; termios.tcsetattr(0, termios.TCSANOW, a)"
    with python("pass") as terminal:
        before = terminal.modes()
        terminal.wait()
        assert terminal.modes() == before
    with python(leaves_echo_off) as terminal:
        terminal.wait()
        assert terminal.modes() != before  # those of any new terminal; this one's may have changed by now
        assert not terminal.modes()[3] & termios.ECHO


def test_waiting_for_what_never_comes_ends_and_shows_the_screen() -> None:
    with python("print('only this'); input()") as terminal:
        with pytest.raises(AssertionError, match="only this"):
            terminal.until("something else", timeout=0.3)
        with pytest.raises(AssertionError, match="still running"):
            terminal.wait(timeout=0.2)


def test_leaving_the_block_ends_the_program() -> None:
    with python("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); input()") as terminal:
        terminal.until("ready")
    assert terminal.process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(terminal.pid, 0)


def test_a_replay_is_what_a_terminal_would_show() -> None:
    screen = replay("one\ntwo\x1b[1A\x1b[1Gwon", size=(10, 2))
    assert screen_of(screen) == ["won", "two"]
    screen = replay("a\nb\nc", size=(10, 2))
    assert (scrollback_of(screen), text_of(screen)) == (["a"], "a\nb\nc")


WRITES = """
import signal, sys
from agentcli.ui.terminal import write_whole
signal.signal(signal.SIGALRM, lambda number, frame: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
text = "".join(f"{number:07}\\n" for number in range(50_000))
write_whole(sys.stdout, text) if sys.argv[1] == "whole" else (sys.stdout.buffer.write(text.encode()), sys.stdout.flush())
signal.setitimer(signal.ITIMER_REAL, 0)
"""


@pytest.mark.parametrize(("how", "all_of_it"), [("whole", True), ("buffer", False)])
def test_a_signal_in_the_middle_of_a_write_takes_nothing_from_it(how: str, all_of_it: bool) -> None:
    with Terminal([sys.executable, "-u", "-c", WRITES, how], emulate=False) as terminal:
        assert terminal.wait(30) == 0
        assert (terminal.raw.count(b"\r\n") == 50_000) == all_of_it
