"""What Tab offers at the prompt: commands, what may stand behind them, and files behind an `@`.

Behind a slash it is the commands, with their help. What may stand behind a command comes from a table: the beginning of a line
(`/model`, `/retry -m`, `/tools on`) -> a function that is given what was typed behind it and names words, each with a few words about
it. Of all these, those are offered that begin with what was typed; then those in which it occurs; then those of which it is said (a
thread by its title). Tab offers only the nearest kind, so that it can complete what they have in common.

Behind an `@`, anywhere in a text, it is files and folders: of the folder where one is, of `~`, of any other. Hidden ones are offered
once a dot was typed. A name with spaces is written in quotation marks. A name with control characters is not offered, since nobody
should send what cannot be seen; others are inserted as they are, and shown with what is invisible in them made visible.

A folder may hold a hundred thousand files. Looking through it ends after 20 ms, so that a key never waits; what is called exactly as
was typed is found anyway.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from heapq import nsmallest
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from agentcli.ui.attach.mention import BEGUN, written
from agentcli.ui.sanitise import one_line

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer

__all__ = ["Offers", "Words", "completer", "files"]

# Words that may be typed, and what is said about each.
Offers: TypeAlias = Iterable[tuple[str, str]]
# The beginning of a line -> what may stand behind it.
Words: TypeAlias = Mapping[str, Callable[[str], Offers]]

_MOST = 200  # offers
_PATIENCE = 0.02  # seconds for a folder
_LONGEST = 4096  # characters of a path
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class _Offer(NamedTuple):
    """What is inserted in place of the last `size` characters, as what it is shown, and what is said about it."""

    text: str
    size: int
    shown: str
    about: str = ""


def completer(commands: Callable[[], Mapping[str, str]], words: Words) -> Completer:
    """What offers: `commands` with their help (`{"/model": "which model answers"}`), and `words` behind them."""
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class Offering(Completer):
        """See the top of the file."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            near = not complete_event.text_inserted
            for offer in islice(_offered(document.text_before_cursor, commands, words, near=near), _MOST):
                yield Completion(offer.text, -offer.size, display=one_line(offer.shown, 60), display_meta=one_line(offer.about, 100))

    return Offering()


def _offered(before: str, commands: Callable[[], Mapping[str, str]], words: Words, *, near: bool) -> Iterator[_Offer]:
    start = max(before.rfind("\n") + 1, len(before) - _LONGEST)
    if mention := BEGUN.search(before, start):
        typed, quoted = mention[1].removeprefix('"'), mention[1].startswith('"')
        path = re.sub(r"\\([\"\\])", r"\1", typed) if quoted else typed
        for whole, about in files(path, near=near):
            is_folder = whole.endswith("/")
            yield _Offer(written(whole, open_end=is_folder), len(mention[0]), _last(whole), about)
    elif before.startswith("/") and "\n" not in before:
        if " " in before:
            yield from _behind(before, words, near=near)
        else:
            first = {each.partition(" ")[0] for each in words}
            for name, about in _fitting(before, commands().items(), near=near):
                yield _Offer(f"{name} " if name in first else name, len(before), name, about)


def _behind(before: str, words: Words, *, near: bool) -> Iterator[_Offer]:
    """What may stand behind a command."""
    head, _, last = before.rpartition(" ")
    following = dict.fromkeys(each.removeprefix(f"{head} ").partition(" ")[0] for each in words if each.startswith(f"{head} "))
    for word, _ in _fitting(last, ((each, "") for each in following), near=near):
        yield _Offer(f"{word} ", len(last), word)
    begun = max((each for each in words if before.startswith(f"{each} ")), key=len, default="")
    if begun:
        typed = before[len(begun) + 1 :].lstrip(" ")
        for word, about in _fitting(typed, words[begun](typed), near=near):
            yield _Offer(word, len(typed), word, about)


def files(typed: str, *, near: bool = True) -> list[tuple[str, str]]:
    """The files and folders that may be meant, as paths that begin as typed; folders end with a slash. `near`: only the nearest."""
    folder, slash, part = typed.rpartition("/")
    if typed == "~":
        return [("~/", "folder")]
    folder += slash
    wanted, hidden = part.lower(), part.startswith(".")
    found: list[tuple[int, str, str, bool]] = []
    until = monotonic() + _PATIENCE
    with suppress(OSError, ValueError), os.scandir(os.path.expanduser(folder) or ".") as entries:
        for number, entry in enumerate(entries):
            if number % 64 == 63 and monotonic() > until:
                break
            name = entry.name
            at = name.lower().find(wanted)
            if at >= 0 and (hidden or name[0] != ".") and not _UNSEEN.search(name):
                found.append((min(at, 1), name.lower(), name, _is_folder(entry)))
        if part not in ("", ".") and not any(name == part for _, _, name, _ in found) and os.path.lexists(os.path.expanduser(typed)):
            found.append((0, wanted, part, os.path.isdir(os.path.expanduser(typed))))
    first = nsmallest(_MOST, found)
    if near and first:
        first = [each for each in first if each[0] == first[0][0]]
    return [(f"{folder}{name}/", "folder") if is_folder else (f"{folder}{name}", "") for _, _, name, is_folder in first]


def _fitting(typed: str, offers: Offers, *, near: bool) -> list[tuple[str, str]]:
    """The words that begin as it was typed, those in which it occurs, and those of which it is said; `near`: the nearest of these."""
    wanted = typed.lower()
    ranks: list[list[tuple[str, str]]] = [[], [], []]
    for word, about in offers:
        if not _UNSEEN.search(word) and (rank := _rank(wanted, word.lower(), about)) is not None:
            ranks[rank].append((word, about))
    return next(filter(None, ranks), []) if near else [offer for rank in ranks for offer in rank]


def _rank(wanted: str, word: str, about: str) -> int | None:
    if word.startswith(wanted):
        return 0
    within = wanted.removeprefix("/")
    if within in word:
        return 1
    return 2 if len(within) > 1 and within in about.lower() else None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _last(path: str) -> str:
    """The last name of a path, with its slash."""
    return path[path.rstrip("/").rfind("/") + 1 :]
