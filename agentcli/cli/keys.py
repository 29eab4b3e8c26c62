"""`agentcli keys`: where the keys come from, and keeping one in the system's keyring."""

from __future__ import annotations

import sys
from contextlib import suppress
from difflib import get_close_matches
from typing import Annotated

import typer

from agentcli import config as configuration
from agentcli.cli import option
from agentcli.errors import Exit, UserError

__all__ = ["app", "note"]

_PATIENCE = 10.0  # seconds for others who write the list
_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="keys",
    help="Where each provider's key comes from, and keeping one in the system's keyring.",
    epilog="A key is looked for in the provider's variable, then its key-command, then the keyring. It is never shown.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings=_HELP,
)

Provider = Annotated[str, typer.Argument(metavar="NAME", help="A provider: what stands before the slash in a model's name.")]


@app.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False, config: option.ConfigFile = None
) -> None:
    """List the providers that take a key, and where each one's comes from. No key is shown, read or asked for."""
    from agentcli.ui.keys import print_sources, sources

    print_sources(sources(configuration.load(config).config), json=json)


@app.command("set", context_settings={**_HELP, "allow_extra_args": True, "ignore_unknown_options": True})
def set_(context: typer.Context, name: Provider, config: option.ConfigFile = None) -> None:
    """Keep a provider's key in the system's keyring. It is typed, unseen, or comes on stdin.

    Needs the extra `keyring`. A key in the provider's variable, or from its key-command, goes before it.
    """
    if context.args:  # what they are is not repeated: one of them may be the key
        raise UserError(
            "a key is not given on the command line: every program here can read it there, and the shell remembers it",
            hint="`agentcli keys set NAME` asks for it, or reads it from a pipe.\n"
            "If that was a real key: remove the line from the shell's history, or take a new one from the provider.",
            exit_code=Exit.USAGE,
        )
    from agentcli.config import keyring
    from agentcli.ui.keys import instead, read_key, sources
    from agentcli.ui.talk import say

    settings = configuration.load(config).config
    _check(name, settings)
    source = next((source for source in sources(settings) if source.provider == name), None)
    try:
        where = keyring.backend()  # before anything is typed
    except UserError as error:
        hint = instead(name, source.variable if source else "")
        raise UserError(error.message, hint=f"{error.hint}\n{hint}".strip(), exit_code=error.exit_code) from None
    key = read_key(name)
    new = note(add=name)  # first, since a key that nobody knows of would lie in the keyring for ever
    try:
        keyring.put(name, key)
    except BaseException:
        if new:
            with suppress(UserError):
                note(drop=name)
        raise
    say(f"The key of {name} is in the keyring ({where}).")
    if source and source.where in ("environment", "command"):
        say(f"note: {source.name if source.where == 'environment' else 'its key-command'} goes before it")


@app.command()
def remove(name: Provider, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Remove a provider's key from the system's keyring."""
    from agentcli.config import keyring
    from agentcli.ui.confirm import confirm
    from agentcli.ui.sanitise import one_line
    from agentcli.ui.talk import say

    kept = keyring.names()
    if name not in kept:
        hint = f"In the keyring are those of: {', '.join(kept)}." if kept else "`agentcli keys list` says where keys come from."
        raise UserError(f"there is no key of {_shown(name)} in the keyring", hint=hint, exit_code=Exit.USAGE)
    if not yes:
        if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):
            raise UserError("removing a key wants a yes, and nobody can be asked here", hint="Add --yes.", exit_code=Exit.USAGE)
        if not confirm(f"Remove the key of {one_line(name, 60)} from the keyring?"):
            say("Nothing was removed.")
            raise typer.Exit(Exit.FAILED)
    keyring.remove(name)
    note(drop=name)
    say(f"The key of {name} is no longer in the keyring.")


def note(*, add: str = "", drop: str = "") -> bool:
    """Write down whose key is in the keyring now, or is no longer; was that new? Of several at a time, each waits for its turn."""
    from agentcli.config import keyring
    from agentcli.store.disk import replace
    from agentcli.store.lock import BusyError, Lock

    file = keyring.file()
    try:
        lock = Lock.take(file.with_suffix(".lock"), str(file), _PATIENCE)
    except BusyError as error:
        raise UserError(error.message, hint="Try again when it is done.") from None
    with lock:
        before = {*keyring.names()}
        after = (before | {add} if add else before) - {drop}
        if after != before:
            replace(file, keyring.listing(after))
        return after != before


def _check(name: str, config: configuration.Config) -> None:
    """A provider that is known and takes a key. What was typed is repeated only if it looks like a name."""
    from agentcli.providers import PROVIDERS

    known = [*PROVIDERS, *config.providers]
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = (
            f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}; `[providers.NAME]` in the configuration adds one."
        )
        raise UserError(f"no provider is called {_shown(name)}", hint=hint, exit_code=Exit.USAGE)
    said = config.providers.get(name)
    kind = (said and said.kind) or (PROVIDERS[name].kind if name in PROVIDERS else "")
    if kind in ("local", "scripted"):
        raise UserError(f"{name} needs no key", exit_code=Exit.USAGE)


def _shown(name: str) -> str:
    return ascii(name) if len(name) <= 20 else "that"
