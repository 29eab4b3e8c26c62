"""An answer as it arrives: Markdown in, finished lines for a terminal out.

`Stream.feed()` takes the text in any pieces and returns what is finished, rendered: it is printed once and never touched again.
`tail_lines()` is the unfinished rest as it looks so far, at most a screenful; whoever shows it takes it away again. What has been
returned in the end is the same whatever the pieces were, because `blocks.Splitter` decides what is finished from the text alone.
Rendering a growing answer as a whole each time would be quadratic; here every block is rendered once, and the tail as often as it
is looked at.

The look is restrained: bold, dim, underline and few colours, those of the theme (`theme.py`) when a block is rendered; no
background, no box, no padding, so that what is copied is the text. Nothing the model said is left out: HTML and comments are shown as
they stand, links and pictures show their target, and an entity (`&#27;`) cannot bring in what `visible` keeps out.
Code is not wrapped but left to the terminal, which then copies it as one line.

The parser is the one that Rich uses (markdown-it); wrapping and tables are Rich's. They are imported with the first block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from agentcli.ui import theme
from agentcli.ui.blocks import Block, Splitter
from agentcli.ui.code import Highlighter
from agentcli.ui.sanitise import visible
from agentcli.ui.theme import Role, Theme

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from rich.console import Console
    from rich.segment import Segment
    from rich.style import Style
    from rich.text import Text

__all__ = ["Stream", "render", "warm", "wrapped"]

TAIL = 4000  # characters of an unfinished block that are rendered; of a longer one only its end
HUGE = 20_000  # characters of a block that is parsed whatever it is made of
NARROWEST = 8  # columns that text gets at least, however deep it is nested
COLUMN = 5  # columns a table's column needs on average; with less, the table is shown as it was written

_MARKS = " \t-=#*+>|`~_:"  # a line of only these says nothing yet


class Stream:
    """One answer. `width` may be changed at any time and holds for what comes after."""

    def __init__(self, width: int, *, color: bool = True) -> None:
        self.width = width
        self.color = color
        self._splitter = Splitter()
        self._highlighter = Highlighter()
        self._begun = False

    def feed(self, text: str) -> str:
        """Take more of the answer. Returns the lines that it finished."""
        blocks = self._splitter.feed(visible(text))
        return self._finished(blocks) if blocks else ""

    def finish(self) -> str:
        """The answer has ended. Returns what was left."""
        return self._finished(self._splitter.finish())

    def tail_lines(self, width: int, height: int) -> list[str]:
        """The unfinished rest as it looks now: its last lines, none wider than `width` but code."""
        lines: list[str] = []
        twin = copy(self)
        twin._highlighter = self._highlighter.twin()
        for block in self._splitter.pending(_MARKS):
            lines += twin._lines(_end_of(block, height), width)
        return lines[-height:] if height > 0 else []

    def _finished(self, blocks: list[Block]) -> str:
        lines: list[str] = []
        for block in blocks:
            lines += self._lines(block, self.width)
        return "\n".join(lines) + "\n" if lines else ""

    def _lines(self, block: Block, width: int) -> list[str]:
        colours = self.color and theme.current().colours
        if block.kind == "code":
            return [self._highlighter.line(block.text) if colours else block.text]
        if block.kind == "fence" and colours:
            self._highlighter = Highlighter(block.text.lstrip("`~ "))
        lines = render(block, width, color=self.color)
        if block.gap and self._begun and lines:
            lines.insert(0, "")
        self._begun = self._begun or bool(lines)
        return lines


def render(block: Block, width: int, *, color: bool = True) -> list[str]:
    """A block as lines for a terminal."""
    look = theme.current() if color else theme.NONE
    if block.kind in ("fence", "end", "definition"):
        return [look.paint("fence", block.text)]
    if block.kind in ("verbatim", "code"):
        return block.text.split("\n")
    if len(block.text) > HUGE and block.text.count("[") > len(block.text) // 20:  # a parser takes minutes over brackets without end
        return wrapped(block.text, width)
    tokens = _parser().parse(block.text)
    if block.number and tokens:
        tokens[0].attrs["start"] = block.number
    return _Page(block.text.split("\n"), look).lines(tokens, width)


def wrapped(text: str, width: int) -> list[str]:
    """Plain text that is `visible`, wrapped between words."""
    from rich.text import Text

    return [line.plain.rstrip() for line in Text(text).wrap(_console(), max(width, NARROWEST), tab_size=4)]


def warm() -> None:
    """Load what the first block needs, about 30 ms: may be called in a thread while the model is being waited for."""
    import rich.table
    import rich.text  # noqa: F401

    _parser()
    _console()


def _end_of(block: Block, height: int) -> Block:
    """The block, or of a long one as much of its end as fills the screen."""
    if len(block.text) <= TAIL:
        return block
    if block.kind == "table":
        head, columns, *rows = block.text.split("\n")
        rows = [row[:TAIL] for row in rows[-height:]]
        return block._replace(text="\n".join([head[:TAIL], columns[:TAIL], *rows]), gap=False)
    if block.kind in ("code", "fence"):
        return block._replace(text=block.text[:TAIL])
    return Block("verbatim" if "\n" in block.text[-TAIL:] else "markdown", block.text[-TAIL:].partition(" ")[2], gap=False)


class _Page:
    """One block on its way from tokens to lines."""

    def __init__(self, source: list[str], look: Theme) -> None:
        self.source = source
        self.look = look

    def lines(self, tokens: Sequence[Token], width: int) -> list[str]:
        """The blocks in `tokens`, one below the other; between them a blank line where the source has one."""
        lines: list[str] = []
        for block in _groups(tokens):
            if lines and self._blank_before(block[0]):
                lines.append("")
            lines += _BLOCKS.get(block[0].type, _Page.as_written)(self, block, max(width, NARROWEST))
        return lines

    def paragraph(self, block: Sequence[Token], width: int) -> list[str]:
        return _ansi(_text(block[1].children or [], self.look), width)

    def heading(self, block: Sequence[Token], width: int) -> list[str]:
        text = _text(block[1].children or [], self.look)
        text.stylize_before(_style(self.look.words[_HEADINGS.get(block[0].tag, "heading.3")]))
        return _ansi(text, width)

    def quote(self, block: Sequence[Token], width: int) -> list[str]:
        bar = self.look.paint("quote", "│")
        return [f"{bar} {line}" for line in self.lines(block[1:-1], width - 2)]

    def items(self, block: Sequence[Token], width: int) -> list[str]:
        lines: list[str] = []
        number = int(block[0].attrs.get("start", 1)) if block[0].type == "ordered_list_open" else None
        for item in _groups(block[1:-1]):
            mark = " • " if number is None else f"{number:>2}. "
            inner = self.lines(item[1:-1], width - len(mark)) or [""]
            if lines and self._blank_before(item[0]):
                lines.append("")
            lines.append(f"{self.look.paint('mark', mark[:-1])} {inner[0]}".rstrip())
            lines += [f"{' ' * len(mark)}{line}" if line else "" for line in inner[1:]]
            number = None if number is None else number + 1
        return lines

    def fence(self, block: Sequence[Token], width: int) -> list[str]:
        token = block[0]
        highlighter = Highlighter(token.info.strip() if self.look.colours else "")
        lines = [highlighter.line(line) for line in token.content.removesuffix("\n").split("\n")]
        return [self.look.paint("fence", token.markup + token.info.rstrip()), *lines, self.look.paint("fence", token.markup)]

    def rule(self, block: Sequence[Token], width: int) -> list[str]:
        return [self.look.paint("rule", "─" * min(width, 40))]

    def as_written(self, block: Sequence[Token], width: int) -> list[str]:
        if block[0].content:
            return block[0].content.rstrip("\n").split("\n")
        first, last = block[0].map or (0, 0)
        return self.source[first:last]

    def table(self, block: Sequence[Token], width: int) -> list[str]:
        from rich import box
        from rich.table import Table

        rows: list[list[Text]] = []
        alignment: list[str] = []
        for token, inline in pairwise(block):
            if token.type == "tr_open":
                rows.append([])
            elif token.type in ("th_open", "td_open"):
                rows[-1].append(_text(inline.children or [], self.look))
                if token.type == "th_open":
                    alignment.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
        if width < COLUMN * len(alignment):
            return self.as_written(block, width)
        border, head = _style(self.look.words["rule"]), _style(self.look.words["head"])
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, border_style=border, header_style=head)
        for heading, align in zip(rows[0], alignment, strict=True):
            table.add_column(heading, justify=align or "left", overflow="fold")  # type: ignore[arg-type]
        for row in rows[1:]:
            table.add_row(*row)
        console = _console()
        lines = console.render_lines(table, console.options.update(width=width), pad=False)
        return [_joined(line) for line in lines]

    def _blank_before(self, token: Token) -> bool:
        return bool(token.map) and token.map[0] > 0 and not self.source[token.map[0] - 1].strip(" \t>")  # type: ignore[index]


_BLOCKS: dict[str, Callable[[_Page, Sequence[Token], int], list[str]]] = {
    "paragraph_open": _Page.paragraph,
    "heading_open": _Page.heading,
    "blockquote_open": _Page.quote,
    "bullet_list_open": _Page.items,
    "ordered_list_open": _Page.items,
    "fence": _Page.fence,
    "hr": _Page.rule,
    "table_open": _Page.table,
}

_HEADINGS: dict[str, Role] = {"h1": "heading.1", "h2": "heading.2", "h3": "heading.2"}
_INLINE: dict[str, Role] = {"strong": "strong", "em": "em", "s": "struck"}


def _groups(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Each block of the outermost level: its opening token, what is in it, its closing token."""
    begin = depth = 0
    for at, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            yield tokens[begin : at + 1]
            begin = at + 1


