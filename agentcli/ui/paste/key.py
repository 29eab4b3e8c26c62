"""The keys that have to do with pastes, and what comes back to the prompt: from the history, from an editor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from agentcli.core.message import speakable
from agentcli.ui.paste.dropped import mentions
from agentcli.ui.paste.fold import Folds, has_marks, is_long

if TYPE_CHECKING:
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyBindings

__all__ = ["bindings", "fold_recalled", "in_editor"]


def bindings(
    folds: Folds,
    on_note: Callable[[str], None] = lambda note: None,
    keys: Sequence[tuple[str, ...]] = (("c-o",),),
    key: str = "Ctrl-O",
) -> KeyBindings:
    """The keys for pastes: pasting, and opening what is folded (`keys`, in words `key`). What should be known is noted."""
    from prompt_toolkit.document import Document
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.keys import Keys

    found = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)
    told = False

    @found.add(Keys.BracketedPaste, filter=typing)
    def paste(event: KeyPressEvent) -> None:
        nonlocal told
        buffer, pasted = event.current_buffer, event.data
        before = buffer.document.text_before_cursor
        insert = folds.fold(pasted)
        if (named := mentions(before, pasted)) is not None:
            buffer.insert_text(insert)  # Undo brings back what was pasted
            buffer.save_to_undo_stack()
            buffer.delete_before_cursor(len(insert))
            insert = named
        elif not told and folds.has(insert):
            told = True
            on_note(f"{folds.shown(insert)}: it is sent whole; {key} opens it.")
        buffer.insert_text(insert)

    def open_fold(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if folds.is_too_long(buffer.text, buffer.cursor_position):
            on_note("This is too long for the prompt. It is sent whole; an editor can open it.")
            return
        text, cursor = folds.open(buffer.text, buffer.cursor_position)
        if text != buffer.text:
            folds.opened = text
            buffer.document = Document(text, cursor)

    for sequence in keys:  # also where nothing is folded: Ctrl-O alone would send the line
        found.add(*sequence, filter=typing)(open_fold)
    return found


def fold_recalled(buffer: Buffer, folds: Folds) -> None:
    """Fold what is long of that which the history gives back, and what has marks of its own, when it is shown."""
    from prompt_toolkit.document import Document

    def changed(_: Buffer) -> None:
        text = buffer.text
        if not (is_long(text) or has_marks(text)) or text == folds.opened:
            return
        back = len(buffer._working_lines) - buffer.working_index - 1
        if 0 < back <= len(said := buffer.history.get_strings()) and said[-back] == text:  # as it came
            buffer.document = Document(folds.again(text))

    buffer.on_text_changed += changed


def in_editor(buffer: Buffer, folds: Folds) -> None:
    """Open all of the text in an editor, and fold what comes back."""
    from prompt_toolkit.document import Document

    before = buffer.document
    buffer.document = Document(speakable(folds.whole(before.text)))

    def back(_: Any) -> None:
        text = folds.again(buffer.text)
        buffer.document = before if text == before.text else Document(text)

    buffer.open_in_editor().add_done_callback(back)
