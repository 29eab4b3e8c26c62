"""agentcli: a conversational agent for the terminal, and the library it is made of.

    from agentcli import Agent, Thread, tool

Names are imported when they are first used: `import agentcli` alone loads nothing, which keeps `agentcli --version` as fast as
Python starts.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take the name at its word; importing it from typing would cost 5 ms
if TYPE_CHECKING:
    from typing import Any

    from agentcli.assemble import agent
    from agentcli.core.agent import Agent, Invokable, Options, ResponseItem
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
    from agentcli.core.message import (
        Blob,
        Message,
        Reasoning,
        Text,
        ToolCall,
        ToolResult,
        Usage,
        assistant,
        user,
    )
    from agentcli.core.provider import Model, Provider, ProviderError, Request
    from agentcli.core.stream import collect, merge
    from agentcli.core.thread import Thread
    from agentcli.core.tool import Tool, tool
    from agentcli.errors import UserError

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Blob",
    "Compacted",
    "Event",
    "Invokable",
    "Message",
    "MessageAdded",
    "Model",
    "NotCompacted",
    "Options",
    "Provider",
    "ProviderError",
    "Reasoning",
    "ReasoningDelta",
    "Request",
    "ResponseItem",
    "Retrying",
    "Switched",
    "Text",
    "TextDelta",
    "Thread",
    "Tool",
    "ToolCall",
    "ToolFinished",
    "ToolProgress",
    "ToolResult",
    "ToolStarted",
    "TurnEnded",
    "Usage",
    "UserError",
    "Waiting",
    "__version__",
    "agent",
    "assistant",
    "collect",
    "merge",
    "tool",
    "user",
]

# Each room says in its own __all__ what it offers; the first one here that has a name is where it comes from.
_ROOMS = (
    "errors",
    "core.message",
    "core.thread",
    "core.event",
    "core.provider",
    "core.tool",
    "core.stream",
    "core.agent",
    "assemble",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        for room in _ROOMS:
            if name in (module := import_module(f"{__name__}.{room}")).__all__:
                value = globals()[name] = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
