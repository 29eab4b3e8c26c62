"""A small program with a prompt, to try pastes and completion on a terminal: `python -m tests.ui.prompting`.

What is sent is written as a line of JSON into the file that is named, with what it mentions; an empty line ends it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.styles import Style

from agentcli.ui.attach.mention import mentioned
from agentcli.ui.complete import completer, files
from agentcli.ui.paste import Folds, bindings, fold_recalled, in_editor, marks, quick_pastes


def main(out: Path, as_typed: bool) -> None:
    folds = Folds()
    notes: list[str] = []
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("c-x", "c-e")
    def edit(event: KeyPressEvent) -> None:
        in_editor(event.current_buffer, folds)

    class History(InMemoryHistory):
        def append_string(self, string: str) -> None:
            super().append_string(folds.whole(string))

    prompt: PromptSession[str] = PromptSession(
        "> ",
        multiline=True,
        key_bindings=merge_key_bindings([keys, bindings(folds, notes.append)]),
        input_processors=[marks(folds)],
        style=Style.from_dict({"pasted": "reverse", "mention": "underline"}),
        history=History(),
        complete_while_typing=as_typed,
        completer=completer(
            lambda: {"/model": "which model answers", "/fork": "a copy", "/file": "attach", "/quit": "leave"},
            {
                "/model": lambda typed: [("openai/gpt-5.4", "400k"), ("openai/gpt-4o", ""), ("local/smollm2", "small")],
                "/retry -m": lambda typed: [("openai/gpt-5.4", "")],
                "/resume": lambda typed: [("k7m29xqd", "Photosynthesis"), ("k8aaaaaa", "Taxes")],
                "/file": files,
            },
        ),
    )
    quick_pastes(prompt.app.input)
    fold_recalled(prompt.default_buffer, folds)
    with out.open("a", encoding="utf-8") as file:
        while text := prompt.prompt():
            said = {"text": folds.whole(text), "mentions": mentioned(folds.typed(text)), "notes": notes[:]}
            print(json.dumps(said), file=file, flush=True)
            print(f"sent {len(said['text'])}")
            folds.forget()


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--as-typed" in sys.argv)
