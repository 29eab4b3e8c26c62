"""Yes or no, at a real terminal: Enter is no, and the terminal is as it was however the question is left."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentcli import assemble
from agentcli.config import keyring, places
from agentcli.core.message import user
from agentcli.core.thread import Thread
from agentcli.providers.local.wheel import KNOWN

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals on Windows", allow_module_level=True)

from tests.program import PROGRAM, environment
from tests.terminal import Terminal

ASK = "from agentcli.ui.confirm import confirm; print('it is', confirm('Go on?'))"
IN_A_CHAT = f"""
import termios
from agentcli.ui import terminal
terminal.hush()
before = termios.tcgetattr(0)
{ASK}
print('hushed again:', termios.tcgetattr(0) == before)
terminal.restore()
"""


def asked(script: str = ASK) -> Terminal:
    return Terminal([sys.executable, "-W", "error", "-c", script])


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("y\r", True),
        (" YES \r", True),
        ("\r", False),
        ("n\r", False),
        ("yeah\r", False),
        ("\x04", False),
        (b"\xff\r", False),
        ("y\x04\x04", True),
    ],
)
def test_only_a_yes_is_one(typed: str | bytes, answer: bool) -> None:
    with asked() as terminal:
        before = terminal.modes()
        terminal.until("Go on? [y/N]")
        terminal.send(typed)
        assert terminal.wait() == 0
        assert terminal.screen()[1] == f"it is {answer}"
        assert terminal.modes() == before


def test_what_was_typed_before_it_was_asked_is_no_answer() -> None:
    with asked(f"print('wait', flush=True); input(); {ASK}") as terminal:
        terminal.until("wait")
        terminal.send("go\ry\ry\r")
        terminal.until("[y/N]")
        terminal.send("\r")
        terminal.until("it is False")
        assert terminal.wait() == 0


def test_in_a_chat_too_the_answer_is_seen() -> None:
    with asked(IN_A_CHAT) as terminal:
        terminal.until("[y/N]")
        terminal.send("yes\r")
        assert terminal.wait() == 0
        assert terminal.screen()[:3] == ["Go on? [y/N] yes", "it is True", "hushed again: True"]


@pytest.fixture(params=["threads", "keys", "local"])
def question(request: pytest.FixtureRequest) -> Iterator[tuple[list[str], Path]]:
    """A command that asks before it removes something, and what is there as long as it is not removed."""
    if request.param == "threads":
        thread = Thread.of(user("hello"))
        assemble.store().add(thread)
        yield ["threads", "delete", thread.id], assemble.store().path(thread.id)
    elif request.param == "keys":
        keyring.file().parent.mkdir(parents=True, exist_ok=True)
        keyring.file().write_bytes(keyring.listing(["openai"]))
        yield ["keys", "remove", "openai"], keyring.file()
    else:
        path = places().models / KNOWN["smollm2"].file
        path.parent.mkdir(parents=True)
        path.write_bytes(b"GGUF")
        yield ["local", "remove"], path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_everything_as_it_was(question: tuple[list[str], Path], number: signal.Signals) -> None:
    arguments, there = question
    before = there.read_bytes()
    with Terminal([*PROGRAM, *arguments]) as terminal:
        modes = terminal.modes()
        terminal.until("[y/N]")
        if number == signal.SIGINT:
            terminal.send("\x03")
        else:
            terminal.signal(number)
        assert terminal.wait() == 128 + number
        assert terminal.modes() == modes
        assert "Traceback" not in terminal.text()
        assert terminal.raw.endswith(b"\n"), "the shell's prompt begins a line"
    assert there.read_bytes() == before


def test_type_ahead_is_no_answer_to_any_of_them(question: tuple[list[str], Path]) -> None:
    arguments, there = question
    with Terminal([*PROGRAM, *arguments]) as terminal:
        terminal.send("y\r")
        terminal.until("[y/N]")
        terminal.send("\r")
        assert terminal.wait() == 1
    assert there.exists()


@pytest.mark.skipif(not find_spec("xllamacpp"), reason="the extra `local` is not installed")
def test_ctrl_c_is_an_answer_in_a_chat_too() -> None:
    env = environment(TERM="xterm-256color", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_NO_INDEX="")
    with Terminal([*PROGRAM], env=env) as terminal:
        modes = terminal.modes()
        terminal.until("Fetch it now? [y/N]")
        terminal.send("\x03")
        assert terminal.wait() == 130
        assert terminal.modes() == modes
        assert "Traceback" not in terminal.text()
        assert terminal.raw.endswith(b"\n")
