"""What colour the terminal's background is: asked of the terminal, without waiting for it.

The question (`QUERY`) is two: what is your background (OSC 11), and what are you (primary device attributes). The second is a fence:
every terminal answers it, and in order, so that one that does not know the first is recognised as soon as it says what it is. No time
limit is needed, and none would be right for a slow line. GNU screen answers out of order, and is not asked.

The answers come as if they had been typed, at any moment and in any pieces. `Replies` stands in front of whoever reads the keys: what
comes from the terminal goes in, what is not an answer comes out, unchanged and in order. A paste is not looked into. Only what may be
the beginning of an answer is held back. It begins with ESC, which is a key itself, so `flush()` gives it out when nothing has
followed for a moment; if the rest comes after all, that is still known for an answer.

    ESC ] 11 ; rgb:1e1e/1e1e/1e1e BEL     the background; also rgba:, #1e1e1e, one to four digits, and ESC \\ at the end
    ESC [ ? 64 ; 1 ; 2 c                  the fence
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from prompt_toolkit.input.vt100_parser import Vt100Parser

__all__ = ["QUERY", "Colour", "Replies", "can_be_asked", "listen", "luminance", "suited"]

QUERY = b"\x1b]11;?\x07\x1b[c"  # with BEL: asked with ESC \, rxvt ends its answer in ESC alone

Colour: TypeAlias = tuple[int, int, int]

DARKEST, LIGHTEST = 0.04, 0.775  # the luminances up to which `dark`, and from which `light`, have a contrast of 4.5 to 1

_SILENT = ("ansi", "cons", "dumb", "eterm", "linux", "pcansi", "sun", "vt", "wsvt")  # beginnings of TERM: they know no answer

_ANSWER = re.compile(
    "\x1b(?:"
    "\\]11;(?P<colour>rgba?:[0-9a-fA-F]{1,4}(?:/[0-9a-fA-F]{1,4}){2,3}|#(?:[0-9a-fA-F]{3}){1,4})(?:\x07|\x1b\\\\|\x1b(?=\x1b))"
    "|\\[\\?(?P<fence>[0-9;]{1,60})c"
    "|\\[200(?P<paste>~)"
    ")"
)
_BEGINNING = re.compile("\x1b(?:\\](?:1(?:1(?:;[rgba:#0-9A-F/]{0,30}\x1b?)?)?)?|\\[(?:\\?[0-9;]{0,60}|2(?:00?)?)?)?\\Z", re.IGNORECASE)
_PASTE_END = "\x1b[201~"


class Replies:
    """Takes the answers out of what comes from the terminal. `background` is what it said; once `done`, nothing more will come."""

    def __init__(self) -> None:
        self.background: Colour | None = None
        self.done = False
        self._held = ""
        self._given = 0  # so many characters of it were given out, since they may be keys
        self._pasting = False

    @property
    def holds(self) -> bool:
        """Is there something that `flush` would give out?"""
        return len(self._held) > self._given

    def feed(self, text: str) -> str:
        """What of it is not an answer."""
        text, given = self._held + text, self._given
        self._held = ""
        keys = "".join(text[max(begin, given) : end] for begin, end in self._keys(text))
        self._given = max(given + len(self._held) - len(text), 0)
        return keys

    def flush(self) -> str:
        """Nothing has followed for a moment: what was held back."""
        keys, self._given = self._held[self._given :], len(self._held)
        return keys

    def _keys(self, text: str) -> Iterator[tuple[int, int]]:
        """Where in the text there is no answer. What may become one is held."""
        at = 0
        while at < len(text):
            if self.done:
                yield at, len(text)
                return
            if self._pasting:
                found = text.find(_PASTE_END, at)
                end = found + len(_PASTE_END) if found >= 0 else len(text) - _overlap(text, at)
                yield at, end
                self._pasting = found < 0
                self._held = "" if found >= 0 else text[end:]
                at = end if found >= 0 else len(text)
                continue
            begin = text.find("\x1b", at)
            yield at, begin if begin >= 0 else len(text)
            if begin < 0:
                return
            if answer := _ANSWER.match(text, begin):
                at = answer.end()
                if answer["paste"]:
                    self._pasting = True
                    yield begin, at
                elif answer["colour"]:
                    self.background = _colour(answer["colour"])
                else:
                    self.done = True
            elif _BEGINNING.match(text, begin):
                self._held = text[begin:]
                return
            else:
                at = begin + 1
                yield begin, at


def listen(parser: Vt100Parser, told: Callable[[Colour | None], None]) -> Replies:
    """Stand before prompt-toolkit's reader of keys until the terminal has answered; then `told` is called, once, and it is free again.

    prompt-toolkit flushes its parser when nothing has followed an ESC for a moment, and so flushes what is held here.
    """
    replies = Replies()
    feed, flush = parser.feed, parser.flush
    within = False

    def feed_keys(data: str) -> None:
        nonlocal within
        if within:  # the parser calls itself, behind each paste: this has been looked at
            feed(data)
            return
        keys = replies.feed(data)
        if replies.done and not replies.holds:
            parser.feed, parser.flush = feed, flush  # type: ignore[method-assign]
        if keys:
            within = True
            try:
                feed(keys)
            finally:
                within = False
        if replies.done:
            told(replies.background)

    def flush_keys() -> None:
        if keys := replies.flush():
            feed(keys)
        flush()

    parser.feed, parser.flush = feed_keys, flush_keys  # type: ignore[method-assign]
    return replies


def can_be_asked(environment: Mapping[str, str]) -> bool:
    """Will this terminal answer, and do so in order?"""
    term = environment.get("TERM", "dumb")
    if environment.get("STY") or (term.startswith("screen") and not environment.get("TMUX")):  # GNU screen
        return False
    return bool(term) and not term.startswith(_SILENT)


def suited(background: Colour | None) -> str:
    """The theme for a background: `neutral` for one in between, `auto` if the terminal did not say."""
    if background is None:
        return "auto"
    light = luminance(background)
    return "dark" if light <= DARKEST else "light" if light >= LIGHTEST else "neutral"


def luminance(colour: Colour) -> float:
    """How light a colour is, from 0 to 1: the relative luminance that contrasts are counted with (WCAG 2)."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (of / 255 for of in colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _colour(said: str) -> Colour:
    if said[0] == "#":
        size = len(said) // 3
        parts = [said[1 + size * place : 1 + size * (place + 1)] for place in range(3)]
    else:
        parts = said.partition(":")[2].split("/")
    red, green, blue = (int(part, 16) * 255 // (16 ** len(part) - 1) for part in parts[:3])
    return red, green, blue


def _overlap(text: str, at: int) -> int:
    """How many characters at its end may be the beginning of the end of a paste."""
    most = min(len(_PASTE_END) - 1, len(text) - at)
    return next((size for size in range(most, 0, -1) if text.endswith(_PASTE_END[:size])), 0)
