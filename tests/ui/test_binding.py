"""Which key does what: the table, what the configuration makes of it, and what it may not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prompt_toolkit.key_binding.key_bindings import _parse_key
from prompt_toolkit.keys import ALL_KEYS, KEY_ALIASES

from agentcli.config import load
from agentcli.errors import Exit, UserError
from agentcli.ui.binding import ACTIONS, ALIASES, KEYS, Keys, bindings, key_names, keys_help, plain_help, spoken, table
from tests.program import agentcli


def said(folder: Path, text: str) -> Keys:
    file = folder / "c.toml"
    file.write_text(text)
    return bindings(load(file))


def test_the_names_are_those_of_prompt_toolkit() -> None:
    assert {key for key in ALL_KEYS if not key.startswith("<")} == KEYS
    for alias, name in KEY_ALIASES.items():
        assert key_names(alias) == (name,)
    for name in (*KEYS, *ALIASES):
        for each in key_names(f"escape {name}"):
            _parse_key(each)


def test_every_default_is_a_key_and_no_two_are_the_same(tmp_path: Path) -> None:
    found = said(tmp_path, "")
    assert list(found) == list(ACTIONS)
    assert found["send"] == [("c-m",)]
    assert found["new-line"] == [("escape", "c-m"), ("c-j",)]
    assert found["editor"] == [("c-x", "c-e")]
    assert all(found.values())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("c-s", ("c-s",)),
        ("ctrl-s", ("c-s",)),
        ("Ctrl-S", ("c-s",)),
        ("control-x c-e", ("c-x", "c-e")),
        ("alt-enter", ("escape", "c-m")),
        ("meta-X", ("escape", "X")),
        ("escape enter", ("escape", "c-m")),
        ("shift-tab", ("s-tab",)),
        ("ctrl-shift-left", ("c-s-left",)),
        ("s-c-left", ("c-s-left",)),
        ("alt-shift-left", ("escape", "s-left")),
        ("c-space", ("c-@",)),
        ("c-[", ("escape",)),
        ("F5", ("f5",)),
        ("alt--", ("escape", "-")),
        ("shift-del", ("s-delete",)),
        ("escape space", ("escape", " ")),
        ("c-\\", ("c-\\",)),
    ],
)
def test_how_keys_are_spelled(text: str, names: tuple[str, ...]) -> None:
    assert key_names(text) == names


@pytest.mark.parametrize(
    "text", ["", " ", "x", "space", "ctrl-enter", "c-", "-", "hyper-x", "c-c-c", "é", "c-é", "alt-", "\x03", "f25", "-c-s"]
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|typed"):
        key_names(text)


def test_an_action_gets_the_keys_that_it_is_given(tmp_path: Path) -> None:
    found = said(tmp_path, '[keys]\nsend = "c-j"\nnew-line = ["escape enter", "enter"]\nsearch = []\n')
    assert found["send"] == [("c-j",)]
    assert found["new-line"] == [("escape", "c-m"), ("c-m",)]
    assert found["search"] == []
    assert found["stop"] == [("c-c",)]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[keys]\nsned = 'c-s'", 2, "unknown action `sned` in [keys]; did you mean `send`?"),
        ("\n[keys]\n\nsend = 'c-qq'", 4, "`send` cannot be 'c-qq': 'c-qq' is no key"),
        ("[keys]\nsearch = ['c-f', 'x']", 2, "`search` cannot be 'x': 'x' alone could not be typed any more"),
        ("[keys]\nsend = ''", 2, "`send` cannot be '': there is no key in it"),
        ("[keys]\nsend = 'c-j'", 2, "`send` and `new-line` have the same key, Ctrl-J"),
        ("[keys]\nsearch = 'c-g'\neditor = 'ctrl-g'", 3, "`editor` and `search` have the same key, Ctrl-G"),
        ("[keys]\nadd-time = 'c-m'", 2, "`add-time` and `send` have the same key, Enter"),
        ("[keys]\nsend = []", 2, "`send` needs a key"),
        ("keys = { stop = [] }", 1, "`stop` needs a key"),
        ("[keys]\nsend = 3", 2, "expected a key such as `c-s`, or a list of keys, found 3"),
        ("[keys]\nsend = [3]", 2, "expected a key such as `c-s`, or a list of keys, found a list"),
        ("keys = 'c-s'", 1, "expected a table, found the text 'c-s'"),
    ],
)
def test_what_cannot_work_is_told_with_its_line(text: str, line: int, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        said(tmp_path, text)
    assert caught.value.exit_code == Exit.CONFIG
    assert caught.value.message.startswith(f"{tmp_path}/c.toml:{line}: ")
    assert says in caught.value.message


def test_a_key_may_have_two_meanings_at_two_moments(tmp_path: Path) -> None:
    found = said(tmp_path, "")
    assert found["take-back"] == [("up",)]
    assert ("up",) in found["history-back"]


def test_config_set_takes_keys() -> None:
    assert agentcli("config", "set", "keys.search", "c-f").returncode == 0
    assert agentcli("config", "set", "keys.new-line", '["c-j", "alt-enter"]').returncode == 0
    found = bindings(load())
    assert found["search"] == [("c-f",)]
    assert found["new-line"] == [("c-j",), ("escape", "c-m")]


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        (("c-m",), "Enter"),
        (("escape", "c-m"), "Alt-Enter"),
        (("c-x", "c-e"), "Ctrl-X Ctrl-E"),
        (("s-tab",), "Shift-Tab"),
        (("c-s-left",), "Ctrl-Shift-Left"),
        (("c-@",), "Ctrl-Space"),
        (("c-\\",), "Ctrl-\\"),
        (("escape", "escape"), "Alt-Escape"),
        (("escape", "-"), "Alt--"),
        (("f5",), "F5"),
    ],
)
def test_how_keys_are_spoken(sequence: tuple[str, ...], words: str) -> None:
    assert spoken(sequence) == words


def test_the_help_names_the_keys_that_are_set(tmp_path: Path) -> None:
    text = keys_help(said(tmp_path, '[keys]\nsend = "f5"\nsearch = []\n'))
    assert text.split("\n")[0].split() == ["F5", *ACTIONS["send"].text.split()]
    assert ACTIONS["search"].text not in text
    assert all(len(line) <= 110 for line in text.split("\n"))
    assert plain_help().isascii()


def test_the_reference_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "chat.md").read_text(encoding="utf-8")
    assert table() in page


def test_nothing_heavy_is_loaded_for_it() -> None:
    script = (
        "import sys; from agentcli.config import load; from agentcli.ui import binding; binding.bindings(load()); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert not set(done.stdout.split()) & {"prompt_toolkit", "asyncio", "rich", "tomlkit", "difflib"}
