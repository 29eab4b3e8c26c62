"""`agentcli config`: what is set, where that comes from, and changing it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from agentcli import config as configuration
from agentcli.cli import option
from agentcli.errors import Exit, UserError

__all__ = ["app"]

app = typer.Typer(
    name="config",
    help="Show and change the configuration.",
    epilog="KEY is written as in the file, with dots: timeout, settings.temperature, providers.lab.base-url.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

KeyName = Annotated[str, typer.Argument(metavar="KEY", help="Which value, for example settings.temperature.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def show(json: Json = False, config: option.ConfigFile = None) -> None:
    """Show every value and where it comes from. A key is never shown."""
    from agentcli.ui.config import print_values

    print_values(configuration.load(config), json=json)


@app.command()
def get(key: KeyName, config: option.ConfigFile = None) -> None:
    """Print one value: text as it is, anything else as JSON."""
    from agentcli.ui.config import value_of
    from agentcli.ui.stdout import put_json, put_text

    value = value_of(configuration.load(config), key)
    if isinstance(value, str):
        put_text(f"{value}\n")
    else:
        put_json(f"{msgspec.json.encode(value).decode()}\n")


@app.command("set", context_settings={"ignore_unknown_options": True})
def set_(
    key: KeyName,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Its new value; a list as a,b or as TOML.")],
    config: option.ConfigFile = None,
) -> None:
    """Set one value in the file. Comments and order stay."""
    _write(_file(config), key, value)


@app.command()
def unset(key: KeyName, config: option.ConfigFile = None) -> None:
    """Remove one value from the file, so that its default holds."""
    _write(_file(config), key, None)


@app.command()
def edit(config: option.ConfigFile = None) -> None:
    """Open the file in $VISUAL or $EDITOR, and say what is wrong with it afterwards."""
    import subprocess

    file = _file(config)
    if not file.exists():
        from agentcli.config.reference import template
        from agentcli.store.disk import replace

        replace(file, template().encode())
    command = [*_editor(), str(file)]
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        hint = "Set VISUAL or EDITOR to the editor you use."
        raise UserError(f"the editor {command[0]} cannot be started: {error.strerror or error}", hint=hint) from None
    if code:
        raise UserError(f"the editor {command[0]} ended with {code}", hint=f"The file is {file}.")
    try:
        configuration.load(file)
    except UserError as error:
        hint = f"{error.hint}\nThe file is kept as you left it.".strip()
        raise UserError(error.message, hint=hint, exit_code=error.exit_code) from None


@app.command()
def path(config: option.ConfigFile = None) -> None:
    """Print which file is read. It need not be there."""
    from agentcli.ui.stdout import put_text

    put_text(f"{_file(config)}\n")


def _file(config: Path | None) -> Path:
    return configuration.places().config if config is None else Path(os.path.abspath(config))


def _write(file: Path, key: str, value: str | None) -> None:
    from agentcli.store.disk import replace
    from agentcli.ui.talk import say

    data = configuration.edited(file, key, value)
    replace(Path(os.path.realpath(file)), data)  # a link, as to a folder of dotfiles, stays one
    if (origin := _overruled(file, key)) and value is not None:
        say(f"note: {origin} is set, and goes before the file")


def _overruled(file: Path, key: str) -> str | None:
    """The variable that decides, whatever the file says."""
    try:
        origin = configuration.load(file).origins.get(key, "")
    except UserError:  # of a variable: the next command says so
        return None
    return origin if origin.startswith("AGENTCLI_") else None


def _editor() -> list[str]:
    import shlex
    import shutil

    for variable in ("VISUAL", "EDITOR"):
        if said := os.environ.get(variable, "").strip():
            try:
                return shlex.split(said, posix=os.name != "nt")
            except ValueError:
                raise UserError(f"{variable} cannot be read: {said}", hint="Its quotes do not match.", exit_code=Exit.CONFIG) from None
    for name in ("nano", "vi", "notepad"):
        if found := shutil.which(name):
            return [found]
    raise UserError("no editor is set", hint="export EDITOR=…, or use `agentcli config set KEY VALUE`.", exit_code=Exit.CONFIG)
