"""What can be typed after a slash.

One table: a command is a function whose docstring is its help, and whose first line shows how it is typed. A function that returns a
message makes the chat take a turn with it; `Again` makes it ask again for an answer to what the thread ends with, `Compact` has what
is older summarised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from typing import TypeAlias

from msgspec import Struct

from agentcli.core.message import Message
from agentcli.errors import UserError
from agentcli.ui.chat import Chat
from agentcli.ui.sanitise import one_line
from agentcli.ui.talk import say

__all__ = ["COMMANDS", "Again", "Compact", "form_of", "help_of", "run"]


class Again:
    """Ask again, without saying anything new."""


class Compact(Struct, frozen=True):
    """Have what is older summarised, as the words say."""

    words: str


Outcome: TypeAlias = Message | Again | Compact | None
Command: TypeAlias = Callable[[Chat, str], Awaitable[Outcome] | Outcome]


def help_(chat: Chat, words: str) -> None:
    """/help: what can be typed here"""
    width = max(map(len, map(form_of, COMMANDS)))
    for name in COMMANDS:
        say(f"  {form_of(name):{width}}  {help_of(name)}")
    say(
        "\n  Enter sends · Alt-Enter or Ctrl-J new line · Ctrl-X Ctrl-E editor"
        "\n  Ctrl-R searches what you typed before · Tab completes a command"
        "\n  Ctrl-C stops the answer · Ctrl-D leaves"
    )


async def new(chat: Chat, words: str) -> None:
    """/new: leave this thread and start a new one"""
    await chat.switch(None)


async def threads(chat: Chat, words: str) -> None:
    """/threads: the newest threads"""
    from agentcli.ui.pick import listed

    rows = [row for row in chat.store.rows() if row.damaged is None]
    say(listed(rows) if rows else "There are no saved threads yet.")
    if rows:
        say("\n`/resume` with a number, or the beginning of an id, opens one.", dim=True)


async def resume(chat: Chat, words: str) -> None:
    """/resume [ID]: go on in another thread, by its number or id"""
    from agentcli.ui.pick import chosen

    rows = [row for row in chat.store.rows() if row.damaged is None]
    others = [row.id for row in rows if row.id != chat.session.thread.id]
    if not words and not others:
        raise UserError("there is no other thread")
    wanted = chosen(words, rows, chat.store) if words else others[0]
    if wanted == chat.session.thread.id:
        raise UserError(f"this is thread {wanted}")
    await chat.switch(wanted)


async def retry(chat: Chat, words: str) -> Outcome:
    """/retry [-m MODEL]: ask the last question again"""
    if not any(message.role == "user" for message in chat.session.thread.messages):
        raise UserError("there is nothing to ask again")
    flag, _, name = words.partition(" ")
    if words and (flag != "-m" or not name.strip()):
        raise UserError(f"/retry takes `-m MODEL` or nothing, not {one_line(words, 40)!r}")
    if words:
        await chat.use(name.strip())
    return Again()


def undo(chat: Chat, words: str) -> None:
    """/undo: take back the last question and its answer"""
    taken = chat.session.thread.undo()
    if taken is None:
        raise UserError("there is nothing to take back")
    chat.session.save()
    say(f"Taken back: {one_line(taken.text, 60)}")


async def model(chat: Chat, words: str) -> None:
    """/model [NAME]: which model answers, or another one from now on"""
    if words:
        await chat.use(words)
    say(f"The model is {one_line(chat.session.agent.full_model)}.")


def compact(chat: Chat, words: str) -> Outcome:
    """/compact [WORDS]: send a summary of what is older from now on; the words say what it should keep"""
    return Compact(words)


def usage(chat: Chat, words: str) -> None:
    """/usage: tokens and money so far, and how full the model is"""
    from agentcli.ui.usage import of_thread

    say(of_thread(chat.session.thread, chat.session.agent.window, chat.pricing()))


def timeout(chat: Chat, words: str) -> None:
    """/timeout [SECONDS]: how long a turn may take; 0 means no limit"""
    if words:
        try:
            seconds = float(words.removesuffix("s"))
        except ValueError:
            raise UserError(f"{words!r} is not a number of seconds", hint="For example: /timeout 60") from None
        if not 0 <= seconds < 1e9:
            raise UserError("a time limit is 0 (none) or more seconds", hint="For example: /timeout 60")
        chat.session.timeout = seconds
    limit = chat.session.timeout
    say(f"A turn may take {limit:g} s." if limit else "A turn may take as long as it likes.")


def quit_(chat: Chat, words: str) -> None:
    """/quit: leave, as Ctrl-D does"""
    chat.leaving = True


COMMANDS: dict[str, Command] = {
    "help": help_,
    "new": new,
    "threads": threads,
    "resume": resume,
    "retry": retry,
    "undo": undo,
    "model": model,
    "compact": compact,
    "usage": usage,
    "timeout": timeout,
    "quit": quit_,
}


async def run(chat: Chat, line: str) -> Outcome:
    """Do what a line that begins with a slash says."""
    name, _, words = line[1:].partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        near = get_close_matches(name.lower(), COMMANDS, 1)
        hint = f"Did you mean /{near[0]}?" if near else "/help says what there is."
        raise UserError(f"there is no command /{one_line(name, 40)}", hint=hint)
    if words.strip() and "[" not in form_of(name.lower()):
        raise UserError(f"/{name.lower()} takes nothing behind it")
    outcome = command(chat, words.strip())
    return await outcome if isinstance(outcome, Awaitable) else outcome


def form_of(name: str) -> str:
    """How a command is typed."""
    return (COMMANDS[name].__doc__ or "").partition(": ")[0]


def help_of(name: str) -> str:
    """What a command does."""
    return (COMMANDS[name].__doc__ or "").partition(": ")[2]
