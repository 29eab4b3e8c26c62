"""What can stand for a value: a completer for each option and each argument that takes one.

A new option is one line here. A completer is a function of what was typed so far (`Asked`); it gives words, of which those are offered
that begin so. `files` are the shell's own names of files. What is not here is text of one's own, or a choice for which the help says
all that can be said: `md|json|html`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from agentcli.cli.complete import Asked, Word
from agentcli.cli.complete.word import (
    agents,
    agents_or_none,
    embedded,
    files,
    in_keyring,
    keys,
    models,
    providers,
    settings,
    threads,
    tools,
    values,
    with_key,
)

__all__ = ["ARGUMENTS", "OPTIONS", "Completer"]

Completer: TypeAlias = Callable[[Asked], Iterable[Word]]

# The longest name of an option -> what its value can be.
OPTIONS: dict[str, Completer] = {
    "--agent": agents_or_none,
    "--config": files,
    "--file": files,
    "--model": models,
    "--output": files,
    "--provider": providers,
    "--schema": files,
    "--thread": threads,
    "--tool": tools,
    "-o": settings,
}

# Command -> what its arguments can be, in their order.
ARGUMENTS: dict[str, tuple[Completer, ...]] = {
    "agents edit": (agents,),
    "agents show": (agents,),
    "config get": (keys,),
    "config set": (keys, values),
    "config unset": (keys,),
    "keys remove": (in_keyring,),
    "keys set": (with_key,),
    "local install": (embedded,),
    "local remove": (embedded,),
    "resume": (threads,),
    "threads check": (threads,),
    "threads delete": (threads,),
    "threads export": (threads,),
    "threads fork": (threads,),
    "threads import": (files,),
    "threads path": (threads,),
    "threads rename": (threads,),
    "threads show": (threads,),
}
