"""Is the key of each provider there? It is never shown, only where it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from agentcli.config import Config
from agentcli.errors import UserError
from agentcli.providers import Endpoint
from agentcli.ui.doctor.check import Check, Status
from agentcli.ui.keys import Source, sources

__all__ = ["keys"]


def keys(config: Config, places: Mapping[str, Endpoint | UserError] = {}, used: str | None = None) -> Iterator[Check]:
    """For each provider: is its key there, and does whatever should give it do so? `places` is what came of looking."""
    try:
        found = sources(config)
    except UserError as error:  # the list of what is in the keyring
        yield Check("note", "keys", error.message, error.hint)
        return
    missing = []
    for source in found:
        if source.where is None and source.provider not in config.providers:
            missing.append(source.variable)
        else:
            yield _check(source, places.get(source.provider), "fault" if source.provider == used else "note")
    if missing:
        hint = "For the one that you use: export OPENAI_API_KEY=…, or `agentcli keys set openai`."
        yield Check("note" if len(missing) == len(found) else "ok", "keys", f"not set: {', '.join(missing)}", hint)


def _check(source: Source, place: Endpoint | UserError | None, otherwise: Status) -> Check:
    name = source.provider
    match source.where:
        case "environment":
            return _variable(name, source.name)
        case None:
            hint = f"export {source.variable}=…, or `agentcli keys set {name}`"
            return Check(otherwise, "keys", f"{name}: {source.variable} is not set", hint)
        case where:
            if isinstance(place, UserError):
                return Check(otherwise, "keys", place.message, place.hint)
            if place and not place.key:
                return Check(otherwise, "keys", f"{name}: the command {source.name} prints nothing", "Try it in your shell.")
            return Check("ok", "keys", f"{name}: {'in the keyring' if where == 'keyring' else f'the command {source.name} prints it'}")


def _variable(provider: str, variable: str) -> Check:
    value = os.environ[variable]
    if value != value.strip() or not value.isascii() or value[0] in "\"'":
        return Check(
            "note", "keys", f"{provider}: {variable} is set, but not only to a key", "There are quotes, blanks or odd letters in it."
        )
    return Check("ok", "keys", f"{provider}: {variable} is set")
