"""`agentcli doctor`: why does it not work?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agentcli.cli import option
from agentcli.errors import UserError
from agentcli.providers import Endpoint

if TYPE_CHECKING:
    from agentcli.assemble import Choice
    from agentcli.config import Loaded

__all__ = ["doctor"]

T = TypeVar("T")

_KEY = 21.0  # seconds for what gives a key: a command has 10, a keyring 20


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: option.ConfigFile = None,
) -> None:
    """Find out why it does not work: paths, configuration, keys, servers, terminal.

    Keys are never shown. Exits with 0 if nothing is wrong, 78 if the configuration is at fault, 1 for any other fault.
    """
    from agentcli import assemble
    from agentcli.cli import start
    from agentcli.config import Config, places
    from agentcli.ui import doctor as ui

    where = _tried(places)
    loaded = _tried(lambda: assemble.config(config))
    settings = Config() if isinstance(loaded, UserError) else loaded.config

    async def main() -> int:
        checks = list(ui.versions())
        checks += ui.extras(None if isinstance(where, UserError) else where.models)
        checks += [ui.Check("fault", "paths", where.message, where.hint)] if isinstance(where, UserError) else ui.folders(where)
        checks += ui.configuration(loaded)
        choice = None if isinstance(loaded, UserError) else await _choice(loaded)
        used = choice.name.partition("/")[0] if choice and not isinstance(choice, UserError) else None
        known = None if isinstance(loaded, UserError) else loaded
        names = dict.fromkeys([*assemble.configured(settings), *filter(None, [used])])
        found = await assemble.endpoints(names, known, patience=_KEY)
        if choice:
            problem = found.get(used or "")
            checks += ui.model(choice, problem if isinstance(problem, UserError) else None)
        checks += ui.keys(settings, found, used)
        checks += ui.network()
        # Where a server is can be known without its key: then it is asked without.
        asked: dict[str, Endpoint] = {}
        for name, place in found.items():
            address = place if isinstance(place, Endpoint) else _tried(partial(assemble.place, name, known))
            if isinstance(address, Endpoint):
                asked[name] = address
            elif name != used:
                checks.append(ui.Check("note", "server", address.message, address.hint))
        checks += await ui.servers(asked, used)
        checks += await ui.near(found)
        checks += ui.terminal()
        checks += ui.limits()
        if not isinstance(where, UserError):
            checks += ui.threads(_tried(lambda: assemble.store().rows()))
        ui.print_checks(checks, json=json)
        return ui.exit_code(checks)

    start(main)


def _tried(work: Callable[[], T]) -> T | UserError:
    """What came of it, or the error: here an error is a finding."""
    try:
        return work()
    except UserError as error:
        return error


async def _choice(loaded: Loaded) -> Choice | UserError:
    from agentcli.assemble import choose

    try:
        return await choose(loaded)
    except UserError as error:
        return error
