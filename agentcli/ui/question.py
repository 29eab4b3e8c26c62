"""A question to the person at a live prompt, which is not answered by accident.

The question can be seen at once, but what is typed goes on to be the draft until no key has been pressed for a moment. Only then does
the input line become the answer's; the draft comes back as soon as there is one, so that what is typed right behind it is not lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from agentcli.ui.entry import Entry

if TYPE_CHECKING:
    from prompt_toolkit.document import Document

__all__ = ["QUIET", "Question"]

_LOOK = 0.1  # seconds
QUIET = 0.5  # seconds without a key before the input line belongs to a question


class Question:
    """The question that is asked now, if there is one. `draw` is called when something changed; does the prompt `stand`?"""

    def __init__(self, entry: Entry, draw: Callable[[], None], stands: Callable[[], bool]) -> None:
        self.text = ""  # what is asked; empty for nothing
        self._entry = entry
        self._draw = draw
        self._stands = stands
        self._one = asyncio.Lock()  # at a time
        self._answer: asyncio.Future[str] | None = None
        self._draft: Document | None = None
        self._pressed = 0.0  # when the last key was
        self._over = False

    @property
    def has_line(self) -> bool:
        """Does the input line belong to it?"""
        return self._answer is not None and not self._answer.done()

    async def ask(self, text: str, told: Callable[[str], None]) -> str:
        """The answer; empty if nobody is there to give one. `told` gets it, whatever comes of it."""
        async with self._one:
            self.text, answer = text, ""
            self._draw()
            try:
                await self._until_quiet()
                if not self._over:
                    self._draft = self._entry.lend()
                    self._answer = asyncio.get_running_loop().create_future()
                    self._draw()
                    answer = await self._answer
            finally:
                told(answer)
                self._go_on_with_draft()  # if it was not answered
                self._answer, self.text = None, ""
                self._draw()
            return answer

    def give(self, answer: str) -> None:
        """Answer it."""
        if self._answer and not self._answer.done():
            self._answer.set_result(answer)
            self._go_on_with_draft()

    def key(self) -> None:
        """A key was pressed."""
        self._pressed = monotonic()

    def end(self) -> None:
        """Nobody answers any more."""
        self._over = True
        self.give("")

    def _go_on_with_draft(self) -> None:
        if self._draft:
            self._entry.give_back(self._draft)
            self._draft = None

    async def _until_quiet(self) -> None:
        """Until what is typed may be meant for the question that can be seen now."""
        asked = monotonic()
        while not self._over:
            if not self._stands():  # an editor has the terminal, and the draft
                self._pressed = monotonic()
            left = max(asked, self._pressed) + QUIET - monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, _LOOK))
