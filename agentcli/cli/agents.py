"""`agentcli agents`: the named agents, a file each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentcli.cli import option
from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from agentcli.config.agent import AgentConfig

__all__ = ["app"]

app = typer.Typer(
    name="agents",
    help="List, show, write and edit named agents: instructions, tools, settings and a model under a name.",
    epilog="`agentcli -a NAME` chats with one, `agentcli ask -a NAME` asks it.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="An agent.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """List the agents."""
    from agentcli.config.agent import NamedAgent, find, misnamed, names
    from agentcli.ui.agents import print_agents
    from agentcli.ui.talk import say

    found: list[NamedAgent] = []
    faults: list[UserError] = []
    for name in names():
        try:
            found += filter(None, [find(name)])
        except UserError as error:
            faults.append(error)
    print_agents(found, json=json)
    for fault in faults:
        say(f"warning: {fault.message}")
    for file in misnamed():
        say(f"warning: {file!r} is no agent: a name has letters, digits, - and _, at most 64 of them")
    if not found and not faults:
        say("There are no agents yet; `agentcli agents new NAME` begins one.", dim=True)


@app.command()
def show(name: Name, json: Json = False) -> None:
    """Show an agent."""
    from agentcli.config.agent import load
    from agentcli.ui.agents import print_agent

    print_agent(load(name), json=json)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.", show_default=False)],
    description: Annotated[str | None, typer.Option("--description", "-d", metavar="TEXT", help="What it is for, in a line.")] = None,
    model: option.Model = None,
    instructions: Annotated[str | None, typer.Option("--instructions", "-i", metavar="TEXT", help="What the model is told.")] = None,
    tool: option.Tools = None,
    setting: option.Settings = None,
) -> None:
    """Begin an agent: write its file, and print where that is.

    It has what is said here, and what else could be said, in comments. A file that is there is never written over.
    """
    from agentcli.config.agent import AgentConfig, check_name, file_of, template
    from agentcli.ui.stdout import put_text
    from agentcli.ui.talk import say

    check_name(name)
    file = file_of(name)
    config = _said(AgentConfig, description=description, model=model, instructions=instructions, tools=tool, settings=setting)
    for key, why in _wrong(config):
        raise UserError(f"{_FLAGS[key]}: {why.message}", hint=why.hint, exit_code=Exit.USAGE)
    _create(file, template(config))
    put_text(f"{file}\n")
    say(f"`agentcli agents edit {name}` opens it, `agentcli -a {name}` chats with it.", dim=True)


@app.command()
def edit(name: Name) -> None:
    """Open an agent's file in $VISUAL or $EDITOR.

    What is wrong with it afterwards is said, and the file is kept as it was left.
    """
    from agentcli.config.agent import fault, load
    from agentcli.ui import agents as ui

    def check() -> None:
        agent = load(name)
        for key, error in _wrong(agent.config):
            raise fault(agent, key, error)

    raise typer.Exit(ui.edit(_there(name), check))


_FLAGS = {"model": "--model", "tools": "--tool", "settings": "-o"}  # what another flag says has its name


def _there(name: str) -> Path:
    """The file of an agent, which may be wrong."""
    from agentcli.config.agent import allowed, file_of, load

    if allowed(name) and os.path.lexists(file_of(name)):
        return file_of(name)
    return load(name).file


def _said(kind: Any, *, settings: list[str] | None, tools: list[str] | None, **values: str | None) -> Any:
    """What the flags say, as what the file would."""
    import msgspec

    from agentcli.config.faults import faults
    from agentcli.core.message import speakable

    said: dict[str, Any] = {key: speakable(value) for key, value in values.items() if value is not None}
    said |= {"tools": [_absolute(name) for name in tools]} if tools else {}
    said |= {"settings": option.settings_of(settings)} if settings else {}
    for found in faults(said, kind):
        raise found.error(" ".join([_FLAGS.get(found.path[0], f"--{found.path[0]}"), *found.path[1:]]))
    return msgspec.convert(said, kind)


def _absolute(tool: str) -> str:
    """A file in which a tool is, as it is named from anywhere."""
    return os.path.abspath(os.path.expanduser(tool)) if ".py:" in tool else tool


def _wrong(config: AgentConfig) -> Iterator[tuple[str, UserError]]:
    """What it names and there is not. A configuration that is wrong is told when it is used."""
    from agentcli import config as configuration
    from agentcli.assemble.named import wrong

    loaded = None
    with suppress(UserError):
        loaded = configuration.load()
    return wrong(loaded, config)


def _create(file: Path, text: str) -> None:
    """Write a new file; never over another."""
    from agentcli.store import disk

    try:
        disk.create_folder(file.parent)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            disk.write_all(descriptor, text.encode())
            os.fsync(descriptor)
        except OSError:  # half an agent is worse than none
            os.unlink(file)
            raise
        finally:
            os.close(descriptor)
        disk.sync_folder(file.parent)
    except FileExistsError:
        hint = f"`agentcli agents edit {file.stem}` opens it."
        raise UserError(f"there is an agent {file.stem} already", hint=hint, exit_code=Exit.USAGE) from None
    except OSError as error:
        raise disk.SaveError(file, error) from None
