"""How a provider is reached: where it is, what it speaks, and how to be let in.

What is known of a provider comes from the configuration first, its vendor's own variables second, and the table of `providers` last. A
model's name is `provider/model`, or an alias from the configuration.
"""

from __future__ import annotations

import os
from difflib import get_close_matches

from msgspec.structs import replace

from agentcli import config as configuration
from agentcli import providers
from agentcli.config import Loaded
from agentcli.config.key import key_of
from agentcli.core.provider import Provider
from agentcli.errors import Exit, UserError
from agentcli.providers import PROVIDERS, Clocks, Endpoint, Entry, Later

__all__ = ["endpoint", "from_vendor", "full_name", "kind_of", "provider"]

_NO_LIMIT = 365 * 86_400.0  # seconds


def full_name(name: str, loaded: Loaded | None) -> str:
    """`provider/model` for what was said, which may be an alias."""
    aliases = loaded.config.aliases if loaded else {}
    whole = aliases.get(name, name)
    provider_name, slash, model = whole.partition("/")
    if provider_name and slash and model:
        return whole
    near = get_close_matches(name, aliases, 1)
    hint = f"A model is named provider/model, for example openai/{PROVIDERS['openai'].model}."
    if near:
        hint = f"Did you mean {near[0]}, which is {aliases[near[0]]}? {hint}"
    told = f"the alias {name!r} says {whole!r}, which" if name in aliases else repr(name)
    raise UserError(f"{told} does not name a model", hint=hint, exit_code=Exit.CONFIG)


def provider(name: str, loaded: Loaded | None, *, keep: bool, later: bool = False, retries: int | None = None) -> tuple[Provider, str]:
    """The provider for `provider/model` or an alias, and the model's own name. `later`: it is made when it is needed."""
    name, _, model = full_name(name, loaded).partition("/")
    clocks = Clocks()
    if loaded:
        tries = loaded.config.retries if retries is None else retries
        clocks = Clocks(loaded.config.connect_timeout, loaded.config.idle_timeout or _NO_LIMIT, tries)
    place = endpoint(name, loaded)
    if place.kind == "local":
        place = replace(place, options={**place.options, "model": model})
    if keep or later:
        return Later(name, lambda: providers.create(name, place, clocks, keep=keep)), model
    return providers.create(name, place, clocks, keep=False), model


def endpoint(name: str, loaded: Loaded | None) -> Endpoint:
    """Where a provider is, and how to be let in."""
    entry = PROVIDERS.get(name)
    said = loaded.config.providers.get(name) if loaded else None
    if entry is None and said is None:
        raise _unknown(name, [*PROVIDERS, *(loaded.config.providers if loaded else ())])
    vendor_url = entry.base_url if entry else ""
    url = (said and said.base_url) or from_vendor(entry) or vendor_url
    kind = (said and said.kind) or kind_of(entry, url)
    if loaded and kind not in providers.KINDS:
        raise configuration.fault(
            loaded, f"providers.{name}.kind", f"there is no kind {kind!r}", f"The kinds: {', '.join(providers.KINDS)}."
        )
    if kind in _WITHOUT_SERVER:
        return Endpoint(kind=kind, options=_options(kind, said))
    if not url:
        hint = f'In the configuration: [providers.{name}] base-url = "http://…/v1"'
        if entry and entry.base_url_variable:
            hint = f"Set {entry.base_url_variable}."
        raise UserError(f"the provider {name} has no base URL", hint=hint, exit_code=Exit.CONFIG)
    variable = (said and said.key_env) or (entry.key_variable if entry else "")
    key, place = key_of(name, variable, said.key_command if said else None, keyring=loaded is not None)
    if variable and not key and (url == vendor_url or (said and said.key_env)):
        hint = f"export {variable}=…, or `agentcli keys set {name}`"
        raise UserError(f"there is no key for {name}: {variable} is not set", hint=hint, exit_code=Exit.CONFIG)
    return Endpoint(
        kind=kind,
        base_url=url.rstrip("/"),
        key=key,
        key_name=place,
        headers=said.headers if said else {},
    )


def from_vendor(entry: Entry | None) -> str:
    """The base URL that the vendor's own variable says."""
    said = os.environ.get(entry.base_url_variable or "-") if entry else None
    if not (entry and said):
        return ""
    from agentcli.providers.address import base_url

    return base_url(entry, said)


def kind_of(entry: Entry | None, url: str) -> str:
    """What a provider speaks, if the configuration does not say."""
    if entry is None:
        return "openai-chat"
    if not entry.elsewhere or url == entry.base_url:
        return entry.kind
    from agentcli.providers.address import at_vendor

    return entry.kind if at_vendor(entry, url) else entry.elsewhere


_WITHOUT_SERVER = ("local", "scripted")


def _options(kind: str, said: configuration.ProviderConfig | None) -> dict[str, object]:
    """What only this kind understands."""
    if kind == "scripted":
        return {"script": said.script} if said and said.script else {}
    return {
        "models": said.models if said else {},
        "context": said.context if said else 0,
        "folder": str(configuration.places().models),
    }


def _unknown(name: str, known: list[str]) -> UserError:
    near = get_close_matches(name, known, 1)
    hint = f"Known are {', '.join(known)}; `[providers.{name}]` in the configuration adds it."
    if near:
        hint = f"Did you mean {near[0]}/…?"
    return UserError(f"no provider is called {name!r}", hint=hint, exit_code=Exit.CONFIG)
