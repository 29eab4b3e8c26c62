"""The programs of docs/guides/library.md run as they stand, and print what the page says.

Each is run in a process of its own against a real server on the loopback. What that server answers stands in a comment before the
program, as JSON: a text, `{"pieces": […]}`, `{"calls": {name: arguments}}`, `{"fails": status}` or `{"stalls": what came before}`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.model_server import ModelServer

# What asyncio says, where it is looked at closely, of a step that took more than a tenth of a second: on a busy machine any does.
SLOW = re.compile(r"Executing <.* took 0\.\d+ seconds\n")
PAGE = Path(__file__).parent.parent / "docs" / "guides" / "library.md"


class Example(NamedTuple):
    title: str
    program: str
    printed: str | None
    model: list[Any]


def examples(text: str) -> list[Example]:
    found: list[Example] = []
    pattern = r"(?:<!-- model: (?P<model>[^\n]*) -->\n)?^```python\n(?P<program>.*?)^```\n(?:```text\n(?P<printed>.*?)^```\n)?"
    for number, block in enumerate(re.finditer(pattern, text, re.DOTALL | re.MULTILINE), 1):
        title = re.findall(r"^#+ (.*)$", text[: block.start()], re.MULTILINE)[-1]
        model = json.loads(block["model"]) if block["model"] else []
        found.append(Example(f"{number} {title}", block["program"], block["printed"], model))
    return found


EXAMPLES = examples(PAGE.read_text(encoding="utf-8"))


def serving(model: list[Any]) -> ModelServer:
    server = ModelServer()
    for answer in model:
        match answer:
            case str():
                server.says(answer)
            case {"pieces": pieces}:
                server.says(pieces)
            case {"calls": calls}:
                (name, arguments), *more = calls.items()
                server.calls(name, arguments, *more)
            case {"fails": status}:
                server.fails(status)
            case {"stalls": before}:
                server.stalls(text=before * 2)  # it falls silent after the first half
            case _:
                raise ValueError(f"the server cannot {answer}")
    return server


def run(example: Example, folder: Path) -> tuple[str, str, int]:
    program = folder / "example.py"
    program.write_text(example.program, encoding="utf-8")
    with serving(example.model) as server:
        environment = {**os.environ, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "k", "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-X", "dev", str(program)],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=50,
        )
        asked = len(server.requests)
    assert asked == len(example.model), done.stderr
    said = [line for line in done.stderr.splitlines(keepends=True) if not SLOW.fullmatch(line)]
    return done.stdout, "".join(said), done.returncode


def test_all_programs_of_the_page_are_found() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(EXAMPLES) == text.count("```python") >= 10
    assert sum(example.printed is not None for example in EXAMPLES) == text.count("```text")


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.title for example in EXAMPLES])
def test_a_program_of_the_page_prints_what_the_page_says(example: Example, tmp_path: Path) -> None:
    stdout, stderr, code = run(example, tmp_path)
    assert (stderr, code) == ("", 0)
    assert stdout == (example.printed or "")


def test_a_program_that_fails_or_prints_something_else_is_seen_to(tmp_path: Path) -> None:
    good = EXAMPLES[0]
    _, stderr, code = run(good._replace(program=good.program + "raise SystemExit('x')\n"), tmp_path)
    assert (stderr, code) == ("x\n", 1)
    stdout, _, _ = run(good._replace(model=["Rome."]), tmp_path)
    assert stdout != good.printed
