"""A turn as plain text that only grows: for screen readers, dumb terminals, logs, and whoever says `--plain`.

No colour, no carriage return, no cursor movement, nothing written twice. The answer comes as it was sent, Markdown marks and all, made
`visible` if it goes to a terminal and byte-exact if it does not. But it comes sentence by sentence: a screen reader speaks what is
written at once in one breath, and pieces of words are no words. What has no end for long goes out at the end of a word, after
`HOLD` seconds or `MOST` characters; before anything else is said, and at the end, all of it does.

Tools, retries and agents under the first one get a line each. When nothing has come for half a minute, a line says so, and again every
half minute; and one says that the time of the turn is running out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
from agentcli.ui.aside import arguments_line, aside_line, mark_of, result_line, retry_line
from agentcli.ui.sanitise import one_line, visible
from agentcli.ui.terminal import write_whole

__all__ = ["Plain"]

HEARTBEAT = 30.0  # seconds
HOLD = 1.5  # seconds that an unfinished sentence is kept back
MOST = 300  # characters that are
NEARLY = 30.0  # seconds before the end of a turn's time
ROOM = 200  # characters of a tool's arguments, result or progress

# The end of a line, or of a sentence with whatever closes behind it.
_END = re.compile(r"""\n|[.!?…]+["'”’»)\]*_`]*[ \t]+|[。！？]+[」』”’）]*(?=[^。！？」』”’）])""")


class Plain:
    """Shows events on `file`, append-only. `left` is how many seconds the turn still has, if that is limited."""

    def __init__(
        self, file: TextIO, *, clock: Callable[[], float] = monotonic, left: Callable[[], float | None] = lambda: None
    ) -> None:
        self._file = file
        self._clean = visible if file.isatty() else str
        self._clock = clock
        self._left = left
        self._plenty = False  # of time was left
        self._began = self._wrote = self._since = clock()
        self._paused = False
        self._held = ""  # of the answer, because its sentence goes on
        self._speaker = ""
        self._line = ""  # the last text written, to know whether its line has ended
        self._thinking = False
        self._spoke = False
        self._silent = False  # the last answer had nothing in it

    def show(self, event: Event) -> None:
        """Show an event."""
        if self._paused:
            self.go_on()
        if type(event) is TextDelta:
            self._thinking = False
            self._spoke = True
            self._name(event.source)
            self._hold(self._clean(event.text))
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
        """Say what was kept back for long; that it still goes on, if nothing has been said for long; and that it soon will not."""
        if self._paused:
            return
        now = self._clock()
        if self._held and now - self._since >= HOLD:
            self._let_go(_end_of_word(self._held))
        if now - self._wrote >= HEARTBEAT:
            self._say(f"still working, {now - self._began:.0f} s")
        left = self._left()
        nearly = left is not None and 0 < left <= NEARLY
        if nearly and self._plenty:
            self._say(f"time left: {left:.0f} s")
        self._plenty = left is not None and not nearly

    def pause(self) -> None:
        """Leave the terminal to a question, at the beginning of a line, and say nothing until it is answered."""
        self._end_line()
        self._paused = True

    def go_on(self) -> None:
        """The question is answered."""
        self._paused = False
        self._wrote = self._clock()

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

    def _hold(self, text: str) -> None:
        """Say the sentences that are whole now, and keep the beginning of the next."""
        if not self._held:
            self._since = self._clock()
        self._held += text
        self._let_go(_end_of_sentence(self._held))
        if len(self._held) > MOST:
            self._let_go(_end_of_word(self._held))

    def _let_go(self, end: int) -> None:
        if end:
            text, self._held = self._held[:end], self._held[end:]
            self._since = self._clock()
            self._write(text)

    def _end_line(self) -> None:
        self._let_go(len(self._held))
        if self._line and not self._line.endswith("\n"):
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        self._line = text
        self._wrote = self._clock()
        write_whole(self._file, text)


def _end_of_sentence(text: str) -> int:
    """Where the last sentence ends that is whole. The number of an item is none: it belongs to what follows."""
    for found in reversed(list(_END.finditer(text))):
        if found[0][0] != "." or not text[text.rfind("\n", 0, found.start()) + 1 : found.start()].strip().isdecimal():
            return found.end()
    return 0


def _end_of_word(text: str) -> int:
    """Where the last whole word ends, or the text if it is one word."""
    return max(text.rfind(" "), text.rfind("\t")) + 1 or len(text)
