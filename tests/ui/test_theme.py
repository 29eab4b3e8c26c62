"""Colours: what each role looks like in each theme, that it can be read, and that the terminal's answers are never taken for keys."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.errors import UserError
from agentcli.ui import background, talk, theme
from agentcli.ui.background import Replies
from agentcli.ui.code import Highlighter
from agentcli.ui.markdown import Stream
from agentcli.ui.theme import Depth, Role, Theme
from tests.model_server import ModelServer
from tests.program import PROGRAM, environment
from tests.terminal import Terminal
from tests.ui.corpus import TEXTS

CODES = re.compile(r"\x1b\[([0-9;]*)m")
ROLES: tuple[Role, ...] = get_args(Role)
NEUTRAL = """
-    mark
1    bold strong heading.2 head code.definition code.heading
1;4  heading.1
2    dim target quote fence rule code.comment code.prompt
3    em heading.3
4    link
9    struck
31   failed code.deleted
1;31 error
32   ok code.string code.inserted
33   warn
35   code.keyword
36   code code.number code.name code.place
1;36 prompt
"""
LEVELS = (0, 95, 135, 175, 215, 255)
property_test = settings(derandomize=True, deadline=None, max_examples=300)


@pytest.fixture(autouse=True)
def _neutral() -> Iterator[None]:
    theme.use("neutral", 4)
    yield
    theme.use("neutral", 4)


# Roles.


@pytest.mark.parametrize("depth", [0, 4, 8, 24])
@pytest.mark.parametrize("name", [*theme.NAMES, "bare"])
def test_every_theme_has_every_role(name: str, depth: Depth) -> None:
    made = Theme(name, depth)
    assert set(made.codes) == set(made.words) == set(ROLES)
    assert made.colours == (depth > 0 and name not in ("none", "bare"))


def test_neutral_is_a_few_of_the_terminals_own_colours() -> None:
    expected: dict[str, str] = {}
    for line in NEUTRAL.strip().split("\n"):
        code, *roles = line.split()
        expected |= dict.fromkeys(roles, code.removeprefix("-"))
    assert Theme("neutral", 24).codes == expected


@pytest.mark.parametrize("name", theme.NAMES)
def test_without_colours_there_are_weights(name: str) -> None:
    codes = Theme(name, 0).codes
    assert codes["error"] == codes["prompt"] == "1"
    assert codes["dim"] == "2"
    assert codes["heading.1"] == "1;4"
    assert codes["warn"] == codes["code"] == ""
    assert set(Theme("bare", 24).codes.values()) == {""}


def test_paint_begins_and_ends() -> None:
    assert theme.paint("error", "no") == "\x1b[1;31mno\x1b[0m"
    assert theme.paint("error", "") == theme.paint("mark", "") == ""
    assert theme.paint("mark", "•") == "•"
    assert (theme.code("error"), theme.code("mark")) == ("1;31", "")
    assert theme.nested("dim", "a") == "\x1b[2ma\x1b[22m"
    assert theme.nested("warn", "a") == "\x1b[33ma\x1b[39m"
    assert theme.nested("heading.1", "a") == "\x1b[1;4ma\x1b[22;24m"
    assert Theme("dark", 24).nested("error", "a") == "\x1b[1;38;2;255;143;138ma\x1b[22;39m"


# Can it be read?


def colour_of(words: str) -> background.Colour | None:
    """The colour in a style; None if it is the terminal's own."""
    for word in words.split():
        if word.startswith("#"):
            return int(word[1:3], 16), int(word[3:5], 16), int(word[5:], 16)
        if word.startswith("color("):
            number = int(word[6:-1]) - 16
            assert number >= 0, "how the first 16 look, nobody knows"
            if number >= 216:
                return ((number - 216) * 10 + 8,) * 3
            return LEVELS[number // 36], LEVELS[number // 6 % 6], LEVELS[number % 6]
    return None


def contrast(one: background.Colour, other: background.Colour) -> float:
    darker, lighter = sorted((background.luminance(one), background.luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def least_contrast(name: str, depth: Depth, behind: background.Colour) -> float:
    return min(contrast(colour, behind) for words in Theme(name, depth).words.values() if (colour := colour_of(words)))


def test_contrast_is_counted_as_the_standard_does() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((0x76,) * 3, (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("depth", [8, 24])
@pytest.mark.parametrize(("name", "greys"), [("dark", range(0x2F)), ("light", range(0xE8, 0x100))])
def test_contrast_is_enough(name: str, greys: range, depth: Depth) -> None:
    for grey in greys:
        assert background.suited((grey,) * 3) == name
        assert least_contrast(name, depth, (grey,) * 3) >= 4.5


@property_test
@given(st.tuples(*[st.integers(0, 255)] * 3), st.sampled_from((8, 24)))
def test_contrast_is_enough_on_every_background_that_a_theme_is_chosen_for(behind: background.Colour, depth: Depth) -> None:
    name = background.suited(behind)
    if name != "neutral":
        assert least_contrast(name, depth, behind) >= 4.5


def test_a_background_in_between_gets_neutral() -> None:
    assert background.suited((128, 128, 128)) == "neutral"
    assert background.suited(None) == "auto"


def test_yellow_is_not_told_to_a_light_terminal_of_16_colours() -> None:
    assert Theme("light", 4).codes == Theme("neutral", 4).codes | {"warn": "35"}
    assert Theme("dark", 4).codes == Theme("neutral", 4).codes


# What the environment says.


@pytest.mark.parametrize(
    ("depth", "variables"),
    [
        (0, {}),
        (0, {"TERM": ""}),
        (0, {"TERM": "dumb", "COLORTERM": "truecolor"}),
        (0, {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}),
        (4, {"TERM": "xterm"}),
        (4, {"TERM": "linux"}),
        (4, {"TERM": "screen", "COLORTERM": "yes", "NO_COLOR": ""}),
        (8, {"TERM": "xterm-256color"}),
        (8, {"TERM": "screen-256color"}),
        (8, {"TERM": "xterm", "TERM_PROGRAM": "Apple_Terminal"}),
        (8, {"TERM": "screen-256color", "COLORTERM": "truecolor", "STY": "1.x"}),
        (24, {"TERM": "xterm-256color", "COLORTERM": "truecolor"}),
        (24, {"TERM": "tmux-256color", "COLORTERM": "24bit", "TMUX": "x"}),
        (24, {"TERM": "xterm-direct"}),
        (24, {"TERM": "xterm-kitty"}),
        (24, {"TERM": "foot-extra"}),
    ],
)
def test_the_depth(depth: int, variables: dict[str, str]) -> None:
    assert theme.depth_of(variables) == depth


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("neutral", {}),
        ("dark", {"COLORFGBG": "15;0"}),
        ("dark", {"COLORFGBG": "7;8"}),
        ("light", {"COLORFGBG": "0;15"}),
        ("light", {"COLORFGBG": "0;default;7"}),
        ("neutral", {"COLORFGBG": "default;default"}),
        ("neutral", {"COLORFGBG": "0;99"}),
        ("neutral", {"COLORFGBG": "0;15", "TMUX": "x"}),
        ("neutral", {"COLORFGBG": "0;15", "STY": "x"}),
        ("none", {"COLORFGBG": "0;15", "NO_COLOR": "1"}),
        ("bare", {"COLORFGBG": "0;15", "TERM": "dumb"}),
    ],
)
def test_what_auto_is_before_the_terminal_has_answered(name: str, variables: dict[str, str]) -> None:
    for variable in ("COLORFGBG", "TMUX", "STY", "NO_COLOR"):
        os.environ.pop(variable, None)
    os.environ.update({"TERM": "xterm-256color"} | variables)
    theme.use()
    assert theme.current().name == name


@pytest.mark.parametrize(
    ("asked", "variables"),
    [
        (True, {"TERM": "xterm-256color"}),
        (True, {"TERM": "screen-256color", "TMUX": "x"}),
        (True, {"TERM": "xterm-kitty"}),
        (False, {"TERM": "screen-256color"}),  # GNU screen: it lets the answers overtake each other
        (False, {"TERM": "xterm-256color", "STY": "1.x"}),
        (False, {"TERM": "linux"}),
        (False, {"TERM": "dumb"}),
        (False, {"TERM": "vt220"}),
        (False, {"TERM": ""}),
        (False, {}),
    ],
)
def test_which_terminal_is_asked(asked: bool, variables: dict[str, str]) -> None:
    assert background.can_be_asked(variables) == asked


# A new theme in the middle.


def test_what_is_written_after_a_change_has_the_new_colours() -> None:
    text = "```python\nimport a\nimport b\n```\n"
    stream = Stream(80)
    before = stream.feed("`x`\n\n" + text[:19])
    theme.use("dark", 24)
    after = stream.feed(text[19:] + "`x`\n\n")
    assert "\x1b[36mx\x1b[0m" in before
    assert "\x1b[35mimport\x1b[0m" in before
    assert "\x1b[38;2;211;166;245mimport\x1b[0m" in after
    assert "\x1b[38;2;127;214;207mx\x1b[0m" in after
    assert "\x1b[35m" not in after
    theme.use("light", 8)
    assert "\x1b[38;5;91mimport\x1b[0m" in Highlighter("python").line("import c")
    theme.use("neutral")
    assert Highlighter("python").line("import d").startswith("\x1b[35mimport\x1b[0m")


def shown(text: str) -> str:
    stream = Stream(60)
    return stream.feed(text) + "\n".join(stream.tail_lines(60, 20)) + stream.finish()


@pytest.mark.parametrize(
    ("name", "depth"), [("dark", 24), ("dark", 8), ("light", 24), ("light", 8), ("light", 4), ("none", 0), ("bare", 0)]
)
def test_a_theme_changes_colours_and_nothing_else(name: str, depth: Depth) -> None:
    for text in TEXTS:
        theme.use("neutral", 4)
        plain = CODES.sub("", shown(text))
        theme.use(name, depth)
        coloured = shown(text)
        assert CODES.sub("", coloured) == plain
        codes = re.sub(r"38;(2;\d+;\d+|5);\d+", "38", ";".join(CODES.findall(coloured))).split(";")
        assert not [code for code in codes if code.startswith(("4", "10")) and code != "4"], "a background"
        assert coloured.count("\x1b[0m") * 2 == coloured.count("\x1b["), "what begins ends"


def test_bare_has_no_escape_sequence_at_all() -> None:
    theme.use("bare")
    assert not [text for text in TEXTS if "\x1b" in shown(text)]


# The terminal's answers.

ANSWERS = [
    ("\x1b]11;rgb:ffff/ffff/ffff\x07", (255, 255, 255)),  # xterm, asked with BEL
    ("\x1b]11;rgb:1e1e/1f1f/2020\x1b\\", (30, 31, 32)),  # kitty, VTE, tmux
    ("\x1b]11;rgb:FF/00/80\x07", (255, 0, 128)),
    ("\x1b]11;rgb:f/0/8\x1b\\", (255, 0, 136)),
    ("\x1b]11;rgba:0000/0000/0000/cccc\x07", (0, 0, 0)),  # rxvt with a transparent background
    ("\x1b]11;#1c1c1c\x07", (28, 28, 28)),
    ("\x1b]11;#fff\x07", (255, 255, 255)),
    ("\x1b]11;#ffff80000000\x1b\\", (255, 127, 0)),
]
FENCES = [
    "\x1b[?6c",
    "\x1b[?1;2c",
    "\x1b[?62;c",
    "\x1b[?64;1;2;6;9;15;16;17;18;21;22;28c",
    "\x1b[?61;4;6;7;14;21;22;23;24;28;32;42;52c",
]
PASTES = ["\x1b[200~x\x1b[201~", "\x1b[200~\x1b]11;rgb:0/0/0\x07\x1b[?6c\x1b[\x1b[201~"]
TYPED = [
    "a",
    "é",
    "日本",
    "\r",
    "\x03",
    "\udc80",
    "]11;",
    "rgb:",
    "\x1b[A",
    "\x1bOP",
    "\x1b[1;5C",
    "\x1b[2~",
    "\x1bb",
    "\x1b]",
    "\x1b\x1b",
]
OTHERS = ["\x1b[M !!", "\x1b[<0;3;4M", "\x1b[3;4R", "\x1b[?", "\x1b[?2026;2$y", "\x1b]11;rgb:zz", "\x1b]10;rgb:0/0/0\x07"]
KEYS = st.lists(st.sampled_from(PASTES + TYPED + OTHERS), max_size=5).map("".join)


def read(text: str, cuts: list[int], *, flush: bool = False) -> tuple[str, Replies]:
    replies = Replies()
    keys = ""
    begin = 0
    for end in [*sorted(cuts), len(text)]:
        keys += replies.feed(text[begin:end])
        if flush:
            keys += replies.flush()
            assert not replies.holds
        begin = end
    return keys + replies.flush(), replies


@property_test
@given(KEYS, KEYS, KEYS, st.sampled_from(ANSWERS), st.sampled_from(FENCES), st.data())
def test_answers_are_taken_out_and_keys_stay(
    before: str, between: str, after: str, answer: tuple[str, background.Colour], fence: str, data: st.DataObject
) -> None:
    for open_end in ("\x1b[?", "\x1b]", "\x1b\x1b"):  # a key or an answer that was broken off: what follows may be its end
        before, between = before.removesuffix(open_end), between.removesuffix(open_end)
    text = before + answer[0] + between + fence + after
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    keys, replies = read(text, cuts)
    assert keys == before + between + after
    assert (replies.background, replies.done) == (answer[1], True)


@property_test
@given(KEYS, st.sampled_from(FENCES), st.data())
def test_a_terminal_that_does_not_know_the_question_is_recognised(before: str, fence: str, data: st.DataObject) -> None:
    before = before.removesuffix("\x1b[?").removesuffix("\x1b]").removesuffix("\x1b\x1b")
    text = before + fence
    keys, replies = read(text, data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    assert (keys, replies.background, replies.done) == (before, None, True)


@property_test
@given(
    KEYS
    | st.text("\x1b]1;rgb:#0f/\x07\\[?c2~", max_size=12).filter(lambda text: not re.search(r"\x1b\[\?[0-9;]+c|\x1b]11;[r#]", text))
)
def test_without_answers_everything_is_a_key(text: str) -> None:
    for flush in (False, True):
        keys, replies = read(text, list(range(len(text))), flush=flush)
        assert keys == text
        assert not replies.done


@pytest.mark.parametrize("fence", FENCES)
@pytest.mark.parametrize(("answer", "colour"), ANSWERS)
def test_every_form_is_understood_at_every_split(answer: str, colour: background.Colour, fence: str) -> None:
    text = answer + fence
    for at in range(len(text)):
        keys, replies = read("x" + text + "y", [at])
        assert (keys, replies.background, replies.done) == ("xy", colour, True)
    assert read(text, list(range(len(text))))[1].background == colour


def test_rxvt_may_forget_half_of_the_end() -> None:
    keys, replies = read("\x1b]11;rgb:0000/0000/0000\x1b\x1b[?1;2c", [])
    assert (keys, replies.background, replies.done) == ("", (0, 0, 0), True)


def test_a_lone_escape_comes_out_when_nothing_follows() -> None:
    replies = Replies()
    assert (replies.feed("a\x1b"), replies.holds) == ("a", True)
    assert (replies.flush(), replies.holds) == ("\x1b", False)
    assert (replies.flush(), replies.feed("[A")) == ("", "[A")


def test_an_answer_that_came_apart_is_known_even_after_a_flush() -> None:
    replies = Replies()
    assert replies.feed("\x1b") + replies.flush() == "\x1b"
    assert replies.feed("]11;rgb:0/0/0\x07\x1b[?6") == ""
    assert replies.feed("cabc") == "abc"
    assert (replies.background, replies.done) == ((0, 0, 0), True)


def test_once_all_is_said_nothing_is_held_or_looked_at() -> None:
    replies = Replies()
    assert replies.feed("\x1b[?6c\x1b") == "\x1b"
    assert replies.feed("]11;rgb:0/0/0\x07") == "]11;rgb:0/0/0\x07"
    assert replies.background is None


def test_a_large_paste_goes_through_quickly() -> None:
    replies = Replies()
    text = "\x1b[200~" + "words and \x1b words\n" * 100_000 + "\x1b[201~"
    assert "".join(replies.feed(text[at : at + 1000]) for at in range(0, len(text), 1000)) == text


def test_prompt_toolkits_reader_of_keys_gets_keys_only() -> None:
    from prompt_toolkit.input.vt100_parser import Vt100Parser
    from prompt_toolkit.key_binding.key_processor import KeyPress

    pressed: list[KeyPress] = []
    told: list[background.Colour | None] = []
    parser = Vt100Parser(pressed.append)
    own = parser.feed
    background.listen(parser, told.append)
    parser.feed("a\x1b")
    parser.flush()
    parser.feed("\x1b[A\x1b]11;rgb:ffff/ff")
    parser.feed("ff/ffff\x07b\x1b[?6cc")
    parser.feed("\x1b[?6c")  # not ours any more
    parser.flush()
    assert "".join(key.data for key in pressed) == "a\x1b\x1b[Abc\x1b[?6c"
    assert [key.key for key in pressed][:4] == ["a", "escape", "up", "b"]
    assert told == [(255, 255, 255)]
    assert parser.feed == own


# What is said.


def said(columns: int, fd: int, work: Callable[[], None]) -> str:
    pieces: list[str] = []
    with talk.into(pieces.append, columns=lambda: columns, fd=fd):
        work()
    return "".join(pieces)


def test_what_is_said_goes_where_it_is_sent_and_fits_there(capfd: pytest.CaptureFixture[str]) -> None:
    with open(os.devnull, "rb") as nowhere:
        text = said(20, nowhere.fileno(), lambda: talk.say("one two three four five six\x1b[2J", dim=True))
    assert text == "one two three four\nfive six␛[2J\n"
    talk.say("here again")
    assert capfd.readouterr() == ("", "here again\n")


def test_what_is_said_has_colours_if_they_are_seen_there() -> None:
    os.environ.pop("NO_COLOR", None)
    os.environ["TERM"] = "xterm-256color"
    theme.use("dark", 24)
    master, slave = os.openpty()
    try:
        error = UserError("it is broken", hint="Mend it.")
        text = said(80, slave, lambda: talk.say_error(error))
        assert text == "\x1b[1;38;2;255;143;138merror:\x1b[0m it is broken\n\n\x1b[38;2;160;160;160mhint:\x1b[0m Mend it.\n"
        theme.use("none")
        assert said(80, slave, lambda: talk.say_error(error)) == "error: it is broken\n\nhint: Mend it.\n"
    finally:
        os.close(master)
        os.close(slave)


def test_another_thread_may_speak() -> None:
    def work() -> None:
        thread = threading.Thread(target=talk.say, args=("from afar",))
        thread.start()
        thread.join(10)

    assert said(80, 1, work) == "from afar\n"


# The program.

ANSWER = "# Title\n\nSome `code`.\n\n```python\nimport os  # it\n```\n"
CLEAN = dict.fromkeys(("NO_COLOR", "COLORTERM", "COLORFGBG", "TERM_PROGRAM", "TMUX", "STY", "ACCESSIBLE"))


def written(server: ModelServer, *arguments: str, **variables: str) -> str:
    env = environment(server.says(ANSWER), **(CLEAN | {"TERM": "xterm-256color"} | variables))
    with Terminal([*PROGRAM, "ask", "hi", *arguments], env=env) as terminal:
        assert terminal.wait(30) == 0
        return terminal.raw.decode()


@pytest.mark.parametrize(
    ("keyword", "variables"),
    [
        ("35", {}),
        ("35", {"TERM": "xterm", "AGENTCLI_THEME": "dark"}),
        ("38;5;183", {"AGENTCLI_THEME": "dark"}),
        ("38;2;211;166;245", {"AGENTCLI_THEME": "dark", "COLORTERM": "truecolor"}),
        ("38;2;123;42;168", {"AGENTCLI_THEME": "light", "COLORTERM": "truecolor"}),
        ("38;5;91", {"COLORFGBG": "0;15"}),
        ("35", {"COLORFGBG": "0;15", "AGENTCLI_THEME": "neutral"}),
    ],
)
def test_ask_writes_the_colours_that_the_terminal_takes(keyword: str, variables: dict[str, str], server: ModelServer) -> None:
    assert f"\x1b[{keyword}mimport\x1b[0m" in written(server, **variables)


@pytest.mark.parametrize(
    "variables",
    [{"NO_COLOR": "1", "COLORTERM": "truecolor"}, {"AGENTCLI_THEME": "none"}, {"NO_COLOR": "1", "AGENTCLI_THEME": "dark"}],
)
def test_ask_without_colours_keeps_the_weights(variables: dict[str, str], server: ModelServer) -> None:
    text = written(server, **variables)
    assert "\x1b[1;4mTitle" in text
    assert "import os  # it" in text
    assert set("".join(CODES.findall(text)).replace(";", "")) <= set("01234")
    assert not re.search(r"\x1b\[[0-9;]*\d\d", text)


@pytest.mark.parametrize(("arguments", "variables"), [(["--plain"], {"AGENTCLI_THEME": "dark"}), ([], {"TERM": "dumb"})])
def test_ask_in_plain_text_has_no_escape_sequence(arguments: list[str], variables: dict[str, str], server: ModelServer) -> None:
    assert "\x1b" not in written(server, *arguments, **variables)


def test_the_theme_can_be_configured(server: ModelServer) -> None:
    home = Path(os.environ["AGENTCLI_HOME"])
    home.mkdir(parents=True)
    (home / "config.toml").write_text('theme = "light"\n')
    assert "\x1b[38;5;91mimport\x1b[0m" in written(server)
    (home / "config.toml").write_text('theme = "pink"\n')
    env = environment(server, **CLEAN)
    with Terminal([*PROGRAM, "ask", "hi"], env=env) as terminal:
        assert terminal.wait(30) == 78
        terminal.until("expected `auto`, `dark`, `light`, `neutral` or `none`")


def printed(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True).stdout


def test_what_is_forbidden_stays_forbidden() -> None:
    setup = "from agentcli.ui import talk, theme; talk.no_colours(); theme.use('dark', 24)"
    assert printed(f"{setup}; print(theme.paint('error', 'x'), theme.nested('dim', 'y'), talk.colours(1))") == "x y False\n"


def test_a_theme_costs_nothing_to_load() -> None:
    script = "import os, typing, sys; before = set(sys.modules); import agentcli.ui.theme; print(sorted(set(sys.modules) - before))"
    assert printed(script) == "['__future__', 'agentcli', 'agentcli.ui', 'agentcli.ui.ability', 'agentcli.ui.theme']\n"
