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

What is said while a turn runs (`Options.meanwhile`) is heard between its steps: once the tools of an answer have run, and at the end
of an answer, which is then followed by another. It is taken one message at a time, and is in the thread when the next one is asked
for: what a turn does not come to stays where it is.

Cancelling a turn is cancelling the task that iterates it, or leaving the loop inside `contextlib.aclosing`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, aclosing
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

from msgspec import Struct

from agentcli.core.calls import Approve, Calls
from agentcli.core.event import Event, MessageAdded
from agentcli.core.message import Message, Stop, user
from agentcli.core.provider import Model, Provider
from agentcli.core.thread import Thread
from agentcli.core.tool import TIMEOUT, Spill, Tool
from agentcli.core.turn import Turn

__all__ = ["MAX_STEPS", "Agent", "Approve", "Invokable", "Options", "ResponseItem"]

MAX_STEPS = 50  # answers of the model in one turn


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
    fallback: tuple[Model, ...] | None = None  # in place of the agent's own
    meanwhile: Callable[[], Message | None] | None = None  # the next thing that was said while the turn runs


def _nothing() -> None:
    """Nobody says anything meanwhile."""


class Invokable(Protocol):
    """Anything that answers a message on a thread."""

    name: str

    def stream(
        self, message: str | Message | None, thread: Thread | None = None, options: Options = Options()
    ) -> AsyncGenerator[Event, None]:
        """Every event of the turn. `message=None` asks for an answer to what the thread ends with; an answer that was cut off is gone
        on with, from its exact text, and the two become one message."""
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
    """A model with instructions and tools.

    `window` is how many tokens the model holds, or what finds out when it is needed; of an unknown one the server's word is taken.
    `fallback` are models to ask, in this order, when the model is overloaded or out of reach: `Model`s, or pairs of a provider and a
    name.
    """

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
        window: int | Callable[[], int | None] | None = None,
        fallback: Iterable[Model | tuple[Provider, str]] = (),
    ) -> None:
        self.provider = provider
        self.model = model
        self.name = name
        self.instructions = instructions
        self.tools = tuple(tools)
        self.settings = settings or {}
        self.max_steps = max_steps
        self._window = window
        self.fallback = tuple(Model(*one) for one in fallback)

    @property
    def full_model(self) -> str:
        """The model as it is named everywhere: `openai/gpt-5.4`."""
        return f"{self.provider.name}/{self.model}"

    @cached_property
    def window(self) -> int | None:
        """How many tokens the model holds."""
        return self._window() if callable(self._window) else self._window

    async def aclose(self) -> None:
        """Close the providers' connections."""
        async with AsyncExitStack() as stack:
            for one in {id(one): one for one in (self.provider, *(model.provider for model in self.fallback))}.values():
                stack.push_async_callback(one.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def stream(
        self, message: str | Message | None, thread: Thread | None = None, options: Options = Options()
    ) -> AsyncGenerator[Event, None]:
        thread = Thread() if thread is None else thread
        with thread.held():
            turn = self._turn(thread, options)
            try:
                thread.settle()
                if message is None:
                    turn.wait()
                else:
                    yield turn.hear(user(message) if isinstance(message, str) else message)
                hears = options.meanwhile or _nothing
                stop: Stop = "tools"
                for left in reversed(range(options.max_steps or self.max_steps)):
                    async with aclosing(turn.answer()) as events:
                        async for event in events:
                            yield event
                    answer = thread.messages[-1]
                    if not answer.calls:
                        stop = "done" if answer.stop in (None, "tools") else answer.stop
                        if stop == "length" or not left or (said := hears()) is None:
                            break
                        yield turn.hear(said)
                    elif answer.stop == "length" or not left:  # the calls may be cut, or nobody would read their results
                        stop = "length" if answer.stop == "length" else "tools"
                        for added in thread.settle():
                            yield turn.seen(MessageAdded(message=added))
                        break
                    else:
                        async with aclosing(turn.run(answer.calls)) as events:
                            async for event in events:
                                yield event
                    while (said := hears()) is not None:
                        yield turn.hear(said)
                yield turn.tally.ended(stop)
            except Exception:
                turn.keep("failed")
                raise
            except BaseException:  # cancelled, or left by the consumer
                turn.keep("interrupted")
                raise

    def compact(self, thread: Thread, instructions: str = "", options: Options = Options()) -> AsyncGenerator[Event, None]:
        """A turn in which a summary of what is older is written, as the instructions want it: from then on less of the thread is sent.

        UserError, at once, if there is nothing to leave out.
        """
        turn = self._turn(thread, options)
        turn.learn_window()
        turn.room.wanted(turn.model)
        return self._compact(turn, instructions)

    async def _compact(self, turn: Turn, instructions: str) -> AsyncGenerator[Event, None]:
        with turn.thread.held():
            turn.thread.settle()
            async with aclosing(turn.compact(instructions)) as events:
                async for event in events:
                    yield event
            yield turn.tally.ended("done")

    def _turn(self, thread: Thread, options: Options) -> Turn:
        return Turn(
            thread,
            (
                Model(self.provider, self.model, find_window=lambda: self.window),
                *(self.fallback if options.fallback is None else options.fallback),
            ),
            name=self.name,
            instructions="\n\n".join(filter(None, (self.instructions, options.instructions))),
            calls=Calls((*self.tools, *options.tools), approve=options.approve, timeout=options.tool_timeout, spill=options.spill),
            settings={**self.settings, **options.settings},
            schema=options.schema,
        )
