"""How what is typed looks on the input line: what would act on a terminal, or hide there, is seen.

A paste may hold anything, and so may a text from the history. It is sent as it is; on the screen every code point that `sanitise` does
not let through is shown by its stand-in, which may be longer. So the cursor has two places, one in the text and one on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agentcli.ui.sanitise import SUSPECT, visible

if TYPE_CHECKING:
    from prompt_toolkit.layout.processors import Processor

__all__ = ["both_ways", "in_sight"]


def in_sight() -> Processor:
    """Shows stand-ins. It comes last, behind whatever else changes what is shown."""
    from prompt_toolkit.formatted_text.utils import fragment_list_to_text
    from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

    class InSight(Processor):
        """See above."""

        def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
            fragments = transformation_input.fragments
            line = fragment_list_to_text(fragments)
            if line.isascii() and line.isprintable():
                return Transformation(fragments)
            longer = [(found.start(), len(visible(found[0])) - 1) for found in SUSPECT.finditer(line)]
            if not longer:
                return Transformation(fragments)
            shown = [(style, visible(text), *rest) for style, text, *rest in fragments]
            return Transformation(shown, *both_ways(longer))  # type: ignore[arg-type]

    return InSight()


def both_ways(longer: Sequence[tuple[int, int]]) -> tuple[Callable[[int], int], Callable[[int], int]]:
    """From a place in the text to the one on the screen, and back. `longer` are the characters that are shown so: where, and by how
    much."""

    def to_display(at: int) -> int:
        return at + sum(more for start, more in longer if start < at)

    def to_source(at: int) -> int:
        before = 0
        for start, more in longer:
            if at <= start + before:
                break
            if at <= start + before + more:
                return start
            before += more
        return at - before

    return to_display, to_source
