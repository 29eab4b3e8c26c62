"""The loop of the chat: read a line, take a turn, again.

The prompt is awaited; the turn is a task that Ctrl-C cancels (`interrupt.py`). Between the two the loop only decides what a line
means: a command (`slash.py`) or something to say. What is heavy to import and only needed for the first answer is imported in a thread
while the first prompt waits.

There is no prompt while a turn runs. What is typed then is not shown and not lost (`terminal.py`): the next prompt gets it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentcli.core.agent import Agent
from agentcli.core.message import Message, user
from agentcli.errors import Exit, UserError
from agentcli.providers import Later
from agentcli.ui import prompt, slash
from agentcli.ui.chat import Chat
from agentcli.ui.form import pausing, tick
from agentcli.ui.interrupt import Interrupts
from agentcli.ui.stdout import reserved
from agentcli.ui.talk import say, say_error

__all__ = ["converse"]

_WORTH_KNOWING = 0.5  # of the model's window


async def converse(chat: Chat, *, banner: str, history: Path | None) -> int:
    """Until the person leaves; the exit code."""
    say(banner)
    chat.tell_about_model()
    with Interrupts(stays=True) as interrupts:
        try:
            chat.begin()
            await _read_and_answer(chat, history, interrupts)
        except asyncio.CancelledError:
            if interrupts.ending is None:
                raise
        finally:
            chat.session.close()
            await chat.session.agent.aclose()
    chat.say_goodbye()
    if chat.session.unsaved:
        return chat.session.unsaved.exit_code
    return interrupts.ending or Exit.OK


async def _read_and_answer(chat: Chat, history: Path | None, interrupts: Interrupts) -> None:
    commands = {f"/{name}": slash.help_of(name) for name in slash.COMMANDS}
    words = {"/model ": chat.models, "/retry -m ": chat.models}
    line_prompt = prompt.make(history, commands, interrupts.forget, words)
    drawn = asyncio.Event()
    line_prompt.app.after_render += lambda app: drawn.set()
    warming = asyncio.create_task(_warm(drawn, chat.session.agent))
    try:
        while not chat.leaving and interrupts.ending is None:
            line = await prompt.read(line_prompt, interrupts.forget)
            drawn.set()  # or the prompt was answered, by what was typed ahead, before it was drawn
            if line is None:
                break
            if not line.strip():
                continue
            try:
                await warming
                await _take(chat, line, interrupts)
            except UserError as error:
                say_error(error)
    finally:
        warming.cancel()


async def _take(chat: Chat, line: str, interrupts: Interrupts) -> None:
    """One line: a command or a message."""
    if not line.startswith("/") or "\n" in line:
        await _turn(chat, user(line), interrupts)
        return
    outcome = await slash.run(chat, line)
    if outcome is not None:
        await _turn(chat, outcome, interrupts)


async def _turn(chat: Chat, wanted: Message | slash.Again | slash.Compact, interrupts: Interrupts) -> None:
    say("")
    share = _how_full(chat)[1]
    form = chat.form("" if share is None else f"{share:.0%} full")
    ticking = asyncio.create_task(tick(form))
    try:
        session, approve = chat.session, pausing(form, chat.approve)
        match wanted:
            case Message():
                turn = session.turn(wanted, form.show, approve)
            case slash.Compact(words=words):
                turn = session.compact(form.show, words)
            case slash.Again():
                turn = session.again(form.show, approve)
        with reserved():
            await interrupts.run(turn)
    finally:
        ticking.cancel()
        form.close()
    ended = chat.session.ended
    if ended and ended.error and ended.error.message:
        say_error(UserError(ended.error.message, hint=ended.error.hint))
    elif ended:
        _tell_how_full(chat)


def _tell_how_full(chat: Chat) -> None:
    """How much of the model's window the conversation takes, once that is worth knowing."""
    tokens, share = _how_full(chat)
    if share is not None and share >= _WORTH_KNOWING:
        window = chat.session.agent.window
        say(f"The model is {share:.0%} full: about {tokens:,} of {window:,} tokens. /compact makes room.", dim=True)


def _how_full(chat: Chat) -> tuple[int, float | None]:
    """The tokens of the conversation, and which part of the model's window they are, if that is known."""
    from agentcli.core.need import fill

    return fill(chat.session.thread, chat.session.agent.window)


async def _warm(drawn: asyncio.Event, agent: Agent) -> None:
    """Import what the first answer needs, in a thread, once the first prompt is on the screen."""
    await drawn.wait()
    await asyncio.to_thread(_import, agent)


def _import(agent: Agent) -> None:
    from agentcli.store import threads  # noqa: F401  (importing it is the point)
    from agentcli.ui import markdown

    if isinstance(agent.provider, Later):
        agent.provider.warm()
    markdown.warm()
    _ = agent.window  # looked up once, while a person is still typing
