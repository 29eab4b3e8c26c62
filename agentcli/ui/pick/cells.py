"""Text in columns, on terminals that do not agree on how wide it is.

A terminal may draw a family of emoji as one picture of two cells or as three of them, a flag in two cells or in four, a heart in one
or in two. Where there are columns to the right of it, each of these is a broken line. `steady()` writes them so that all terminals
count alike: the parts of a picture side by side, without what joins or colours them; a flag as its letters.
"""

from __future__ import annotations

import re

from wcwidth import wcwidth

from agentcli.ui.sanitise import one_line, visible

__all__ = ["fit", "steady", "width_of", "wrapped"]

_JOINTS = re.compile("(?<=[#*0-9\u2000-\U0010ffff])[\u200d\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]+")
_LETTERS = {0x1F1E6 + number: chr(ord("A") + number) for number in range(26)}  # that flags are spelt with
_LONGEST = 2000  # characters of a paragraph


def steady(text: str, width: int) -> str:
    """A text as one visible line of at most so many cells, or a little more."""
    line = one_line(text[: 8 * width + 64], 2 * width + 16)
    return line if line.isascii() else _counted_alike(line)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """A line in exactly so many cells."""
    if text.isascii() and len(text) <= width:
        return text.rjust(width) if right else text.ljust(width)
    if width < 1:
        return ""
    cells = end = 0
    for place, character in enumerate(text):
        cells += max(wcwidth(character), 0)
        if cells <= width - 1:
            end = place + 1
        elif cells > width:
            text = f"{text[:end]}…"
            break
    space = " " * (width - width_of(text))
    return space + text if right else text + space


def width_of(text: str) -> int:
    """Cells on the screen."""
    return len(text) if text.isascii() else sum(max(wcwidth(character), 0) for character in text)


def wrapped(text: str, width: int, most: int) -> list[str]:
    """The lines of a text, visible and broken between words, at most so many; the last one says if there are more."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += _broken(_counted_alike(visible(paragraph[:_LONGEST].expandtabs(4)).rstrip()), max(width, 2))
        if len(lines) > most:
            lines[most - 1 :] = [fit(f"{lines[most - 1]} …", width).rstrip()] if most else []
            break
    return lines[: max(most, 0)]


def _broken(line: str, width: int) -> list[str]:
    lines: list[str] = []
    begin = cells = 0
    space = -1
    for place, character in enumerate(line):
        cells += max(wcwidth(character), 0)
        if cells > width:
            end = space if space > begin else place
            lines.append(line[begin:end].rstrip())
            begin = end + 1 if end == space else end
            space = -1
            cells = width_of(line[begin : place + 1])
        if character == " ":
            space = place
    return [*lines, line[begin:]]


def _counted_alike(line: str) -> str:
    return _JOINTS.sub("", line).translate(_LETTERS)
