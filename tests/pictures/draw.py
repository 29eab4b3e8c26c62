"""An emulated screen as a picture: cells in, SVG out.

Every run of cells that look alike is one text element, stretched to its columns, so that it stands where it stood whatever font there
is. Nothing is measured, and nothing but the screen goes in: the same screen is the same picture, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

from wcwidth import wcwidth

from tests.terminal import Screen

__all__ = ["DARK", "LIGHT", "Paper", "svg"]

_WIDTH, _HEIGHT, _MARGIN, _TOP = 8.43, 19, 16, 38
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


class Paper(NamedTuple):
    """What a terminal looks like: its own colours. `dim` is for text that is to be dim and has no colour."""

    back: str
    ink: str
    dim: str
    frame: str
    colours: Mapping[str, str]


DARK = Paper(
    "#1d2026",
    "#d6d9e0",
    "#868c98",
    "#2b2f37",
    {
        "black": "#3b4048",
        "red": "#e8707a",
        "green": "#98c379",
        "brown": "#e0b15a",
        "blue": "#6cb0f5",
        "magenta": "#c98ce6",
        "cyan": "#5cc0ca",
        "white": "#d6d9e0",
        "brightblack": "#868c98",
    },
)
LIGHT = Paper(
    "#fbfaf7",
    "#24292f",
    "#6a707a",
    "#d5d2ca",
    {
        "black": "#24292f",
        "red": "#b3262b",
        "green": "#28702f",
        "brown": "#8a5a00",
        "blue": "#1d56b0",
        "magenta": "#8a3299",
        "cyan": "#0f6b78",
        "white": "#6a707a",
        "brightblack": "#6a707a",
    },
)


class _Look(NamedTuple):
    ink: str
    paper: str
    bold: bool
    italic: bool
    lines: str
    wide: bool


def svg(screen: Screen, title: str = "", *, paper: Paper = DARK, cursor: bool = False, whole: bool = False) -> str:
    """The rows of the screen in a window's frame: all of them if it is `whole`, or down to the last that is not empty. With `cursor`
    it is seen where it stands."""
    rows = [[screen.buffer[row][column] for column in range(screen.columns)] for row in range(screen.lines)]
    while not whole and len(rows) > 1 and not "".join(cell.data for cell in rows[-1]).strip():
        rows.pop()
    width = round(screen.columns * _WIDTH + 2 * _MARGIN)
    height = len(rows) * _HEIGHT + _TOP + _MARGIN
    dots = "".join(
        f'<circle cx="{_MARGIN + 4 + 18 * n}" cy="18" r="5.5" fill="{colour}"/>'
        for n, colour in enumerate(("#ed6a5e", "#f4bf4f", "#61c554"))
    )
    words = [word for number, row in enumerate(rows) for word in _row(row, paper, _TOP + _HEIGHT * number)]
    if cursor and screen.cursor.y < len(rows):
        box = (
            f'x="{_MARGIN + screen.cursor.x * _WIDTH:.1f}" y="{_TOP + _HEIGHT * screen.cursor.y}" width="{_WIDTH}" height="{_HEIGHT}"'
        )
        words.append(f'<rect {box} fill="{paper.ink}" fill-opacity="0.55"/>')
    drawn = "\n".join(words)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(title or 'A terminal')}</title>\n"
        f'<rect width="{width}" height="{height}" rx="9" fill="{paper.back}" stroke="{paper.frame}"/>\n{dots}\n'
        f'<text x="{width / 2:.0f}" y="23" fill="{paper.dim}" font-family="sans-serif" font-size="13" text-anchor="middle">'
        f"{escape(title)}</text>\n"
        f'<g font-family="{_FONT}" font-size="14" xml:space="preserve">\n{drawn}\n</g>\n</svg>\n'
    )


def _row(cells: list[Any], paper: Paper, top: int) -> Iterator[str]:
    """Runs of one look as text elements. Wide characters are runs of their own, so that all others stay in their columns."""
    column = 0
    for look, run in groupby(cells, key=lambda cell: _look(cell, paper)):
        text = "".join(cell.data for cell in run)
        columns = sum(max(wcwidth(character), 0) for character in text) if look.wide else len(text)
        if look.paper and columns:
            box = f'x="{_MARGIN + column * _WIDTH:.1f}" y="{top}" width="{columns * _WIDTH:.1f}" height="{_HEIGHT}"'
            yield f'<rect {box} fill="{look.paper}"/>'
        if text.strip():
            lead = len(text) - len(text.lstrip(" "))
            text = text.strip(" ")
            style = ' font-weight="bold"' * look.bold + ' font-style="italic"' * look.italic
            style += f' text-decoration="{look.lines}"' if look.lines else ""
            fit = "" if look.wide else f' textLength="{len(text) * _WIDTH:.1f}"'
            at = f'x="{_MARGIN + (column + lead) * _WIDTH:.1f}" y="{top + 14}"'
            yield f'<text {at} fill="{look.ink}"{style}{fit}>{escape(text)}</text>'
        column += columns


def _look(cell: Any, paper: Paper) -> _Look:
    ink, back = _colour(cell.fg, paper, paper.ink), _colour(cell.bg, paper, "")
    if cell.reverse:
        ink, back = back or paper.back, ink
    lines = " ".join(["underline"] * cell.underscore + ["line-through"] * cell.strikethrough)
    wide = not cell.data or wcwidth(cell.data[0]) == 2  # the second half of a wide character is an empty cell
    return _Look(ink, back, cell.bold, cell.italics, lines, wide)


def _colour(name: str, paper: Paper, default: str) -> str:
    """A colour as the emulator has it: one of the terminal's own by its name, or red, green and blue."""
    if name == "default":
        return default
    if name == "dim":
        return paper.dim
    if name in paper.colours:
        return paper.colours[name]
    if len(name) == 6 and not set(name) - set("0123456789abcdef"):
        return f"#{name}"
    return paper.colours[name.removeprefix("bright")]
