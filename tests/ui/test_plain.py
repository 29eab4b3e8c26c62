"""A turn as text that only grows: in sentences, with nothing lost, and with a word when it takes long."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.event import Event, Retrying, TextDelta, ToolFinished, ToolStarted, TurnEnded
from agentcli.ui.plain import HEARTBEAT, HOLD, MOST, Plain
from tests.ui.corpus import TEXTS
from tests.ui.test_render import ATTACKS


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Spoken(io.StringIO):
    """Remembers what was written at once."""

    def __init__(self, *, terminal: bool = True) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


class Shown:
    """A turn, and the time it takes."""

    def __init__(self, left: float | None = None, *, terminal: bool = True) -> None:
        self.file, self.clock, self.left = Spoken(terminal=terminal), Clock(), left
        self.plain = Plain(self.file, clock=self.clock, left=lambda: None if self.left is None else self.left - self.clock.now)

    def __call__(self, *texts: str) -> Shown:
        for text in texts:
            self.plain.show(TextDelta("a", "t", text))
        return self

    def show(self, *events: Event) -> Shown:
        for event in events:
            self.plain.show(event)
        return self

    def wait(self, seconds: float) -> Shown:
        """Time goes by, a tenth of a second at a time."""
        for _ in range(round(seconds * 10)):
            self.clock.now += 0.1
            self.plain.tick()
        return self

    @property
    def pieces(self) -> list[str]:
        return self.file.pieces


def test_it_comes_in_sentences() -> None:
    shown = Shown()("Hel", "lo", " there", ". How", " are you? ", "Fi", "ne", "! And", " you…", " ok\n", "the", " end")
    assert shown.pieces == ["Hello there. ", "How are you? ", "Fine! ", "And you… ok\n"]
    shown.plain.close()
    assert shown.pieces[4:] == ["the end", "\n"]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ('She said "no." Then (really!) **left.** Ok', ['She said "no." Then (really!) **left.** ']),
        ("It is 3.14 or v1.2.3 at a.b.c", []),
        ("你好。「再见！」他说。", ["你好。「再见！」"]),
        ("1. First\n2. Sec", ["1. First\n"]),
        ("12. a", []),
        ("In 2024. Then", ["In 2024. "]),
        ("```\na = 1\n", ["```\na = 1\n"]),
        ("What?! Yes", ["What?! "]),
    ],
)
def test_what_a_sentence_is(text: str, pieces: list[str]) -> None:
    assert Shown()(text).pieces == pieces


def test_one_that_does_not_end_is_not_waited_for() -> None:
    shown = Shown()("one two thr").wait(HOLD - 0.2)
    assert shown.pieces == []
    shown.wait(0.3)
    assert shown.pieces == ["one two "]
    shown("ee four").wait(0.5)
    assert shown.pieces == ["one two "]
    shown.wait(HOLD)
    assert shown.pieces == ["one two ", "three "]
    shown.wait(HOLD)
    assert shown.pieces == ["one two ", "three ", "four"]


def test_nor_is_one_that_is_very_long() -> None:
    shown = Shown()(*["word "] * 100)
    assert all(0 < len(piece) <= MOST + 5 and piece.endswith(" ") for piece in shown.pieces)
    assert Shown()(*["x" * 50] * 7).pieces == ["x" * 350]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3).map("\n".join), st.data())
def test_nothing_is_lost_doubled_or_turned_round(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=40)))
    shown = Shown(terminal=False)
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        shown(text[begin:end])
        shown.wait(data.draw(st.sampled_from([0, 0, 0.1, 2])))
    shown.show(TurnEnded("a", "t"))
    shown.plain.close()
    assert shown.file.getvalue() == text + "\n" * (not text.endswith("\n") and text != "")


def test_what_is_said_besides_comes_behind_what_was_said_before() -> None:
    shown = Shown()("Let me see")
    shown.show(
        ToolStarted("a", "t", "1", "read", "{}"), ToolFinished("a", "t", "1", "read", "ok"), Retrying("a", "t", 1, 4, 2.0, "busy", 503)
    )
    shown("It is")
    shown.plain.pause()
    assert shown.file.getvalue() == "Let me see\ntool: read()\nresult: read: ok\nretry 1 of 4 in 2 s: 503 busy\nIt is\n"


def test_a_turn_that_is_stopped_keeps_what_there_is() -> None:
    shown = Shown()("Half a sent").show(TurnEnded("a", "t", stop="interrupted"))
    assert shown.file.getvalue() == "Half a sent\n— interrupted: the answer above is not whole —\n"


def test_nothing_is_said_while_a_question_is_open() -> None:
    shown = Shown(left=100.0)("One sentence")
    shown.plain.pause()
    before = shown.file.getvalue()
    shown.wait(3 * HEARTBEAT)
    assert shown.file.getvalue() == before == "One sentence\n"
    shown.plain.go_on()
    shown.wait(HEARTBEAT - 1)
    assert "still working" not in shown.file.getvalue()
    shown.wait(2)
    assert "still working, 120 s\n" in shown.file.getvalue()


def test_the_end_of_the_time_is_said_once_and_again_after_more_was_given() -> None:
    shown = Shown(left=60.0).wait(29)
    assert "time left" not in shown.file.getvalue()
    shown.wait(20)
    assert shown.file.getvalue().count("time left: 30 s\n") == 1
    shown.left = 120.0
    shown.wait(1)
    shown.wait(45)
    assert shown.file.getvalue().count("time left: 30 s\n") == 2


def test_a_short_time_is_not_said_from_the_beginning() -> None:
    assert "time left" not in Shown(left=20.0).wait(19).file.getvalue()


@pytest.mark.parametrize("name", ATTACKS)
def test_it_appends_and_does_nothing_else(name: str) -> None:
    shown = Shown()(ATTACKS[name], "\r\x1b[2J").wait(2)
    shown.plain.close()
    written = shown.file.getvalue()
    assert not [character for character in written if not character.isprintable() and character not in "\n\t\u200c\u200d"]
