"""What can be typed after a slash.

One table: a command is a function whose docstring is its help. The first line shows how it is typed and, behind a colon, what it does;
the lines below it say more. What it returns makes the chat take a turn: a message is said, `Again` asks again for an answer to the
last question, `GoOn` goes on with an answer that was cut off, `Compact` has what is older summarised.

A command waits for the end of a running turn, unless it is one of `ANYTIME`: those neither change the thread nor need it at rest.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from difflib import get_close_matches
from inspect import cleandoc
from shutil import get_terminal_size
from textwrap import wrap

from agentcli.errors import UserError
from agentcli.ui.chat import Chat
from agentcli.ui.sanitise import one_line
from agentcli.ui.slash import agent, files, threads, turns, unfinished
from agentcli.ui.slash.outcome import Again, Command, Compact, GoOn, Outcome
from agentcli.ui.slash.unfinished import offer_unfinished
from agentcli.ui.talk import say

__all__ = [
    "ANYTIME", "COMMANDS", "Again", "Command", "Compact", "GoOn", "Outcome",
    "form_of", "help_of", "is_command", "more_of", "offer_unfinished", "run", "runs_any_time",
]  # fmt: skip


def help_(chat: Chat, words: str) -> None:
    """/help [COMMAND|keys]: what can be typed here, or more about one command"""
    if words == "keys":
        say(chat.keys())
        return
    if words:
        name = _known(words.removeprefix("/"))
        say("\n".join(filter(None, (f"{form_of(name)}: {help_of(name)}", more_of(name)))))
        return
    rows = [(form_of(name), help_of(name)) for name in COMMANDS]
    rows.append(("!command", "run it in your shell; its output goes along"))
    say(f"{_laid_out(rows, get_terminal_size().columns)}\n\n{chat.keys()}")


def _laid_out(rows: Sequence[tuple[str, str]], columns: int) -> str:
    """Two columns, as far as there is room for them; otherwise the second one below the first."""
    width = max(len(form) for form, _ in rows)
    indent = width + 4 if columns - width > 34 else 6
    lines: list[str] = []
    for form, text in rows:
        first, *more = wrap(text, max(columns - indent - 1, 20))
        lines += [f"  {form:{width}}  {first}"] if indent > 6 else [f"  {form}", f"      {first}"]
        lines += [" " * indent + line for line in more]
    return "\n".join(lines)


def quit_(chat: Chat, words: str) -> None:
    """/quit: leave, as Ctrl-D does"""
    chat.leaving = True


COMMANDS: dict[str, Command] = {
    "help": help_,
    "new": threads.new,
    "threads": threads.threads,
    "resume": threads.resume,
    "fork": threads.fork,
    "rename": threads.rename,
    "retry": unfinished.retry,
    "undo": turns.undo,
    "continue": unfinished.continue_,
    "drop": unfinished.drop,
    "edit": turns.edit,
    "show": turns.show,
    "copy": turns.copy,
    "save": threads.save,
    "model": agent.model,
    "agent": agent.agent,
    "system": agent.system,
    "tools": agent.tools,
    "file": files.file,
    "compact": agent.compact,
    "usage": agent.usage,
    "timeout": agent.timeout,
    "quit": quit_,
}

# What other programs call them.
_ALSO = {"exit": "quit", "history": "show", "?": "help"}

ANYTIME = frozenset({"help", "copy", "save", "usage", "timeout", "file", "quit"})

# Commands that take a text of several lines.
_LONG = frozenset({"system", "compact"})

_LINE = re.compile(r"/([A-Za-z?-]*)(?:\s+(.*))?", re.DOTALL)


def is_command(text: str) -> bool:
    """Is this a command, or something to say? A path is none (`/etc/hosts is empty`), nor are many lines that just begin so."""
    found = _LINE.fullmatch(text)
    return found is not None and ("\n" not in text.rstrip() or found[1].lower() in _LONG)


def runs_any_time(text: str) -> bool:
    """Can this command be carried out while a turn runs? One that is mistyped can: it is told at once."""
    found = _LINE.fullmatch(text)
    name = _name(found[1]) if found else ""
    return name not in COMMANDS or name in ANYTIME or (name == "tools" and found is not None and not (found[2] or "").strip())


async def run(chat: Chat, line: str) -> Outcome:
    """Do what a line that begins with a slash says."""
    found = _LINE.fullmatch(line)
    name = _known(found[1] if found else line[1:].partition(" ")[0])
    words = ((found[2] if found else "") or "").strip()
    wanted = form_of(name).partition(" ")[2]
    if words and not wanted:
        raise UserError(f"/{name} takes nothing behind it")
    if wanted and not words and not wanted.startswith("["):
        raise UserError(f"/{name} needs something behind it", hint=f"{form_of(name)}: {help_of(name)}")
    outcome = COMMANDS[name](chat, words)
    return await outcome if isinstance(outcome, Awaitable) else outcome


def form_of(name: str) -> str:
    """How a command is typed."""
    return _lines(name)[0].partition(": ")[0]


def help_of(name: str) -> str:
    """What a command does, in a line."""
    return _lines(name)[0].partition(": ")[2]


def more_of(name: str) -> str:
    """What else is to be known of it."""
    return "\n".join(_lines(name)[1:]).strip()


def _lines(name: str) -> list[str]:
    return cleandoc(COMMANDS[name].__doc__ or "").split("\n")


def _name(typed: str) -> str:
    return _ALSO.get(typed.lower(), typed.lower())


def _known(typed: str) -> str:
    """The name of the command that is meant, or an error that offers one."""
    name = _name(typed)
    if name in COMMANDS:
        return name
    near = get_close_matches(name, [*COMMANDS, *_ALSO], 1)
    hint = (
        f"Did you mean /{_name(near[0])}?" if near else "/help says what there is. A message that begins with / begins with a space."
    )
    raise UserError(f"there is no command /{one_line(typed, 40)}", hint=hint)
