"""What is done at the terminal for each picture, until what is to be seen is there.

A scene is a function that types and waits, and ends when the screen is as it should be. Its name is that of the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.pictures.draw import DARK, LIGHT, Paper
from tests.terminal import Terminal

__all__ = ["SCENES", "Scene"]

_TOOLS = ("--tool", "weather.py:rain", "--tool", "weather.py:save")
_PATIENCE = 30


class Scene(NamedTuple):
    """A picture: what is played, in which window, and with which arguments of the program. A `whole` one shows the empty rows, too."""

    play: Callable[[Terminal], None]
    size: tuple[int, int] = (80, 24)
    arguments: tuple[str, ...] = _TOOLS
    paper: Paper = DARK
    whole: bool = False


def _ready(terminal: Terminal) -> bool:
    """Does the prompt stand, with nothing on it?"""
    return _last(terminal) == ">"


def _last(terminal: Terminal) -> str:
    return next((row for row in reversed(terminal.screen()) if row), "")


def _say(terminal: Terminal, text: str, then: str = "") -> None:
    """Send a message, and wait until its answer has come."""
    terminal.send(f"{text}\r")
    terminal.until(lambda terminal: then in terminal.text() and _ready(terminal), _PATIENCE)


def chat(terminal: Terminal) -> None:
    """An answer that comes; a message waits for its end, and the next one is being typed."""
    terminal.until(_ready, _PATIENCE)
    _say(terminal, "Do I need an umbrella in Bergen this weekend?", "35 %")
    _say(terminal, "Draw it in Python.", "axes")
    terminal.send("What shall I pack?\r")
    terminal.until("For three days", _PATIENCE)
    terminal.send("Make it a checklist for my phone.\rAnd what if it sn")
    terminal.until(lambda terminal: "and for the" in terminal.text() and "tokens/s" in terminal.text(), _PATIENCE)
    terminal.until(lambda terminal: _last(terminal) == "+ And what if it sn", _PATIENCE)


def approval(terminal: Terminal) -> None:
    """A tool that asks."""
    terminal.until(_ready, _PATIENCE)
    terminal.send("Save the list, please.\r")
    terminal.until(lambda terminal: _last(terminal).startswith("?"), _PATIENCE)


def threads(terminal: Terminal) -> None:
    """The picker: two threads with the word in their titles, one in which it was said."""
    terminal.until("Esc leaves", _PATIENCE)
    terminal.send("rain")
    terminal.until(lambda terminal: "Plants" in terminal.text() and "3 of 6" in terminal.text(), _PATIENCE)


def completion(terminal: Terminal) -> None:
    """What Tab offers."""
    terminal.until(_ready, _PATIENCE)
    terminal.send("/re\t")
    terminal.until("/retry", _PATIENCE)
    terminal.send("\t\t")
    terminal.until("> /rename", _PATIENCE)


def paste(terminal: Terminal) -> None:
    """A command's output and a file that go with a message, and a paste that is folded in it."""
    terminal.until(_ready, _PATIENCE)
    terminal.send("!grep -n def weather.py\r")
    terminal.until("goes with your next", _PATIENCE)
    log = "\n".join(f"request {number}: 200" for number in range(412))
    terminal.send(f"Which of these calls @weather.py? \x1b[200~{log}\x1b[201~ Why")
    terminal.until(lambda terminal: "sent whole" in terminal.text() and _last(terminal).endswith("Why"), _PATIENCE)


SCENES = {
    "chat": Scene(chat, whole=True),
    "chat-light": Scene(chat, paper=LIGHT, whole=True),
    "chat-40x10": Scene(chat, (40, 10), whole=True),
    "chat-200x60": Scene(chat, (200, 60), whole=True),
    "approval": Scene(approval),
    "threads": Scene(threads, arguments=("resume",)),
    "completion": Scene(completion),
    "paste": Scene(paste),
}
