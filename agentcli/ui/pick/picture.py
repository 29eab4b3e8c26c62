"""What is in the box, line by line, at any size: the list, a preview beside or below it, and what the keys do.

Nothing here is read or waited for: what is not there yet is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from agentcli.ui.pick.cells import fit, steady, width_of, wrapped
from agentcli.ui.pick.choice import Choice
from agentcli.ui.pick.source import Preview, Source
from agentcli.ui.theme import paint

__all__ = ["Pictured", "Shape", "inside", "picture"]

_SIDE = 120  # columns from which on the preview stands beside the list
_MARGIN = 25  # one column of so many is left free
_PAINT = re.compile("\x1b\\[[0-9;]*m")


class Pictured(Protocol):
    """What there is to be seen. `loaded` and `busy`: is the list there, and may there be more?"""

    @property
    def choice(self) -> Choice: ...
    @property
    def source(self) -> Source: ...
    @property
    def previews(self) -> Mapping[int, Preview]: ...
    @property
    def loaded(self) -> bool: ...
    @property
    def busy(self) -> bool: ...


class Shape(NamedTuple):
    """How many lines and columns each part has. What is 0 is left out."""

    head: int
    height: int  # of the list
    width: int
    side: int  # columns of a preview beside the list
    below: int  # lines of a preview below it
    foot: int

    @classmethod
    def of(cls, columns: int, rows: int, offers: int, *, headed: bool = True) -> Shape:
        whole = max(rows * 2 // 3, min(rows - 1, 4), 1)
        left = whole - 1
        foot = 1 if left >= 4 else 0
        side = columns * 2 // 5 if columns >= _SIDE and left >= 6 else 0
        below = min(whole // 4, 8) if not side and left >= 11 else 0
        head = 1 if headed and left >= 8 else 0
        left -= foot + head + (below + 1 if below else 0)
        height = min(left, max(offers, 12 if side else 4))
        return cls(head, max(height, 0), inside(columns) - (side + 3 if side else 0), side, below, foot)


def inside(columns: int) -> int:
    """The columns of a window that are drawn on. Some are left: a window that becomes a little narrower should not wrap the lines
    before they can be drawn again."""
    return max(columns - 1 - columns // _MARGIN, 0)


def picture(box: Pictured, columns: int, rows: int) -> list[str]:
    """The lines under the one that is typed in."""
    if not box.loaded:
        return [paint("dim", fit("reading …", inside(columns)))]
    shape = Shape.of(columns, rows, len(box.choice.offers), headed=bool(box.source.head(0)))
    lines = [box.source.head(shape.width)] if shape.head else []
    lines += _list(box, shape)
    if shape.side:
        preview = _preview(box, shape.side, len(lines))
        bar = paint("dim", "│")
        lines = [f"{_padded(line, shape.width)} {bar} {text}".rstrip() for line, text in zip(lines, preview, strict=True)]
    if shape.below:
        lines += [paint("dim", "─" * shape.width), *_preview(box, shape.width, shape.below)]
    if shape.foot:
        lines.append(paint("dim", fit(_foot(box), inside(columns))))
    return lines


def _list(box: Pictured, shape: Shape) -> list[str]:
    lines: list[str] = []
    for at in box.choice.shown(shape.height):
        found = box.choice.found[at]
        lines.append(box.source.row(found.place, shape.width, selected=at == box.choice.at))
        if found.line:
            lines.append(_excerpt(found.line, box.choice.words, shape.width))
    if not lines and shape.height:
        lines.append(paint("dim", fit("  searching …" if box.busy else "  nothing has these words in it", shape.width)))
    return [*lines, *[""] * shape.height][: shape.height]


def _preview(box: Pictured, width: int, height: int) -> list[str]:
    shown = box.choice.found[box.choice.at] if box.choice.found else None
    preview = box.previews.get(shown.place) if shown else None
    if preview is None:
        return [""] * height
    asked = wrapped(f"> {preview.question}", width, max(height // 3, 1) if preview.answer else height) if preview.question else []
    note = [paint("warn", fit(steady(preview.note, width), width).rstrip())] if preview.note else []
    answer = preview.answer if height > 8 else "\n".join(line for line in preview.answer.split("\n") if line.strip())
    lines = [paint("dim", line) for line in asked]
    if asked and answer and height > 8:
        lines.append("")
    lines += wrapped(answer, width, height - len(lines) - len(note)) if answer else []
    return [*lines, *note, *[""] * height][:height]


def _foot(box: Pictured) -> str:
    left, all_ = len(box.choice.found), len(box.choice.offers)
    count = f"{left:,} of {all_:,}" if box.choice.words else f"{all_:,}"
    return f"{count}{' …' if box.busy else ''} · Enter {box.source.verb} · Esc leaves"


def _excerpt(line: str, words: Sequence[str], width: int) -> str:
    """As much of a line as fits, with the words in it marked."""
    room = max(width - 4, 0)
    sought = re.compile("|".join(f"({re.escape(word)})" for word in words), re.IGNORECASE)
    first = sought.search(line)
    start = max(0, first.start() - room // 3) if first and first.end() > room - 1 else 0
    shown = fit(steady(f"{'…' if start else ''}{line[start : start + 8 * room]}", room), room).rstrip()
    pieces: list[str] = []
    end = 0
    for match in sought.finditer(shown):
        pieces += [paint("dim", shown[end : match.start()]), paint("bold", match[0])]
        end = match.end()
    return f"    {''.join(pieces)}{paint('dim', shown[end:])}"


def _padded(line: str, width: int) -> str:
    return line + " " * (width - width_of(_PAINT.sub("", line)))
