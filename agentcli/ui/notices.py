"""What is said on stderr about a turn whose answer goes to stdout: reasoning, tools, retries, other models, compactions; and, if they
want it all, what is being waited for, when the first token came, and how many there were."""

from __future__ import annotations

from time import monotonic
from typing import Literal, TypeAlias

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
    Waiting,
)
from agentcli.ui.aside import aside_line, waiting_words
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
        self._began = monotonic()
        self._heard = not self._verbose  # when the first token came has been said, or is not wanted

    def show(self, event: Event) -> None:
        if self._quiet:
            return
        if not self._heard and isinstance(event, TextDelta | ReasoningDelta):
            self._say_first(monotonic() - self._began)
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
                say(f"{waiting_words(what)[0]} …", dim=True)
            case Retrying(attempt=attempt, attempts=attempts, delay=delay, reason=reason):
                say(f"retry {attempt} of {attempts} in {seconds(delay)}: {one_line(reason, 200)}", dim=True)
            case Switched() | Compacted() | NotCompacted():
                say(aside_line(event), dim=True)
            case MessageAdded(message=message, source=source) if "/" not in source:
                self._silent = message.silent
            case TurnEnded(source=source) if "/" not in source:
                self._end(event)

    def close(self) -> None:
        self._end_thought()

    def _say_first(self, after: float) -> None:
        self._heard = True
        say(f"first token after {after:.1f} s", dim=True)

    def _end(self, ended: TurnEnded) -> None:
        if not self._heard and ended.first_token_seconds is not None:  # the answer passed us by
            self._say_first(ended.first_token_seconds)
        if self._verbose and (tokens := ended.usage.get("output")):
            rate = f", {tokens / ended.seconds:.0f} tokens/s" if ended.seconds > 0 else ""
            say(f"{tokens:,} token{'s' if tokens > 1 else ''} in {ended.seconds:.1f} s{rate}", dim=True)
        if ended.stop == "done" and not ended.text and self._silent:
            say("note: the model said nothing")

    def _end_thought(self) -> None:
        if self._thinking:
            self._thinking = False
            say("\n")
