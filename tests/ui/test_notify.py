"""What is written when a long turn ends: nothing, unless it was asked for."""

from __future__ import annotations

import os

import pytest

from agentcli.config import Config
from agentcli.ui.notify import end_of_turn
from tests.ui.test_render import ATTACKS


def written(config: Config, seconds: float = 60, text: str = "done", *, plain: bool = False) -> str:
    pieces: list[str] = []
    end_of_turn(config, seconds, text, pieces.append, plain=plain)
    return "".join(pieces)


@pytest.fixture(autouse=True)
def no_tmux() -> None:
    os.environ.pop("TMUX", None)


def test_nothing_unless_asked_for() -> None:
    assert written(Config()) == ""


@pytest.mark.parametrize("way", ["bell", "desktop"])
def test_only_long_turns(way: str) -> None:
    assert written(Config(notify=way), 19.9) == ""  # type: ignore[arg-type]
    assert written(Config(notify=way), 20) != ""  # type: ignore[arg-type]
    assert written(Config(notify=way, notify_after=0), 0) != ""  # type: ignore[arg-type]


def test_the_bell_is_one_byte() -> None:
    assert written(Config(notify="bell")) == "\a"


def test_the_desktop_gets_a_line() -> None:
    assert written(Config(notify="desktop"), text="Photosynthesis: done") == "\x1b]9;agentcli: Photosynthesis: done\a"


def test_it_is_no_progress_bar() -> None:
    assert written(Config(notify="desktop"), text="4;3;0").startswith("\x1b]9;agentcli: 4;3;0")


def test_inside_tmux_it_is_wrapped() -> None:
    os.environ["TMUX"] = "/tmp/tmux-1/default,1,0"
    assert written(Config(notify="desktop")) == "\x1bPtmux;\x1b\x1b]9;agentcli: done\a\x1b\\"
    assert written(Config(notify="bell")) == "\a"


def test_a_screen_that_is_read_aloud_gets_no_sequence() -> None:
    assert written(Config(notify="desktop"), plain=True) == ""
    assert written(Config(notify="bell"), plain=True) == "\a"


@pytest.mark.parametrize("name", ATTACKS)
def test_a_title_ends_nothing_and_begins_nothing(name: str) -> None:
    sequence = written(Config(notify="desktop"), text="\u200d" + ATTACKS[name] + "\x07\x9c\x1b\\\n\u200d\ue000" + "x" * 5000)
    assert sequence.startswith("\x1b]9;agentcli: ")
    assert sequence.endswith("\a")
    assert sequence[1:-1].isprintable()
    assert len(sequence) < 200
