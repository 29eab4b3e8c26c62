"""What a model file says of itself, in the keys at its head: how much it holds, and whether its chat template has tools.

GGUF: `GGUF`, the version, two counts (tensors, keys); then for each key its name, its type and its value; then the tensors, which are
not looked at. Numbers are little-endian; a text is its length in eight bytes and then itself; a list is a type, a length and its
items. Only a few keys are kept; the vocabulary, which is most of the head, is stepped over. Whether the rest of the file is whole is
found out by whoever loads it.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
import struct
from pathlib import Path
from typing import Any

from msgspec import Struct

from agentcli.core.provider import ProviderError

__all__ = ["About", "read"]

_MOST = 4 << 20  # keys, or items of a list
_LONGEST = 1 << 20  # bytes of a text that is kept
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
        with open(path, "rb", opener=_opened) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or not found.st_size:
                raise _not_a_model(path, "it is empty" if stat.S_ISREG(found.st_mode) else "it is no file")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _about(_Head(data).keys())
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
    """The head, and how far it has been read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def keys(self) -> dict[str, Any]:
        """The keys with one value, and None for those with a list."""
        if self._data[:4] != b"GGUF":
            raise ValueError("it does not begin as one")
        self._at = 4
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
        for _ in range(count):  # a quarter of a million of these: no calls in here
            at += 8 + int.from_bytes(data[at : at + 8], "little")
            if at > end:
                raise IndexError
        self._at = at
        return None

    def _form(self, kind: int) -> str:
        if kind not in _NUMBERS:
            raise ValueError(f"its head has a value of the unknown type {kind}")
        return _NUMBERS[kind]

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return value

    def _text(self) -> str:
        size = self._number("Q")
        begin = self._at
        self._skip(size)
        return self._data[begin : begin + min(size, _LONGEST)].decode(errors="replace")

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise IndexError
