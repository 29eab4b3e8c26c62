"""Options that mean the same everywhere they fit, and the two that many commands read in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agentcli.errors import Exit, UserError

__all__ = [
    "Agent",
    "ConfigFile",
    "Continue",
    "Files",
    "Fork",
    "IdleTimeout",
    "MaxSteps",
    "Model",
    "NoSave",
    "NoTools",
    "Plain",
    "Settings",
    "System",
    "ThreadId",
    "Timeout",
    "Tools",
    "Verbose",
    "Yes",
    "one_thread",
    "overrides",
    "settings_of",
]


Model = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME", help="The model, as provider/model, or an alias.")]
Agent = Annotated[
    str | None, typer.Option("--agent", "-a", metavar="NAME", help="Answer as this agent (`agents list`); `none` is without one.")
]
System = Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="Instructions for the model.")]
Files = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="PATH|URL", help="Attach a text, an image, a PDF or a page; - is stdin. Repeatable."),
]
ThreadId = Annotated[
    str | None, typer.Option("--thread", "-t", metavar="ID", help="Go on in this thread; a beginning of its id will do.")
]
Continue = Annotated[bool, typer.Option("--continue", "-c", help="Go on in the latest thread.")]
Fork = Annotated[bool, typer.Option("--fork", help="Go on in a copy of the thread, and leave the thread as it is.")]
NoSave = Annotated[bool, typer.Option("--no-save", help="Do not save the thread.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", help="Time for the whole turn (300); 0 means no limit.")
]
IdleTimeout = Annotated[
    float | None, typer.Option("--idle-timeout", metavar="SECONDS", help="Time that the model may be silent (120); 0 means no limit.")
]
Tools = Annotated[
    list[str] | None,
    typer.Option("--tool", metavar="NAME", help="Let the model use this tool: a name, or path.py:function. Repeatable."),
]
NoTools = Annotated[bool, typer.Option("--no-tools", help="No tools, also none from the configuration.")]
Yes = Annotated[bool, typer.Option("--yes", help="Approve every tool that asks.")]
MaxSteps = Annotated[int | None, typer.Option("--max-steps", metavar="N", help="How many answers of the model a turn may take (50).")]
Settings = Annotated[
    list[str] | None,
    typer.Option("-o", metavar="KEY=VALUE", help="A setting of the model: temperature, max-tokens, effort, … Repeatable."),
]
Plain = Annotated[bool, typer.Option("--plain", help="No colours, nothing redrawn.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say more: thinking, what is waited for, and where a fault happened.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Use this configuration file.")]


def overrides(
    *,
    model: str | None,
    system: str | None,
    timeout: float | None,
    idle_timeout: float | None,
    max_steps: int | None,
    tools: list[str] | None,
    no_tools: bool,
    settings: list[str] | None,
    no_save: bool = False,
    plain: bool = False,
) -> dict[str, Any]:
    """What the flags change in the configuration, by its own keys."""
    said: dict[str, Any] = {
        "model": model,
        "system": system,
        "timeout": timeout,
        "idle-timeout": idle_timeout,
        "max-steps": max_steps,
        "tools": [] if no_tools else tools,
        "save": False if no_save else None,
        "plain": True if plain else None,
        "settings": settings_of(settings) if settings else None,
    }
    return {key: value for key, value in said.items() if value is not None}


def settings_of(said: list[str]) -> dict[str, Any]:
    """What several `-o` say."""
    return dict(_setting(text) for text in said)


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UserError(f"-o takes KEY=VALUE, not {text!r}", hint="For example: -o temperature=0.2", exit_code=Exit.USAGE)
    import json

    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value


def one_thread(thread: str | None, *, latest: bool, fork: bool, goes_on: bool = False) -> None:
    """A turn goes on in one thread, and only a saved one can be copied. `goes_on`: with an answer, so that both options fit."""
    if thread is not None and latest and not goes_on:
        raise UserError("--thread and --continue name two threads", hint="Give one of them.", exit_code=Exit.USAGE)
    if fork and thread is None and not latest:
        hint = "--fork goes with --thread ID or --continue."
        raise UserError("there is no thread to fork", hint=hint, exit_code=Exit.USAGE)
