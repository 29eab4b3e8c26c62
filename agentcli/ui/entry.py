"""The input line of a live prompt: what is typed on it, taken off it and put back onto it.

Long pastes are folded (`paste`): the line shows a label, and what is taken off it is whole. The history keeps what was sent, and also
a draft that never was. What need not be there before the prompt is on the screen comes with `furnish`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agentcli.core.message import speakable
from agentcli.ui import prompt as prompts
from agentcli.ui.screen import Sent

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.document import Document

    from agentcli.ui.complete import Words
    from agentcli.ui.paste import Folds

__all__ = ["Entry"]

_LONG = 10_000  # characters; of a longer text nobody counts the rows


class Entry:
    """The input line of a prompt."""

    def __init__(self, prompt: PromptSession[None]) -> None:
        self._prompt = prompt
        self._buffer = prompt.default_buffer
        self._folds: Folds | None = None

    @property
    def empty(self) -> bool:
        return not self._buffer.text

    @property
    def completing(self) -> bool:
        """Is there a menu under it?"""
        return self._buffer.complete_state is not None

    def rows(self, columns: int, most: int) -> int:
        """How many rows it takes, up to so many."""
        text = self._buffer.text
        return most if len(text) > _LONG else min(sum(1 + (len(line) + 2) // columns for line in text.split("\n")), most)

    def whole(self) -> str:
        """What is on it, with all that was pasted."""
        return self._folds.whole(self._buffer.text) if self._folds else self._buffer.text

    def take(self, *, at_once: bool) -> Sent | None:
        """What is on it, to be sent; None if that is nothing. The history keeps it."""
        text = self._buffer.text
        if not text.strip():
            self._buffer.reset()
            return None
        whole, shown = self.whole(), self._folds.shown(text) if self._folds else text
        self.keep()
        self._buffer.reset()
        if self._folds:
            self._folds.forget()
        return Sent(speakable(whole), at_once, shown if shown != whole else "")

    def keep(self) -> None:
        """What is on it is in the history from now on."""
        if self._buffer.text:
            self._prompt.history.append_string(self.whole())

    def put_back(self, text: str) -> None:
        """Put a text before what is on it."""
        from prompt_toolkit.document import Document

        text = self._folds.again(text) if self._folds else text
        self._buffer.document = Document(f"{text}\n{self._buffer.text}" if self._buffer.text else text)

    def lend(self) -> Document:
        """Empty it for something else; what was on it is what `give_back` wants."""
        draft = self._buffer.document
        self._buffer.reset()
        return draft

    def give_back(self, draft: Document) -> None:
        self._buffer.reset(draft)

    def clear(self) -> None:
        self._buffer.reset()

    def delete(self) -> None:
        """The character under the cursor."""
        self._buffer.delete()

    def new_line(self) -> None:
        self._buffer.insert_text("\n")

    def edit(self) -> None:
        """Open what is on it in an editor."""
        if self._folds:
            from agentcli.ui import paste
            from agentcli.ui.edit import editor

            editor()  # an error if there is none; without, another one would be taken, silently
            paste.in_editor(self._buffer, self._folds)

    def furnish(
        self,
        offers: tuple[Callable[[], Mapping[str, str]], Words] | None,
        *,
        note: Callable[[str], None],
        open_keys: Sequence[tuple[str, ...]],
    ) -> None:
        """Fold pastes from now on, with these keys to open them, and complete what there is to offer."""
        from agentcli.ui import paste
        from agentcli.ui.complete import completer

        self._folds = paste.Folds()
        paste.quick_pastes(self._prompt.app.input)
        paste.fold_recalled(self._buffer, self._folds)
        prompts.furnish(self._prompt, self._folds, completer(*offers) if offers else None, note=note, keys=open_keys)
