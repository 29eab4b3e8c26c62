"""What stands in for stdout and stderr while a prompt has the screen: what is printed by whoever does not know better, such as the
code of a tool, goes above the prompt, harmless."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TextIO

from agentcli.ui.sanitise import visible

__all__ = ["Above"]


class Above(io.TextIOBase):
    """Passes text on to `write`; in all else it is like the file that it stands for."""

    def __init__(self, write: Callable[[str], None], instead_of: TextIO) -> None:
        self._write = write
        self._instead_of = instead_of

    def write(self, text: str) -> int:
        self._write(visible(text))
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._instead_of.isatty()

    def fileno(self) -> int:
        return self._instead_of.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._instead_of.encoding
