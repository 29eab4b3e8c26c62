"""Markdown that arrives in pieces: the same lines come out, whatever the pieces were, and nothing is lost."""

from __future__ import annotations

import re
from collections import Counter
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from agentcli.ui.blocks import Block, Splitter
from agentcli.ui.code import Highlighter
from agentcli.ui.markdown import TAIL, Stream
from tests.ui.corpus import TEXTS

CODES = re.compile(r"\x1b\[[0-9;]*m")
FRAGMENTS = """
text;more *words*;- a;* b;1. x;2. y;3) z;  - n;    deep;> q;>;```;```py;~~~;# h;---;===;| a | b |;|---|---|;a | b;--|--;;;<div>;</div>;
<!-- c;-->;\ttab;-\tt;-;- - x;> - x;- > x;  text;   - k;     five;- ```;  ```;> ```;- # h;10. t;[x]: y;|x|
"""
LINES = st.lists(st.sampled_from(FRAGMENTS.strip().replace("\n", "").split(";")), max_size=8).map("\n".join)
property_test = settings(derandomize=True, deadline=None, max_examples=150)


def split(text: str, *cuts: int) -> list[Block]:
    splitter = Splitter()
    blocks: list[Block] = []
    begin = 0
    for end in [*sorted(cuts), len(text)]:
        blocks += splitter.feed(text[begin:end])
        begin = end
    return blocks + splitter.finish()


def rendered(text: str, width: int = 80, *, color: bool = False) -> str:
    stream = Stream(width, color=color)
    return stream.feed(text) + stream.finish()


def seen(text: str, width: int = 80) -> str:
    return CODES.sub("", rendered(text, width))


@property_test
@given(LINES, st.data())
def test_any_pieces_give_the_same_blocks(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    assert split(text, *cuts) == split(text)


@pytest.mark.parametrize("text", TEXTS)
def test_any_pieces_give_the_same_lines(text: str) -> None:
    whole = rendered(text, color=True)
    for size in (1, 2, 3, 7):
        stream = Stream(80)
        pieces = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert "".join(pieces) + stream.finish() == whole


@pytest.mark.parametrize("text", TEXTS)
def test_looking_at_the_tail_changes_nothing(text: str) -> None:
    stream = Stream(30)
    out = ""
    for character in text:
        out += stream.feed(character)
        assert len(stream.tail_lines(30, 5)) <= 5
    assert out + stream.finish() == rendered(text, 30, color=True)


@property_test
@given(LINES)
def test_no_line_is_lost_or_doubled_by_splitting(text: str) -> None:
    def bare(lines: list[str]) -> list[str]:
        return [line.strip() for line in lines if line.strip()]

    assert bare([line for block in split(text) for line in block.text.split("\n")]) == bare(text.split("\n"))


def letters(text: str) -> Counter[str]:
    return Counter(character for character in text if character.isalpha())


@pytest.mark.parametrize("width", [10, 20, 80, 200])
@pytest.mark.parametrize("text", [text for text in TEXTS if "&" not in text and "![" not in text and "<br>" not in text])
def test_no_letter_is_lost_or_doubled_by_rendering(text: str, width: int) -> None:
    shown = seen(text, width)
    # a link that names itself is shown once
    assert letters(shown) == letters(text)


PARSER = MarkdownIt("commonmark").enable(["strikethrough", "table"]).disable("reference")


def parsed(text: str) -> list[str]:
    """Where the parser itself, given all of the text, sees blocks begin and end."""
    lines = text.split("\n")
    blocks = []
    for token in PARSER.parse(text):
        is_list = token.type in ("bullet_list_open", "ordered_list_open")
        if (
            token.map
            and token.nesting >= 0
            and ((token.level == 0 and not is_list) or (token.level == 1 and token.type == "list_item_open"))
        ):
            blocks.append("\n".join(lines[token.map[0] : token.map[1]]))
    return blocks


@pytest.mark.parametrize("text", [text for text in TEXTS if "]: " not in text and "\r" not in text and "> > > >" not in text])
def test_the_splitter_and_the_parser_agree(text: str) -> None:
    blocks: list[str] = []
    for block in split(text):
        if block.kind in ("code", "end"):
            blocks[-1] += "\n" + block.text
        else:
            blocks.append(block.text)

    def bare(texts: list[str]) -> list[list[str]]:
        return [[line.strip() for line in text.split("\n") if line.strip()] for text in texts]

    assert bare(blocks) == bare(parsed(text))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# Title\ntext", ["Title", "", "text"]),
        ("a\nb  \nc", ["a b", "c"]),
        ("- a\n- b\n\n- c", [" • a", " • b", "", " • c"]),
        ("1. a\n1. b\n", [" 1. a", " 2. b"]),
        ("9. a\n10. b\n", [" 9. a", "10. b"]),
        ("- a\n  - b\n    text", [" • a", "    • b text"]),
        ("1. x\n\n   y\n2. z", [" 1. x", "", "    y", " 2. z"]),
        ("> a\n>\n> b\n\nc", ["│ a", "│", "│ b", "", "c"]),
        ("```py\nx = 1\n\n```\ny", ["```py", "x = 1", "", "```", "", "y"]),
        ("- ```\n  x\n  ```", [" • ```", "   x", "   ```"]),
        ("[a](http://b.c)", ["a (http://b.c)"]),
        ("<http://b.c> [http://b.c](http://b.c)", ["http://b.c http://b.c"]),
        ("[http://good.example](http://evil.example)", ["http://good.example (http://evil.example)"]),
        ("![alt](http://b.c/x.png)", ["[image: alt] (http://b.c/x.png)"]),
        ("a <b>c</b> <!-- d -->", ["a <b>c</b> <!-- d -->"]),
        ("<!-- a\n\nb -->", ["<!-- a", "", "b -->"]),
        ("[a]: b\n[c]: d\n\ne", ["[a]: b", "[c]: d", "", "e"]),
        ("a<br>b", ["a", "b"]),
        ("|a|b|\n|-|-:|\n|1|22|", ["a    b", "──────", "1   22"]),
        ("---\n", ["─" * 40]),
        ("&#27;[2J &#x202e; &#13; &lt;", ["\ufffd[2J ‹202E› ␍ <"]),
    ],
)
def test_how_it_looks(text: str, lines: list[str]) -> None:
    assert [line.rstrip() for line in seen(text).removesuffix("\n").split("\n")] == lines


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_copied_has_no_padding(text: str) -> None:
    if "trailing" not in text and "```" not in text and "    " not in text:
        assert not [line for line in seen(text).split("\n") if line != line.rstrip()]


