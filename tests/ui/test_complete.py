"""What Tab offers: commands, what stands behind them, files. The pieces, and then a prompt on a real terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from agentcli.ui.attach import mentioned
from agentcli.ui.complete import completer, files
from tests.terminal import Terminal

COMMANDS = {"/model": "which model answers", "/fork": "a copy", "/file": "attach", "/quit": "leave", "/resume": "another thread"}
WORDS = {
    "/model": lambda typed: [("openai/gpt-5.4", "400k tokens"), ("local/smollm2", "small"), ("evil\x1b[2J", "")],
    "/retry -m": lambda typed: [("openai/gpt-5.4", "")],
    "/resume": lambda typed: [("k7m29xqd", "Photo\x1b]0;x\x07synthesis"), ("k8aaaaaa", "Taxes"), ("m0photon", "")],
    "/tools": lambda typed: [],
    "/tools on": lambda typed: [("read_file", ""), ("run_command", "asks")],
    "/tools off": lambda typed: [("clock", "")],
    "/file": files,
}


def offered(before: str, *, as_typed: bool = False) -> list[tuple[str, str, str]]:
    """What the line becomes with each offer, and how the offer is shown."""
    event = CompleteEvent(text_inserted=as_typed, completion_requested=not as_typed)
    found = completer(lambda: COMMANDS, WORDS).get_completions(Document(before), event)
    return [(before[: len(before) + each.start_position] + each.text, each.display_text, each.display_meta_text) for each in found]


def lines(before: str, *, as_typed: bool = False) -> list[str]:
    return [line for line, _, _ in offered(before, as_typed=as_typed)]


class TestCommands:
    def test_by_their_beginning_with_their_help(self) -> None:
        assert offered("/f") == [("/fork", "/fork", "a copy"), ("/file ", "/file", "attach")]
        assert lines("/") == ["/model ", "/fork", "/file ", "/quit", "/resume "]
        assert lines("/MO") == ["/model "]

    def test_then_by_what_is_in_them_then_by_what_is_said(self) -> None:
        assert lines("/ork") == ["/fork"]
        assert lines("/copy") == ["/fork"]
        assert lines("/m") == ["/model "]
        assert lines("/m", as_typed=True) == ["/model ", "/resume "]

    @pytest.mark.parametrize("before", ["", "hello", "a /f", "x\n/f", "/f\n", "/nothing", "/quit ", "/quit x"])
    def test_nothing_where_none_is_meant(self, before: str) -> None:
        assert lines(before) == []

    def test_what_may_stand_behind(self) -> None:
        assert offered("/model ") == [
            ("/model openai/gpt-5.4", "openai/gpt-5.4", "400k tokens"),
            ("/model local/smollm2", "local/smollm2", "small"),
        ]
        assert lines("/model gpt") == ["/model openai/gpt-5.4"]
        assert lines("/model  OpenAI/G") == ["/model  openai/gpt-5.4"]
        assert lines("/retry ") == ["/retry -m "]
        assert lines("/retry -m ") == ["/retry -m openai/gpt-5.4"]
        assert lines("/tools ") == ["/tools on ", "/tools off "]
        assert lines("/tools of") == ["/tools off "]
        assert lines("/tools on r") == ["/tools on read_file", "/tools on run_command"]

    def test_a_thread_by_its_title(self) -> None:
        assert lines("/resume k") == ["/resume k7m29xqd", "/resume k8aaaaaa"]
        assert lines("/resume tax") == ["/resume k8aaaaaa"]
        assert lines("/resume photo", as_typed=True) == ["/resume m0photon", "/resume k7m29xqd"]

    def test_what_is_shown_is_harmless(self) -> None:
        for _, shown, about in [*offered("/model "), *offered("/resume ")]:
            assert "\x1b" not in shown + about
            assert "\x07" not in about


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """A folder that we are in, with a few files."""
    folder, before = tmp_path / "here", Path.cwd()
    (folder / "src/deep").mkdir(parents=True)
    (folder / "my docs").mkdir()
    for name in ("src/a.py", "src/b.py", "src/.hidden", "my docs/note 1.txt", "my docs/it's", "readme.md", "Read.txt", ".env"):
        (folder / name).write_text("x")
    os.chdir(folder)
    os.environ["HOME"] = str(folder / "src")
    yield folder
    os.chdir(before)


class TestFiles:
    def test_of_this_folder_and_of_others(self, here: Path) -> None:
        assert offered("see @") == [
            ('see @"my docs/', "my docs/", "folder"),
            ("see @Read.txt", "Read.txt", ""),
            ("see @readme.md", "readme.md", ""),
            ("see @src/", "src/", "folder"),
        ]
        assert lines("see @read") == ["see @Read.txt", "see @readme.md"]
        assert offered("see @src/a") == [("see @src/a.py", "a.py", "")]
        assert lines("@~") == ["@~/"]
        assert lines("@~/") == ["@~/a.py", "@~/b.py", "@~/deep/"]
        assert lines(f"@{here}/src/b") == [f"@{here}/src/b.py"]
        assert lines("@../here/rea") == ["@../here/Read.txt", "@../here/readme.md"]
        assert lines("x\n(@src/b") == ["x\n(@src/b.py"]
        assert lines("/model @src/b") == ["/model @src/b.py"]

    def test_in_quotation_marks_where_they_are_needed(self, here: Path) -> None:
        assert lines('@"my docs/') == ['@"my docs/it\'s"', '@"my docs/note 1.txt"']
        assert lines('@"src/a') == ["@src/a.py"]
        assert mentioned(lines('@"my docs/no')[0]) == ["my docs/note 1.txt"]

    def test_hidden_ones_when_a_dot_was_typed(self, here: Path) -> None:
        assert lines("@.") == ["@.env"]
        assert lines("@..") == ["@../"]
        assert lines("@src/.") == ["@src/.hidden"]

    def test_by_any_part_where_none_begins_so(self, here: Path) -> None:
        assert lines("@dme") == ["@readme.md"]
        assert lines("@m", as_typed=True) == ['@"my docs/', "@readme.md"]

    @pytest.mark.parametrize(
        "before", ["me@src", "@nothing/", "@src/a.py ", '@"my docs/note 1.txt" ', '@"my docs"', "@\0", "@/proc/self/mem/"]
    )
    def test_nothing_where_none_is_meant(self, before: str, here: Path) -> None:
        assert lines(before) == []

    def test_as_an_argument(self, here: Path) -> None:
        assert lines("/file rea") == ["/file Read.txt", "/file readme.md"]
        assert lines("/file my d") == ["/file my docs/"]
        assert lines("/file my docs/") == ["/file my docs/it's", "/file my docs/note 1.txt"]

    def test_names_are_inserted_as_they_are_and_shown_harmless(self, here: Path) -> None:
        for name in ("esc\x1b[2J", "line\nend", "bidi\u202etxt.exe", b"b\xffad".decode("utf-8", "surrogateescape"), "zero\u200bwidth"):
            (here / name).write_text("x")
        found = {line: shown for line, shown, _ in offered("@", as_typed=True)}
        assert found["@bidi\u202etxt.exe"] == "bidi‹202E›txt.exe"
        assert found["@zero\u200bwidth"] == "zero‹200B›width"
        assert not [line for line in found if "\x1b" in line or "\n" in line or "\udcff" in line]

    def test_a_folder_of_many_files_is_not_waited_for(self, here: Path) -> None:
        (here / "many").mkdir()
        for number in range(20_000):
            os.close(os.open(f"many/file {number}", os.O_CREAT | os.O_WRONLY))
        begun = time.perf_counter()
        for before in ("@many/", '@"many/file 19', "@many/x", '@"many/file 19999'):
            found = lines(before)
        assert time.perf_counter() - begun < 0.6
        assert found == ['@"many/file 19999"']

    @settings(max_examples=200, deadline=None)
    @given(st.text(st.one_of(st.characters(), st.sampled_from('@/~". \n\\')), max_size=40), st.booleans())
    def test_no_text_upsets_it(self, text: str, as_typed: bool) -> None:
        for before in (text, f"/model {text}", f"@{text}", f'@"{text}'):
            offered(before, as_typed=as_typed)

    @pytest.mark.parametrize("text", ["x" * 10_000_000, "@" * 1_000_000, '@"' * 500_000, "x\n" * 5_000_000, '@"' + "\\" * 1_000_000])
    def test_no_text_takes_long(self, text: str) -> None:
        begun = time.process_time()
        lines(text)
        assert time.process_time() - begun < 0.5


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_at_the_prompt(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with Terminal([sys.executable, "-m", "tests.ui.prompting", str(out)], cwd=here, env=env) as terminal:
        terminal.until(lambda terminal: b"\x1b[?2004h" in terminal.raw)
        terminal.send("/mo\t")
        terminal.until("> /model")
        terminal.send("sm\t")
        terminal.until("> /model local/smollm2")
        terminal.send("\r")
        terminal.until(lambda terminal: terminal.raw.count(b"\x1b[?2004h") == 2)
        for typed, becomes in {
            "see @my\t": 'see @"my docs/',
            "n\t": 'see @"my docs/note 1.txt"',
            " and @sr\t": 'see @"my docs/note 1.txt" and @src/',
            "a\t": 'see @"my docs/note 1.txt" and @src/a.py',
        }.items():
            terminal.send(typed)
            terminal.until(f"> {becomes}")
        terminal.send("\r")
        terminal.until(lambda terminal: out.read_bytes().count(b"\n") == 2)
        said = [json.loads(line) for line in out.read_text().splitlines()]
        assert said[0]["text"] == "/model local/smollm2"
        assert said[1]["mentions"] == ["my docs/note 1.txt", "src/a.py"]
