"""The prompt of the chat: prompt-toolkit's, with our keys and our rows above it.

One prompt stands for as long as the chat does. Its keys do not end it: what they mean goes to whoever owns it (`Owner`; that is
`live.Live`), and the prompt stays. Above the input line there are rows that the owner draws: what is unfinished of an answer, what
waits to be sent, the status line.

Enter sends, Alt-Enter and Ctrl-J are a new line, a paste never sends. History is kept across runs in a file that nobody else may read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agentcli.core.message import speakable
from agentcli.ui.draft import in_sight
from agentcli.ui.terminal import typed_early

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.output import Output

    from agentcli.ui.paste import Folds

__all__ = ["Owner", "furnish", "kept", "make"]

_ESCAPE = 0.1  # seconds after which an Escape is one, and not the beginning of what a key sends
_ALT = 0.4  # seconds within which what follows it is meant to be pressed with Alt
_ACTIONS = ("send", "send-now", "new-line", "stop", "leave", "editor", "add-time", "suspend", "take-back")


class Owner(Protocol):
    """Whose prompt it is: what it shows, and what becomes of what is typed."""

    def mark(self) -> StyleAndTextTuples:
        """What stands before the input."""
        ...

    def rows(self) -> StyleAndTextTuples:
        """What stands above it, row by row."""
        ...

    def has_rows(self) -> bool: ...

    def is_asking(self) -> bool:
        """Is what is typed an answer to a question, and not a message?"""
        ...

    def can_take_back(self) -> bool: ...

    def press(self, action: str) -> None:
        """A key of one of the actions was pressed."""
        ...


def make(
    owner: Owner,
    output: Output | None,
    *,
    history: Path | None,
    keys: Mapping[str, Sequence[tuple[str, ...]]],
    vi: bool = False,
) -> PromptSession[None]:
    """The prompt. Without a file the history is that of this run."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.cursor_shapes import ModalCursorShapeConfig
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.layout.containers import ConditionalContainer, HSplit, Window
    from prompt_toolkit.layout.controls import FormattedTextControl
    from prompt_toolkit.layout.processors import TabsProcessor

    prompt: PromptSession[None] = PromptSession(
        owner.mark,
        multiline=True,
        prompt_continuation="  ",
        key_bindings=_bindings(owner, keys, vi=vi),
        history=kept(history),
        complete_while_typing=False,
        vi_mode=vi,
        cursor=ModalCursorShapeConfig() if vi else None,
        input_processors=[TabsProcessor(tabstop=4, char1=" ", char2=" ", style=""), in_sight()],
        erase_when_done=True,
        tempfile_suffix=".md",
        output=output,
    )
    prompt.app.ttimeoutlen, prompt.app.timeoutlen = _ESCAPE, _ALT
    if sys.platform != "win32":
        prompt.app.terminal_size_polling_interval = None  # a signal tells when the window changes
    root = prompt.layout.container
    assert isinstance(root, HSplit)
    rows = Window(FormattedTextControl(owner.rows, show_cursor=False), dont_extend_height=True)
    root.children.insert(0, ConditionalContainer(rows, Condition(owner.has_rows)))
    _feed_early(prompt)
    return prompt


def furnish(
    prompt: PromptSession[None],
    folds: Folds,
    completer: Completer | None,
    *,
    note: Callable[[str], None],
    keys: Sequence[tuple[str, ...]],
) -> None:
    """What a prompt needs once it is on the screen: folded pastes, with the keys that open them, and completion."""
    from prompt_toolkit.key_binding import merge_key_bindings
    from prompt_toolkit.layout.controls import SearchBufferControl
    from prompt_toolkit.styles import Style

    from agentcli.ui import paste
    from agentcli.ui.binding import spoken

    assert prompt.input_processors is not None
    assert prompt.key_bindings is not None
    prompt.input_processors.insert(-1, paste.marks(folds))
    for control in prompt.layout.find_all_controls():
        if isinstance(control, SearchBufferControl) and control.input_processors is not None:
            control.input_processors.append(in_sight())
    key = spoken(keys[0]) if keys else "an editor"
    prompt.key_bindings = merge_key_bindings([prompt.key_bindings, paste.bindings(folds, note, keys, key)])
    prompt.completer = completer
    prompt.style = Style.from_dict(
        {
            "pasted": "reverse",
            "mention": "underline",
            "completion-menu": "noinherit",
            "completion-menu.completion": "noinherit bold",
            "completion-menu.completion.current": "noinherit bold reverse",
            "completion-menu.meta.completion": "noinherit",
            "completion-menu.meta.completion.current": "noinherit reverse",
            "scrollbar.background": "noinherit",
            "scrollbar.button": "noinherit reverse",
        }
    )


