"""What is said on stderr about a turn whose answer goes to stdout: reasoning, tools, retries, other models, compactions; and, if they
want it all, what is being waited for."""

from __future__ import annotations

from typing import Literal, TypeAlias

from agentcli.core.event import (
    Compacted,
    Event,
    MessageAdded,
    NotCompacted,
    ReasoningDelta,
    Retrying,
    Switched,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from agentcli.ui.aside import aside_line
from agentcli.ui.sanitise import one_line
from agentcli.ui.talk import say, seconds

__all__ = ["Notices", "Talk"]

# How much is said besides the answer: `--quiet`, nothing, `--verbose`.
Talk: TypeAlias = Literal["quiet", "normal", "verbose"]


class Notices:
    """Says what the events of a turn are, all but the answer."""

    def __init__(self, talk: Talk) -> None:
        self._quiet = talk == "quiet"
        self._verbose = talk == "verbose"
        self._thinking = False
        self._silent = False  # the last answer had nothing in it

    def show(self, event: Event) -> None:
        if self._quiet:
            return
        if type(event) is ReasoningDelta:
            self._thinking = True
            say(event.text, end="")
            return
        self._end_thought()
        match event:
            case ToolStarted(name=name, arguments=arguments):
                say(f"tool {one_line(name)}({one_line(arguments, 200)})", dim=True)
            case ToolFinished(name=name, content=content, is_error=True):
                say(f"tool {one_line(name)} failed: {one_line(content, 200)}")
            case ToolProgress(text=text) if self._verbose:
                say(f"  {one_line(text, 200)}", dim=True)
            case Waiting(what=what) if self._verbose:
                say(f"{one_line(what)} …", dim=True)
            case Retrying(attempt=attempt, attempts=attempts, delay=delay, reason=reason):
                say(f"retry {attempt} of {attempts} in {seconds(delay)}: {one_line(reason, 200)}", dim=True)
            case Switched() | Compacted() | NotCompacted():
                say(aside_line(event), dim=True)
            case MessageAdded(message=message, source=source) if "/" not in source:
                self._silent = message.silent
            case TurnEnded(stop="done", text="") if self._silent:
                say("note: the model said nothing")

    def close(self) -> None:
        self._end_thought()

    def _end_thought(self) -> None:
        if self._thinking:
            self._thinking = False
            say("\n")
