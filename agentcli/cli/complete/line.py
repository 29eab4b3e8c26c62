"""A command line of bash, up to the cursor, as words.

bash hands on its own words, but it also breaks them at `:`, `=` and `@`: `ollama/llama3.2:1b` is three. So the words are read from the
line. Quotes are taken off as bash would; nothing is expanded. A redirection is no word: what follows one is the name of a file.
"""

from __future__ import annotations

import re

__all__ = ["split"]

_PIECE = re.compile(
    r"""(?P<space>\s+)
    | (?P<redirection>(?:(?<!\S)\d+)?(?:&>>?|<<<|<<-?|<>|<&|>>|>&|>\||<|>))
    | '(?P<single>[^']*)'?
    | "(?P<double>(?:\\.|[^"\\])*)"?
    | \\(?P<escaped>.?)
    | (?P<plain>(?:(?!(?<!\S)\d+[<>])[^\s'"\\<>&])+|.)""",
    re.VERBOSE | re.DOTALL,
)


def split(line: str) -> tuple[list[str], str]:
    """The whole words, and what was typed of the last. ValueError behind a redirection: that is the shell's own business."""
    words: list[str] = []
    word: str | None = None
    to_file = False
    for piece in _PIECE.finditer(line):
        kind = piece.lastgroup or ""
        if kind in ("space", "redirection"):
            if word is not None:
                if not to_file:
                    words.append(word)
                to_file = False
            word = None
            to_file = to_file or kind == "redirection"
        else:
            text = piece[kind]
            word = (word or "") + (re.sub(r'\\([\\"$`])', r"\1", text) if kind == "double" else text)
    if to_file:
        raise ValueError("a redirection")
    return words, word or ""
