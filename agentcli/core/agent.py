"""The turn: from a message to an answer, with whatever tools it takes.

`Invokable` is anything that carries on a conversation: an agent, and later a team of them. It has one method to write, `stream()`:
every event of a turn. `invoke()` is the same turn as whole messages. `thread=None` makes a new thread, returned with every item: not
captured, the call is a stateless question; captured and passed again, it is a conversation.

`Agent.stream` keeps three promises:

1. An event is yielded before what it announces takes effect: a consumer that writes each event to disk before asking for the next
   has on disk everything that was ever acted on.
2. However it ends (answer, error, cancellation, `break`), the thread can be sent again: what the model had said so far is kept as an
   interrupted message, and every tool call has a result.
3. It never yields inside a timeout or a task group: those would cancel what the consumer awaits (PEP 789). Clocks and task groups
   belong to the consumer.

Cancelling a turn is cancelling the task that iterates it, or leaving the loop inside `contextlib.aclosing`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from agentcli.core.event import (
    Event,
    MessageAdded,
    ReasoningDelta,
    Retrying,
    Tally,
    TextDelta,
    ToolFinished,
    ToolStarted,
    Waiting,
)
from agentcli.core.message import Message, Stop, ToolCall, ToolResult, user
from agentcli.core.provider import Draft, Provider, ProviderError, ReasoningChunk, Request, TextChunk
from agentcli.core.stream import merge
from agentcli.core.thread import Thread, sendable
from agentcli.core.tool import TIMEOUT, Spill, Tool, arguments_of, call, told

__all__ = ["MAX_STEPS", "Agent", "Approve", "Invokable", "Options", "ResponseItem"]

MAX_STEPS = 50  # answers of the model in one turn

# May this call run? True: yes. False: no. A text: no, and these words are for the model.
Approve: TypeAlias = Callable[[ToolCall, Tool], Awaitable[bool | str]]


class ResponseItem(NamedTuple):
    """A whole message, and the thread it is in."""

    message: Message
    thread: Thread


class Options(Struct, frozen=True, kw_only=True):
    """What one call changes: instructions, tools and settings are added to the agent's own."""

    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    settings: dict[str, Any] = {}
    approve: Approve | None = None  # None: what asks is denied
    max_steps: int | None = None
    tool_timeout: float | None = TIMEOUT
    spill: Spill | None = None
    schema: dict[str, Any] | None = None  # ask for JSON that fits; checking the answer is the caller's part


class Invokable(Protocol):
    """Anything that answers a message on a thread."""

    name: str

    def stream(
        self, message: str | Message | None, thread: Thread | None = None, options: Options = Options()
    ) -> AsyncGenerator[Event, None]:
        """Every event of the turn. `message=None` asks again for an answer to what the thread ends with."""
        ...

    async def invoke(
        self, message: str | Message | None, thread: Thread | None = None, options: Options = Options()
    ) -> AsyncGenerator[ResponseItem, None]:
        """The whole messages that answer: tool calls, tool results and, last, the answer."""
        thread = Thread() if thread is None else thread
        async with aclosing(self.stream(message, thread, options)) as events:
            async for event in events:
                if isinstance(event, MessageAdded) and event.source == self.name and event.message.role != "user":
                    yield ResponseItem(event.message, thread)


class Agent(Invokable):
    """A model with instructions and tools."""

    def __init__(
        self,
        provider: Provider,
        model: str,
        *,
        name: str = "agentcli",
        instructions: str = "",
        tools: tuple[Tool, ...] | list[Tool] = (),
        settings: dict[str, Any] | None = None,
        max_steps: int = MAX_STEPS,
    ) -> None:
        self.provider = provider
        self.model = model
        self.name = name
        self.instructions = instructions
        self.tools = tuple(tools)
        self.settings = settings or {}
        self.max_steps = max_steps

    @property
    def full_model(self) -> str:
        """The model as it is named everywhere: `openai/gpt-5.4`."""
        return f"{self.provider.name}/{self.model}"

    async def aclose(self) -> None:
        """Close the provider's connections."""
        await self.provider.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def stream(
        self, message: str | Message | None, thread: Thread | None = None, options: Options = Options()
    ) -> AsyncGenerator[Event, None]:
        thread = Thread() if thread is None else thread
        with thread.held():
            turn = _Turn(self, thread, options)
            try:
                thread.settle()
                if message is not None:
                    said = user(message) if isinstance(message, str) else message
                    thread.append(said)
                    yield turn.seen(MessageAdded(message=said))
                stop: Stop = "tools"
                for left in reversed(range(options.max_steps or self.max_steps)):
                    async with aclosing(turn.answer()) as events:
                        async for event in events:
                            yield event
                    answer = thread.messages[-1]
                    if not answer.calls:
                        stop = "done" if answer.stop in (None, "tools") else answer.stop
                        break
                    if answer.stop == "length" or not left:  # the calls may be cut, or nobody would read their results
                        stop = "length" if answer.stop == "length" else "tools"
                        for added in thread.settle():
                            yield turn.seen(MessageAdded(message=added))
                        break
                    async with aclosing(turn.run(answer.calls)) as events:
                        async for event in events:
                            yield event
                yield turn.tally.ended(stop)
            except Exception:
                turn.keep("failed")
                raise
            except BaseException:  # cancelled, or left by the consumer
                turn.keep("interrupted")
                raise


