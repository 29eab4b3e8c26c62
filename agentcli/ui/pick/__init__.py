"""Pick a saved thread, or a message of one.

Where a terminal can be drawn on, that is a box at the cursor (box.py, drawing.py, picture.py): type to search, arrow keys, a preview.
What is offered comes from threads.py or messages.py (source.py); choice.py is which of it is left by what was typed; cells.py is text
in columns. Where nothing may be drawn a second time (`--plain`, `ACCESSIBLE`, `TERM=dumb`), it is a numbered list and a question
(numbered.py).

prompt-toolkit is loaded when a box is drawn, and not before.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from agentcli.errors import Exit, UserError
from agentcli.ui.ability import only_appends
from agentcli.ui.pick.numbered import ask_message, ask_thread, chosen, listed, pick

if TYPE_CHECKING:
    from agentcli.core.thread import Thread
    from agentcli.store.threads import Store
    from agentcli.ui.pick.source import Source
    from agentcli.ui.screen import Screen

__all__ = ["chosen", "draws", "listed", "pick", "pick_message", "pick_thread", "picked"]


def draws(*, plain: bool = False) -> bool:
    """Can a box be drawn here?"""
    return not only_appends(plain=plain) and all(stream and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__))


async def pick_thread(screen: Screen | None, store: Store, words: str = "") -> str | None:
    """The id of the thread that a person picks; None if they leave without one. `words` are typed in from the start.

    `screen` is that of the chat; None where there is none yet. A UserError if there is nothing to pick.
    """
    from agentcli.ui.pick.box import Stopped

    if screen and (screen.plain or not draws()):
        return await ask_thread(screen, store, words)
    if not screen and not draws():
        return pick(store)
    try:
        return await _pick_thread(screen, store, words)
    except Stopped:
        return None


async def pick_message(screen: Screen | None, thread: Thread) -> int | None:
    """The number of the message that a person picks, counted from 1 as `threads fork --at` does; None if they leave without one."""
    from agentcli.ui.pick.box import Stopped
    from agentcli.ui.pick.messages import Messages

    if not thread.messages:
        raise UserError("there is no message to pick")
    if not screen or screen.plain or not draws():
        return await ask_message(screen, thread) if screen else None
    try:
        name, _ = await _pick(screen, Messages(thread))
    except Stopped:
        return None
    return int(name) if name else None


async def picked(store: Store) -> str | int:
    """For a program that only begins: the id of the thread, or the exit code if there is none."""
    from agentcli.ui.interrupt import Interrupts
    from agentcli.ui.pick.box import Stopped

    with Interrupts() as interrupts:
        try:
            return await _pick_thread(None, store) or Exit.OK
        except Stopped:
            return Exit.INTERRUPTED
        except asyncio.CancelledError:
            if interrupts.ending is None:
                raise
            return interrupts.ending


async def _pick_thread(screen: Screen | None, store: Store, words: str = "") -> str | None:
    from agentcli.ui.pick.threads import Threads

    name, empty = await _pick(screen, Threads(store), words)
    if empty:
        raise UserError("there is no thread to resume", hint="`agentcli` starts one.", exit_code=Exit.USAGE)
    return name


async def _pick(screen: Screen | None, source: Source, words: str = "") -> tuple[str | None, bool]:
    """The name of what was picked, and whether there was nothing to pick."""
    from agentcli.ui.pick.box import Box
    from agentcli.ui.terminal import typed_early

    box = Box(source, words)
    async with AsyncExitStack() as stack:
        if screen:
            await stack.enter_async_context(screen.aside())
        return await box.pick("" if screen else typed_early()), box.empty