def _text(tokens: Sequence[Token], look: Theme) -> Text:
    """The inside of a paragraph, heading or cell."""
    from rich.text import Text

    text = Text()
    words = look.words
    styles: list[str] = []
    links: list[tuple[int, Token]] = []
    for token in tokens:
        kind = token.type
        if kind == "text":
            _append(text, token.content, styles)
        elif kind == "softbreak":
            text.append(" ")
        elif kind == "hardbreak":
            text.append("\n")
        elif kind == "code_inline":
            _append(text, token.content, [*styles, words["code"]])
        elif kind == "html_inline":
            _append(text, "\n" if token.content.replace(" ", "").lower() in ("<br>", "<br/>") else token.content, styles, "\n")
        elif kind == "image":
            _append(text, f"[image: {token.content}]", styles)
            _target(text, len(text), str(token.attrs.get("src", "")), token, words["target"])
        elif kind == "link_open":
            links.append((len(text), token))
            styles.append(words["link"])
        elif kind == "link_close":
            begin, opened = links.pop()
            styles.pop()
            _target(text, begin, str(opened.attrs.get("href", "")), opened, words["target"])
        elif token.nesting == 1:
            styles.append(words[_INLINE[token.tag]] if token.tag in _INLINE else "none")
        elif token.nesting == -1:
            styles.pop()
        else:
            _append(text, token.content, styles)
    return text


