"""What is pasted: long texts fold and are sent whole, paths become mentions. The pieces, and then a prompt on a real terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.key_processor import KeyPress

from agentcli.ui.paste import CHARACTERS, KEPT, LINES, Folds, kept, paths, quick_pastes
from tests.terminal import Terminal

LONG = "".join(f"line {n}\n" for n in range(412))
MARKS = "\U0010e000\U0010e001\U0010fffd"
texts = st.text(st.one_of(st.characters(), st.sampled_from(MARKS + "\n\r\t\x1b\ud800"), st.sampled_from("ab \n")), max_size=200)
long_texts = st.builds(lambda text, times: (text or "x") * times, texts, st.integers(1, 400))


def even(text: str) -> str:
    """With the line ends that a prompt makes of all."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class TestFolds:
    @pytest.mark.parametrize(
        ("text", "label"),
        [
            ("x\n" * 31, "[pasted 31 lines]"),
            ("x\r\n" * 412, "[pasted 412 lines]"),
            ("x\n" * 1_233 + "x", "[pasted 1,234 lines]"),
            ("x" * 4_001, "[pasted 4,001 characters]"),
        ],
    )
    def test_what_is_long_folds(self, text: str, label: str) -> None:
        folds = Folds()
        assert folds.shown(f"a{folds.fold(text)}b") == f"a{label}b"
        assert folds.whole(f"a{folds.fold(text)}b") == f"a{even(text)}b"

    @pytest.mark.parametrize("text", ["", "one", "x\n" * LINES, "x" * CHARACTERS, "[pasted 412 lines]", "\x1b[201~"])
    def test_what_is_short_stays(self, text: str) -> None:
        assert Folds().fold(text) == text

    def test_a_label_that_was_typed_is_text(self) -> None:
        folds = Folds()
        text = "[pasted 412 lines] " + folds.fold(LONG)
        assert folds.shown(text) == "[pasted 412 lines] [pasted 412 lines]"
        assert folds.whole(text) == "[pasted 412 lines] " + LONG
        assert folds.typed(text).strip() == "[pasted 412 lines]"

    @settings(max_examples=300)
    @given(st.lists(st.tuples(texts, long_texts), max_size=5), texts)
    def test_whole_is_what_was_typed_and_pasted(self, pieces: list[tuple[str, str]], end: str) -> None:
        folds = Folds()
        typed = "".join(folds.fold(text) + folds.fold(pasted) for text, pasted in pieces) + folds.fold(end)
        assert folds.whole(typed) == "".join(even(text) + even(pasted) for text, pasted in pieces) + even(end)

    @settings(max_examples=300)
    @given(st.lists(long_texts, max_size=3), long_texts)
    def test_what_comes_back_is_the_same(self, known: list[str], text: str) -> None:
        folds = Folds()
        for each in known:
            folds.fold(each)
        for whole in (text, "".join(known), text.join(known)):
            assert folds.whole(folds.again(whole)) == whole

    @settings(max_examples=200)
    @given(texts, long_texts, texts, st.integers(0, 600))
    def test_opening_loses_nothing(self, before: str, pasted: str, after: str, cursor: int) -> None:
        folds = Folds()
        text = folds.fold(before) + folds.fold(pasted) + folds.fold(after)
        opened, at = folds.open(text, min(cursor, len(text)))
        assert folds.whole(opened) == folds.whole(text)
        assert 0 <= at <= len(opened)

    def test_which_one_is_opened(self) -> None:
        folds = Folds()
        one, two = folds.fold("1\n" * 40), folds.fold("2\n" * 40)
        text = f"a{one}b{two}c"
        assert folds.open(text, 1) == ("a" + "1\n" * 40 + f"b{two}c", 81)  # at the cursor
        assert folds.open(text, 2) == ("a" + "1\n" * 40 + f"b{two}c", 81)  # right before it
        assert folds.open(text, 3) == (f"a{one}b" + "2\n" * 40 + "c", 83)
        assert folds.open(f"{text}d", 6) == (f"a{one}b" + "2\n" * 40 + "cd", 83)  # the nearest before it
        assert folds.open(text, 0) == (f"a{one}b" + "2\n" * 40 + "c", 83)  # the last one
        assert folds.open("abc", 1) == ("abc", 1)

    def test_what_comes_back_is_folded_as_it_was_or_but_for_its_first_line(self) -> None:
        folds = Folds()
        said = f"explain {folds.fold(LONG)} please"
        assert folds.again(folds.whole(said)) == said
        assert folds.shown(Folds().again(folds.whole(said))) != said
        fresh = Folds()
        assert fresh.shown(fresh.again(f"explain this:\n{LONG}")) == "explain this:\n[pasted 412 lines]"
        assert fresh.again("a\nb") == "a\nb"

    def test_a_paste_mentions_no_file(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("key")
        folds = Folds()
        line = f"please look at {folds.fold(f'this @{secret}')}"
        assert folds.typed(line).strip() == "please look at"
        assert folds.whole(line) == f"please look at this @{secret}"
        assert folds.fold("write to ada@example.org") == "write to ada@example.org"

    def test_the_history_keeps_what_is_not_huge(self) -> None:
        assert kept(f"explain {LONG}") == f"explain {LONG}"
        huge = "x\n" * KEPT
        assert kept(f"explain\n{huge}") == "explain\n[pasted 100,000 lines]"
        assert len(kept(huge)) < 300

    def test_huge_pastes_are_let_go(self) -> None:
        folds = Folds()
        small, huge, kept = folds.fold(LONG), folds.fold("x\n" * 6_000_000), folds.fold("y\n" * 6_000_000)
        folds.forget(kept)
        assert folds.has(kept)
        assert not folds.has(huge)
        assert not folds.has(small)

    def test_a_paste_with_a_mark_in_it_is_not_another_paste(self) -> None:
        folds = Folds()
        mark = folds.fold(LONG)
        for text in (f"x{mark}y", mark, f"{mark}\n" * 40):
            assert folds.whole(folds.fold(text)) == text
            assert folds.whole(folds.again(text)) == text

    def test_what_comes_back_longer_is_whole(self) -> None:
        folds = Folds()
        folds.fold(LONG)
        for whole in (f"{LONG}{'more' * 2000}", f"{'x' * 300}\n{LONG}{'more' * 2000}", f"a\n{LONG}{'b' * 40}{LONG}" + "c\n" * 50):
            assert len(folds.again(whole)) < 500
            assert folds.whole(folds.again(whole)) == whole

    def test_ten_megabytes_take_no_time(self) -> None:
        folds, begun = Folds(), time.process_time()
        text = "x" * 79 + "\n"
        assert folds.whole(f"a {folds.fold(text * 125_000)} b") == f"a {text * 125_000} b"
        assert time.process_time() - begun < 1


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """A folder that we are in, with a few files."""
    folder, before = tmp_path / "here", Path.cwd()
    (folder / "sub").mkdir(parents=True)
    for name in ("shot.png", "my shot (2).png", "sub/a.py", "it's.txt", "é.txt", "word"):
        (folder / name).write_text("x")
    os.chdir(folder)
    os.environ["HOME"] = str(folder)
    yield folder
    os.chdir(before)


class TestPaths:
    def test_as_terminals_write_them(self, here: Path) -> None:
        for pasted, found in {
            f"{here}/shot.png": [f"{here}/shot.png"],
            f" {here}/shot.png \n": [f"{here}/shot.png"],
            f"'{here}/my shot (2).png' ": [f"{here}/my shot (2).png"],
            f'"{here}/my shot (2).png"': [f"{here}/my shot (2).png"],
            f"{here}/my\\ shot\\ \\(2\\).png ": [f"{here}/my shot (2).png"],
            f"{here}/my shot (2).png": [f"{here}/my shot (2).png"],
            f"file://{here}/my%20shot%20(2).png": [f"{here}/my shot (2).png"],
            f"file://localhost{here}/%C3%A9.txt": [f"{here}/é.txt"],
            f"file://{here}/shot.png\r\nfile://{here}/sub/a.py\r\n": [f"{here}/shot.png", f"{here}/sub/a.py"],
            f"'{here}/shot.png' '{here}/my shot (2).png'": [f"{here}/shot.png", f"{here}/my shot (2).png"],
            f"'{here}/it'\\''s.txt'": [f"{here}/it's.txt"],
            f"{here}/it's.txt": [f"{here}/it's.txt"],
            "~/shot.png": ["~/shot.png"],
            "sub/a.py": ["sub/a.py"],
        }.items():
            assert paths(pasted.replace("\r\n", "\n")) == found, pasted

    def test_what_is_none(self, here: Path) -> None:
        names = ["", " ", "word", "shot.png", "sub", "sub/", str(here), "/no/such/file", f"see {here}/shot.png", "it's"]
        others = [f"{here}/shot.png word", "file://elsewhere/shot.png", "file://[", "https://x/y", "/", "a\0b", f"'{here}/shot.png"]
        for pasted in names + others:
            assert paths(pasted) is None, pasted

    @settings(max_examples=300, deadline=None)
    @given(texts)
    def test_nothing_upsets_it(self, text: str) -> None:
        assert paths(text) is None or text


PASTE, END = "\x1b[200~", "\x1b[201~"


class Prompt:
    """The driver on a terminal, and what it got."""

    def __init__(self, terminal: Terminal, out: Path) -> None:
        self.terminal, self.out = terminal, out

    def paste(self, text: str) -> None:
        self.terminal.send((PASTE + text + END).encode("utf-8", "surrogateescape"))

    def sent(self, count: int = 1) -> dict[str, Any]:
        self.terminal.send("\r")
        self.terminal.until(lambda terminal: terminal.raw.count(b"\x1b[?2004h") > count, timeout=30)  # the next prompt is there
        self.terminal.until(lambda _: self.out.exists() and self.out.read_bytes().count(b"\n") >= count, timeout=30)
        said: dict[str, Any] = json.loads(self.out.read_text().splitlines()[count - 1])
        return said


@pytest.fixture
def prompt(tmp_path: Path, here: Path) -> Iterator[Prompt]:
    out = tmp_path / "out"
    root = str(Path(__file__).parents[2])
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ncp "$1" edited\n{ printf "please "; cat edited; echo; } > "$1"\n')
    editor.chmod(0o700)
    argv = [sys.executable, "-m", "tests.ui.prompting", str(out)]
    env = {**os.environ, "PYTHONPATH": root, "VISUAL": str(editor)}
    with Terminal(argv, cwd=here, env=env, size=(200, 24)) as terminal:
        terminal.until(lambda terminal: b"\x1b[?2004h" in terminal.raw)
        yield Prompt(terminal, out)


@settings(max_examples=400)
@given(st.lists(st.sampled_from([PASTE, END, "\x1b", "[20", "1~", "\x1b[A", "ab", "\n", "é", "\x1b[201"]), max_size=12), st.data())
def test_pastes_are_taken_in_as_before_wherever_they_are_split(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    slow: list[KeyPress] = []
    quick: list[KeyPress] = []
    parser = Vt100Parser(slow.append)
    with create_pipe_input() as terminal:
        terminal.vt100_parser = Vt100Parser(quick.append)  # type: ignore[attr-defined]
        quick_pastes(terminal)
        other = terminal.vt100_parser  # type: ignore[attr-defined]
        assert type(other) is not Vt100Parser
        for start, end in pairwise([0, *cuts, len(text)]):
            parser.feed(text[start:end])
            other.feed(text[start:end])
    assert [(press.key, press.data) for press in quick] == [(press.key, press.data) for press in slow]


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
class TestAtThePrompt:
    def test_a_long_paste_is_a_label_and_is_sent_whole(self, prompt: Prompt) -> None:
        prompt.terminal.send("explain ")
        prompt.paste(LONG.replace("\n", "\r"))
        prompt.terminal.until("explain [pasted 412 lines]")
        prompt.terminal.send(" please")
        prompt.terminal.until("[pasted 412 lines] please")
        said = prompt.sent()
        assert said["text"] == f"explain {LONG} please"
        assert said["notes"] == ["[pasted 412 lines]: it is sent whole; Ctrl-O opens it."]

    def test_bytes_of_all_kinds_come_through(self, prompt: Prompt) -> None:
        odd = "".join(map(chr, [*range(1, 13), *range(14, 27), *range(28, 0x180)])) + "\x1b]0;title\x07\u202e\U0001f600\n" * 40
        prompt.paste(odd)
        prompt.terminal.until("[pasted")
        assert prompt.sent()["text"] == odd

    def test_it_goes_as_one_and_comes_back(self, prompt: Prompt) -> None:
        prompt.terminal.send("a")
        prompt.paste(LONG)
        prompt.terminal.until("a[pasted 412 lines]")
        prompt.terminal.send("b\x7f\x7f")
        prompt.terminal.until(lambda terminal: terminal.screen()[0] == "> a")
        prompt.terminal.send("\x1f")  # undo
        prompt.terminal.until("a[pasted 412 lines]")
        prompt.terminal.send("\x15")  # cut the line
        prompt.terminal.until(lambda terminal: terminal.screen()[0] == ">")
        prompt.terminal.send("\x19\x19")  # and put it back, twice
        prompt.terminal.until("a[pasted 412 lines]a[pasted 412 lines]")
        assert prompt.sent()["text"] == f"a{LONG}a{LONG}"

    def test_the_cursor_steps_over_it(self, prompt: Prompt) -> None:
        prompt.paste(LONG)
        prompt.terminal.until("[pasted 412 lines]")
        prompt.terminal.send("\x1b[Dx\x1b[Cy")
        prompt.terminal.until("> x[pasted 412 lines]y")
        assert prompt.terminal.display.cursor.x == len("> x[pasted 412 lines]y")
        assert prompt.sent()["text"] == f"x{LONG}y"

    def test_a_key_opens_it(self, prompt: Prompt) -> None:
        prompt.paste("one\n" * 31 + "two")
        prompt.terminal.until("[pasted 32 lines]")
        prompt.terminal.send("\x0f")
        prompt.terminal.until(lambda terminal: "two" in terminal.text() and "[pasted" not in "".join(terminal.screen()))
        prompt.terminal.send("three")
        assert prompt.sent()["text"] == "one\n" * 31 + "twothree"

    def test_the_key_does_nothing_where_nothing_is_folded(self, prompt: Prompt) -> None:
        prompt.terminal.send("some\x0fthing")
        prompt.terminal.until("something")
        assert prompt.sent()["text"] == "something"

    def test_what_is_recalled_is_folded_again(self, prompt: Prompt) -> None:
        prompt.terminal.send("explain ")
        prompt.paste(LONG)
        prompt.terminal.until("explain [pasted 412 lines]")
        prompt.sent()
        prompt.terminal.until("sent")
        prompt.terminal.send("\x1b[A")
        prompt.terminal.until(lambda terminal: terminal.text().count("explain [pasted 412 lines]") == 2)
        prompt.terminal.send("\x0f!")  # opened, it stays open
        prompt.terminal.until(lambda terminal: terminal.screen()[-1].endswith("!"))
        prompt.terminal.send("\x7f")
        prompt.terminal.until(lambda terminal: not terminal.screen()[-1].endswith("!"))
        assert prompt.sent(2)["text"] == f"explain {LONG}"
        prompt.terminal.send("\x12plai")  # found, too
        prompt.terminal.until("I-search backward: plai")
        prompt.terminal.send("\r")
        prompt.terminal.until(lambda terminal: terminal.screen()[0] == "> explain [pasted 412 lines]")
        assert prompt.sent(3)["text"] == f"explain {LONG}"

    def test_an_editor_gets_it_whole(self, prompt: Prompt, here: Path) -> None:
        prompt.terminal.send("explain ")
        prompt.paste(LONG)
        prompt.terminal.until("explain [pasted 412 lines]")
        prompt.terminal.send("\x18\x05")
        prompt.terminal.until("please explain [pasted 412 lines]")
        assert (here / "edited").read_text() == f"explain {LONG}"
        assert prompt.sent()["text"] == f"please explain {LONG}"

    def test_a_pasted_path_is_a_mention_and_undo_brings_the_path_back(self, prompt: Prompt, here: Path) -> None:
        prompt.terminal.send("what is ")
        prompt.paste(f"'{here}/my shot (2).png'")
        prompt.terminal.until('my shot (2).png"')
        said = prompt.sent()
        assert said["text"] == f'what is @"{here}/my shot (2).png" '
        assert said["mentions"] == [f"{here}/my shot (2).png"]
        prompt.paste(f"{here}/shot.png")
        prompt.terminal.until(f"> @{here}/shot.png")
        prompt.terminal.send("\x1f")
        prompt.terminal.until(f"> {here}/shot.png")
        assert prompt.sent(2)["text"] == f"{here}/shot.png"

    def test_in_a_word_or_a_command_it_stays_a_path(self, prompt: Prompt, here: Path) -> None:
        for number, (typed, text) in enumerate({"/file ": "/file sub/a.py", "!cat ": "!cat sub/a.py", "@": "@sub/a.py"}.items(), 1):
            prompt.terminal.send(typed)
            prompt.paste("sub/a.py")
            prompt.terminal.until(f"> {text}")
            assert prompt.sent(number)["text"] == text

    def test_what_was_pasted_and_folded_mentions_nothing(self, prompt: Prompt) -> None:
        prompt.paste("look: @sub/a.py\n" * 40)
        prompt.terminal.until("[pasted 40 lines]")
        assert prompt.sent()["mentions"] == []

    def test_mentions_of_files_stand_out(self, prompt: Prompt) -> None:
        prompt.terminal.send("see @sub/a.py and @nobody.")
        prompt.terminal.until("@nobody.")
        row = prompt.terminal.display.buffer[0]
        marked = "".join(row[column].data for column in range(200) if row[column].underscore)
        assert marked == "@sub/a.py"

    def test_ten_megabytes(self, prompt: Prompt) -> None:
        text = ("x" * 79 + "\n") * 125_000
        begun = time.monotonic()
        prompt.paste(text)
        prompt.terminal.until("[pasted 125,000 lines]", timeout=40)
        assert time.monotonic() - begun < 20
        assert prompt.sent()["text"] == text
