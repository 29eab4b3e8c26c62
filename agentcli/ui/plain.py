"""A turn as plain text that only grows: for screen readers, dumb terminals, logs, and whoever says `--plain`.

No colour, no carriage return, no cursor movement, nothing written twice. The answer comes as it is sent, Markdown marks and all, made
`visible` if it goes to a terminal and byte-exact if it does not. Tools, retries and agents under the first one get a line each. When
nothing has come for half a minute, a line says so, and again every half minute.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TextIO

from agentcli.core.event import (
    Compacted,
    Event,
    MessageAdded,
    NotCompacted,
    ReasoningDelta,
    Retrying,
    Switched,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
)
from agentcli.ui.aside import aside_line
from agentcli.ui.sanitise import one_line, visible
from agentcli.ui.view import arguments_line, mark_of, result_line, retry_line

__all__ = ["Plain"]

HEARTBEAT = 30.0  # seconds
ROOM = 200  # characters of a tool's arguments, result or progress


class Plain:
    """Shows events on `file`, append-only."""

    def __init__(self, file: TextIO, *, clock: Callable[[], float] = monotonic) -> None:
        self._file = file
        self._clean = visible if file.isatty() else str
        self._clock = clock
        self._began = self._wrote = clock()
        self._speaker = ""
        self._line = ""  # the last text written, to know whether its line has ended
        self._thinking = False
        self._spoke = False
        self._silent = False  # the last answer had nothing in it

    def show(self, event: Event) -> None:
        """Show an event."""
        if type(event) is TextDelta:
            self._thinking = False
            self._spoke = True
            self._name(event.source)
            self._write(self._clean(event.text))
            return
        match event:
            case ReasoningDelta(source=source) if not self._thinking:
                self._name(source)
                self._thinking = True
                self._say("thinking…")
            case ToolStarted(source=source, name=name, arguments=arguments):
                self._name(source)
                self._say(f"tool: {one_line(name, 60)}({arguments_line(arguments, ROOM)})")
            case ToolProgress(text=text):
                self._say(f"  {one_line(text, ROOM)}")
            case ToolFinished(name=name, is_error=is_error):
                self._say(
                    f"{'failed' if is_error and not event.denied else 'result'}: {one_line(name, 60)}: {result_line(event, ROOM)}"
                )
            case Retrying():
                self._say(retry_line(event))
            case Switched() | Compacted() | NotCompacted():
                self._say(aside_line(event))
            case MessageAdded(message=message) if message.role == "assistant":
                self._thinking = False
                self._silent = message.silent
                self._end_line()
            case TurnEnded():
                self._end_line()
                if mark := mark_of(event, spoke=self._spoke, silent=self._silent):
                    self._say(mark)

    def tick(self) -> None:
        """Say that it still goes on, if nothing has been said for long."""
        now = self._clock()
        if now - self._wrote >= HEARTBEAT:
            self._say(f"still working, {now - self._began:.0f} s")

    def pause(self) -> None:
        """Leave the terminal to somebody else, at the beginning of a line."""
        self._end_line()

    def close(self) -> None:
        """End the last line."""
        self._end_line()

    def _name(self, source: str) -> None:
        """Who speaks now, if it is another agent than before."""
        if source != self._speaker:
            if "/" in source or "/" in self._speaker:
                self._say(f"[{one_line(source, 100)}]")
            self._speaker = source

    def _say(self, line: str) -> None:
        self._end_line()
        self._write(f"{line}\n")

    def _end_line(self) -> None:
        if self._line and not self._line.endswith("\n"):
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        self._line = text
        self._wrote = self._clock()
        with suppress(OSError, ValueError):  # nobody reads any more: what is kept matters, not what is shown
            try:
                self._file.write(text)
            except UnicodeEncodeError:
                encoding = self._file.encoding
                self._file.write(text.encode(encoding, "replace").decode(encoding))
            self._file.flush()
