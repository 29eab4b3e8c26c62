"""A turn on a terminal, as a terminal emulator shows it."""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys

import msgspec
import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.event import (
    Event,
    Failure,
    MessageAdded,
    ReasoningDelta,
    Retrying,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from agentcli.core.message import assistant
from agentcli.ui.jsonl import JsonLines
from agentcli.ui.markdown import Stream
from agentcli.ui.pipe import Pipe
from agentcli.ui.plain import Plain
from agentcli.ui.render import Renderer
from tests.terminal import Terminal, new_screen, replay, screen_of, text_of
from tests.ui.corpus import TEXTS

# All that is ever written besides text: colours, up and erase below, wrapping off and on.
OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\d+A|\x1b\[J|\x1b\[\?7[lh]|\r(?=\x1b\[)")
WHO, THREAD = "agentcli", "t"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Shown:
    """A renderer, and what it wrote."""

    def __init__(self, size: tuple[int, int] = (60, 20), *, thinking: str = "short", color: bool = True, quiet: bool = False) -> None:
        self.size = size
        self.file = io.StringIO()
        self.clock = Clock()
        self.renderer = Renderer(
            self.file,
            size=lambda: self.size,
            model="openai/gpt",
            color=color,
            thinking=thinking,  # type: ignore[arg-type]
            quiet=quiet,
            clock=self.clock,
        )

    def __call__(self, *events: Event, every: float = 1.0) -> Shown:
        for event in events:
            self.clock.now += every
            self.renderer.show(event)
        return self

    @property
    def raw(self) -> str:
        return self.file.getvalue()

    @property
    def lines(self) -> list[str]:
        return text_of(replay(self.raw, self.size)).split("\n")


def said(text: str, source: str = WHO) -> TextDelta:
    return TextDelta(source, THREAD, text)


def ended(stop: str = "done", source: str = WHO) -> TurnEnded:
    return TurnEnded(source, THREAD, stop=stop)  # type: ignore[arg-type]


def started(call: str, name: str = "clock", arguments: str = "{}", source: str = WHO) -> ToolStarted:
    return ToolStarted(source, THREAD, call, name, arguments)


def finished(call: str, content: str = "noon", name: str = "clock", source: str = WHO, **more: object) -> ToolFinished:
    return ToolFinished(source, THREAD, call, name, content, **more)  # type: ignore[arg-type]


def whole(text: str, size: tuple[int, int]) -> str:
    """What must be on the terminal when this was the answer."""
    stream = Stream(size[0])
    return text_of(replay(stream.feed(text) + stream.finish(), size))


sizes = st.tuples(st.sampled_from([10, 13, 20, 40, 80, 200]), st.sampled_from([2, 3, 5, 10, 24]))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3).map("\n".join), sizes, st.data())
def test_no_line_is_doubled_or_lost_however_it_arrives(text: str, size: tuple[int, int], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=40)))
    shown = Shown(size)
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        shown(said(text[begin:end]))
    shown(ended())
    assert text_of(replay(shown.raw, size)) == whole(text, size)


@pytest.mark.parametrize("width", [1, 2, 10, 200])
@pytest.mark.parametrize("text", TEXTS)
def test_every_width_ends_with_every_letter(text: str, width: int) -> None:
    shown = Shown((width, 8))
    for at in range(0, len(text), 5):
        shown(said(text[at : at + 5]))
    shown(ended())
    if width >= 10:
        assert text_of(replay(shown.raw, (width, 8))) == whole(text, (width, 8))


def test_the_unfinished_part_is_seen_at_once_and_drawn_rarely() -> None:
    shown = Shown(quiet=True)
    shown(said("A **word** and"))
    assert shown.lines == ["A word and"]
    before = shown.raw
    shown(*(said(" more") for _ in range(10)), every=0.001)
    assert shown.raw == before
    shown.clock.now += 1
    shown.renderer.tick()
    assert shown.lines == ["A word and" + " more" * 10]
    written = shown.raw
    shown.renderer.tick()
    assert shown.raw == written


