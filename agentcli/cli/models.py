"""`agentcli models`: what can be asked.

Asked are the providers that are configured or have a key in the environment, and the usual ports of this machine. One that does not
answer costs a line and three seconds, whatever the others do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentcli.cli import option
from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from agentcli.config import Loaded
    from agentcli.providers import Endpoint
    from agentcli.providers.catalogue.model import Listed
    from agentcli.providers.catalogue.price import Known, Prices
    from agentcli.ui.models import Row

__all__ = ["models"]

_KEY = 21.0  # seconds for what gives the key of the one provider that is asked: a keyring has 20


def models(
    query: Annotated[
        list[str] | None, typer.Argument(metavar="[QUERY]...", help="Only those with all of these words in them.", show_default=False)
    ] = None,
    provider: Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Only this provider.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask again, also who was asked today.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Also those that are not for a chat: embeddings, speech, images.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: option.ConfigFile = None,
) -> None:
    """List what can be asked: models with their context size, price and abilities.

    The lists of the providers are kept for a day. Prices are US dollars for a million tokens.
    """
    from agentcli import assemble
    from agentcli.cli import start
    from agentcli.ui import models as ui
    from agentcli.ui.talk import say

    loaded = assemble.config(config)

    async def main() -> int:
        found = _Found(loaded, provider)
        rows = await found.rows(refresh=refresh, every=every)
        shown = ui.matching(rows, query or ())
        ui.print_rows(shown, json=json)
        for name, fault in found.faults.items():
            say(f"warning: {name}: {fault.message}".replace("\n", " "))
        if found.without_key and not provider:
            count = len(found.without_key)
            say(f"{count} provider{'s have' if count > 1 else ' has'} no key: {', '.join(found.without_key)}", dim=True)
        if rows and not shown:
            say("No model has that in its name.", dim=True)
        elif shown and not json and found.lacks_prices:
            from agentcli.extra import command

            say(f"More prices: {command('prices')}", dim=True)
        return found.outcome(rows)

    start(main)


class _Found:
    """What there is to ask, and what came of asking."""

    def __init__(self, loaded: Loaded, only: str | None) -> None:
        self.faults: dict[str, UserError] = {}  # by provider
        self.without_key: list[str] = []  # their variables
        self.lacks_prices = False
        self._loaded = loaded
        self._only = only
        self._places: dict[str, Endpoint] = {}
        self._nearby: set[str] = set()

    async def rows(self, *, refresh: bool, every: bool) -> list[Row]:
        from agentcli.config import places
        from agentcli.providers.catalogue import gather
        from agentcli.providers.catalogue.price import known
        from agentcli.ui.models import row

        await self._look_up()
        if self._only is None:
            await self._look_around()
        folder = places().cache
        answers = await gather(self._places, folder, refresh=refresh)
        prices = known(folder)
        rows = self._aliases(prices)
        for name, answer in answers.items():
            if isinstance(answer, UserError):
                self.faults[name] = answer
                continue
            source = "nearby" if name in self._nearby else "listing"
            for listed in sorted(answer, key=lambda each: each.id):
                if listed.chats or every:
                    model = f"{name}/{listed.id}"
                    rows.append(row(model, self._known(prices, model, listed), source=source, name=listed.name))
        self.lacks_prices = not prices.tariffs and not all(each.price for each in rows)
        return rows

    def outcome(self, rows: list[Row]) -> int:
        """The exit code; nothing to ask at all is an error that says what to do."""
        if any(each.source != "alias" for each in rows):
            return Exit.OK
        if not self.faults and (rows or self._places.keys() - {"local"}):
            return Exit.OK
        if self.faults:
            return next(iter(self.faults.values())).exit_code
        hint = "Set a key, start a server such as Ollama, name one in the configuration, or run a model here: agentcli local install"
        raise UserError("there is nothing to ask: no key, and no server on this machine", hint=hint, exit_code=Exit.CONFIG)

    async def _look_up(self) -> None:
        """Where the providers are that somebody set up."""
        from agentcli.assemble import configured, endpoints, place
        from agentcli.providers import PROVIDERS
        from agentcli.providers.catalogue.listing import PATIENCE

        if self._only is not None:
            place(self._only, self._loaded)  # a name that is none is wrong at once
            names = [self._only]
        else:
            names = [*configured(self._loaded.config), "local"]
            entries = {name: entry for name, entry in PROVIDERS.items() if name not in names}
            self.without_key = [entry.key_variable for entry in entries.values() if entry.key_variable]
        patience = PATIENCE if self._only is None else _KEY
        for name, found in (await endpoints(names, self._loaded, patience=patience)).items():
            if isinstance(found, UserError):
                if self._only is not None:
                    raise found
                self.faults[name] = found
            elif found.kind != "scripted":
                self._places[name] = found

    async def _look_around(self) -> None:
        from agentcli.assemble import endpoint
        from agentcli.providers.catalogue.nearby import nearby

        for name, _ in await nearby():
            if name not in self._places:
                self._places[name] = endpoint(name, self._loaded)
                self._nearby.add(name)

    def _aliases(self, prices: Prices) -> list[Row]:
        from agentcli.ui.models import row

        aliases = sorted(self._loaded.config.aliases.items())
        return [
            row(name, self._known(prices, means), source="alias", means=means)
            for name, means in aliases
            if self._only in (None, means.partition("/")[0])
        ]

    def _known(self, prices: Prices, model: str, listed: Listed | None = None) -> Known:
        """What is known of a model. The size of its context is what the configuration says, if it says one."""
        from msgspec.structs import replace

        from agentcli.providers.catalogue.price import Known

        name = model.partition("/")[0]
        found = prices.of(model, self._places.get(name), listed=listed) or Known()
        said = self._loaded.config.providers.get(name)
        return replace(found, context=said.context) if said and said.context else found
