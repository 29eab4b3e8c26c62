"""A turn for a program that reads: every event as one line of JSON, as it happens (`--jsonl`).

The lines are the events of `core/event.py` as they are: `event` says which in snake case, then `source`, `thread` and the event's own
fields. UTF-8, no spaces, one write a line; what could act on a terminal is written as escapes there. The last line is `turn_ended`.
"""

from __future__ import annotations

from msgspec import json

from agentcli.core.event import Event
from agentcli.ui.pipe import Pipe
from agentcli.ui.stdout import stream_json

__all__ = ["JsonLines"]


class JsonLines:
    """Writes each event as a line."""

    def __init__(self, out: Pipe) -> None:
        self._out = out
        self._encode = json.Encoder().encode

    def show(self, event: Event) -> None:
        stream_json(self._out, self._encode(event) + b"\n")

    def tick(self) -> None:
        """Nothing moves in a list of lines."""

    def pause(self) -> None:
        """Nothing stands in anybody's way."""

    def go_on(self) -> None:
        """And nothing did."""

    def close(self) -> None:
        """Every line is whole already."""
