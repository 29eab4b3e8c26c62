"""The arguments of a call that come in pieces: each names the place of a value, as a JSON path, and the value or a part of it.

Vertex sends them so where that is asked for (`streamFunctionCallArguments`). Only texts come in parts; those of the same place belong
together. What is not a path that can be followed is a name.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

from msgspec import Struct

from agentcli.core.provider import ProviderError

__all__ = ["Arguments"]

_DEEPEST = 100
_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['([^']*)'\]|\["([^"]*)"\]""")


class _Text(Struct):
    """A text that may grow."""

    pieces: list[str]


class Arguments:
    """The arguments so far."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def update(self, whole: dict[str, Any]) -> None:
        """Arguments that came in one piece."""
        self._root.update(whole)

    def add(self, piece: Any) -> None:
        """One piece: `{"jsonPath": "$.place", "stringValue": "Ro"}`."""
        if not isinstance(piece, dict) or not isinstance(path := piece.get("jsonPath"), str):
            return
        if isinstance(text := piece.get("stringValue"), str):
            self._put(_steps(path), _Text([text]))
        elif isinstance(value := piece.get("boolValue", piece.get("numberValue")), bool | int | float):
            self._put(_steps(path), value)
        elif "nullValue" in piece:
            self._put(_steps(path), None)

    def written(self) -> str:
        """As JSON; nothing if there are none."""
        if not self._root:
            return ""
        try:
            return json.dumps(self._root, ensure_ascii=False, default=lambda text: "".join(text.pieces))
        except RecursionError:
            raise ProviderError("protocol", "the server sent a call whose arguments are nested too deeply") from None

    def _put(self, steps: list[str | int], value: Any) -> None:
        place: Any = self._root
        for step, following in pairwise(steps):
            place = _at(place, step, [] if isinstance(following, int) else {})
        last = steps[-1]
        there = _there(place, last)
        if isinstance(there, _Text) and isinstance(value, _Text):
            there.pieces += value.pieces
        else:
            _set(place, last, value)


def _steps(path: str) -> list[str | int]:
    """The names and numbers that lead to a value."""
    steps: list[str | int] = []
    at = 1
    while at < len(path) and (found := _STEP.match(path, at)):
        name, number, *quoted = found.groups()
        steps.append(int(number) if number else next((text for text in (name, *quoted) if text is not None), ""))
        at = found.end()
    followed = path.startswith("$") and at == len(path) and 0 < len(steps) <= _DEEPEST and isinstance(steps[0], str)
    return steps if followed else [path]


def _there(place: Any, step: str | int) -> Any:
    if isinstance(place, list):
        return place[step] if isinstance(step, int) and step < len(place) else None
    return place.get(str(step))


def _at(place: Any, step: str | int, empty: Any) -> Any:
    """What is there to go on from; if it is something else, it is replaced."""
    there = _there(place, step)
    if isinstance(there, dict | list):
        return there
    _set(place, step, empty)
    return empty


def _set(place: Any, step: str | int, value: Any) -> None:
    if isinstance(place, dict):
        place[str(step)] = value
    elif isinstance(step, int) and step < len(place):
        place[step] = value
    else:  # numbers come in order: one that is far beyond would fill the memory
        place.append(value)
