"""Long texts, each with the mark that stands for it."""

from __future__ import annotations

import re

from agentcli.ui.attach.mention import mentioned

__all__ = ["CHARACTERS", "KEPT", "LINES", "MARK", "Folds", "has_marks", "is_long"]

LINES = 30  # that are shown as they are
CHARACTERS = 4_000
_OPENED = 1_000_000  # characters that are still opened at the prompt: an editor is better at more
KEPT = 100_000  # characters of a message that the history keeps

_FIRST, _LAST = 0x10E000, 0x10FFFD
MARK = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
_HELD = 8_000_000  # characters of pastes that are held after they were sent
_FIRST_LINE = 200  # characters of a first line that is left unfolded


class Folds:
    """The pastes that are folded, each with its mark."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}  # mark -> text
        self._marks: dict[str, str] = {}  # text -> mark
        self._next = _FIRST
        self.opened = ""  # the text at the prompt, as it was when a paste was last opened in it

    def fold(self, text: str) -> str:
        """What is inserted for a pasted text: a mark if it is long, or mentions a file, which nobody here typed; or else the text."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return self._mark(text) if is_long(text) or has_marks(text) or ("@" in text and mentioned(text)) else text

    def whole(self, text: str) -> str:
        """The text with every paste in its place."""
        return MARK.sub(lambda mark: self._texts.get(mark[0], mark[0]), text) if self._texts else text

    def typed(self, text: str) -> str:
        """What of the text was not folded."""
        return MARK.sub(lambda mark: " " if mark[0] in self._texts else mark[0], text)

    def shown(self, text: str) -> str:
        """The text with labels, as one sees it."""
        return MARK.sub(lambda mark: self.label(mark[0]), text) if self._texts else text

    def label(self, mark: str) -> str:
        """What is shown for a mark; of one that stands for nothing, itself."""
        text = self._texts.get(mark)
        return mark if text is None else _label(text)

    def open(self, text: str, cursor: int) -> tuple[str, int]:
        """Put a paste in its place: the one at the cursor, or before it, or else the last one. The cursor goes behind it."""
        at = self._chosen(text, cursor)
        if at is None:
            return text, cursor
        within = self._texts[text[at]]
        return text[:at] + within + text[at + 1 :], at + len(within)

    def again(self, text: str) -> str:
        """A whole text that comes back to the prompt, folded as it was, or as it would be."""
        if has_marks(text):
            return self._mark(text)
        if not is_long(text):
            return text
        for known in sorted(self._marks, key=len, reverse=True):
            if len(known) > 1 and known in text and not has_marks(known):
                text = text.replace(known, self._marks[known])
        if not is_long(text):
            return text
        first, rest = text[: (end := text.find("\n") + 1)], text[end:]
        if 0 < len(first) <= _FIRST_LINE and is_long(rest):
            return first + self._mark_all(rest)
        return self._mark_all(text)

    def forget(self, keep: str = "") -> None:
        """A message was sent: let go of old pastes, if all of them are very much to hold; never of those whose marks are in `keep`."""
        self.opened = ""
        held = sum(map(len, self._marks))
        for mark, text in list(self._texts.items()):
            if held <= _HELD:
                break
            if mark not in keep:
                del self._texts[mark], self._marks[text]
                held -= len(text)

    def has(self, text: str) -> bool:
        """Is anything folded in the text?"""
        return any(mark[0] in self._texts for mark in MARK.finditer(text))

    def is_too_long(self, text: str, cursor: int) -> bool:
        """Is what `open` would open too long for a prompt?"""
        at = self._chosen(text, cursor)
        return at is not None and len(self._texts[text[at]]) > _OPENED

    def _chosen(self, text: str, cursor: int) -> int | None:
        """Where the mark is that is meant."""
        places = [mark.start() for mark in MARK.finditer(text) if mark[0] in self._texts]
        for at in (cursor, cursor - 1):
            if at in places:
                return at
        return max((at for at in places if at < cursor), default=places[-1] if places else None)

    def _mark_all(self, text: str) -> str:
        """A mark for the text, in which there may be other ones."""
        return self._mark(self.whole(text))

    def _mark(self, text: str) -> str:
        if mark := self._marks.get(text):
            return mark
        for _ in range(_LAST - _FIRST + 1):
            mark, self._next = chr(self._next), self._next + 1 if self._next < _LAST else _FIRST
            if mark not in self._texts:
                break
        else:  # thousands of pastes: this one is shown as it is
            return text
        self._texts[mark], self._marks[text] = text, mark
        return mark


def kept(text: str) -> str:
    """A whole text as the history keeps it from one run to the next: of a very long one, what would be seen of it."""
    if len(text) <= KEPT:
        return text
    folds = Folds()
    shown = folds.shown(folds.again(text))
    return shown if len(shown) <= KEPT else _label(text)


def has_marks(text: str) -> bool:
    """Is there a mark in the text, whatever it stands for?"""
    return not text.isascii() and MARK.search(text) is not None


def is_long(text: str) -> bool:
    """Is the text folded when it is pasted?"""
    return len(text) > CHARACTERS or text.count("\n", 0, -1) >= LINES


def _label(text: str) -> str:
    lines = text.count("\n", 0, -1) + 1
    return f"[pasted {lines:,} lines]" if lines > LINES else f"[pasted {len(text):,} characters]"