def test_at_most_fifteen_drawings_a_second() -> None:
    shown = Shown()
    for number in range(1000):
        shown(said(f"word{number} "), every=0.001)
    assert shown.raw.count("\x1b[?7l") <= 16


def test_a_tail_that_grows_beyond_the_screen_leaves_nothing_behind() -> None:
    text = "".join(f"word{number} " for number in range(300))
    shown = Shown((40, 6))
    for at in range(0, len(text), 9):
        shown(said(text[at : at + 9]))
    assert len(shown.lines) <= 6
    shown(ended())
    assert " ".join(shown.lines).split() == text.split()


def test_characters_whose_width_terminals_dispute_leave_nothing_behind() -> None:
    """The emulator and Rich disagree about some of these; a tail row must still be one row."""
    text = "👩‍👩‍👧‍👦❤️🏴☠️ 한글 " * 30
    shown = Shown((20, 10))
    for at in range(0, len(text), 3):
        shown(said(text[at : at + 3]))
    shown(said("\n\nthe end"), ended())
    assert "".join(shown.lines).count("한글") == 30


def test_widening_the_window_leaves_nothing_behind() -> None:
    text = "".join(f"word{number} " for number in range(30))
    shown = Shown((30, 10))
    screen = new_screen(30, 10)
    feed = Fed(screen, shown)
    for at in range(0, len(text), 7):
        if at == 140:
            shown.size = (50, 10)
            screen.resize(10, 50)
        shown(said(text[at : at + 7]))
        feed()
    shown(ended())
    feed()
    assert text_of(screen).split() == text.split()


def test_narrowing_the_window_loses_no_finished_line() -> None:
    shown = Shown((40, 10))
    screen = new_screen(40, 10)
    feed = Fed(screen, shown)
    shown(said("finished one\n\nfinished two\n\n"), said("unfinished words that are wrapped over some lines of it " * 2))
    feed()
    shown.size = (20, 10)
    screen.resize(10, 20)
    shown(said("and more"), ended())
    feed()
    assert "finished one" in text_of(screen)
    assert "finished two" in text_of(screen)
    assert text_of(screen).split()[-2:] == ["and", "more"]


class Fed:
    """Feeds an emulated screen with what was written since the last time."""

    def __init__(self, screen: pyte.Screen, shown: Shown) -> None:
        self.stream = pyte.Stream(screen)
        self.shown = shown
        self.at = 0

    def __call__(self) -> None:
        raw = self.shown.raw
        self.stream.feed(raw[self.at :].replace("\n", "\r\n"))
        self.at = len(raw)