def _bindings(owner: Owner, keys: Mapping[str, Sequence[tuple[str, ...]]], *, vi: bool) -> KeyBindings:
    """The keys of all actions. While Ctrl-R searches, the same keys belong to the search. For vi Escape is a key of its own: what is
    pressed behind it is no Alt."""
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import Condition, has_focus
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.key_binding.bindings.named_commands import get_by_name
    from prompt_toolkit.key_binding.bindings.search import start_reverse_incremental_search

    from agentcli.ui.binding import ACTIONS, key_names

    found = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)
    talking = typing & Condition(lambda: not owner.is_asking())
    ready: dict[str, Callable[[KeyPressEvent], object]] = {
        "history-back": lambda event: event.current_buffer.auto_up(count=event.arg),
        "history-forward": lambda event: event.current_buffer.auto_down(count=event.arg),
        "search": start_reverse_incremental_search.call,
        "complete": get_by_name("menu-complete").call,
        "redraw": lambda event: event.app.renderer.clear(),
    }
    any_time = dict.fromkeys(("stop", "leave", "send", "new-line", "add-time", "redraw", "suspend"), typing)
    filters = any_time | {"take-back": typing & Condition(owner.can_take_back)}

    def bind(action: str, sequence: tuple[str, ...]) -> None:
        if vi and sequence[0] == "escape":
            return

        @found.add(*sequence, filter=filters.get(action, talking))
        def pressed(event: KeyPressEvent) -> None:
            if action in ready:
                ready[action](event)
            else:
                owner.press(action)

    found.add("escape", "/", filter=typing)(lambda event: event.current_buffer.insert_text("/"))  # a command, after all
    taken = {sequence for sequences in keys.values() for sequence in sequences}
    for action in ACTIONS:
        if action == "open-paste":  # `furnish`
            continue
        for free in {key_names(text) for text in ACTIONS[action].keys} - taken:  # not what prompt-toolkit has it for
            found.add(*free, filter=typing)(lambda event: None)
    for action in (*ready, *_ACTIONS):  # of two that are live at once the later one counts: what waits is taken back first
        for sequence in keys.get(action, ()):
            bind(action, sequence)
    return found


def _feed_early(prompt: PromptSession[None]) -> None:
    """What was typed before there was a prompt."""
    if early := typed_early():
        from prompt_toolkit.input.typeahead import store_typeahead
        from prompt_toolkit.input.vt100_parser import Vt100Parser
        from prompt_toolkit.key_binding.key_processor import KeyPress

        typed: list[KeyPress] = []
        Vt100Parser(typed.append).feed(early)
        store_typeahead(prompt.app.input, typed)


def kept(path: Path | None) -> Any:
    """What was typed in earlier runs, readable by nobody else; kept in memory only where it cannot be written."""
    import os

    from prompt_toolkit.history import FileHistory, InMemoryHistory

    from agentcli.store.disk import create_folder

    class Kept(FileHistory):
        def store_string(self, string: str) -> None:
            from agentcli.ui.paste import kept

            with suppress(OSError):  # a full disk is no reason to end the chat
                super().store_string(speakable(kept(string)))

    if path:
        with suppress(OSError):
            create_folder(path.parent)
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            return Kept(str(path))
    return InMemoryHistory()
