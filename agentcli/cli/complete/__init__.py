"""What the shell offers when Tab is pressed.

A shell runs a small script of ours (`agentcli.bash`, `.zsh`, `.fish`, `.ps1`, beside this file; `install` puts them where the shell
finds them), and the script runs the program with `_AGENTCLI_COMPLETE` set to the shell's name and the words up to the cursor as
arguments. `__main__` comes here with that before anything else. What is printed is for the script alone:

    words                       or: unspaced, found, files; then what of the word the files begin behind (--file=)
    anthropic/claude-sonnet-5   the whole word, and what stands beside it, in the form that shell needs

`unspaced`: no space behind the word, it goes on. `found`: the words do not begin with what was typed; it was found in a title.
`files`: the shell's own names of files.

What can be said comes from the Typer app itself (`place`); what can stand for a value is in `table`. Nothing here asks a server or
writes a file. Whatever is wrong, and be it that the answer is late, nothing is said: a shell would show an error in the middle of the
line. A word in which a shell would read more than a word is not offered: a name may come from any server, and what Tab puts on a
command line is run by Enter. What stands beside a word is one visible line, and the scripts never evaluate it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

__all__ = ["SHELLS", "Asked", "Offer", "Word", "answer"]

VARIABLE = "_AGENTCLI_COMPLETE"
PATIENCE = 3.0  # seconds
WIDTH = 100  # columns of what stands beside a word

_WORD = re.compile(r"(--?)?[A-Za-z0-9][A-Za-z0-9._:/@+=-]*|-")  # nothing in it means anything to a shell


class Word(NamedTuple):
    """A word that can stand at the cursor, and what it is. `found`: by something else than its beginning."""

    text: str
    about: str = ""
    found: bool = False


class Asked(NamedTuple):
    """What was typed of a value, the arguments before it, and the options that were said, by their longest names."""

    typed: str
    arguments: list[str] = []
    options: dict[str, list[str]] = {}


class Offer(NamedTuple):
    """All that can stand there. `prefix`: what of the word stays as it is, such as `--model=`."""

    words: list[Word] = []
    prefix: str = ""
    files: bool = False


class _Line(NamedTuple):
    words: list[str]  # without the program's name
    last: str  # what was typed of the word at the cursor
    replaced: str | None = None  # bash: what of it is replaced


def answer() -> None:
    """Tell the shell what can be typed, and end."""
    said = ""
    with suppress(Exception):
        _bound()
        shell = SHELLS[os.environ[VARIABLE]]
        line = shell.read()
        from agentcli.cli.complete.place import offer

        said = _text(shell.write, line, offer(line.words, line.last))
    with suppress(Exception):
        sys.stdout.buffer.write(said.encode(errors="replace"))
        sys.stdout.flush()
    os._exit(0)  # there is nothing to tidy up, and nobody to be told that the pipe is closed


def _bound() -> None:
    """Now or never: a folder on a server that is away must not hang the shell. And Ctrl-C is quiet."""
    import gc
    import signal

    gc.disable()
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)


def _text(write: Callable[[_Line, list[Word]], list[str]], line: _Line, offer: Offer) -> str:
    if offer.files:
        return f"files {offer.prefix}\n"
    words = [Word(offer.prefix + text, _harmless(about), found) for text, about, found in offer.words if _WORD.fullmatch(text)]
    how = "found" if any(word.found for word in words) else "unspaced" if any(word.text[-1:] in "=./" for word in words) else "words"
    return "\n".join([how, *write(line, words)]) + "\n"


def _harmless(about: str) -> str:
    if len(about) <= WIDTH and about.isascii() and about.isprintable():
        return about
    from agentcli.ui.sanitise import one_line

    return one_line(about, WIDTH)


def _typed_as_arguments() -> _Line:
    words = sys.argv[1:]
    return _Line(words[:-1], _unquoted(words[-1]))


def _typed_in_bash() -> _Line:
    from agentcli.cli.complete.line import split

    words, last = split(sys.argv[1])
    return _Line(words[1:], last, sys.argv[2])


def _typed_in_powershell() -> _Line:
    """It loses empty arguments and quotes, so it sets a variable. That may not be empty either: the program's name is in it, too."""
    words = os.environ["_AGENTCLI_WORDS"].split("\n")
    return _Line(words[1:-1], _unquoted(words[-1]))


def _unquoted(word: str) -> str:
    return word[1:] if word[:1] in ("'", '"') else word


def _for_bash(line: _Line, words: list[Word]) -> list[str]:
    """The part of each word that is replaced. Of several that are shown, each with what it is: bash inserts no more than what all of
    them begin with, unless Tab goes through them (COMP_TYPE is % or *)."""
    if line.replaced is not None and line.last.endswith(line.replaced):
        stays = len(line.last) - len(line.replaced)
        words = [word._replace(text=word.text[stays:]) for word in words]
    texts = [word.text for word in words]
    same = os.path.commonprefix(texts)  # noqa: RUF071  (of words, not of paths)
    if len(words) > 1 and any(word.found for word in words) and 0 < len(same) < len(line.last):
        return []  # what they have in common would replace what was typed
    if len(words) == 1 or os.environ.get("COMP_TYPE") in ("37", "42"):
        return texts
    return _beside(words, 2)


def _for_zsh(_: _Line, words: list[Word]) -> list[str]:
    return [f"{word.text}\t{shown}" for word, shown in zip(words, _beside(words, 1), strict=True)]


def _with_tab(_: _Line, words: list[Word]) -> list[str]:
    return [f"{word.text}\t{word.about}" if word.about else word.text for word in words]


def _beside(words: list[Word], margin: int) -> list[str]:
    """Each word with what it is beside it, not wider than the terminal."""
    if not any(word.about for word in words):
        return [word.text for word in words]
    from agentcli.ui.sanitise import one_line

    columns = os.environ.get("COLUMNS", "")
    width = max(20, int(columns) if columns.isdecimal() and columns.isascii() else 80) - margin
    widest = min(max(len(word.text) for word in words if word.about), 28)
    return [
        f"{word.text:{widest}}  {one_line(word.about, max(8, width - 2 - max(widest, len(word.text))))}" if word.about else word.text
        for word in words
    ]


class _Shell(NamedTuple):
    read: Callable[[], _Line]
    write: Callable[[_Line, list[Word]], list[str]]


SHELLS = {
    "bash": _Shell(_typed_in_bash, _for_bash),
    "zsh": _Shell(_typed_as_arguments, _for_zsh),
    "fish": _Shell(_typed_as_arguments, _with_tab),
    "powershell": _Shell(_typed_in_powershell, _with_tab),
}
