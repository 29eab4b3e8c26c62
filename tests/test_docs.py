"""The documentation is true: what it shows comes, where it points is something, and nothing is left out."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from agentcli.core.event import Event
from agentcli.errors import Exit
from agentcli.ui.slash import COMMANDS
from tests.model_server import ModelServer
from tests.program import agentcli

if sys.platform == "win32":
    pytest.skip("the blocks are for a POSIX shell", allow_module_level=True)

from tests import docs

PAGES = [pytest.param(page, id=str(page.relative_to(docs.ROOT))) for page in docs.pages()]
REFERENCE = docs.ROOT / "docs" / "reference"


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_console_block_shows_is_what_comes(page: Path, tmp_path: Path) -> None:
    steps, _ = docs.session(_read(page))
    if not steps:
        return
    for program in ("bash", "git", "jq", "xargs"):
        if not shutil.which(program) and (program == "bash" or any(re.search(rf"\b{program}\b", step.command) for step in steps)):
            pytest.skip(f"the page needs {program}")
    with ModelServer().decides(docs.model) as server:
        done = docs.run(steps, tmp_path / "docs", server.port)
    faults = [
        f"line {this.step.line}: {why}\n$ {this.step.command}\n{this.output}"
        for this, after in zip(done, [*steps[1:], None], strict=True)
        if (why := docs.wrong(this, after))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_that_is_not_run_says_why(page: Path) -> None:
    assert all(len(reason) > 5 for _, reason in docs.session(_read(page))[1])


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^( *)(`{3,}).*?^\1\2", "", _read(page), flags=re.DOTALL | re.MULTILINE)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(_read(file))):
            broken.append(target)
    assert not broken


def _anchors(text: str) -> set[str]:
    """Where the headings of a page can be pointed at, as GitHub names them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_generated_parts_are_up_to_date(page: Path) -> None:
    """`python -m tests.docs` writes them; a `?` in the last column of a table is for a person to fill in."""
    text = _read(page)
    assert text == docs.generated(text)
    assert "| ? |" not in text


def test_every_part_that_can_be_generated_is_on_a_page() -> None:
    text = "".join(_read(page) for page in docs.pages())
    assert [part for part in docs.PARTS if f"<!-- generated: {part} -->" not in text] == []


@pytest.mark.parametrize("words", [(), ("ask",), ("threads", "list")], ids=" ".join)
def test_help_is_what_the_program_prints(words: tuple[str, ...]) -> None:
    printed = agentcli(*words, "--help", COLUMNS="100").stdout
    assert "\n".join(line.rstrip() for line in printed.strip().splitlines()) in _read(REFERENCE / "commands.md")


def test_every_command_and_option_is_in_the_reference() -> None:
    text = _read(REFERENCE / "commands.md")
    missing = []
    for words, command in docs.command_tree():
        name = " ".join(("agentcli", *words))
        section = re.search(rf"^#+ {re.escape(name)}\n(.*?)(?=^#+ agentcli|\Z)", text, re.DOTALL | re.MULTILINE)
        if section is None:
            missing.append(name)
            continue
        said = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts) if option[0] == "-"}
        missing += [f"{name} {option}" for option in said if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", section[1])]
    assert not missing


def test_every_exit_code_is_in_the_reference() -> None:
    text = _read(REFERENCE / "exit-codes.md")
    assert [code for code in Exit if f"| {code.value} | `{code.name}` |" not in text] == []


def test_every_event_and_field_is_in_the_reference() -> None:
    text = _read(REFERENCE / "json.md")
    missing = []
    for event in get_args(Event):
        section = text.partition(f"\n### {event.__struct_config__.tag}\n")[2].partition("\n### ")[0]
        fields = [name for name in event.__struct_fields__ if name not in ("source", "thread")]
        missing += [f"{event.__name__}.{name}" for name in fields if f"| `{name}` |" not in section]
    assert not missing


def test_every_kind_of_error_is_in_the_reference() -> None:
    from agentcli.core.provider import ProviderError

    kinds = re.findall(r"\w+", (ProviderError.__doc__ or "").partition("Kinds:")[2])
    assert "rate_limit" in kinds
    text = _read(REFERENCE / "json.md")
    assert [kind for kind in kinds if f"| `{kind}` |" not in text] == []


def test_every_slash_command_is_in_the_reference() -> None:
    text = _read(REFERENCE / "chat.md")
    assert [name for name in COMMANDS if not re.search(rf"^\| `/{name}\b", text, re.MULTILINE)] == []


def _session(text: str, folder: Path) -> list[str]:
    """What is wrong with a page made of these lines."""
    steps, _ = docs.session(text)
    with ModelServer().decides(docs.model) as server:
        done = docs.run(steps, folder, server.port)
    return [docs.wrong(this, after) for this, after in zip(done, [*steps[1:], None], strict=True)]


def test_a_block_that_lies_is_found(tmp_path: Path) -> None:
    page = """
<!-- first: echo one > notes.txt -->
```console
$ cat ./notes.txt
one
$ cat ./notes.txt
two
$ false
$ false
$ echo $?
1
$ printf '%s\\n' a b c
a
…
$ agentcli -m scripted/demo
anything
$ agentcli --nonsense
$ agentcli ask one word
Hello.
```
<!-- not run: it never ends -->
```console
$ sleep 1000
```
"""
    no, other = "", "it is not what the page shows"
    assert _session(page, tmp_path / "page") == [no, no, other, "it ends with 1", no, no, no, no, "it ends with 2", no]
    assert docs.session(page)[1] == [(22, "it never ends")]


def test_a_page_that_never_ends_is_stopped(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(AssertionError, match="ended early"):
        docs.run(docs.session("```console\n$ sleep 1000\n```")[0], tmp_path / "page", 1, patience=0.5)
    assert time.monotonic() - began < 10


def test_a_generated_table_keeps_the_words_of_a_person() -> None:
    old = "<!-- generated: exit codes -->\n| 2 | | why \\| how |\n| 9 | | gone |\n<!-- end -->"
    new = docs.generated(old)
    assert "| 2 | `USAGE` | why \\| how |" in new
    assert "gone" not in new
    assert docs.generated(new) == new
    assert os.environ.get("COLUMNS") != "100"
