"""Pictures for the documentation, made from real sessions: what is on an emulated screen, as an SVG.

    python -m tests.picture OUT.svg [--size 80x24] [--type KEYS --until TEXT]... [--title TITLE] -- COMMAND [ARGUMENT]...

runs the command on a pseudo-terminal (`tests/terminal.py`), types the keys (with escapes: `\\r` is Enter) each time its text is seen,
waits for the program's end or for the last text, and draws the screen without the empty rows at its end.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import Any
from unicodedata import east_asian_width

from tests.terminal import Screen, Terminal

__all__ = ["svg"]

WIDTH, HEIGHT, MARGIN, TOP = 8.43, 19, 16, 38
PAPER, INK, DIM, FRAME = "#1d2026", "#d6d9e0", "#868c98", "#2b2f37"
COLORS = {
    "default": INK,
    "dim": DIM,
    "black": "#3b4048",
    "red": "#e8707a",
    "green": "#98c379",
    "brown": "#e0b15a",
    "blue": "#6cb0f5",
    "magenta": "#c98ce6",
    "cyan": "#5cc0ca",
    "white": "#d6d9e0",
}


def svg(screen: Screen, title: str = "") -> str:
    """The rows of the screen in a window's frame, down to the last that is not empty."""
    rows = [[screen.buffer[row][column] for column in range(screen.columns)] for row in range(screen.lines)]
    while len(rows) > 1 and not "".join(cell.data for cell in rows[-1]).strip():
        rows.pop()
    width = round(screen.columns * WIDTH + 2 * MARGIN)
    height = len(rows) * HEIGHT + TOP + MARGIN
    dots = "".join(
        f'<circle cx="{MARGIN + 4 + 18 * n}" cy="18" r="5.5" fill="{color}"/>'
        for n, color in enumerate(("#ed6a5e", "#f4bf4f", "#61c554"))
    )
    words = "\n".join(word for number, row in enumerate(rows) for word in _row(row, TOP + HEIGHT * number))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(title or 'A terminal')}</title>\n"
        f'<rect width="{width}" height="{height}" rx="9" fill="{PAPER}" stroke="{FRAME}"/>\n{dots}\n'
        f'<text x="{width / 2:.0f}" y="23" fill="{DIM}" font-family="sans-serif" font-size="13" text-anchor="middle">'
        f"{escape(title)}</text>\n"
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14" '
        f'xml:space="preserve">\n{words}\n</g>\n</svg>\n'
    )


def _row(cells: list[Any], top: int) -> Iterator[str]:
    """Runs of one look as text elements. Wide characters are runs of their own, so that all others stay in their columns."""
    column = 0
    for look, run in groupby(cells, key=_look):
        text = "".join(cell.data for cell in run)
        wide = look[-1]
        columns = sum(2 if east_asian_width(character) in "WF" else 1 for character in text) if wide else len(text)
        if text.strip():
            lead = len(text) - len(text.lstrip(" "))
            ink, bold, italic, underline, strike, paper, _ = look
            if paper:
                box = f'x="{MARGIN + column * WIDTH:.1f}" y="{top}" width="{columns * WIDTH:.1f}" height="{HEIGHT}"'
                yield f'<rect {box} fill="{paper}"/>'
            text = text.strip(" ")
            style = ' font-weight="bold"' * bold + ' font-style="italic"' * italic
            lines = " ".join(["underline"] * underline + ["line-through"] * strike)
            style += f' text-decoration="{lines}"' if lines else ""
            fit = "" if wide else f' textLength="{len(text) * WIDTH:.1f}"'
            yield f'<text x="{MARGIN + (column + lead) * WIDTH:.1f}" y="{top + 14}" fill="{ink}"{style}{fit}>{escape(text)}</text>'
        column += columns


def _look(cell: Any) -> tuple[Any, ...]:
    ink, paper = COLORS.get(cell.fg, _hex(cell.fg)), "" if cell.bg == "default" else COLORS.get(cell.bg, _hex(cell.bg))
    if cell.reverse:
        ink, paper = paper or PAPER, ink
    wide = not cell.data or east_asian_width(cell.data[0]) in "WF"  # the second half of a wide character is an empty cell
    return ink, cell.bold, cell.italics, cell.underscore, cell.strikethrough, paper, wide


def _hex(color: str) -> str:
    return (
        f"#{color}" if len(color) == 6 and not set(color) - set("0123456789abcdef") else COLORS.get(color.removeprefix("bright"), INK)
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.picture")
    parser.add_argument("out")
    parser.add_argument("--size", default="80x24")
    parser.add_argument("--until", action="append", default=[], help="a text to wait for")
    parser.add_argument("--type", action="append", default=[], help="what to type when it is seen, in the same order")
    parser.add_argument("--title", default="")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    with Terminal(options.command, size=(columns, rows)) as terminal:
        for number, text in enumerate(options.until):
            terminal.until(text, timeout=60)
            if number < len(options.type):
                terminal.send(options.type[number].encode().decode("unicode_escape"))
        if len(options.type) >= len(options.until):
            terminal.wait(60)
        picture = svg(terminal.display, options.title)
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(picture)


if __name__ == "__main__":
    main()
