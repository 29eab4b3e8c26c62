"""The command line: what was typed becomes one call of the half that does it.

Start-up is a feature, so nothing here imports more than Typer. `COMMANDS` says in which module a command lives; that module is
imported when the command is called, and imports its own half in turn. A command is a function; a module that offers several has an
`app`. `agentcli` without a command is `agentcli chat`.

Whatever goes wrong below arrives here once: a `UserError` becomes `error: …` and `hint: …` on stderr and its exit code, a closed
stdout becomes a quiet 141, Ctrl-C becomes 130. Nobody sees a traceback unless they asked for it with `--verbose`.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["COMMANDS", "run", "start"]

# command -> where it lives, and what --help says of it. Order is the order in --help.
COMMANDS: dict[str, tuple[str, str]] = {
    "chat": ("agentcli.cli.chat:chat", "Chat in a new or a saved thread. The default."),
    "resume": ("agentcli.cli.chat:resume", "Chat in a saved thread; without an id, pick from a list."),
    "ask": ("agentcli.cli.ask:ask", "One question, one answer; joins piped stdin."),
    "threads": ("agentcli.cli.threads:app", "List, show, search, rename, fork, delete, export, import and check threads."),
    "config": ("agentcli.cli.config:app", "Show and change the configuration."),
    "doctor": ("agentcli.cli.doctor:doctor", "Find out why it does not work."),
}

_GRACE = 2.0  # seconds that what is left running at the end has to end
_OWN_OPTIONS = {"--help", "-h", "--version", "-V", "--install-completion", "--show-completion"}


class _Commands(TyperGroup):
    """The commands of the table, each imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # Typer would make a 1 of it
            raise typer.Exit(Exit.BROKEN_PIPE) from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _load(name: str) -> Any:
    from importlib import import_module

    module, attribute = COMMANDS[name][0].split(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        app = found
    else:
        app = typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=_HELP)
        app.command(name, help=found.__doc__)(found)
    command: Any = typer.main.get_command(app)
    command.name = name
    return command


_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(cls=_Commands, rich_markup_mode=None, context_settings=_HELP, no_args_is_help=True)


@app.callback(
    help="A conversational agent for the terminal. Without a command: chat.",
    epilog="`agentcli COMMAND --help` says what a command can do.",
)
def _root(version: Annotated[bool, typer.Option("--version", "-V", help="Show the version and exit.")] = False) -> None:
    if version:
        from agentcli import __version__

        print(f"agentcli {__version__}")
        raise typer.Exit


def run() -> NoReturn:
    """Run the command line and leave with its exit code."""
    gc.set_threshold(20_000, 20, 20)  # what start-up makes is not garbage: looking for some in it takes a tenth of its time
    arguments = _with_command(sys.argv[1:])
    code: int = Exit.FAILED
    try:
        code = _call(arguments)
        if sys.stdout:  # None if it was closed from the start
            sys.stdout.flush()
    except BrokenPipeError:
        code = Exit.BROKEN_PIPE
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except UserError as error:
        code = _tell(error)
    except Exception as error:
        if "--verbose" in arguments:
            raise
        hint = "This is a fault of agentcli. Run it again with --verbose to see where it happened, and report that."
        code = _tell(UserError(f"{type(error).__name__}: {error}", hint=hint))
    if code == Exit.BROKEN_PIPE:
        _drop_stdout()
    sys.exit(code)


def _with_command(arguments: list[str]) -> list[str]:
    """What was typed, with `chat` before it if it names no command."""
    if arguments and (not arguments[0].startswith("-") or arguments[0].split("=")[0] in _OWN_OPTIONS):
        return arguments
    return ["chat", *arguments]


def start(main: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run a command that waits on the network or on a person: the only event loop of the program."""
    import asyncio

    async def bounded() -> int:
        code = await main()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left and (await asyncio.wait(left, timeout=_GRACE))[1]:  # a tool that will not be cancelled
            from agentcli.ui.terminal import leave_now

            leave_now(code)
        return code

    raise typer.Exit(asyncio.run(bounded()))


def _call(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="agentcli", standalone_mode=False)
    except typer.Abort:
        return Exit.INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):  # the one thing that all of Typer's usage errors share
            raise
        raise _usage_error(error) from None
    return code if isinstance(code, int) else Exit.OK


def _usage_error(error: Any) -> UserError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "agentcli"
    message = error.format_message().strip().rstrip(".")
    message = message[:1].lower() + message[1:] if message[:2].istitle() or message[1:2].islower() else message
    hint = f"Try `{path} --help`."
    if path.endswith("chat") and (meant := next((word for word in sys.argv[2:] if word in COMMANDS), None)):
        hint += f" Options stand behind the command: `agentcli {meant} …`."
    return UserError(message, hint=hint, exit_code=Exit.USAGE)


def _tell(error: UserError) -> int:
    from agentcli.ui.talk import say_error

    say_error(error)
    return error.exit_code


def _drop_stdout() -> None:
    """Nobody reads any more: send what Python would still flush at exit to nowhere, quietly."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
