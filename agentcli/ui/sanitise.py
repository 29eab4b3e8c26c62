"""What may reach the terminal.

A terminal obeys what is written to it: text can set the clipboard, rename the window, wipe the screen, rewrite a line that was already
read, or hide words from the eye while they are still copied. So whatever a model, a tool, a file or a server said passes `visible()`
before it is written. It replaces single code points by stand-ins that can be seen, and looks at nothing else: being stateless, it
cannot be fooled by where a chunk ends, and `visible(a) + visible(b) == visible(a + b)`.

| what | becomes |
|---|---|
| C0 controls but newline and tab | their control pictures: ESC is ␛, CR is ␍ |
| DEL | ␡ |
| soft hyphen | a hyphen, ‐ |
| C1 controls, bidi controls and marks, invisible and format characters, tags, line and paragraph separators | their number: ‹202E› |
| halves of surrogate pairs, noncharacters | U+FFFD |

What stays, though it is invisible: the two joiners (U+200C, U+200D) and the sixteen variation selectors (U+FE00-FE0F), without which
Indic scripts, Persian and emoji fall apart; and the Arabic and other number signs that Unicode calls format characters but that
have a shape. Right-to-left letters stay: only the controls that override the order go. Private-use characters stay: they are the
icons of some fonts, and a terminal does nothing on them.

Text for a pipe or a file does not come here: it stays byte-exact.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from unicodedata import east_asian_width

__all__ = ["SUSPECT", "one_line", "visible"]

# What may not reach a terminal.
SUSPECT = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad"
    "\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff" + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17)) + "]"
)


def visible(text: str) -> str:
    """The text with every code point that could act on a terminal, or hide in it, replaced by one that is seen."""
    if text.isascii() and text.isprintable():
        return text
    if SUSPECT.search(text) is None:
        return text
    return SUSPECT.sub(_stand_in, text)


def one_line(text: str, width: int | None = None) -> str:
    """A title, a name or the beginning of a text as one visible line, at most `width` columns wide."""
    if width is None:
        return " ".join(visible(text.replace("\r\n", "\n")).split())
    enough = 4 * width + 16  # a huge text costs nothing
    line = one_line(text[:enough])
    if line.isascii():
        return line if len(text) <= enough and len(line) <= width else line[: max(width - 1, 0)].rstrip() + "…"
    columns = list(accumulate(2 if east_asian_width(character) in "WF" else 1 for character in line))
    if len(text) <= enough and (not columns or columns[-1] <= width):
        return line
    return line[: bisect_right(columns, width - 1)].rstrip() + "…"


def _stand_in(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if code == 0xAD:
        return "‐"
    if 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:
        return "\ufffd"
    return f"‹{code:02X}›"
