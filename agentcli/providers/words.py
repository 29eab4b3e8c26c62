"""Words in pieces, of which each must be one that can be written as UTF-8.

A server may split a character beyond U+FFFF in two: JSON holds it as a pair of surrogates, and one half ends a piece while the other
begins the next. The first half waits here for the second; one that waits in vain becomes U+FFFD.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from agentcli.core.message import speakable
from agentcli.core.provider import ReasoningChunk, TextChunk

__all__ = ["Words"]

Kind: TypeAlias = type[TextChunk] | type[ReasoningChunk]


class Words:
    """The text and the thinking of one answer. `waits` is true while half a character does."""

    def __init__(self) -> None:
        self._half: TextChunk | ReasoningChunk | None = None

    @property
    def waits(self) -> bool:
        return self._half is not None

    def say(
        self, kind: Kind, text: str, private: dict[str, Any] | None = None, key: int | str | None = None
    ) -> Iterator[TextChunk | ReasoningChunk]:
        """The piece as a chunk, without the half of a character at its end; none if nothing is left."""
        if not text:
            return
        private = private or {}
        half = self._half
        if half is not None:
            if type(half) is kind and half.key == key:
                text, private, self._half = half.text + text, {**half.private, **private}, None
            else:
                yield from self.flush()
        if "\ud800" <= text[-1] <= "\udbff":
            self._half = kind(text[-1], private, key)
            text = text[:-1]
        if text:
            yield kind(speakable(text), private, key)

    def flush(self) -> Iterator[TextChunk | ReasoningChunk]:
        """The half that waits, as what it is without the other."""
        if (half := self._half) is not None:
            self._half = None
            yield type(half)(speakable(half.text), half.private, half.key)
