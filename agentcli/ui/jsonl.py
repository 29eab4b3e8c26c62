"""A turn for a program that reads: every event as one line of JSON, as it happens (`--jsonl`).

The lines are the events of `core/event.py` as they are: `event` says which in snake case, then `source`, `thread` and the event's own
fields. UTF-8, no spaces, one write a line. The last line of a turn is `turn_ended`.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import json

from agentcli.core.event import Event

__all__ = ["JsonLines"]


class JsonLines:
    """Gives each event as a line of bytes to `write`."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._encode = json.Encoder().encode

    def show(self, event: Event) -> None:
        self._write(self._encode(event) + b"\n")

    def tick(self) -> None:
        """Nothing moves in a list of lines."""

    def pause(self) -> None:
        """Nothing stands in anybody's way."""

    def close(self) -> None:
        """Every line is whole already."""
