"""`agentcli doctor`: why does it not work?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        found = await _places(ui.configured(settings, used), None if isinstance(loaded, UserError) else loaded)
        if choice:
            problem = found.get(used or "")
            checks += ui.model(choice, problem if isinstance(problem, UserError) else None)
        checks += ui.keys(settings, found, used)
        checks += ui.network()
        asked = {name: place if isinstance(place, Endpoint) else ui.way(name, settings) for name, place in found.items()}
        checks += await ui.servers({name: place for name, place in asked.items() if place}, used)
        lost = {name: found[name] for name, place in asked.items() if place is None and name != used}
        checks += [ui.Check("note", "server", why.message, why.hint) for why in lost.values() if isinstance(why, UserError)]
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


async def _places(names: Iterable[str], loaded: Loaded | None) -> dict[str, Endpoint | UserError]:
    """Where the providers are, with their keys. A command or a keyring that gives one may take its time, so they are asked at once."""
    import asyncio

    from agentcli.assemble import endpoint
    from agentcli.core.apart import in_thread

    names = list(names)
    found = await asyncio.gather(*(in_thread(_tried, partial(endpoint, name, loaded), name="key") for name in names))
    return dict(zip(names, found, strict=True))
