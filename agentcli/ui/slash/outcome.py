"""What a command leads to: nothing more, or a turn that the chat takes for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct

from agentcli.core.message import Message
from agentcli.ui.chat import Chat

__all__ = ["Again", "Command", "Compact", "GoOn", "Outcome"]


class Again(Struct, frozen=True):
    """Ask again for an answer to the last question."""


class GoOn(Struct, frozen=True):
    """Go on from where the last answer was cut off."""


class Compact(Struct, frozen=True):
    """Have what is older summarised, as the words say."""

    words: str


Outcome: TypeAlias = Message | Again | GoOn | Compact | None  # a message is said
Command: TypeAlias = Callable[[Chat, str], Awaitable[Outcome] | Outcome]
