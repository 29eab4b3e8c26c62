"""A paste that is nothing but paths, as terminals write them when files are dropped on them."""

from __future__ import annotations

import os
import re
import sys

from agentcli.ui.attach.mention import is_file, written

__all__ = ["mentions", "paths"]


def paths(text: str) -> list[str] | None:
    """The files that a pasted text names, if it does nothing else."""
    text = text.strip()
    if not text or len(text) > 100_000 or "\0" in text:
        return None
    for read in (_one, _listed, _split):
        if (found := read(text)) and all(map(is_file, found)):
            return found
    return None


def mentions(before: str, pasted: str) -> str | None:
    """The files that were pasted, as what is inserted for them behind the text before the cursor."""
    if before.startswith("!") or (before and not before[-1].isspace()) or not (found := paths(pasted)):
        return None
    if re.fullmatch(r"/[a-z]+ +", before):  # the argument of a command
        return found[0] if len(found) == 1 else None
    return " ".join(map(written, found)) + " "


def _one(text: str) -> list[str]:
    """All of it is one path, spaces and all."""
    return [text] if "\n" not in text and _is_path(text) else []


def _listed(text: str) -> list[str]:
    """A path, or the address of a file, in each line."""
    found = [_of_address(line.strip()) for line in text.split("\n") if line.strip()]
    return found if all(map(_is_path, found)) else []


def _split(text: str) -> list[str]:
    """Paths with spaces between them, quoted as a shell reads them."""
    if len(text) > 8192:
        return []
    import shlex

    splitter = shlex.shlex(text, posix=True, punctuation_chars=False)
    splitter.whitespace_split, splitter.commenters = True, ""
    if sys.platform == "win32":
        splitter.escape = ""
    try:
        found = [_of_address(word) for word in splitter]
    except ValueError:  # a quotation mark without another
        return []
    return found if all(map(_is_path, found)) else []


def _of_address(text: str) -> str:
    """The path in file://…, or the text; nothing if that is no address."""
    if not text.startswith("file://"):
        return text
    from urllib.parse import unquote, urlsplit

    try:
        address = urlsplit(text)
    except ValueError:  # file://[
        return ""
    if address.netloc not in ("", "localhost"):
        return ""
    path = unquote(address.path, errors="surrogateescape")
    return path[1:] if re.match(r"/[A-Za-z]:", path) else path


def _is_path(text: str) -> bool:
    """Does it look like one?"""
    return "/" in text or text.startswith("~") or (os.sep == "\\" and "\\" in text)
