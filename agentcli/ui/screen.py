"""What a chat needs of a terminal.

There are two: `live.Live`, where the prompt stays while the agent answers, and `line.Line`, which only ever appends, for screen
readers and for terminals that can do no more. The loop of the chat (`repl.py`) and the slash commands know this protocol and neither
of them. A screen is entered (`async with`) for the length of the chat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from agentcli.ui.complete import Words
    from agentcli.ui.form import Form

__all__ = ["Screen", "Sent"]


class Sent(NamedTuple):
    """What a person sent: the text, whole; whether it is for the turn that runs now (Ctrl-S) or for the next one (Enter); and how it
    looked, if that is shorter."""

    text: str
    at_once: bool = False
    shown: str = ""


class Screen(Protocol):
    """A terminal that a person talks at."""

    @property
    def away(self) -> bool:
        """Does another program have the terminal? Then Ctrl-C is meant for that one."""
        ...

    plain: bool  # nothing is drawn a second time: lists are numbered, questions are lines
    on_stop: Callable[[], None]  # called for Ctrl-C while something runs, where that is a key and not a signal
    on_take_back: Callable[[Sent], bool]  # called to take back what a turn was to hear; did it not hear it yet?
    on_add_time: Callable[[], None]  # called for the key that gives a turn more time
    meanwhile: Callable[[Sent], bool] | None  # is offered what is sent while a turn runs; what it does not take waits
    facts: Callable[[], str]  # what is said of the conversation while nothing runs
    left: Callable[[], float | None]  # the seconds that the turn still has
    offers: Callable[[], tuple[Callable[[], Mapping[str, str]], Words]] | None  # commands with their help, and what may follow them
    drawn: asyncio.Event  # the first prompt is on the screen

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exception: object) -> None: ...

    async def begin(self) -> None:
        """Show that one can type, as far as there is something to show. What is sent waits."""
        ...

    async def line(self) -> Sent | None:
        """What was sent next; None if the person leaves."""
        ...

    def form(self, model: str) -> Form:
        """What shows the next turn."""
        ...

    async def ask(self, question: str) -> str:
        """A line in answer to a question. What was typed before the question could be read is no answer to it. Empty for Enter, and
        if the terminal goes away."""
        ...

    def doing(self, text: str) -> None:
        """What is being done that is no turn; nothing, once it is over."""
        ...

    def put_back(self, text: str) -> None:
        """Put a text on the input line, to be edited and sent again. What is typed there already stays, behind it."""
        ...

    def hold(self) -> None:
        """What waits to be sent is not sent by itself any more, where that can be helped."""
        ...

    def aside(self) -> AbstractAsyncContextManager[None]:
        """Within the block the terminal is free for another program, as we found it."""
        ...

    def ring(self, sequence: str) -> None:
        """Send the terminal something that is not text."""
        ...

    def interruptible(self) -> AbstractContextManager[None]:
        """Within the block Ctrl-C is a signal."""
        ...

    def go_on(self) -> None:
        """The program was stopped and goes on: somebody else may have had the terminal."""
        ...
