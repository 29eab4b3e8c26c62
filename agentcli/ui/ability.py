"""What the terminal can do, and what its reader can: as far as the environment says.

A screen reader speaks what is written, so with `ACCESSIBLE=1` nothing may be written twice, moved or coloured. A terminal that calls
itself `dumb`, or nothing at all, can do no more anyway.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["accessible", "dumb", "only_appends"]


def accessible(environment: Mapping[str, str] = os.environ) -> bool:
    """Is what is written spoken?"""
    return environment.get("ACCESSIBLE", "0") not in ("", "0")


def dumb(environment: Mapping[str, str] = os.environ) -> bool:
    """Does the terminal take no sequences? A console of Windows has no name, and takes them all."""
    return accessible(environment) or environment.get("TERM", "xterm-direct" if os.name == "nt" else "dumb") in ("dumb", "")


def only_appends(*, plain: bool = False) -> bool:
    """Must nothing be drawn a second time, because somebody wants it so or the terminal can do no more?"""
    return plain or dumb()
