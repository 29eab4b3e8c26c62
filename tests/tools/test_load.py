"""Tools by name, and out of a file of the user's own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from agentcli.core.event import ToolFinished
from agentcli.core.message import ToolCall
from agentcli.core.stream import collect
from agentcli.core.tool import Tool, call
from agentcli.errors import Exit, UserError
from agentcli.tools import TOOLS, load

MINE = '''
"""My tools."""
from __future__ import annotations

from dataclasses import dataclass

from agentcli import tool
from beside import GREETING

count = 0
nothing = 5


@dataclass
class Person:
    name: str


def greet(person: Person) -> str:
    """Greet a person."""
    return f"{GREETING} {person.name}"


@tool(asks=True)
async def wipe(path: str) -> str:
    """Wipe a path."""
    return path


def no_docstring(a: int) -> int:
    return a


def no_type(a) -> int:
    """Add."""
    return a


def step() -> int:
    """Count how often."""
    global count
    count += 1
    return count
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text('GREETING = "Hello"\n')
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    sys.modules.pop("beside", None)
    return path


def ran(which: Tool, arguments: str = "{}") -> str:
    (finished,) = asyncio.run(collect(call(which, ToolCall("1", which.name, arguments))))
    assert isinstance(finished, ToolFinished)
    return finished.content


def refused(name: str) -> UserError:
    with pytest.raises(UserError) as caught:
        load(name)
    assert caught.value.exit_code == Exit.USAGE
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_of_the_table_is_there_under_its_name(name: str) -> None:
    assert load(name).name == name
    assert load(name).spec.description


def test_a_typed_function_in_a_file_is_a_tool(mine: Path) -> None:
    greet = load(f"{mine}:greet")
    assert (greet.name, greet.asks, greet.spec.description) == ("greet", False, "Greet a person.")
    assert ran(greet, '{"person": {"name": "Ada"}}') == "Hello Ada"


def test_a_made_tool_in_a_file_is_that_tool(mine: Path) -> None:
    assert load(f"{mine}:wipe").asks


def test_a_path_may_be_relative_or_at_home(mine: Path) -> None:
    before = Path.cwd()
    os.environ["HOME"] = str(mine.parent)
    try:
        os.chdir(mine.parent)
        assert load("mine.py:greet").name == "greet"
        assert load("./mine.py:greet").name == "greet"
    finally:
        os.chdir(before)
    assert load("~/mine.py:greet").name == "greet"


def test_a_file_runs_once_whatever_is_taken_from_it(mine: Path) -> None:
    assert ran(load(f"{mine}:step")) == "1"
    assert ran(load(f"{mine}:step")) == "2"


def test_two_files_of_one_name_are_two(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text('def greet() -> str:\n    """Greet."""\n    return "other"\n')
    assert ran(load(f"{other}:greet")) == "other"
    assert "Ada" in ran(load(f"{mine}:greet"), '{"person": {"name": "Ada"}}')


def test_a_file_cannot_take_the_place_of_a_module_of_ours(tmp_path: Path) -> None:
    (tmp_path / "tomllib.py").write_text("raise RuntimeError('taken')\n")
    path = tmp_path / "mine.py"
    path.write_text('import tomllib\n\ndef f() -> str:\n    """F."""\n    return tomllib.__name__\n')
    assert ran(load(f"{path}:f")) == "tomllib"
    assert sys.path[0] != str(tmp_path)


def test_nothing_is_left_beside_the_file(mine: Path) -> None:
    load(f"{mine}:greet")
    assert not [path for path in mine.parent.glob("__pycache__/*") if path.name.startswith("mine")]


def test_an_unknown_name_says_what_is_near() -> None:
    assert "Did you mean clock?" in refused("clok").hint
    assert "path.py:function" in refused("clok").hint
    assert "There are: clock" in refused("zzz").hint
    refused("")
    refused("nowhere")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no file" in refused(f"{tmp_path}/nowhere.py:f").message
    (tmp_path / "folder.py").mkdir()
    assert "there is no file" in refused(f"{tmp_path}/folder.py:f").message


def test_a_function_that_is_not_there_names_the_nearest(mine: Path) -> None:
    error = refused(f"{mine}:gret")
    assert error.message == f"{mine} has no function 'gret'"
    assert "greet" in error.hint
    assert "wipe" in refused(f"{mine}:zzz").hint


def test_a_file_without_a_function_named(mine: Path) -> None:
    for name in (f"{mine}", f"{mine}:"):
        error = refused(name)
        assert "say which function" in error.message
        assert error.hint == "It has: greet, wipe, no_docstring, no_type, step."


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("no_docstring", "needs a docstring"),
        ("no_type", "needs a type for its parameter a"),
        ("nothing", "is not a function but a int"),
        ("Person", "is not a function but a type"),
    ],
)
def test_what_cannot_be_a_tool_says_why(mine: Path, function: str, said: str) -> None:
    assert said in refused(f"{mine}:{function}").message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\ny = (\n", "line 2: SyntaxError"),
        ("x = 1\n\nnowhere()\n", "line 3: NameError: name 'nowhere' is not defined"),
        ("import nowhere_at_all\n", "line 1: ModuleNotFoundError"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
        ("def f():\n    return g()\n\ndef g():\n    return 1 / 0\n\nf()\n", "line 5: ZeroDivisionError"),
    ],
)
def test_a_file_that_cannot_be_loaded_names_the_line(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(source)
    for _ in range(2):  # and is not taken for loaded the next time
        error = refused(f"{path}:f")
        assert error.message.startswith(f"cannot load {path}: {said}")


def test_a_file_with_nul_bytes_or_of_another_encoding_cannot_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    for data in (b"\0\0", "x = 'é'".encode("latin-1"), "x = 1".encode("utf-16")):
        path.write_bytes(data)
        assert "cannot load" in refused(f"{path}:f").message


def test_the_tools_in_the_guides_are_tools(tmp_path: Path) -> None:
    docs = Path(__file__).parent.parent.parent / "docs"
    wanted = {"guides/tools.md": {"rain", "survey", "save"}, "extend/tool.md": {"dice"}}
    for page, functions in wanted.items():
        blocks = re.findall(r"^```python\n(.*?)^```", (docs / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        found: set[str] = set()
        for number, block in enumerate(blocks):
            path = tmp_path / f"{page.replace('/', '_')}{number}.py"
            path.write_text(block, encoding="utf-8")
            for function in re.findall(r"^(?:async )?def (\w+)", block, re.MULTILINE):
                if function != "run":
                    assert load(f"{path}:{function}").asks == (function == "save")
                    found.add(function)
        assert found == functions
    assert (
        ran(load(f"{tmp_path / 'guides_tools.md0.py'}:rain"), '{"city": "Bergen", "days": 2}') == '{"city":"Bergen","likely":[20,60]}'
    )
    assert ran(load(f"{tmp_path / 'extend_tool.md0.py'}:dice"), '{"sides": 2, "count": 3}').count(",") == 2
