"""The command line: what was typed becomes one call of the half that does it.

Start-up is a feature, so nothing here imports more than Typer. `COMMANDS` says in which module a command lives; that module is
imported when the command is called, and imports its own half in turn. A command is a function; a module that offers several has an
`app`. `agentcli` without a command is `agentcli chat`.

Whatever goes wrong below arrives here once: a `UserError` becomes `error: …` and `hint: …` on stderr and its exit code, a closed
stdout becomes a quiet 141, Ctrl-C becomes 130. Nobody sees a traceback unless they asked for it with `--verbose`.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["COMMANDS", "app", "run", "start", "with_command"]

# command -> where it lives, and what --help says of it. Order is the order in --help.
COMMANDS: dict[str, tuple[str, str]] = {
    "chat": ("agentcli.cli.chat:chat", "Chat in a new or a saved thread. The default."),
    "resume": ("agentcli.cli.chat:resume", "Chat in a saved thread; without an id, pick from a list."),
    "ask": ("agentcli.cli.ask:ask", "One question, one answer; joins piped stdin."),
    "threads": ("agentcli.cli.threads:app", "List, show, search, rename, fork, delete, export, import and check threads."),
    "models": ("agentcli.cli.models:models", "List what can be asked, with context size and price where known."),
    "local": ("agentcli.cli.local:app", "Install, list and remove the embedded model."),
    "usage": ("agentcli.cli.usage:usage", "Show tokens and money by day and model."),
    "agents": ("agentcli.cli.agents:app", "List, show, write and edit named agents."),
    "keys": ("agentcli.cli.keys:app", "List, set and remove the keys of providers."),
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

app = typer.Typer(cls=_Commands, rich_markup_mode=None, add_completion=False, context_settings=_HELP, no_args_is_help=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        from agentcli import __version__
        from agentcli.ui.stdout import put

        put(f"agentcli {__version__}\n")
        raise typer.Exit


def _install_completion(wanted: bool) -> None:
    if wanted:
        from agentcli.cli.complete.install import install

        install(sys.argv[2:])
        raise typer.Exit


def _show_completion(wanted: bool) -> None:
    if wanted:
        from agentcli.cli.complete.install import show

        show(sys.argv[2:])
        raise typer.Exit


@app.callback(
    help="A conversational agent for the terminal. Without a command: chat.",
    epilog="`agentcli COMMAND --help` says what a command can do.",
)
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    install_completion: Annotated[
        bool,
        typer.Option(
            "--install-completion",
            callback=_install_completion,
            is_eager=True,
            help="Let Tab complete agentcli in this shell, or in the one named behind it: bash, zsh, fish or powershell.",
        ),
    ] = False,
    show_completion: Annotated[
        bool,
        typer.Option("--show-completion", callback=_show_completion, is_eager=True, help="Print the script that does so, and exit."),
    ] = False,
) -> None:
    pass


def run() -> NoReturn:
    """Run the command line and leave with its exit code."""
    gc.set_threshold(100_000, 20, 20)  # what start-up makes is not garbage: looking for some in it takes a tenth of its time
    _keep_standard_descriptors()
    arguments = with_command(sys.argv[1:])
    try:
        code = _call(arguments)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (the one place where every fault is told)
        code = _tell(error)
    _let_go_of_stdout()
    sys.exit(code)


def _keep_standard_descriptors() -> None:
    """One that was closed from the start must not become the number of something else: an answer would be written into that."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # gets that number; writing to it fails as it would have


def with_command(arguments: list[str]) -> list[str]:
    """What was typed, with `chat` before it if it names no command."""
    if arguments and (not arguments[0].startswith("-") or arguments[0].split("=")[0] in _OWN_OPTIONS):
        return arguments
    return ["chat", *arguments]


