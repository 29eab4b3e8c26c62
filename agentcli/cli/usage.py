"""`agentcli usage`: tokens and money of the last days."""

from __future__ import annotations

from typing import Annotated

import typer

from agentcli.cli import option

__all__ = ["usage"]


def usage(
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, max=36_500, help="So many days, the last of which is today.")
    ] = 30,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    plain: option.Plain = False,
    config: option.ConfigFile = None,
) -> None:
    """Show how many tokens the last days took, and what they cost: a bar for each day, and a table by model.

    Counted is what stands in the saved threads, as the servers reported it. A day is one of your own time zone. Prices come from the
    providers, and from the extra `prices`.
    """
    from agentcli import assemble
    from agentcli.ui.talk import no_colours
    from agentcli.ui.usage import account, print_account

    loaded = assemble.config(config, {"plain": True} if plain else {})
    if loaded.config.plain:
        no_colours()
    pricing = assemble.pricing(loaded)
    rows = [row for row in assemble.store().rows() if not row.damaged]
    print_account(account(rows, pricing, days), json=json, hint=pricing.hint)
