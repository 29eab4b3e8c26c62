"""`agentcli doctor`: why does it not work?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agentcli.cli import option
from agentcli.errors import UserError

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

    checks = list(ui.versions())
    where = _tried(places)
    checks += [ui.Check("fault", "paths", where.message, where.hint)] if isinstance(where, UserError) else ui.folders(where)
    loaded = _tried(lambda: assemble.config(config))
    checks += ui.configuration(loaded)
    settings = Config() if isinstance(loaded, UserError) else loaded.config

    async def main() -> int:
        chosen: tuple[str, str] | None = None
        if not isinstance(loaded, UserError):
            choice = await _choice(loaded)
            name = "" if isinstance(choice, UserError) else choice.name.partition("/")[0]
            place = _tried(lambda: assemble.endpoint(name, loaded)) if name else None
            checks.extend(ui.model(choice, place if isinstance(place, UserError) else None))
            chosen = (name, "" if place is None or isinstance(place, UserError) else place.base_url)
        checks.extend(ui.keys(settings))
        checks.extend(ui.network())
        checks.extend(await ui.servers(ui.addresses(settings, chosen), chosen[0] if chosen else None))
        checks.extend(ui.terminal())
        checks.extend(ui.limits())
        if not isinstance(where, UserError):
            checks.extend(ui.threads(_tried(lambda: assemble.store().rows())))
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
