"""What a model file says of itself, in the keys at its head: how much it holds, and whether its chat template has tools.

GGUF: `GGUF`, the version, two counts (tensors, keys); then for each key its name, its type and its value; then the tensors, which are
not looked at. Numbers are little-endian; a text is its length in eight bytes and then itself; a list is a type, a length and its
items. Only a few keys are kept; the vocabulary, which is most of the head, is stepped over. Whether the rest of the file is whole is
found out by whoever loads it.

The file is read a piece at a time. Mapped into memory it would be a little faster, until somebody shortens it meanwhile: then the
system ends the program.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from agentcli.core.provider import ProviderError

__all__ = ["About", "read"]

_MOST = 4 << 20  # keys, or items of a list
_LONGEST = 1 << 20  # bytes of a text that is kept
_PIECE = 256 << 10  # bytes that are read at once
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_TEMPLATE = "tokenizer.chat_template"


class About(Struct, frozen=True):
    """`context` is the tokens it was trained on, 0 if it does not say; `chats`: it has a chat template; `tools`: with tools in it."""

    context: int = 0
    chats: bool = False
    tools: bool = False


def read(path: Path) -> About:
    """What the file says of itself. Raises a ProviderError if it is not a model's."""
    try:
        with open(path, "rb", buffering=0, opener=_opened) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or not found.st_size:
                raise _not_a_model(path, "it is empty" if stat.S_ISREG(found.st_mode) else "it is no file")
            return _about(_Head(file, found.st_size).keys())
    except FileNotFoundError:
        raise ProviderError("not_found", f"there is no model file {path}", hint="`agentcli local list` shows what there is.") from None
    except IsADirectoryError:
        raise _not_a_model(path, "it is a folder") from None
    except OSError as error:
        raise ProviderError("not_found", f"the model file {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, struct.error, IndexError) as error:
        raise _not_a_model(path, str(error) if type(error) is ValueError else "its head is cut off") from None


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a named pipe is not waited for


def _not_a_model(path: Path, why: str) -> ProviderError:
    return ProviderError("bad_request", f"{path} is not a model file (GGUF): {why}", hint="Is it the right file, and whole?")


def _about(keys: dict[str, Any]) -> About:
    context = keys.get(f"{keys.get('general.architecture')}.context_length", 0)
    template = keys.get(_TEMPLATE)
    tools = isinstance(template, str) and re.search(r"\btools\b", template) is not None
    return About(
        context if isinstance(context, int) and 0 < context < 1 << 40 else 0,
        chats=isinstance(template, str),
        tools=tools or f"{_TEMPLATE}.tool_use" in keys,
    )


class _Head:
    """The head, and how far it has been read: `_at` in the piece that is there, which begins at `_from` of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._from = 0
        self._data = b""
        self._at = 0

    def keys(self) -> dict[str, Any]:
        """The keys with one value, and None for those with a list."""
        if self._take(4) != b"GGUF":
            raise ValueError("it does not begin as one")
        version = self._number("I")
        if version not in (2, 3):
            raise ValueError(f"version {version} of the format is not known")
        self._number("Q")
        count = self._number("Q")
        if count > _MOST:
            raise ValueError("its head makes no sense")
        return {self._text(): self._value(self._number("I")) for _ in range(count)}

    def _value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self._text()
        if kind != _LIST:
            return self._number(self._form(kind))
        kind, count = self._number("I"), self._number("Q")
        if count > _MOST:
            raise ValueError("its head makes no sense")
        if kind != _TEXT:
            self._skip(count * struct.calcsize("<" + self._form(kind)))
            return None
        data, at, end = self._data, self._at, len(self._data)
        for _ in range(count):  # a quarter of a million of these: no calls in here, but for a new piece
            if at + 8 > end:
                self._at = at
                self._read(8)
                data, at, end = self._data, 0, len(self._data)
            at += 8 + int.from_bytes(data[at : at + 8], "little")
        self._at = at
        self._skip(0)
        return None

    def _form(self, kind: int) -> str:
        if kind not in _NUMBERS:
            raise ValueError(f"its head has a value of the unknown type {kind}")
        return _NUMBERS[kind]

    def _number(self, form: str) -> Any:
        form = "<" + form
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self) -> str:
        size = self._number("Q")
        text = self._take(min(size, _LONGEST))
        self._skip(size - len(text))
        return text.decode(errors="replace")

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            self._read(size)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def _skip(self, size: int) -> None:
        self._at += size
        if self._from + self._at > self._size:
            raise IndexError

    def _read(self, size: int) -> None:
        """Have a piece that begins here, of so many bytes at least."""
        self._skip(0)
        self._from, self._at = self._from + self._at, 0
        self._file.seek(self._from)
        pieces, missing = [], max(size, _PIECE)
        while missing > 0 and (piece := self._file.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        self._data = b"".join(pieces)
        if len(self._data) < size:
            raise IndexError