ATTACKS = {
    "title": "\x1b]0;owned\x07",
    "icon": "\x1b]1;owned\x1b\\",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[3J\x1b[H",
    "reset": "\x1bc",
    "alternate screen": "\x1b[?1049h",
    "mouse": "\x1b[?1000h\x1b[?1006h",
    "hidden cursor": "\x1b[?25l",
    "up and over": "\x1b[1A\x1b[2Kowned",
    "carriage return": "harmless\rowned   ",
    "backspace": "harmless\x08\x08\x08\x08\x08\x08\x08\x08owned",
    "answerback": "\x05\x1b[c\x1b[6n\x1b[>q\x1bP+q544e\x1b\\",
    "charset": "\x1b(0\x0e",
    "c1": "\x9b2J\x9d0;owned\x9c\x90q\x9c",
    "device control": "\x1bP0;1|17/ab\x1b\\",
    "bell": "\x07" * 5,
    "bidi": "\u202etxt.exe\u202c \u2066x\u2069 \u200e\u200f\u061c",
    "tags": "".join(chr(0xE0000 + ord(character)) for character in "hidden words"),
    "separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "nul": "\x00\x00",
    "surrogates": "\ud83d \udc00",
    "entities": "&#27;[2J &#155;2J &#x1b;]0;owned&#7; &#8238;x &#xe0041;",
    "code": "`\x1b[2J`\n\n```\n\x1b[2J\n```\n\n```\x1b[31m\nx\n```",
    "link target": "[a](http://b.c/\x1b[2J) [a](<http://b.c/&#27;[2J>) <http://b.c/\x9b2J> ![\x1b[2J](x\x1b[2J)",
    "table": "| \x1b[2J | b |\n|---|---|\n| \x9b2J | &#27;[2J |",
    "html": "<b \x1b[2J>\n\n<!-- \x1b[2J -->",
    "definition": "[x]: \x1b[2J",
}


def everywhere(attack: str) -> list[Event]:
    """The attack in every text of every event that a terminal shows."""
    from agentcli.core.message import speakable

    return [
        Waiting(WHO, THREAD, attack),
        Retrying(WHO, THREAD, 1, 4, 1.0, attack, 500),
        ReasoningDelta(WHO, THREAD, attack + "\n" + attack),
        *(said(character) for character in f"before {attack} after\n\n- {attack}\n\n"),
        said(f"{attack}\n\nend"),
        started("1", attack, '{"a": "' + speakable(attack).replace("\x1b", "\\u001b") + '"}'),
        started("2", "tool", attack),
        ToolProgress(WHO, THREAD, "1", attack),
        ToolProgress(WHO, THREAD, "2", attack),
        finished("1", attack, attack),
        finished("2", attack, is_error=True),
        finished("3", attack, attack, denied=True),
        said(attack, f"{WHO}/{attack}"),
        TurnEnded(WHO, THREAD, stop="failed", text=attack, error=Failure(attack, attack, attack)),
    ]


@pytest.mark.parametrize("thinking", ["short", "full"])
@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_untrusted_acts_on_the_terminal(name: str, thinking: str) -> None:
    shown = Shown((60, 20), thinking=thinking)
    for event in everywhere(ATTACKS[name]):
        shown(event)
        shown.clock.now += 1
        shown.renderer.tick()
    shown.renderer.close()
    rest = OURS.sub("", shown.raw)
    assert not [character for character in rest if not character.isprintable() and character not in "\n\u200c\u200d"]
    screen = replay(shown.raw, (60, 20))
    assert screen.title == screen.icon_name == ""
    assert not screen.cursor.hidden
    assert "before" in text_of(screen)


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_untrusted_acts_through_plain_text(name: str) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Tty()
    plain = Plain(file)
    for event in everywhere(ATTACKS[name]):
        plain.show(event)
    plain.close()
    assert not [character for character in file.getvalue() if not character.isprintable() and character not in "\n\t\u200c\u200d"]


def test_nothing_is_written_but_what_is_on_the_list() -> None:
    shown = Shown((30, 6))
    for text in TEXTS:
        shown(said(text), started("1"), finished("1"))
    shown(ended("interrupted"))
    assert "\x1b" not in OURS.sub("", shown.raw)
    assert "\x1b[?25l" not in shown.raw


def test_a_tool_call_is_one_line() -> None:
    shown = Shown()
    shown(said("Let me see."), MessageAdded(WHO, THREAD, message=assistant("Let me see.")))
    shown(started("1", "read_file", '{"path": "a.py", "lines": [1, 2]}'))
    assert shown.lines == ["Let me see.", "", '● read_file(path="a.py", lines=[1,2])']
    shown(ToolProgress(WHO, THREAD, "1", "half of it"))
    assert shown.lines[3:] == ["  half of it", "", "running read_file 1 s"]
    shown(finished("1", "import os\n\nmore\n", "read_file", seconds=2.04))
    assert len(shown.lines) == 3
    assert shown.lines[2].startswith('● read_file(path="a.py", ')
    assert shown.lines[2].endswith(" lines) (2.0 s)")
    assert len(shown.lines[2]) <= 60


def test_tools_that_fail_or_are_not_allowed_say_so() -> None:
    shown = Shown()
    shown(started("1"), started("2", "shell", '{"command": "' + "x" * 500 + '"}'), started("3", "raw", "not json"))
    shown(finished("1", "the clock\nis gone", is_error=True), finished("2", "no", "shell", is_error=True, denied=True))
    shown(finished("3", "", "raw"))
    assert shown.lines[0] == "● clock()  → the clock (+1 line)"
    assert shown.lines[1].startswith('● shell(command="xxx')
    assert shown.lines[1].endswith("…)  → not allowed")
    assert len(shown.lines[1]) <= 60
    assert shown.lines[2] == "● raw(not json)  → done"
    assert "\x1b[31m→ the clock" in shown.raw


def test_a_call_without_a_result_is_not_left_out() -> None:
    shown = Shown()
    shown(started("1"), ended("interrupted"))
    assert shown.lines == ["● clock()  → not finished", "", "— interrupted —"]


def test_waiting_is_said_only_when_it_lasts_and_goes_away() -> None:
    shown = Shown()
    shown(Waiting(WHO, THREAD, "connecting"))
    assert shown.lines == [""]
    shown.clock.now += 0.2
    shown.renderer.tick()
    assert shown.lines == [""]
    shown.clock.now += 0.2
    shown.renderer.tick()
    assert shown.lines == ["connecting to openai/gpt"]
    assert "\x1b[2mconnecting to openai/gpt\x1b[0m" in shown.raw
    shown(Waiting(WHO, THREAD, "answering"))
    shown.clock.now += 0.5
    shown.renderer.tick()
    assert shown.lines == ["waiting for the first token"]
    shown(said("Hi"), ended())
    assert shown.lines == ["Hi"]


def test_the_status_stands_under_the_tail_and_leaves_nothing_behind() -> None:
    shown = Shown((40, 8))
    for number in range(200):
        shown(said(f"word{number} " + "\n\n" * (number % 50 == 49)), every=0.05)
        if number == 20:
            assert shown.lines[-1].endswith(" tokens/s")
            assert shown.lines[-2] == ""
    shown.clock.now += 9
    shown.renderer.tick()
    assert shown.lines[-1] == "silent for 9 s"
    shown(ended())
    assert " ".join(shown.lines).split() == [f"word{number}" for number in range(200)]


def test_in_a_window_of_few_rows_the_tail_comes_first() -> None:
    shown = Shown((40, 4))
    shown(Waiting(WHO, THREAD, "sent"))
    shown.clock.now += 2
    shown.renderer.tick()
    assert shown.lines == ["sent, waiting for openai/gpt 2 s"]
    shown(said("Words"))
    shown.clock.now += 8
    shown.renderer.tick()
    assert shown.lines == ["Words"]


def test_a_question_is_not_a_tools_time() -> None:
    shown = Shown()
    shown(started("1", "shell"))
    shown.renderer.pause()
    shown.clock.now += 60
    shown(ToolProgress(WHO, THREAD, "1", "half"))
    shown.clock.now += 2
    shown.renderer.tick()
    assert shown.lines[-1] == "running shell 2 s"


def test_who_wants_it_quiet_sees_no_status() -> None:
    shown = Shown(quiet=True)
    shown(Waiting(WHO, THREAD, "connecting"))
    shown.clock.now += 9
    shown.renderer.tick()
    assert shown.raw == ""


def test_a_retry_is_one_line() -> None:
    shown = Shown()
    shown(Retrying(WHO, THREAD, 2, 4, 7.2, "too many requests", 429), said("Hi"), ended())
    assert shown.lines == ["retry 2 of 4 in 7 s: 429 too many requests", "", "Hi"]


def test_thinking_is_short_unless_all_of_it_is_wanted() -> None:
    thoughts = [ReasoningDelta(WHO, THREAD, f"thought {number}\n") for number in range(20)]
    shown = Shown()
    shown(*thoughts)
    assert shown.lines[0] == "thinking…"
    assert shown.lines[-3].strip() == "thought 19"
    assert shown.lines[-2:] == ["", "thinking 19 s"]
    assert len(shown.lines) == 7
    shown(said("So."), ended())
    assert shown.lines == ["thought for 20 s", "", "So."]
    shown = Shown(thinking="full")
    shown(*thoughts, ReasoningDelta(WHO, THREAD, "and the end"), said("So."), ended())
    assert [line.strip() for line in shown.lines] == ["thinking…", *(f"thought {n}" for n in range(20)), "and the end", "", "So."]


@pytest.mark.parametrize("stop", ["length", "interrupted", "timed_out", "failed", "tools", "crashed"])
def test_an_answer_that_is_not_whole_is_marked(stop: str) -> None:
    shown = Shown((100, 20))
    shown(said("Half of an"), ended(stop))
    assert shown.lines[0] == "Half of an"
    assert shown.lines[-1].startswith("— ")
    assert shown.lines[-1].endswith("the answer above is not whole —")


def test_a_whole_answer_is_not_marked_and_a_refusal_is() -> None:
    assert Shown()(said("All."), ended()).lines == ["All."]
    assert Shown()(said("No."), ended("refused")).lines[-1] == "— the model refused to answer —"
    assert Shown()(ended("failed")).lines == [""]


def test_agents_under_the_first_are_indented_below_their_name() -> None:
    shown = Shown()
    shown(said("I ask.", "chief"), MessageAdded("chief", THREAD, message=assistant("I ask.")))
    shown(said("One.\n\nTwo.", "chief/critic"), MessageAdded("chief/critic", THREAD, message=assistant("One.\n\nTwo.")))
    shown(started("1", source="chief/critic/clerk"), finished("1", source="chief/critic/clerk"))
    shown(said("So.", "chief"), TurnEnded("chief", THREAD))
    assert shown.lines == ["I ask.", "", "critic", "  One.", "", "  Two.", "", "  clerk", "    ● clock()  → noon", "", "So."]


def test_two_that_speak_at_once_keep_their_lines() -> None:
    shown = Shown()
    for word in range(20):
        shown(said(f"left{word}\n\n", "a/left"), said(f"right{word}\n\n", "a/right"))
    shown(ended(source="a"))
    assert [line for line in shown.lines if "left1" in line or line == "left"]
    assert sorted(line.strip() for line in shown.lines if line.startswith("  ")) == sorted(
        [f"left{n}" for n in range(20)] + [f"right{n}" for n in range(20)]
    )


def test_a_pause_takes_the_tail_away_until_the_next_event() -> None:
    shown = Shown()
    shown(said("Words.\n\nAnd"), MessageAdded(WHO, THREAD, message=assistant("Words.\n\nAnd")), started("1", "shell"))
    assert "● shell" in shown.lines[-1]
    shown.renderer.pause()
    assert shown.lines == ["Words.", "", "And"]
    assert shown.raw.endswith("\x1b[J") or shown.raw.endswith("\n")
    shown.file.write("May it run? yes\n")
    shown.clock.now += 1
    shown.renderer.tick()
    assert shown.lines[-1] == "May it run? yes"
    shown(finished("1", name="shell"), ended())
    assert "May it run? yes" in shown.lines
    assert shown.lines[-1] == "● shell()  → noon"


def test_without_color_there_is_weight_and_no_color() -> None:
    shown = Shown(color=False)
    shown(said("**bold** `code`\n\n```py\nimport x\n```\n"), started("1"), finished("1", is_error=True), ended("length"))
    assert set(re.findall(r"\x1b\[([0-9;]*)m", shown.raw)) <= {"0", "1", "2"}


def test_a_terminal_that_has_gone_away_stops_nothing() -> None:
    shown = Shown()
    shown(said("Hi"))
    shown.file.close()
    shown(said(" again"), ended())
    shown.renderer.close()


def test_an_encoding_without_the_characters_is_no_reason_to_fail() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="latin-1")
    renderer = Renderer(file, size=lambda: (40, 10))
    renderer.show(said("né 日本\n\n- x\n"))
    renderer.show(ended())
    assert "né ??".encode("latin-1") in raw.getvalue()
    plain = Plain(file)
    plain.show(said("日本\n"))
    assert raw.getvalue().endswith(b"??\n")


PROGRAM = """
import sys
from agentcli.core.event import TextDelta, TurnEnded
from agentcli.ui.render import Renderer
renderer = Renderer(sys.stdout)
text = "".join(f"- item {n} of **this** list\\n" for n in range(100)) + "\\n```python\\nx = 1\\n```\\n"
for at in range(0, len(text), 7):
    renderer.show(TextDelta("a", "t", text[at : at + 7]))
renderer.show(TurnEnded("a", "t"))
renderer.close()
"""


def test_on_a_real_terminal() -> None:
    with Terminal([sys.executable, "-c", PROGRAM], size=(40, 12)) as terminal:
        modes = terminal.modes()
        assert terminal.wait(30) == 0
        lines = terminal.text().split("\n")
        assert lines == [*(f" • item {n} of this list" for n in range(100)), "", "```python", "x = 1", "```"]
        assert terminal.modes() == modes


class TestPlain:
    def shown(self, *events: Event) -> str:
        file = io.StringIO()
        plain = Plain(file)
        for event in events:
            plain.show(event)
        plain.close()
        return file.getvalue()

    def test_the_answer_is_the_text_as_it_is(self) -> None:
        assert self.shown(said("# A\r\n"), said("\x1b[1m*b*"), ended()) == "# A\r\n\x1b[1m*b*\n"

    def test_everything_else_is_a_line(self) -> None:
        text = self.shown(
            Waiting(WHO, THREAD, "connecting"),
            Retrying(WHO, THREAD, 1, 4, 2.0, "busy", 503),
            ReasoningDelta(WHO, THREAD, "hm"),
            ReasoningDelta(WHO, THREAD, "hm"),
            said("Let me see"),
            started("1", "read", '{"path": "x"}'),
            ToolProgress(WHO, THREAD, "1", "half"),
            finished("1", "a\nb", "read"),
            finished("2", "no", "shell", is_error=True, denied=True),
            said("More", "agentcli/critic"),
            said("End"),
            ended("length"),
        )
        assert text.split("\n") == [
            "retry 1 of 4 in 2 s: 503 busy",
            "thinking…",
            "Let me see",
            'tool: read(path="x")',
            "  half",
            "result: read: a (+1 line)",
            "result: shell: not allowed",
            "[agentcli/critic]",
            "More",
            "[agentcli]",
            "End",
            "— cut at the limit of its length: the answer above is not whole —",
            "",
        ]

    def test_silence_is_broken_every_half_minute(self) -> None:
        file, clock = io.StringIO(), Clock()
        plain = Plain(file, clock=clock)
        for second in range(100):
            clock.now = second
            plain.tick()
        assert file.getvalue() == "still working, 30 s\nstill working, 60 s\nstill working, 90 s\n"
        plain.show(said("x"))
        clock.now = 125
        plain.tick()
        assert file.getvalue().endswith("90 s\nx")


def test_json_lines_are_the_events() -> None:
    events: list[Event] = [said("é\n\x1b"), started("1"), MessageAdded(WHO, THREAD, message=assistant("é")), ended()]
    read, write = os.pipe()

    async def show() -> None:
        form = JsonLines(Pipe(write))
        for event in events:
            form.show(event)
        form.close()

    asyncio.run(show())
    os.close(write)
    with open(read, "rb") as pipe:
        lines = pipe.readlines()
    assert lines[0] == b'{"event":"text_delta","source":"agentcli","thread":"t","text":"\xc3\xa9\\n\\u001b"}\n'
    assert [msgspec.json.decode(line, type=Event) for line in lines] == events
    assert all(line.count(b"\n") == 1 for line in lines)


def test_the_screen_of_the_tail_alone_is_what_a_prompt_can_carry() -> None:
    """The view gives its tail as lines, whoever draws them."""
    from agentcli.ui.view import View

    view = View(40)
    view.show(said("Done.\n\nNot **done**"))
    assert view.take() == "Done.\n"
    assert view.tail_lines(40, 10) == ["", "Not \x1b[1mdone\x1b[0m"]
    assert view.take() == ""
    assert screen_of(replay("\n".join(view.tail_lines(40, 10)), (40, 3)))[1] == "Not done"
