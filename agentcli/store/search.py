"""Finding words in all that was said.

Ten thousand threads are searched by their raw bytes first: JSON in UTF-8 holds a text almost as it is, so a document that does not
contain the words as JSON would write them need not be parsed. Only ASCII and the two cases of other letters are told apart there;
a document that holds \\u escapes, which could hide the words, is always parsed. What is parsed is searched properly: text, reasoning
and tool results, line by line, upper and lower case alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice

import msgspec
from msgspec import Struct

from agentcli.core.message import Message, Reasoning, Role, Text, ToolResult
from agentcli.store.index import Row

__all__ = ["Hit", "found", "suspect", "together"]

_LOOKED_AT = 200  # lines among which the one with the most words is sought


class Hit(Struct, frozen=True):
    """A line that contains what was searched for. `number` counts the messages of the thread from 1."""

    row: Row
    number: int
    role: Role
    line: str


@lru_cache(64)  # ten thousand documents are asked about one word
def suspect(text: str) -> Callable[[bytes], bool]:
    """A quick test on a document's bytes: False means that the text is certainly not in it."""
    written = msgspec.json.encode(text)[1:-1]
    if text.isascii():
        needle = written.lower()

        def contains(data: bytes) -> bool:
            return needle in data.lower()
    else:
        alike = (_alike(letter) for letter in text)
        pattern = re.compile(b"".join(alike))

        def contains(data: bytes) -> bool:
            return pattern.search(data) is not None

    slash = "/" in text
    return lambda data: contains(data) or b"\\u" in data or (slash and b"\\/" in data)


def _alike(letter: str) -> bytes:
    forms = {letter, letter.lower(), letter.upper(), letter.title(), letter.casefold(), letter.swapcase()}
    escaped = sorted(re.escape(msgspec.json.encode(form)[1:-1]) for form in forms)
    return b"(?:" + b"|".join(escaped) + b")"


def found(text: str, row: Row, messages: list[Message]) -> Iterator[Hit]:
    """Each line of the messages that contains the text, or where the text begins."""
    pattern = re.compile(re.escape(text), re.IGNORECASE)
    for number, message in enumerate(messages, 1):
        for said in _said(message):
            end = -1
            while match := pattern.search(said, end + 1):
                start = said.rfind("\n", 0, match.start()) + 1
                end = said.find("\n", match.start())
                end = len(said) if end < 0 else end
                yield Hit(row, number, message.role, said[start:end].rstrip("\r"))


def together(words: Sequence[str], row: Row, messages: list[Message]) -> Hit | None:
    """If every one of the words is said somewhere in the messages, a line that has as many of them as can be had."""
    if any(next(found(word, row, messages), None) is None for word in words):
        return None

    def how_many(hit: Hit) -> int:
        line = hit.line.casefold()
        return sum(word.casefold() in line for word in words)

    return max(islice(found(max(words, key=len), row, messages), _LOOKED_AT), key=how_many)


def _said(message: Message) -> Iterator[str]:
    for part in message.parts:
        match part:
            case Text(text=text) | Reasoning(text=text):
                yield text
            case ToolResult(content=content):
                yield content
