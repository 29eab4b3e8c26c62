"""The colours of the program: what a piece of text is, in; how the terminal is told so, out.

Nobody else writes a colour. A text has a role (`warn`, `heading.1`, `code.string`), and `paint(role, text)` puts it into the colours
of the theme in use. There is one theme at a time for the whole program. `use()` sets it, also in mid-answer, when the terminal has
said what its background is: what is written from then on has the new colours, and what is written already stays as it is.

| theme | what it is |
|---|---|
| `neutral` | the terminal's own 16 colours, few of them: to be read on dark and on light. In use until the background is known |
| `dark`, `light` | colours made for that background: a contrast of 4.5 to 1 or more on #000000 to #2e2e2e, on #ffffff to #e8e8e8 |
| `none` | no colours. Bold, dim, italic and underline stay, because they say what a text is: so it is with `NO_COLOR` too |
| `bare` | nothing at all: on `TERM=dumb`, with `ACCESSIBLE` and with `--plain` |

A terminal has a depth: how many bits it takes for a colour. `dark` and `light` are written in full, and told to a terminal of 256
colours by the nearest of those that are the same everywhere. Of the first 16 nobody knows how they look, so a terminal that has no
others gets `neutral`, but for the yellow, which cannot be read on white. No role has a background: what is selected can be seen.

A style is in words, as Rich has them (`bold #7fc8f8`): `markdown.py` gives them to Rich, all others get their numbers (SGR) from here.
This is loaded before the first prompt is drawn, so it imports next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, TypeAlias

from agentcli.ui.ability import dumb

__all__ = ["NAMES", "NONE", "Depth", "Role", "Theme", "code", "current", "depth_of", "forbid", "nested", "paint", "use"]

Role: TypeAlias = Literal[
    "bold", "dim",
    "prompt", "ok", "warn", "failed", "error",
    "heading.1", "heading.2", "heading.3", "strong", "em", "struck", "link", "target", "code",
    "quote", "fence", "rule", "head", "mark",
    "code.comment", "code.keyword", "code.string", "code.number", "code.name", "code.definition", "code.inserted", "code.deleted",
    "code.heading", "code.place", "code.prompt",
]  # fmt: skip

# Bits of a colour: none at all, the 16 of the terminal, 256, all of them.
Depth: TypeAlias = Literal[0, 4, 8, 24]

NAMES = ("neutral", "dark", "light", "none")  # and "auto"

_NEUTRAL: dict[Role, str] = {
    "bold": "bold",
    "dim": "dim",
    "prompt": "bold cyan",
    "ok": "green",
    "warn": "yellow",
    "failed": "red",
    "error": "bold red",
    "heading.1": "bold underline",
    "heading.2": "bold",
    "heading.3": "italic",
    "strong": "bold",
    "em": "italic",
    "struck": "strike",
    "link": "underline",
    "target": "dim",  # where a link goes
    "quote": "dim",
    "code": "cyan",
    "fence": "dim",
    "rule": "dim",
    "head": "bold",  # of a table
    "mark": "",  # of an item
    "code.comment": "dim",
    "code.keyword": "magenta",
    "code.string": "green",
    "code.number": "cyan",
    "code.name": "cyan",
    "code.definition": "bold",
    "code.inserted": "green",
    "code.deleted": "red",
    "code.heading": "bold",
    "code.place": "cyan",
    "code.prompt": "dim",
}

# What differs from `neutral`.
_TUNED: dict[str, dict[Role, str]] = {
    "dark": {
        "dim": "#a0a0a0",
        "prompt": "bold #7fd0f0",
        "ok": "#8fce7e",
        "warn": "#e5c07b",
        "failed": "#ff8f8a",
        "error": "bold #ff8f8a",
        "heading.1": "bold underline #9cc4ff",
        "heading.2": "bold #9cc4ff",
        "heading.3": "italic #9cc4ff",
        "link": "underline #8ec8ff",
        "target": "#a0a0a0",
        "quote": "#a0a0a0",
        "code": "#7fd6cf",
        "fence": "#a0a0a0",
        "rule": "#a0a0a0",
        "mark": "#9cc4ff",
        "code.comment": "#a0a0a0",
        "code.keyword": "#d3a6f5",
        "code.string": "#a5d28a",
        "code.number": "#f0b184",
        "code.name": "#7fd0f0",
        "code.definition": "bold #9cc4ff",
        "code.inserted": "#8fce7e",
        "code.deleted": "#ff8f8a",
        "code.place": "#7fd0f0",
        "code.prompt": "#a0a0a0",
    },
    "light": {
        "dim": "#606060",
        "prompt": "bold #005a8c",
        "ok": "#1c6626",
        "warn": "#7a4f00",
        "failed": "#b01c1c",
        "error": "bold #b01c1c",
        "heading.1": "bold underline #1d4fa5",
        "heading.2": "bold #1d4fa5",
        "heading.3": "italic #1d4fa5",
        "link": "underline #0a55a0",
        "target": "#606060",
        "quote": "#606060",
        "code": "#005f6b",
        "fence": "#606060",
        "rule": "#606060",
        "mark": "#1d4fa5",
        "code.comment": "#606060",
        "code.keyword": "#7b2aa8",
        "code.string": "#28641c",
        "code.number": "#94400a",
        "code.name": "#005a8c",
        "code.definition": "bold #1d4fa5",
        "code.inserted": "#1c6626",
        "code.deleted": "#b01c1c",
        "code.place": "#005a8c",
        "code.prompt": "#606060",
    },
}

_WEIGHTS = {"bold": "1", "dim": "2", "italic": "3", "underline": "4", "strike": "9"}
_ENDS = {"bold": "22", "dim": "22", "italic": "23", "underline": "24", "strike": "29"}  # and 39 for a colour
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}
_LEVELS = (0, 95, 135, 175, 215, 255)  # of red, green and blue in the 256 colours

_NUMBERED = {str(number): "dark" if number < 7 or number == 8 else "light" for number in range(16)}
_DIRECT = ("alacritty", "contour", "foot", "rio", "wezterm", "xterm-ghostty", "xterm-kitty")  # they tell it by their name alone


class Theme:
    """A theme at a depth. `codes` has for each role the numbers that begin it, `words` the same for Rich; empty for none."""

    __slots__ = ("codes", "colours", "depth", "name", "words")

    def __init__(self, name: str, depth: Depth) -> None:
        if depth == 0 and name != "bare":
            name = "none"
        self.name = name
        self.depth: Depth = 0 if name in ("none", "bare") else depth
        self.colours = self.depth > 0
        self.words = _words(name, self.depth)
        self.codes = {role: _numbers(words) for role, words in self.words.items()}

    def paint(self, role: Role, text: str) -> str:
        """The text in the colours of its role."""
        code = self.codes[role]
        return f"\x1b[{code}m{text}\x1b[0m" if code and text else text

    def nested(self, role: Role, text: str) -> str:
        """The same, where what stands around it has colours of its own: it ends only what it began."""
        code = self.codes[role]
        return f"\x1b[{code}m{text}\x1b[{_end(self.words[role])}m" if code and text else text


def current() -> Theme:
    """The theme in use."""
    return _current


def paint(role: Role, text: str) -> str:
    """The text in the colours of its role: as it is, if it has none, or is empty."""
    return _current.paint(role, text)


def nested(role: Role, text: str) -> str:
    """The same, where what stands around it has colours of its own: it ends only what it began."""
    return _current.nested(role, text)


def code(role: Role) -> str:
    """The numbers of a role, for what builds its sequences itself: `1;36`. Empty for none."""
    return _current.codes[role]


def use(name: str = "auto", depth: Depth | None = None) -> None:
    """From now on this theme. `auto` is what the environment knows of the background; the depth is what it says of the terminal."""
    global _current
    if _forbidden:
        return
    if dumb():
        name = "bare"
    wanted = (_guessed(os.environ) if name == "auto" else name), depth_of(os.environ) if depth is None else depth
    if wanted != (_current.name, _current.depth):
        _current = Theme(*wanted)


def forbid() -> None:
    """From now on nothing is painted, whatever theme is asked for: `--plain`."""
    global _current, _forbidden
    _current, _forbidden = Theme("bare", 0), True


def depth_of(environment: Mapping[str, str]) -> Depth:
    """How many bits of colour the terminal takes, by its variables.

    `FORCE_COLOR` and its kin are not asked: they would colour pipes, and what goes there is data.
    """
    term = _term(environment)
    if environment.get("NO_COLOR") or dumb(environment):
        return 0
    many: Depth = 8 if "256color" in term or environment.get("TERM_PROGRAM") == "Apple_Terminal" else 4
    if environment.get("STY"):  # GNU screen, where COLORTERM is that of the terminal around it
        return many
    if environment.get("COLORTERM") in ("truecolor", "24bit") or term.endswith("-direct") or term.startswith(_DIRECT):
        return 24
    return many


def _guessed(environment: Mapping[str, str]) -> str:
    """The theme for the background that `COLORFGBG` names. Inside a multiplexer it may be that of another terminal."""
    if environment.get("TMUX") or environment.get("STY"):
        return "neutral"
    return _NUMBERED.get(environment.get("COLORFGBG", "").rpartition(";")[2], "neutral")


def _term(environment: Mapping[str, str]) -> str:
    return environment.get("TERM", "xterm-direct" if os.name == "nt" else "dumb")  # a console of Windows has no name and all colours


def _words(name: str, depth: Depth) -> dict[Role, str]:
    if name == "bare":
        return dict.fromkeys(_NEUTRAL, "")
    if depth == 0:
        return {role: " ".join(word for word in words.split() if word in _WEIGHTS) for role, words in _NEUTRAL.items()}
    if depth == 4 and name == "light":
        return _NEUTRAL | {"warn": "magenta"}
    if depth == 4 or name not in _TUNED:
        return _NEUTRAL
    found = _NEUTRAL | _TUNED[name]
    return {role: _nearest(words) for role, words in found.items()} if depth == 8 else found


def _nearest(words: str) -> str:
    """The same with one of the 256 colours."""
    begin, sign, digits = words.partition("#")
    if not sign:
        return words
    return f"{begin}color({_number((int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)))})"


def _number(colour: tuple[int, int, int]) -> int:
    """The nearest of the 216 colours and 24 greys, which are the same on all terminals."""
    steps = [min(range(6), key=lambda step: abs(_LEVELS[step] - part)) for part in colour]
    cube = tuple(_LEVELS[step] for step in steps)
    grey = min(max((sum(colour) // 3 - 3) // 10, 0), 23)
    if _distance((8 + 10 * grey,) * 3, colour) < _distance(cube, colour):
        return 232 + grey
    return 16 + 36 * steps[0] + 6 * steps[1] + steps[2]


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _numbers(words: str) -> str:
    numbers: list[str] = []
    for word in words.split():
        if word.startswith("#"):
            numbers += ("38", "2", *(str(int(word[at : at + 2], 16)) for at in (1, 3, 5)))
        elif word.startswith("color("):
            numbers += ("38", "5", word[6:-1])
        else:
            numbers.append(_WEIGHTS.get(word) or _COLOURS[word])
    return ";".join(numbers)


def _end(words: str) -> str:
    return ";".join(dict.fromkeys(_ENDS.get(word, "39") for word in words.split()))


NONE = Theme("none", 0)
_forbidden = False
_current = Theme("neutral", 4)
