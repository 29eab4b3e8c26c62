"""The state of one turn, and its steps: ask the model for an answer, run the tools that it calls (calls.py).

An answer that was cut off, and that is gone on with (begun.py), stands in the thread as it was until there is more of it to put in its
place.

`Agent.stream` (agent.py) is the loop around them and says what is promised. Two things may come between a question to the model and
its answer, both only while nothing of the answer has come:

- The conversation is too long. It is compacted (room.py) before the model's window is full, where that is known; and once in a turn
  when the server says so, where it is not. In the first case a compaction that fails is told, and the turn goes on without it.
- The model is overloaded or out of reach. Then the next of `models` is asked, for the rest of the turn. If the last one fails too, it
  is the first one's error that is raised, with a word about the others.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import replace

from agentcli.core.begun import GO_ON, counted, joined, seamless
from agentcli.core.calls import Calls
from agentcli.core.event import (
    Event,
    MessageAdded,
    NotCompacted,
    ReasoningDelta,
    Retrying,
    Switched,
    Tally,
    TextDelta,
    Waiting,
)
from agentcli.core.message import Message, Part, Stop, ToolCall, user
from agentcli.core.provider import Draft, Model, ProviderError, ReasoningChunk, Request, TextChunk
from agentcli.core.thread import Thread, sendable

if TYPE_CHECKING:
    from agentcli.core.room import Chosen, Room

__all__ = ["Turn"]

# Kinds of error that are the server's trouble and not the question's: another model may do better.
_OUTAGES = frozenset({"overloaded", "server", "unreachable", "rate_limit", "stalled", "cut"})

_SOME = 3  # messages; of fewer there is nothing to leave out, and a window takes time to look up

_STILL_TOO_LONG = "It is too long even after less was sent. In a chat: /compact, /new, or /model for another one."


class Turn:
    """What has been said so far in a turn, and which calls have begun or have their result."""

    def __init__(
        self,
        thread: Thread,
        models: Sequence[Model],
        *,
        name: str,
        instructions: str,
        calls: Calls,
        settings: dict[str, Any],
        schema: dict[str, Any] | None,
    ) -> None:
        self.thread = thread
        self.models = models
        self.model = models[0]
        self.name = name
        self.instructions = instructions
        self.calls = calls
        self.tools = tuple(tool.spec for tool in calls.tools.values())
        self.settings = settings
        self.schema = schema
        self.tally = Tally(name, thread.id)
        self.draft = Draft()
        self.begun: Message | None = None  # an answer that was cut off: the next one goes on with it
        self.asked: tuple[Part, ...] = ()  # what was said since the last answer
        self.failed: list[ProviderError] = []  # why each model before this one was left
        self.compacted = False  # because the server said that it was too long
        self.cannot_compact = False

    def seen(self, event: Event) -> Event:
        """The event as this turn's: signed, and counted."""
        if not event.source:
            event = replace(event, source=self.name, thread=self.thread.id)
        self.tally.add(counted(event))
        return event

    def hear(self, message: Message) -> Event:
        """Add what the user says to the thread."""
        self.thread.append(message)
        self.asked += message.parts
        return self.seen(MessageAdded(message=message))

    def wait(self) -> None:
        """Nothing new is said: an answer is wanted to what is there, or the rest of one."""
        messages = self.thread.messages
        self.begun = self.thread.partial
        if messages and (self.begun or messages[-1].role == "user"):
            self.asked = next((message.parts for message in reversed(messages) if message.role == "user"), ())

    async def answer(self) -> AsyncGenerator[Event, None]:
        """Ask the model once and add its answer to the thread."""
        thread, tally = self.thread, self.tally
        source, place = self.name, thread.id
        failure: ProviderError | None = None
        while True:
            async with aclosing(self._prepare(failure)) as events:
                async for event in events:
                    yield event
            model = self.model
            request = self._request()
            draft = self.draft = Draft()
            arriving = model.provider.stream(request)
            try:
                async with aclosing(seamless(arriving, thread.messages[-1].text) if request.begun else arriving) as chunks:
                    async for chunk in chunks:
                        draft.add(chunk)
                        if type(chunk) is TextChunk:
                            if not chunk.text:
                                continue
                            event = TextDelta(source, place, chunk.text)
                        elif type(chunk) is ReasoningChunk:
                            if not chunk.text:
                                continue
                            event = ReasoningDelta(source, place, chunk.text)
                        elif isinstance(chunk, Waiting | Retrying):
                            event = replace(chunk, source=source, thread=place)
                        else:
                            continue
                        tally.add(event)
                        yield event
                if draft.stop is None:
                    raise ProviderError("cut", "the answer was cut off", hint="Ask again, or go on from what there is.")
                break
            except ProviderError as error:
                if draft:
                    raise
                failure = error
        message = self._put(draft.message(author=source, model=model.full_name))
        draft = self.draft = Draft()
        self.asked = ()
        yield self.seen(MessageAdded(message=message))

    async def _prepare(self, failure: ProviderError | None) -> AsyncGenerator[Event, None]:
        """Make ready to ask; again, after a request that failed before any content."""
        if failure:
            async with aclosing(self._recover(failure)) as events:
                async for event in events:
                    yield event
        async with aclosing(self._make_room()) as events:
            async for event in events:
                yield event

    async def _recover(self, failure: ProviderError) -> AsyncGenerator[Event, None]:
        """Find a way on after a failure, or raise what is to be raised."""
        if failure.kind == "context_length" and self.compacted:
            failure = _with_hint(failure, _STILL_TOO_LONG)
        elif failure.kind == "context_length" and (chosen := self.room.refused(self.model, failure.message)):
            self.compacted = True
            try:
                async with aclosing(self._carry_out(chosen)) as events:
                    async for event in events:
                        yield event
            except ProviderError:
                raise failure from None
            return
        self.failed.append(failure)
        if len(self.failed) == 1 and failure.kind not in _OUTAGES:
            raise failure
        if len(self.failed) == len(self.models):
            raise self._all_failed()
        left, self.model = self.model, self.models[len(self.failed)]
        self.cannot_compact = False
        yield self.seen(Switched(model=self.model.full_name, instead_of=left.full_name, reason=failure.message, status=failure.status))

    def _all_failed(self) -> ProviderError:
        """The first model's error; its hint says what became of the others."""
        first, *others = self.failed
        if not others:
            return first
        said = "; ".join(f"{model.full_name}: {error.message}" for model, error in zip(self.models[1:], others, strict=True))
        return _with_hint(first, f"{first.hint} The fallback failed too: {said}".strip())

    # Compaction

    @cached_property
    def room(self) -> Room:
        """The room in the model's window."""
        from agentcli.core.room import Room

        return Room(self.thread, instructions=self.instructions, tools=self.tools, settings=self.settings)

    async def compact(self, wish: str = "") -> AsyncGenerator[Event, None]:
        """Send less from now on, because a person wants it so."""
        async with aclosing(self._carry_out(self.room.wanted(self.model), wish)) as events:
            async for event in events:
                yield event

    def learn_window(self) -> None:
        """Find out how much the model holds."""
        if self.model.window is None and self.model.find_window:
            self.model = self.model._replace(window=self.model.find_window())

    async def _make_room(self) -> AsyncGenerator[Event, None]:
        """Send less, if the next request would fill the model's window."""
        if len(self.thread.messages) >= _SOME:
            self.learn_window()
        if not self.model.window or self.cannot_compact or not (chosen := self.room.ahead(self.model)):
            return
        try:
            async with aclosing(self._carry_out(chosen)) as events:
                async for event in events:
                    yield event
        except ProviderError as error:
            self.cannot_compact = True
            reason = error.message
        else:
            return
        yield self.seen(NotCompacted(reason=reason))

    async def _carry_out(self, chosen: Chosen, wish: str = "") -> AsyncGenerator[Event, None]:
        async with aclosing(self.room.carry_out(chosen, self.model, wish)) as events:
            async for event in events:
                yield self.seen(event)

    def _request(self) -> Request:
        """The next question to the model."""
        messages = self._messages()
        begun = self.begun is not None and bool(self.begun.text.strip())
        return Request(
            model=self.model.name,
            messages=[*messages, user(GO_ON)] if begun else messages,
            instructions=self.instructions,
            tools=self.tools,
            settings=self.settings,
            schema=None if begun else self.schema,  # the rest of some JSON does not fit what the whole of it has to
            asked=self.asked,
            begun=begun,
        )

    def _messages(self) -> list[Message]:
        """What is sent of the thread."""
        if self.thread.compactions is UNSET:
            return sendable(self.thread.messages)
        from agentcli.core.compact import view

        return view(self.thread)

    def _put(self, message: Message) -> Message:
        """Add an answer to the thread, or put it in the place of the one that it goes on with; says what is there now."""
        if self.begun:
            message = joined(self.begun, message)
            self.begun = None
        self.thread.put(message)
        return message

    # Tools

    async def run(self, wanted: tuple[ToolCall, ...]) -> AsyncGenerator[Event, None]:
        """Run the tools that an answer calls, and add the results to the thread."""
        async with aclosing(self.calls.run(wanted)) as events:
            async for event in events:
                yield self.seen(event)
        results = self.calls.take(wanted)
        self.thread.append(results)
        yield self.seen(MessageAdded(message=results))

    def keep(self, stop: Stop) -> None:
        """Leave the thread sendable and nothing lost. It runs while unwinding, so it neither awaits nor yields."""
        if self.draft and not (self.begun and self.draft.silent):  # thinking that led to nothing is no reason to touch what is there
            self._put(self.draft.message(author=self.name, model=self.model.full_name, stop=stop))
        self.thread.settle(self.calls.done, self.calls.begun)


def _with_hint(error: ProviderError, hint: str) -> ProviderError:
    return ProviderError(error.kind, error.message, hint=hint, status=error.status, retry_after=error.retry_after)
