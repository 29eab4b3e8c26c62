"""What happens in a turn.

A turn is an async generator of these. Each carries `source` (which agent, "chief/editor" when nested) and `thread`. They go to the
journal first and to the screen second; `--jsonl` prints them as they are, so the names of classes and fields are part of the
contract with scripts. An event is a fact: nothing answers it. A new one needs a consumer.

`Tally` folds the events of one turn into its `TurnEnded`, for whoever has to end a turn that the agent could not end itself.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import Any, TypeAlias

from msgspec import Struct

from agentcli.core.document import Compaction
from agentcli.core.message import Message, Stop, ToolCall, Usage

__all__ = [
    "Compacted",
    "Event",
    "Failure",
    "MessageAdded",
    "NotCompacted",
    "ReasoningDelta",
    "Retrying",
    "Switched",
    "Tally",
    "TextDelta",
    "ToolFinished",
    "ToolProgress",
    "ToolStarted",
    "TurnEnded",
    "Waiting",
]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class _Event(Struct, frozen=True, tag_field="event", tag=_snake):
    source: str = ""
    thread: str = ""


class TextDelta(_Event, frozen=True):
    """A piece of the answer."""

    text: str = ""


class ReasoningDelta(_Event, frozen=True):
    """A piece of the model's thinking."""

    text: str = ""


class ToolStarted(_Event, frozen=True):
    """The model wants this call run. It has not been asked about or run yet."""

    call_id: str = ""
    name: str = ""
    arguments: str = ""


class ToolProgress(_Event, frozen=True):
    """A running tool reports."""

    call_id: str = ""
    text: str = ""


class ToolFinished(_Event, frozen=True):
    """A call has its result. `denied` is a call that nobody allowed."""

    call_id: str = ""
    name: str = ""
    content: str = ""
    is_error: bool = False
    denied: bool = False
    seconds: float = 0.0


class MessageAdded(_Event, frozen=True, kw_only=True):
    """A whole message is in the thread."""

    message: Message


class Waiting(_Event, frozen=True):
    """What is being waited for now, said before the wait begins. A step that is not needed is not said."""

    what: str = ""


class Retrying(_Event, frozen=True):
    """A request failed before any content came and will be made again after `delay` seconds."""

    attempt: int = 0
    attempts: int = 0
    delay: float = 0.0
    reason: str = ""
    status: int | None = None


class Switched(_Event, frozen=True):
    """A model is overloaded or out of reach, and another one is asked, for the rest of the turn."""

    model: str = ""
    instead_of: str = ""
    reason: str = ""
    status: int | None = None


class Compacted(_Event, frozen=True, kw_only=True):
    """From now on less is sent of what was said: the conversation had become too long. The thread keeps all of it."""

    compaction: Compaction


class NotCompacted(_Event, frozen=True):
    """The conversation is getting too long, and could not be summarised. The turn goes on with all of it."""

    reason: str = ""


class Failure(Struct, frozen=True):
    """Why a turn failed: `kind` is a word to match on, `message` and `hint` are for a person."""

    kind: str
    message: str
    hint: str = ""


class TurnEnded(_Event, frozen=True):
    """The end of a turn, and what came of it. `text` and `tool_calls` are the last answer's."""

    model: str | None = None
    stop: Stop = "done"
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[dict[str, str], ...] = ()
    usage: dict[str, int] = {}
    cost: dict[str, Any] | None = None
    seconds: float = 0.0
    first_token_seconds: float | None = None
    retries: int = 0
    denied: tuple[str, ...] = ()
    error: Failure | None = None


Event: TypeAlias = (
    TextDelta
    | ReasoningDelta
    | ToolStarted
    | ToolProgress
    | ToolFinished
    | MessageAdded
    | Waiting
    | Retrying
    | Switched
    | Compacted
    | NotCompacted
    | TurnEnded
)


class Tally:
    """The events of one turn, added up. Only what the turn's own agent says counts as its answer."""

    def __init__(self, source: str, thread: str) -> None:
        self.source = source
        self.thread = thread
        self.model: str | None = None
        self._began = monotonic()
        self._first: float | None = None
        self._usage = Usage(0, 0)
        self._retries = 0
        self._denied: list[str] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: tuple[ToolCall, ...] = ()
        self._fresh = False

    def add(self, event: Event) -> None:
        if type(event) is TextDelta or type(event) is ReasoningDelta:
            if event.source == self.source:
                self._add_delta(event)
            return
        match event:
            case MessageAdded(message=message, source=self.source) if message.role == "assistant":
                self._usage += message.usage or Usage(0, 0)
                self._text, self._reasoning, self._calls = [message.text], [message.reasoning], message.calls
                self.model = message.model or self.model
                self._fresh = True
            case MessageAdded(message=message) if message.usage:
                self._usage += message.usage
            case Retrying():
                self._retries += 1
            case Switched(model=model, source=self.source):
                self.model = model
            case Compacted(compaction=compaction):
                self._usage += compaction.usage or Usage(0, 0)
            case ToolFinished(denied=True, name=name):
                self._denied.append(name)

    def ended(self, stop: Stop, error: Failure | None = None) -> TurnEnded:
        usage = self._usage
        return TurnEnded(
            source=self.source,
            thread=self.thread,
            model=self.model,
            stop=stop,
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=tuple({"id": call.id, "name": call.name, "arguments": call.arguments} for call in self._calls),
            usage={
                "input": usage.input,
                "output": usage.output,
                "cached": usage.cached,
                "reasoning": usage.reasoning,
                "cache_write": usage.cache_write,
                "total": usage.total,
            },
            seconds=round(monotonic() - self._began, 4),
            first_token_seconds=self._first,
            retries=self._retries,
            denied=tuple(self._denied),
            error=error,
        )

    def _add_delta(self, event: TextDelta | ReasoningDelta) -> None:
        if self._first is None:
            self._first = round(monotonic() - self._began, 4)
        if self._fresh:  # the model's next answer in the same turn: after its tools have run
            self._text, self._reasoning, self._calls, self._fresh = [], [], (), False
        (self._text if type(event) is TextDelta else self._reasoning).append(event.text)