def start(main: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run a command that waits on the network or on a person: the only event loop of the program."""
    import asyncio

    async def bounded() -> int:
        fault: BaseException | None = None
        code: int = Exit.FAILED
        try:
            code = await main()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  (raised again below)
            fault = error
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left and (await asyncio.wait(left, timeout=_GRACE))[1]:  # a tool that will not be cancelled: asyncio would wait for it
            from agentcli.ui.terminal import leave_now

            leave_now(_tell(fault) if fault else code)
        # a thread that does not end (it waits for an editor, say) would be waited for as well
        threads = asyncio.create_task(asyncio.get_running_loop().shutdown_default_executor())
        if (await asyncio.wait({threads}, timeout=_GRACE))[1]:
            from agentcli.ui.terminal import leave_now

            leave_now(_tell(fault) if fault else code)
        if fault:
            raise fault
        return code

    try:
        code = asyncio.run(bounded())
    except asyncio.CancelledError:  # a signal that came when there was nothing left to stop
        code = Exit.INTERRUPTED
    raise typer.Exit(code)


def _call(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="agentcli", standalone_mode=False)
    except typer.Abort:
        return Exit.INTERRUPTED
    except SystemExit as left:  # as Typer does when nobody reads its help
        raise left.__context__ if isinstance(left.__context__, BrokenPipeError) else left from None
    except Exception as error:
        if hasattr(error, "format_message"):  # the one thing that all of Typer's usage errors share
            raise _usage_error(error) from None
        if isinstance(error, OSError) and _is_typers(error):
            raise _of_stdout(error) from None
        raise
    try:
        if sys.stdout:  # None if it was closed from the start
            sys.stdout.flush()
    except OSError as error:
        raise _of_stdout(error) from None
    return code if isinstance(code, int) else Exit.OK


def _usage_error(error: Any) -> UserError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "agentcli"
    message = error.format_message().strip().rstrip(".")
    if message.startswith("Usage:"):  # a group of commands by itself
        return UserError(f"`{path}` wants a command", hint=f"`{path} --help` lists them.", exit_code=Exit.USAGE)
    message = message[:1].lower() + message[1:] if message[:2].istitle() or message[1:2].islower() else message
    hint = f"Try `{path} --help`."
    if message.startswith("no such command"):
        hint += f' To ask a question: `agentcli ask "{" ".join(sys.argv[1:])}"`.'
    if path.endswith("chat") and (meant := next((word for word in sys.argv[2:] if word in COMMANDS), None)):
        hint += f" Options stand behind the command: `agentcli {meant} …`."
    return UserError(message, hint=hint, exit_code=Exit.USAGE)


def _tell(error: BaseException) -> int:
    """Say what went wrong; the exit code."""
    if isinstance(error, BrokenPipeError):
        return Exit.BROKEN_PIPE
    if not isinstance(error, Exception):
        return Exit.INTERRUPTED
    from agentcli.ui.talk import no_colours, say, say_error

    if "--plain" in sys.argv:
        no_colours()
    if isinstance(error, UserError):
        say_error(error)
        return error.exit_code
    if "--verbose" in sys.argv:
        import traceback

        say("".join(traceback.format_exception(error)), end="")
        return Exit.FAILED
    if isinstance(error, OSError) and error.filename is not None:
        say_error(UserError(f"{error.filename}: {error.strerror}", hint="`agentcli doctor` looks at folders and files."))
        return Exit.FAILED
    hint = "This is a fault of agentcli. Run it again with --verbose to see where it happened, and report that."
    say_error(UserError(f"{type(error).__name__}: {error}", hint=hint))
    return Exit.FAILED


def _is_typers(error: OSError) -> bool:
    """Did it happen in Typer's own code? That opens no files: it was printing help."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("typer.")


def _of_stdout(error: OSError) -> Exception:
    from agentcli.ui.stdout import fault_of

    return fault_of(error) or BrokenPipeError()


def _let_go_of_stdout() -> None:
    """What cannot be written any more, Python would try to write once more at exit: send it to nowhere, quietly."""
    import os

    for stream in (sys.stdout, sys.stderr):
        try:
            if stream:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
