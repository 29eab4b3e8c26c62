"""Saying that a long turn has ended to somebody who looks elsewhere: by the bell, or by the desktop. Only if the configuration asks.

`notify = "bell"` is one BEL, which the terminal makes a sound, a flash or a mark of. `notify = "desktop"` is OSC 9, which many
terminals show as a message of the desktop and others ignore; tmux passes it on if it is wrapped, and if `allow-passthrough` is set
there. What stands in it is one bounded line of printable characters with the program's name in front: without that, `4;…` would be a
progress bar in some terminals. A screen that is read aloud (`plain`) gets the bell, if that was asked for, and no sequence ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, Protocol

from agentcli.ui.sanitise import one_line

__all__ = ["Wish", "end_of_turn"]

_WIDTH = 120  # columns of a message of the desktop


class Wish(Protocol):
    """What the configuration says of it."""

    @property
    def notify(self) -> Literal["none", "bell", "desktop"]: ...
    @property
    def notify_after(self) -> float: ...


def end_of_turn(wish: Wish, seconds: float, text: str, write: Callable[[str], object], *, plain: bool = False) -> None:
    """Say that a turn which took so long has ended, or that it asks something; the text says which. `write` writes as it is."""
    if wish.notify == "none" or seconds < wish.notify_after:
        return
    if wish.notify == "bell":
        write("\a")
    elif not plain:
        write(_wrapped(f"\x1b]9;agentcli: {_harmless(text)}\a"))


def _harmless(text: str) -> str:
    return "".join(character for character in one_line(text, _WIDTH) if character.isprintable())


def _wrapped(sequence: str) -> str:
    """As tmux wants what is not meant for it."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\" if os.environ.get("TMUX") else sequence
