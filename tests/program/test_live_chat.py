"""Answers in the chat itself, while somebody types and resizes the window: on an emulator, and in tmux, which wraps its rows anew.

What can be tried without a program is tried in tests/ui/test_live.py, with many more answers.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from time import monotonic, sleep
from typing import Self

import pytest

from agentcli.ui.markdown import Stream
from tests.model_server import ModelServer
from tests.program import PROGRAM, environment
from tests.program.test_chat import chat, ready, threads
from tests.terminal import Terminal, replay, text_of
from tests.ui.texts import ANSWERS, HUGE

TRIALS = int(os.environ.get("AGENTCLI_TRIALS", "0"))  # see tests/ui/test_live.py

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal"),
    pytest.mark.timeout(1200 if TRIALS else 60),
]
NAMES = [name for name in ANSWERS if name not in HUGE]


def pieces(text: str, dice: random.Random) -> list[str]:
    cuts = sorted(dice.randrange(len(text) + 1) for _ in range(dice.choice((1, 10, 40)))) if text else []
    return [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def written(names: list[str], size: tuple[int, int]) -> list[str]:
    """What must stand there from the first question on."""
    text = ""
    for number, name in enumerate(names):
        stream = Stream(size[0])
        text += f"\n> text {number}\n\n{stream.feed(ANSWERS[name])}{stream.finish()}"
    return text_of(replay(text, size)).split("\n")


def seen(terminal: Terminal) -> list[str]:
    """What stands there from the first question on."""
    rows = terminal.text().split("\n")
    return rows[rows.index("> text 0") - 1 :]


@pytest.mark.parametrize(
    ("size", "seed"), [(size, seed) for seed in range(max(TRIALS, 1)) for size in ((80, 24), (40, 10), (200, 60))]
)
def test_answers_stand_above_the_prompt_as_if_they_had_come_at_once(size: tuple[int, int], seed: int, server: ModelServer) -> None:
    dice = random.Random(f"{size} {seed}")
    names = dice.sample(NAMES, 16) if not TRIALS else NAMES
    for name in names:
        if ANSWERS[name].strip():
            server.says(pieces(ANSWERS[name], dice), pause=dice.choice((0, 0.001, 0.004)))
    names = [name for name in names if ANSWERS[name].strip()]
    with chat(server, size=size) as terminal:
        terminal.until(ready)
        terminal.send("text 0\r")
        for number in range(1, len(names)):  # while an answer comes, the next question is typed, and waits
            server.wait_until(lambda number=number: len(server.requests) >= number)  # type: ignore[misc]
            for key in f"text {number}\r":
                terminal.send(key)
        server.wait_until(lambda: len(server.requests) == len(names))
        terminal.send("a draft that is never sent")
        terminal.until(
            lambda terminal: terminal.screen()[int(terminal.display.cursor.y)] == "> a draft that is never sent", timeout=30
        )
        terminal.send("\x03")
        terminal.until(ready)
        terminal.send("\x04")
        assert terminal.wait() == 0
        assert seen(terminal) == [*written(names, size), f"To go on: agentcli resume {threads()[0]['id']}"]


class Tmux:
    """The chat in a window of tmux, which takes the name of a row's end where it only wrapped, and wraps anew when it is resized."""

    def __init__(self, env: dict[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="t")  # the name of a socket must be short
        self._command = ["tmux", "-S", f"{self._folder.name}/tmux", "-f", os.devnull]
        self("new-session", "-d", "-x", "80", "-y", "24", *PROGRAM, env=env)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self("kill-server")
        self._folder.cleanup()

    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        return subprocess.run([*self._command, *arguments], env=env, check=True, capture_output=True, text=True, timeout=10).stdout

    def until(self, met: Callable[[str], object], timeout: float = 20) -> str:
        """Wait until the window, with its scrollback, is so. tmux tells nobody when something was written."""
        end = monotonic() + timeout
        while not met(text := self("capture-pane", "-p", "-J", "-S", "-")):
            assert monotonic() < end, text
            sleep(0.02)
        return text

    def resize(self, columns: int, rows: int) -> None:
        self("resize-window", "-x", str(columns), "-y", str(rows))


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_where_rows_are_wrapped_anew_every_paragraph_stands_once(server: ModelServer) -> None:
    count = 45
    text = "".join(
        f"Begin{n} of a paragraph, which has a few words, so that it is wrapped in a narrow window, end{n}.\n\n" for n in range(count)
    )
    server.says([text[at : at + 9] for at in range(0, len(text), 9)], pause=0.006)
    sizes = [(60, 24), (40, 24), (100, 24), (33, 24), (80, 24), (80, 10), (80, 30), (40, 30), (80, 24)]
    with Tmux(environment(server, TERM="xterm-256color", TMUX=None, TMUX_PANE=None)) as tmux:
        tmux.until(lambda text: text.rstrip().endswith("\n>"))
        tmux("send-keys", "go", "Enter")
        for number, size in enumerate(sizes):
            tmux.until(lambda text, number=number: f"end{4 * number}." in text)  # type: ignore[misc]
            tmux.resize(*size)
            tmux("send-keys", "x")
        draft = "x" * len(sizes)
        tmux.until(lambda text: f"end{count - 1}." in text and f"\n> {draft}" in text)
        for size in ((40, 24), (33, 12), (100, 30)):  # nothing goes on now
            draft += "y"
            tmux.resize(*size)
            tmux("send-keys", "y")
            shown = tmux.until(lambda text, draft=draft: f"\n> {draft}" in text)  # type: ignore[misc]
    marks = [word.rstrip(".") for word in shown.split() if word.startswith(("Begin", "end"))]
    assert marks == [f"{mark}{n}" for n in range(count) for mark in ("Begin", "end")]
    begin = shown.index("Begin0")
    above, status, last = shown.rstrip().rsplit("\n", 2)
    assert last == f"> {draft}"
    assert status.startswith("openai/any")
    for ours in ("> ", "+ ", "xx", "token", "next:", "openai/any"):  # of what stands around the input line
        assert ours not in above[begin:]


@pytest.mark.parametrize("size", [(10, 24), (8, 3), (80, 2), (1, 1)])
def test_a_window_in_which_nothing_can_be_seen_loses_nothing(size: tuple[int, int], server: ModelServer) -> None:
    text = "".join(f"Paragraph {n} of a *few* words.\n\n- item {n}\n- 漢字\n\n```\ncode {n}\n```\n\n" for n in range(12))
    server.says([text[at : at + 7] for at in range(0, len(text), 7)], pause=0.002).then.says("And again.")
    with chat(server) as terminal:
        terminal.until(ready)
        terminal.send("one\r")
        terminal.until("Paragraph 3")
        terminal.resize(*size)
        terminal.send("typed blind")
        wait_for_answer(terminal, 1)
        terminal.resize(80, 24)
        terminal.until(lambda terminal: "> typed blind" in terminal.screen())
        terminal.send("\r")
        terminal.until("And again.")
        terminal.until(ready)
        terminal.send("\x04")
        assert terminal.wait() == 0
        assert "Traceback" not in terminal.text()
    assert [message["parts"][0]["text"] for message in threads()[0]["messages"]] == ["one", text, "typed blind", "And again."]


def test_a_chat_can_begin_in_a_window_that_is_too_small(server: ModelServer) -> None:
    with chat(server.echo(), size=(3, 2)) as terminal:
        terminal.send("typed blind\r")
        wait_for_answer(terminal, 1)
        terminal.resize(80, 24)
        terminal.until(ready)
        terminal.send("seen\r")
        terminal.until("\n\nseen")
        terminal.send("\x04")
        assert terminal.wait() == 0


def wait_for_answer(terminal: Terminal, number: int) -> None:
    """Until so many answers are in the thread's document."""
    terminal.until(lambda _: [message["role"] for thread in threads() for message in thread["messages"]].count("assistant") >= number)
