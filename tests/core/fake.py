"""The one fake inside the process: a provider that says what it is told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeAlias

from agentcli.core.agent import Agent
from agentcli.core.message import Stop, Usage
from agentcli.core.provider import CallChunk, Chunk, Request, StopChunk, TextChunk, UsageChunk
from agentcli.core.tool import Tool

__all__ = ["ScriptedProvider", "agent_of", "calls", "says"]

Line: TypeAlias = Chunk | asyncio.Event | BaseException


class ScriptedProvider:
    """Answers the n-th request with the n-th list of lines, and any later one with the last.

    A line is a chunk to yield, an exception to raise, or an event to wait for: then `arrived` is set, so that a test knows that the
    answer has come so far.
    """

    name = "fake"

    def __init__(self, *answers: Sequence[Line]) -> None:
        self.answers = answers
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        self.closed = 0
        self.ended = 0  # streams whose cleanup has run

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        try:
            for line in self.answers[min(len(self.requests), len(self.answers)) - 1]:
                if isinstance(line, asyncio.Event):
                    self.arrived.set()
                    await line.wait()
                elif isinstance(line, BaseException):
                    raise line
                else:
                    yield line
        finally:
            self.ended += 1

    async def aclose(self) -> None:
        self.closed += 1


def says(*pieces: str, stop: Stop = "done", usage: Usage | None = None) -> list[Line]:
    """A whole answer of words."""
    return [*map(TextChunk, pieces), *([UsageChunk(usage)] if usage else []), StopChunk(stop)]


def calls(*wanted: tuple[str, str] | tuple[str, str, str]) -> list[Line]:
    """A whole answer that calls tools: (name, arguments) or (name, arguments, id) each."""
    chunks = [CallChunk(number, one[2] if len(one) == 3 else f"call_{number}", one[0], one[1]) for number, one in enumerate(wanted)]
    return [*chunks, StopChunk("tools")]


def agent_of(*answers: Sequence[Line], tools: Sequence[Tool] = (), **more: Any) -> tuple[Agent, ScriptedProvider]:
    """An agent on a provider that gives these answers."""
    provider = ScriptedProvider(*answers)
    return Agent(provider, "model", tools=tuple(tools), **more), provider