class _Turn:
    """The state of one turn: what has been said so far and which calls have begun or have their result."""

    def __init__(self, agent: Agent, thread: Thread, options: Options) -> None:
        self.agent = agent
        self.thread = thread
        self.options = options
        self.tally = Tally(agent.name, thread.id)
        self.tools = {tool.name: tool for tool in (*agent.tools, *options.tools)}
        self.draft = Draft()
        self.begun: set[str] = set()
        self.done: dict[str, ToolResult] = {}

    def seen(self, event: Event) -> Event:
        """The event as this turn's: signed, and counted."""
        if not event.source:
            event = replace(event, source=self.agent.name, thread=self.thread.id)
        self.tally.add(event)
        return event

    async def answer(self) -> AsyncGenerator[Event, None]:
        """Ask the model once and add its answer to the thread."""
        agent, thread, options = self.agent, self.thread, self.options
        source, place, tally = agent.name, thread.id, self.tally
        request = Request(
            model=agent.model,
            messages=sendable(thread.messages),
            instructions="\n\n".join(filter(None, (agent.instructions, options.instructions))),
            tools=tuple(tool.spec for tool in self.tools.values()),
            settings={**agent.settings, **options.settings},
            schema=options.schema,
        )
        draft = self.draft = Draft()
        async with aclosing(agent.provider.stream(request)) as chunks:
            async for chunk in chunks:
                draft.add(chunk)
                if type(chunk) is TextChunk:
                    event: Event = TextDelta(source, place, chunk.text)
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
        message = draft.message(author=agent.name, model=agent.full_model)
        draft = self.draft = Draft()
        thread.append(message)
        yield self.seen(MessageAdded(message=message))

    async def run(self, calls: tuple[ToolCall, ...]) -> AsyncGenerator[Event, None]:
        """Announce the calls, ask where that is needed, run the allowed ones side by side, add the results in order."""
        for one in calls:
            yield self.seen(ToolStarted(call_id=one.id, name=one.name, arguments=one.arguments))
        allowed: list[tuple[Tool, ToolCall]] = []
        for one in calls:
            refused = await self._refused(one)
            if refused is None:
                allowed.append((self.tools[one.name], one))
            else:
                self._note(refused)
                yield self.seen(refused)
        self.begun.update(one.id for _, one in allowed)
        options = self.options
        running = [self._noted(call(tool, one, timeout=options.tool_timeout, spill=options.spill)) for tool, one in allowed]
        async with aclosing(merge(*running)) as events:
            async for event in events:
                yield self.seen(event)
        results = Message(role="tool", parts=tuple(self.done[one.id] for one in calls))
        self.thread.append(results)
        self.begun, self.done = set(), {}  # the next answer's calls may have the same ids
        yield self.seen(MessageAdded(message=results))

    async def _refused(self, one: ToolCall) -> ToolFinished | None:
        """Why the call is not run, or None if it may be."""
        finished = ToolFinished(call_id=one.id, name=one.name, is_error=True)
        tool = self.tools.get(one.name)
        if tool is None:
            known = ", ".join(sorted(self.tools)) or "none"
            return replace(finished, content=f"There is no tool called {one.name!r}. The tools are: {known}.")
        try:
            arguments = arguments_of(one)
            if tool.check:
                tool.check(arguments)
        except Exception as error:  # noqa: BLE001  (a check is the tool's own code)
            return replace(finished, content=told(error))
        if not tool.asks:
            return None
        if self.options.approve is None:
            return replace(finished, content="This call was not allowed: there was nobody to ask.", denied=True)
        answer = await self.options.approve(one, tool)
        if answer is True:
            return None
        words = f" They said: {answer}" if answer else ""
        return replace(finished, content=f"The user did not allow this call.{words}", denied=True)

    async def _noted(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Note a result when it is there, not when its event is read: a turn that is left in between keeps it."""
        async with aclosing(events):
            async for event in events:
                if isinstance(event, ToolFinished) and not event.source:  # not that of an agent inside the tool
                    self._note(event)
                yield event

    def _note(self, event: ToolFinished) -> None:
        self.done[event.call_id] = ToolResult(event.call_id, event.content, event.is_error)

    def keep(self, stop: Stop) -> None:
        """Leave the thread sendable and nothing lost. It runs while unwinding, so it neither awaits nor yields."""
        if self.draft:
            self.thread.append(self.draft.message(author=self.agent.name, model=self.agent.full_model, stop=stop))
        self.thread.settle(self.done, self.begun)
