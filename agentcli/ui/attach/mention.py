"""Files that a text mentions: `what is wrong in @src/a.py, and in @"my notes.txt"?`

A mention begins with an `@` that does not stand in a word (`me@example.org` is none), and ends at the next space; in quotation marks
it may hold some. Only what names a file that is there is one: `@someone` is just text. Punctuation behind a path is not part of it,
unless a file is called so. A folder, a pipe or a device is never mentioned.

How a path is written as a mention stands here too (`written`), for what completes and pastes paths.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from itertools import islice

__all__ = ["BEGUN", "found_in", "is_file", "mentioned", "written"]

_BEFORE = r"(?<![^\s(\[{<\"'`,;:=|])"
_MENTION = re.compile(_BEFORE + r"@(?:\"((?:[^\"\\\n]|\\.)++)\"|([^\s\"]\S*))")
_AFTER = ".,;:!?)]}>'\"`…"
_PLAIN = re.compile(r"[^\s\"'`()\[\]{}<>@,;:!?…\\]+")
_MOST = 200  # words behind an @ that are looked at
_LONGEST = 4096  # characters of a path

# A mention that is being typed: what stands behind the `@`, up to the cursor.
BEGUN = re.compile(_BEFORE + r"@(\"(?:[^\"\\\n]|\\.)*+|(?:[^\s\"]\S*)?)\Z")


def mentioned(text: str) -> list[str]:
    """The files that the text mentions, each once, as they are to be opened."""
    return list(dict.fromkeys(path for _, _, path in found_in(text)))


def found_in(text: str) -> Iterator[tuple[int, int, str]]:
    """Where mentions begin and end, and the paths."""
    for mention in islice(_MENTION.finditer(text), _MOST):
        for path, end in _readings(mention):
            if is_file(path):
                yield mention.start(), end, path
                break


def _readings(mention: re.Match[str]) -> Iterator[tuple[str, int]]:
    """The paths that may be meant, and where each ends."""
    quoted, plain = mention.groups()
    if quoted is not None:
        yield quoted, mention.end()
        yield re.sub(r"\\([\"\\])", r"\1", quoted), mention.end()
    elif len(plain) <= _LONGEST:
        after = len(plain) - len(plain.rstrip(_AFTER))
        for less in range(min(after, 20, len(plain) - 1) + 1):
            yield plain[: len(plain) - less], mention.end() - less


def written(path: str, *, open_end: bool = False) -> str:
    """The path as it is mentioned. `open_end`: more of it follows (a folder)."""
    if _PLAIN.fullmatch(path) and path[-1] not in _AFTER:
        return f"@{path}"
    within = path.replace("\\", "\\\\").replace('"', '\\"') if os.sep == "/" else path
    return f'@"{within}' if open_end else f'@"{within}"'


def is_file(path: str) -> bool:
    """Is it one that can be attached: not a folder, a pipe or a device?"""
    try:
        return stat.S_ISREG(os.stat(os.path.expanduser(path)).st_mode)
    except (OSError, ValueError):
        return False
