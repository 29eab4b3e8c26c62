"""`agentcli ask`: one question, one answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agentcli.cli import option
from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from agentcli.ui.notices import Talk
    from agentcli.ui.schema import Schema

__all__ = ["ask"]

_SILENT = "note: nothing came on stdin for {:g} s; going on without it (`< /dev/null` says so at once)"


def ask(
    prompt: Annotated[list[str] | None, typer.Argument(metavar="[PROMPT]...", help="What to ask; - reads it from stdin.")] = None,
    model: option.Model = None,
    agent: option.Agent = None,
    system: option.System = None,
    file: option.Files = None,
    thread: option.ThreadId = None,
    continue_: Annotated[
        bool,
        typer.Option(
            "--continue",
            "-c",
            help="Go on in the latest thread; without a prompt, with an answer that was cut off there, or in --thread.",
        ),
    ] = False,
    fork: option.Fork = False,
    no_save: option.NoSave = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document at the end.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print every event as a line of JSON.")] = False,
    timeout: option.Timeout = None,
    idle_timeout: option.IdleTimeout = None,
    tool: option.Tools = None,
    no_tools: option.NoTools = False,
    yes: option.Yes = False,
    max_steps: option.MaxSteps = None,
    setting: option.Settings = None,
    plain: option.Plain = False,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema", metavar="SCHEMA", help='Answer with JSON that fits: a file, JSON, or names with types: "name, age int".'
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
    verbose: option.Verbose = False,
    config: option.ConfigFile = None,
) -> None:
    """Ask one question and print the answer.

    The prompt is the arguments, or stdin if there are none; with both, what is piped in is added to the prompt. The answer goes to
    stdout and nothing else does. The thread is saved, so that `agentcli resume` can go on with it. `--continue` without a prompt goes
    on with an answer that was cut off: the rest of it is printed, and the thread has the whole.
    """
    from agentcli.ui.form import DOCUMENTS, REDRAWN, form_for, put_failure
    from agentcli.ui.stdout import reserved, take_apart
    from agentcli.ui.talk import no_colours, say

    try:
        if plain:
            no_colours()
        goes_on = continue_ and not prompt and not file
        option.one_thread(thread, latest=continue_, fork=fork, goes_on=goes_on)
        if json and jsonl:
            raise UserError("--json and --jsonl are two forms of one answer", hint="Give one of them.", exit_code=Exit.USAGE)
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
        from agentcli import assemble
        from agentcli.cli import start
        from agentcli.ui import approve, attach
        from agentcli.ui.ask import ask as answer

        said, piped = _piped(quiet) if goes_on else _prompt(prompt or [], file or [], quiet)
        goes_on = goes_on and not said
        option.one_thread(thread, latest=continue_, fork=fork, goes_on=goes_on)
        loaded = assemble.config(config, changes)
        if loaded.config.plain:
            no_colours()
        on = assemble.thread(thread, latest=continue_, fork=fork)
        if goes_on and not on.unfinished:
            raise UserError(
                "there is nothing to go on from: the last answer is whole",
                hint="With a prompt, `--continue` asks the next question in the thread.",
                exit_code=Exit.USAGE,
            )
        loaded = assemble.answering(loaded, on, agent, tell=(lambda text: None) if quiet else say)
        fitting = _schema(schema)
        talk: Talk = "quiet" if quiet else "verbose" if verbose else "normal"
        form = form_for(json=json, jsonl=jsonl, plain=loaded.config.plain)
        approver = approve.always() if yes else approve.at_the_terminal() if _somebody_there() else None

        price = assemble.pricing(loaded) if form in DOCUMENTS else None
        answers = 1 if form in REDRAWN else take_apart()

        async def main() -> int:
            shown = None if quiet or goes_on else lambda text: say(f"attached: {text}", dim=True)
            message = None if goes_on else await attach.with_files(said, file or [], piped, tell=shown)
            chosen = await assemble.choose(loaded, on)
            if message:
                attach.check(message.parts, chosen.name, assemble.takes(loaded, chosen.name))
            with reserved():  # a tool's module may print while it is imported
                session = assemble.session(loaded, on, chosen.name, keep=False, schema=fitting)
            if session.agent.tools and not quiet and (note := assemble.note(loaded, session.agent)):
                say(f"note: {note}", dim=True)
            try:
                return await answer(session, message, approver, form=form, talk=talk, schema=fitting, answers=answers, price=price)
            finally:
                await session.agent.aclose()

        start(main)
    except UserError as error:
        if json or jsonl:
            put_failure(error, as_line=jsonl)
        raise


def _somebody_there() -> bool:
    """Can a person be asked?"""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())


def _schema(text: str | None) -> Schema | None:
    if text is None:
        return None
    from agentcli.ui.schema import Schema

    return Schema.of(text)


def _piped(quiet: bool) -> tuple[str, str]:
    """What is piped in, as the prompt: for a command that can do without one."""
    from agentcli.ui import stdin
    from agentcli.ui.talk import say

    said, gave_up = stdin.read_if_any()
    if gave_up and not quiet:
        say(_SILENT.format(stdin.PATIENCE))
    return said if said.strip() else "", ""


def _prompt(words: list[str], files: list[str], quiet: bool) -> tuple[str, str]:
    """The prompt, and what is piped in along with it."""
    from agentcli.ui import stdin
    from agentcli.ui.talk import say

    said, piped = stdin.typed(words), ""
    if said == "-":
        said = stdin.read_all()
    elif "-" in files:
        pass  # stdin is an attachment
    elif said:
        piped, gave_up = stdin.read_if_any()
        if gave_up and not quiet:
            say(_SILENT.format(stdin.PATIENCE))
    elif sys.stdin is not None and not sys.stdin.isatty():
        said = stdin.read_all()
    if said.strip() or files:
        return said, stdin.marked(piped)
    raise UserError(
        "there is no question",
        hint='agentcli ask "What is a monad?"    or    git diff | agentcli ask "Write a commit message"    or    agentcli, to chat',
        exit_code=Exit.USAGE,
    )
