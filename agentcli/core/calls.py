"""The tools that an answer calls: announced, asked about, run side by side.

`begun` and `done` say at any moment which calls have started to run and which have their result, so that a turn that is left in
between can tell the model the truth about each.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias

from msgspec.structs import replace

from agentcli.core.event import Event, ToolFinished, ToolStarted
from agentcli.core.message import Message, ToolCall, ToolResult
from agentcli.core.stream import merge
from agentcli.core.tool import Spill, Tool, arguments_of, call, told

__all__ = ["Approve", "Calls"]

# May this call run? True: yes. False: no. A text: no, and these words are for the model.
Approve: TypeAlias = Callable[[ToolCall, Tool], Awaitable[bool | str]]


class Calls:
    """The calls of one answer after the other."""

    def __init__(self, tools: Sequence[Tool], *, approve: Approve | None, timeout: float | None, spill: Spill | None) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.approve = approve
        self.timeout = timeout
        self.spill = spill
        self.begun: set[str] = set()
        self.done: dict[str, ToolResult] = {}

    async def run(self, calls: tuple[ToolCall, ...]) -> AsyncGenerator[Event, None]:
        """Announce the calls, ask where that is needed, run the allowed ones side by side."""
        for one in calls:
            yield ToolStarted(call_id=one.id, name=one.name, arguments=one.arguments)
        allowed: list[tuple[Tool, ToolCall]] = []
        for one in calls:
            refused = await self._refused(one)
            if refused is None:
                allowed.append((self.tools[one.name], one))
            else:
                self._note(refused)
                yield refused
        self.begun.update(one.id for _, one in allowed)
        running = [self._noted(call(tool, one, timeout=self.timeout, spill=self.spill)) for tool, one in allowed]
        async with aclosing(merge(*running)) as events:
            async for event in events:
                yield event

    def take(self, calls: tuple[ToolCall, ...]) -> Message:
        """The results of these calls, as a message; the calls of the next answer may have the same ids."""
        results = Message(role="tool", parts=tuple(self.done[one.id] for one in calls))
        self.begun, self.done = set(), {}
        return results

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
        if self.approve is None:
            return replace(finished, content="This call was not allowed: there was nobody to ask.", denied=True)
        answer = await self.approve(one, tool)
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
