"""Where the cursor is: in the name of a command, of an option, in the value of one, in an argument.

The commands and their options are those of the Typer app, read as Click would, except that nothing is wrong: a word that is not known
is passed over, and a line without a command is `chat`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from agentcli.cli import COMMANDS, app, with_command
from agentcli.cli.complete import SHELLS, Asked, Offer, Word
from agentcli.cli.complete.table import ARGUMENTS, OPTIONS, Completer
from agentcli.cli.complete.word import files, tools

__all__ = ["offer"]


def offer(words: list[str], last: str) -> Offer:
    """What can stand at the cursor, which is at the end of `last`; `words` are those before it."""
    root = typer.main.get_command(app)
    at = _Cursor(root)
    for word in with_command(words) if words else ():
        at.take(word)
    if at.lost:
        return Offer()
    if at.waits:
        return at.value(at.waits, last)
    if at.ended or not last.startswith("-"):
        return at.argument(last)
    if at.command is root:  # also what may stand there because `chat` is left out
        chat = _Cursor(root)
        chat.take("chat")
        own, chats = at.option(last), chat.option(last)
        return chats if chats.prefix or chats.files else Offer(list(dict.fromkeys([*chats.words, *own.words])))
    return at.option(last)


class _Cursor:
    """What the words before the cursor have said."""

    def __init__(self, root: Any) -> None:
        self.command = root
        self.path: list[str] = []
        self.arguments: list[str] = []
        self.said: dict[str, list[str]] = {}
        self.waits: Any = None  # the option whose value comes next
        self.ended = False  # there was a `--`
        self.lost = False  # there was a command that is none

    def take(self, word: str) -> None:
        """Go one word on."""
        if self.waits:
            self._say(self.waits, word)
            self.waits = None
        elif self.ended or not word.startswith("-") or word == "-":
            self._take_argument(word)
        elif word == "--":
            self.ended = True
        else:
            option, _, value = self._option_in(word)
            if option and takes_value(option) and value is None:
                self.waits = option
            elif option:
                self._say(option, value or "")

    def value(self, option: Any, typed: str, prefix: str = "") -> Offer:
        """What can be the value of an option."""
        return self._offered(OPTIONS.get(name_of(option)), option, typed, prefix)

    def argument(self, typed: str) -> Offer:
        """What can stand as an argument: where there are commands, their names."""
        if self.said.keys() & {"--install-completion", "--show-completion"}:
            return Offer([Word(shell) for shell in SHELLS if shell.startswith(typed)])
        if hasattr(self.command, "get_command"):
            return Offer([word for word in _commands(self.command, first=not self.path) if word.text.startswith(typed)])
        wanted = [param for param in self.command.params if param.param_type_name == "argument"]
        at = min(len(self.arguments), len(wanted) - 1)
        if at < 0 or (len(self.arguments) > at and wanted[at].nargs != -1):
            return Offer()
        completers = ARGUMENTS.get(" ".join(self.path), ())
        return self._offered(completers[at] if at < len(completers) else None, wanted[at], typed, "")

    def option(self, typed: str) -> Offer:
        """The names of options; the values of one that is named in the same word, as in `--model=op` and `-mop`."""
        option, name, value = self._option_in(typed)
        if option and value is not None and takes_value(option):
            return self.value(option, value, name)
        return Offer([word for word in self._options(typed) if word.text.startswith(typed)])

    def _offered(self, completer: Completer | None, param: Any, typed: str, prefix: str) -> Offer:
        if completer is files:
            return Offer(files=True, prefix=prefix)
        if completer is None:
            words = [Word(choice) for choice in choices(param)]
        else:
            words = list(completer(Asked(typed, self.arguments, self.said)))
        fitting = [word for word in dict.fromkeys(words) if word.found or word.text.startswith(typed)]
        return Offer(fitting, prefix, files=completer is tools and not fitting)  # a tool may be a function in a file

    def _take_argument(self, word: str) -> None:
        if not hasattr(self.command, "get_command"):
            self.arguments.append(word)
        elif found := self.command.get_command(None, word):
            self.command, self.said = found, {}
            self.path.append(word)
        else:
            self.lost = True

    def _say(self, option: Any, value: str) -> None:
        self.said.setdefault(name_of(option), []).append(value)

    def _option_in(self, word: str) -> tuple[Any, str, str | None]:
        """The option that a word names, its name as it stands there, with `=`, and the value behind it, if there is one."""
        known = {name: param for param in self._own_options() for name in [*param.opts, *param.secondary_opts]}
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            return known.get(name), name + equals, value if equals else None
        for at in range(1, len(word)):  # several in one, the last of which may have a value
            option = known.get(f"-{word[at]}")
            if option is None or takes_value(option) or at == len(word) - 1:
                return option, word[: at + 1], word[at + 1 :] or None
        return None, word, None

    def _own_options(self) -> list[Any]:
        return [param for param in self.command.params if param.param_type_name == "option"]

    def _options(self, typed: str) -> Iterator[Word]:
        """Those that can still be said. A short name only where there is no other, or where it was typed."""
        for option in self._own_options():
            if option.hidden or (name_of(option) in self.said and not option.multiple):
                continue
            names = [*option.opts, *option.secondary_opts]
            long = [name for name in names if name.startswith("--")]
            for name in long if typed not in names and long else names:
                yield Word(name, first_sentence(option.help))
        if "--help" not in self.said:
            yield Word("--help", "Show what it can do")


def _commands(group: Any, *, first: bool) -> Iterator[Word]:
    if first:  # nothing of them is imported for their names
        yield from (Word(name, first_sentence(about)) for name, (_, about) in COMMANDS.items())
        return
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if not command.hidden:
            yield Word(name, first_sentence(command.help))


def name_of(option: Any) -> str:
    """Its longest name: by that it is in the table."""
    name: str = max(option.opts, key=len)
    return name


def takes_value(option: Any) -> bool:
    return not (option.is_flag or option.count)


def choices(param: Any) -> list[str]:
    """What the help says in its place where that is a list: `md|json|html`."""
    said = (param.metavar or "").split("|")
    return said if len(said) > 1 and all(choice.islower() for choice in said) else []


def first_sentence(text: str | None) -> str:
    line = " ".join((text or "").split("\n\n")[0].split())
    return line.partition(". ")[0].removesuffix(".")