def _append(text: Text, content: str, styles: list[str], keep: str = "") -> None:
    content = visible(content)
    if content != keep and "\n" in content:
        content = content.replace("\n", " ")
    text.append(content, _style(" ".join(styles)) if styles else None)


def _target(text: Text, begin: int, url: str, token: Token, style: str) -> None:
    """Where a link goes, behind its words, unless they say it themselves."""
    title = str(token.attrs.get("title", ""))
    if text.plain[begin:] in (url, url.removeprefix("mailto:")) and not title:
        return
    _append(text, f' ({url} "{title}")' if title else f" ({url})", [style])


def _ansi(text: Text, width: int) -> list[str]:
    """The text wrapped to lines for a terminal."""
    console = _console()
    lines = text.wrap(console, width, tab_size=4)
    if not text.spans:
        return [line.plain.rstrip() for line in lines]
    for line in lines:
        line.rstrip()
    return [_joined(line.render(console)) for line in lines]


def _joined(segments: Iterable[Segment]) -> str:
    """A line of segments as text for a terminal, without the spaces at its end."""
    line = list(segments)
    while line and line[-1].text.isspace():
        line.pop()
    pieces: list[str] = []
    for at, (text, style, _) in enumerate(line, 1):
        begin, end = _escape(style) if style else ("", "")
        words = text.rstrip() if at == len(line) else text
        pieces.append(f"{begin}{words}{end}" if begin and words.strip() else words)
    return "".join(pieces)


@cache
def _style(words: str) -> Style:
    from rich.style import Style

    return Style.parse(words)


@cache
def _escape(style: Style) -> tuple[str, str]:
    """What to write before and after a text in this style: the theme has made its colours what the terminal takes."""
    from rich.color import ColorSystem

    begin, _, end = style.render("\0", color_system=ColorSystem.TRUECOLOR).partition("\0")
    return begin, end


@cache
def _console() -> Console:
    """Never written to: Rich wants one to measure with."""
    import io

    from rich.console import Console

    return Console(file=io.StringIO(), width=80, force_terminal=True, legacy_windows=False, color_system="standard", emoji=False)


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"maxNesting": 100}).enable(["strikethrough", "table"]).disable("reference")
