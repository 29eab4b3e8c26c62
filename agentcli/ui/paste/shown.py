"""What is folded, and what is mentioned, as they look on the input line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentcli.ui.attach.mention import found_in
from agentcli.ui.draft import both_ways
from agentcli.ui.paste.fold import CHARACTERS, MARK, Folds

if TYPE_CHECKING:
    from prompt_toolkit.layout.processors import Processor

__all__ = ["marks"]


def marks(folds: Folds) -> Processor:
    """Shows what is folded by its label (`class:pasted`), and mentions of files in a style of their own (`class:mention`)."""
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.formatted_text.utils import fragment_list_to_text
    from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

    seen = _Seen()

    class Marks(Processor):
        """See above."""

        def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
            fragments = transformation_input.fragments
            line = fragment_list_to_text(fragments)
            spots = sorted([*_folded(line), *(seen.mentions(folds.typed(line)) if "@" in line else ())])
            if not spots:
                return Transformation(fragments)
            shown: StyleAndTextTuples = []
            at = 0
            for style, text, *rest in fragments:
                for start, end, of in _cut(at, at + len(text), spots):
                    piece, name = text[start - at : end - at], f"{style} class:{of}" if of else style
                    shown.append((name, folds.label(piece) if of == "pasted" else piece, *rest))  # type: ignore[arg-type]
                at += len(text)
            longer = [(mark.start(), len(folds.label(mark[0])) - 1) for mark in MARK.finditer(line)]
            return Transformation(shown, *both_ways(longer))

    def _folded(line: str) -> Iterator[tuple[int, int, str]]:
        for mark in MARK.finditer(line):
            if folds.has(mark[0]):
                yield mark.start(), mark.end(), "pasted"

    return Marks()


class _Seen:
    """The mentions of a line, looked up once while it stays the same: a line is drawn many times a second."""

    def __init__(self) -> None:
        self._of: dict[str, list[tuple[int, int, str]]] = {}

    def mentions(self, line: str) -> list[tuple[int, int, str]]:
        if len(line) > CHARACTERS:
            return []
        if line not in self._of:
            if len(self._of) >= 32:
                self._of.clear()
            self._of[line] = [(start, end, "mention") for start, end, _ in found_in(line)]
        return self._of[line]


def _cut(start: int, end: int, spots: list[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """The stretch in pieces: within spots and between them."""
    at = start
    for first, last, of in spots:
        if last <= at or first >= end:
            continue
        if first > at:
            yield at, first, ""
        yield max(first, at), min(last, end), of
        at = min(last, end)
    if at < end:
        yield at, end, ""