def test_colors_can_be_left_out_but_not_weight() -> None:
    text = "**bold** `code`\n\n```python\nimport os  # x\n```\n"
    assert set(CODES.findall(rendered(text, color=True))) >= {"\x1b[1m", "\x1b[36m", "\x1b[35m"}
    assert set(CODES.findall(rendered(text, color=False))) == {"\x1b[1m", "\x1b[2m", "\x1b[0m"}


def test_long_code_lines_are_left_to_the_terminal() -> None:
    line = "x = '" + "a" * 300 + "'"
    assert line in seen(f"```py\n{line}\n```\n").split("\n")


HUGE = {
    "a fence": "```python\n" + "    value = compute(12, name='x')  # twelve\n" * 5000,
    "a paragraph": "word **bold** " * 16_000,
    "a list": "- an item of a list\n" * 11_000,
    "a fence in an item": "- x\n  ```python\n" + "  value = compute(12)\n" * 10_000,
    "lines of a paragraph": "some words of it\n" * 13_000,
}


@pytest.mark.parametrize("name", HUGE)
def test_the_work_grows_as_the_text_does(name: str) -> None:
    def cost(text: str) -> float:
        stream = Stream(80)
        began = process_time()
        for at in range(0, len(text), 11):
            stream.feed(text[at : at + 11])
        stream.finish()
        return process_time() - began

    cost(HUGE[name][:2000])
    growths: list[float] = []
    while len(growths) < 4 and min(growths, default=99) >= 25:  # again, where something else took the machine's time
        small = min(cost(HUGE[name][:20_000]) for _ in range(3))
        growths.append(cost(HUGE[name][:200_000]) / small)
    assert min(growths) < 25  # 10 is linear, 100 quadratic


@pytest.mark.parametrize("name", [*HUGE, "a table"])
def test_the_tail_of_something_huge_is_a_screenful_and_quick(name: str) -> None:
    text = HUGE.get(name, "| a | b |\n|---|---|\n" + "| cell | other |\n" * 13_000) + "the end"
    stream = Stream(80)
    stream.feed(text)
    began = process_time()
    lines = stream.tail_lines(80, 23)
    assert process_time() - began < 0.5
    assert 1 <= len(lines) <= 23
    assert "the end" in lines[-1]
    assert sum(map(len, lines)) < 2 * TAIL


@pytest.mark.parametrize(
    "unit", ["[", "![", "*a", "_", "`", "`a", "<", "&", "> ", "- ", "1. ", "](", "<a ", "~~", "|", "\\", "#", "<!--"]
)
def test_hostile_runs_end_soon(unit: str) -> None:
    began = process_time()
    seen(unit * (60_000 // len(unit)))
    assert process_time() - began < 10


@pytest.mark.parametrize(
    ("language", "line", "after", "colored"),
    [
        ("python", 'x = """doc', "still = doc", "\x1b[32mstill = doc\x1b[0m"),
        ("js", "/** doc", "const x", "\x1b[2mconst x\x1b[0m"),
        ("html", "<!-- doc", "<p>", "\x1b[2m<p>\x1b[0m"),
        ("bash", "ls /*", "echo", "\x1b[36mecho\x1b[0m"),
        ("nosuchlanguage", "import x", "import y", "import y"),
        ("", "import x", "import y", "import y"),
        ("c++", "int x;", "return;", "\x1b[35mreturn\x1b[0m;"),
    ],
)
def test_code_lines_know_the_lines_before(language: str, line: str, after: str, colored: str) -> None:
    highlighter = Highlighter(language)
    highlighter.line(line)
    assert highlighter.twin().line(after) == colored
    assert highlighter.line(after) == colored


@pytest.mark.parametrize(
    "language", ["python", "js", "yaml", "ruby", "php", "html", "json", "c", "rust", "sql", "diff", "console", "pycon"]
)
def test_colors_change_no_code(language: str) -> None:
    source = "def f(x): # a\n\n\tif x != 'b': /* c\n  d */ <?php $e;\n>>> <p class=\"f\">&amp;</p>\n"
    source += "- g: [1, 2.5e3]\n@@ -1 +1 @@\n`${h}`\n\\"
    highlighter = Highlighter(language)
    assert CODES.sub("", "\n".join(highlighter.line(line) for line in source.split("\n"))) == source
