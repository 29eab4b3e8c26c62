"""Columns on a terminal: each as wide as what is in it, one that gives way, and some that are left out where there is no room."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agentcli.ui.stdout import columns, dim

__all__ = ["fit", "table", "width_of"]

_GAP = 2


def table(rows: Sequence[Sequence[str]], *, gives: int, least: int, drop: Sequence[int] = (), right: Collection[int] = ()) -> str:
    """The rows, of which the first are the heads.

    The column `gives` is made narrower where the terminal is. If that left it less than `least`, the columns of `drop` go, in that
    order. Those of `right` are numbers.
    """
    kept = list(range(len(rows[0])))
    widths = [max(width_of(row[column]) for row in rows) for column in kept]
    leaving = list(drop)
    while True:
        room = columns() - sum(widths[column] + _GAP for column in kept if column != gives)
        if room >= min(widths[gives], least) or not leaving:
            break
        kept.remove(leaving.pop(0))
    widths[gives] = max(8, min(widths[gives], room))
    lines = [_GAP_TEXT.join(fit(row[column], widths[column], right=column in right) for column in kept).rstrip() for row in rows]
    return "\n".join([dim(lines[0]), *lines[1:]]) + "\n"


_GAP_TEXT = " " * _GAP


def width_of(text: str) -> int:
    """Cells on the screen."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly so many cells."""
    if (cells := width_of(text)) <= width:
        space = " " * (width - cells)
        return space + text if right else text + space
    while text and width_of(text) > width - 1:
        text = text[: min(len(text) - 1, width - 1)]
    return fit(f"{text}…", width, right=right)
