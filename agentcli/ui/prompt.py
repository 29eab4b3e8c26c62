"""The prompt of the chat: prompt-toolkit's, with our keys.

Enter sends, Alt-Enter and Ctrl-J are a new line, a paste never sends. Ctrl-C clears the line, and says how to leave if there is none.
History is kept across runs in a file that nobody else may read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentcli.core.message import speakable
from agentcli.ui.talk import say
from agentcli.ui.terminal import typed_early

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

__all__ = ["make", "read"]


async def read(prompt: PromptSession[str], on_ready: Callable[[], None]) -> str | None:
    """What the person typed; None if they leave."""
    while True:
        say("")
        on_ready()  # a Ctrl-C that came before this is done with
        try:
            return speakable(await prompt.prompt_async(handle_sigint=False))
        except KeyboardInterrupt:
            if not prompt.default_buffer.text:
                say("Ctrl-D or /quit leaves.", dim=True)
        except EOFError:
            return None


def make(
    history: Path | None,
    commands: dict[str, str],
    on_send: Callable[[], None] = lambda: None,
    words: Mapping[str, Callable[[], list[str]]] = {},
) -> PromptSession[str]:
    """The prompt. Tab completes `commands`, which come with their help, and behind a beginning in `words` what that gives. Without a
    file the history is that of this run."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus
    from prompt_toolkit.formatted_text import ANSI
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.layout.processors import TabsProcessor

    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)  # while Ctrl-R searches, the same keys belong to the search

    @keys.add("enter", filter=typing)
    def send(event: KeyPressEvent) -> None:
        on_send()  # the terminal is raw: a Ctrl-C from now on is a signal, and means this line
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing)
    @keys.add("c-j", filter=typing)
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-x", "c-e", filter=typing)
    def edit(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor(validate_and_handle=False)

    @keys.add("c-c", filter=typing)
    def clear_or_say(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    prompt: PromptSession[str] = PromptSession(
        ANSI("\x1b[1;36m> \x1b[0m"),
        multiline=True,
        prompt_continuation="  ",
        key_bindings=keys,
        history=_history(history),
        completer=_completer(commands, words),
        complete_while_typing=False,
        enable_suspend=True,
        input_processors=[TabsProcessor(tabstop=4, char1=" ", char2=" ")],
        tempfile_suffix=".md",
    )
    if early := typed_early():
        from prompt_toolkit.input.typeahead import store_typeahead
        from prompt_toolkit.input.vt100_parser import Vt100Parser
        from prompt_toolkit.key_binding.key_processor import KeyPress

        typed: list[KeyPress] = []
        Vt100Parser(typed.append).feed(early)
        store_typeahead(prompt.app.input, typed)
    return prompt


def _completer(commands: dict[str, str], words: Mapping[str, Callable[[], list[str]]]) -> Any:
    from collections.abc import Iterator

    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class Commands(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            line = document.text_before_cursor
            for beginning, offered in words.items():
                if line.startswith(beginning):
                    typed = line[len(beginning) :]
                    yield from (Completion(word, -len(typed)) for word in offered() if word.startswith(typed))
            for name, text in commands.items():
                if name.startswith(line):
                    yield Completion(name, -len(line), display_meta=text)

    return Commands()


def _history(path: Path | None) -> Any:
    """What was typed in earlier runs, readable by nobody else; kept in memory only where it cannot be written."""
    import os

    from prompt_toolkit.history import FileHistory, InMemoryHistory

    from agentcli.store.disk import create_folder

    class Kept(FileHistory):
        def store_string(self, string: str) -> None:
            with suppress(OSError):  # a full disk is no reason to end the chat
                super().store_string(speakable(string))

    if path:
        with suppress(OSError):
            create_folder(path.parent)
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            return Kept(str(path))
    return InMemoryHistory()
