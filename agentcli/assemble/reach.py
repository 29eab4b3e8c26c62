"""How a provider is reached: where it is, what it speaks, and how to be let in.

What is known of a provider comes from the configuration first, its vendor's own variables second, and the table of `providers` last. A
model's name is `provider/model`, or an alias from the configuration.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from threading import Lock

from msgspec.structs import replace

from agentcli import config as configuration
from agentcli import providers
from agentcli.config import Config, Loaded
from agentcli.core.provider import Provider, ProviderError
from agentcli.errors import Exit, UserError
from agentcli.providers import PROVIDERS, Clocks, Endpoint, Entry, Later

__all__ = ["at_hand", "configured", "endpoint", "endpoints", "from_vendor", "full_name", "kind_of", "place", "provider"]

_NO_LIMIT = 365 * 86_400.0  # seconds
_SOON = 5.0  # seconds that are waited before another try, where another model could be asked


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


def provider(name: str, loaded: Loaded | None, *, keep: bool, later: bool = False, hurried: bool = False) -> tuple[Provider, str]:
    """The provider for `provider/model` or an alias, and the model's own name.

    `later`: its key is not looked for before it is needed, and that there is none is a fault of that question. `hurried`: another one
    can be asked instead, so that this one is not waited for long.
    """
    name, _, model = full_name(name, loaded).partition("/")
    clocks = Clocks()
    if loaded:
        clocks = Clocks(loaded.config.connect_timeout, loaded.config.idle_timeout or _NO_LIMIT, loaded.config.retries)
    if hurried:
        clocks = replace(clocks, again=_SOON)
        if loaded and loaded.origins.get("retries", "default") == "default":
            clocks = replace(clocks, retries=1)

    def make(where: Endpoint) -> Provider:
        if where.kind == "local":
            where = replace(where, options={**where.options, "model": model})
        return providers.create(name, where, clocks, keep=keep)

    def make_later() -> Provider:
        try:
            return make(endpoint(name, loaded))
        except ProviderError:
            raise
        except UserError as error:
            raise ProviderError("auth", error.message, hint=error.hint) from None

    if later:
        place(name, loaded)  # a name that is wrong is wrong now
        return Later(name, make_later), model
    where = endpoint(name, loaded)
    return Later(name, lambda: make(where)) if keep else make(where), model


def endpoint(name: str, loaded: Loaded | None) -> Endpoint:
    """Where a provider is, and the key that lets us in: for which a command may run, or the keyring be asked."""
    where = place(name, loaded)
    if where.kind in _WITHOUT_SERVER:
        return where
    said = loaded.config.providers.get(name) if loaded else None
    entry, variable = PROVIDERS.get(name), where.key_name
    needed = bool(variable and ((entry and where.base_url == entry.base_url) or (said and said.key_env)))
    kept = loaded is not None and not os.environ.get(variable or "-") and _kept(name, needed=needed)
    key, origin = _key(name, variable, said.key_command if said else None, keyring=kept)
    if needed and not key:
        hint = f"export {variable}=…   or keep it in the keyring: agentcli keys set {name}"
        raise UserError(f"there is no key for {name}: {variable} is not set", hint=hint, exit_code=Exit.CONFIG)
    return replace(where, key=key, key_name=origin)


def at_hand(model: str, loaded: Loaded) -> bool:
    """Can the model be reached with what is known here, without a command or a keyring that may take its time?"""
    name = full_name(model, loaded).partition("/")[0]
    said = loaded.config.providers.get(name)
    where = place(name, loaded)
    return not (said and said.key_command) and (not where.key_name or bool(os.environ.get(where.key_name)))


def place(name: str, loaded: Loaded | None) -> Endpoint:
    """Where a provider is and what it speaks, without its key; `key_name` is the variable that may hold it."""
    entry = PROVIDERS.get(name)
    said = loaded.config.providers.get(name) if loaded else None
    if entry is None and said is None:
        raise _unknown(name, [*PROVIDERS, *(loaded.config.providers if loaded else ())])
    url = (said and said.base_url) or from_vendor(entry) or (entry.base_url if entry else "")
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
    return Endpoint(kind=kind, base_url=url.rstrip("/"), key_name=variable, headers=said.headers if said else {})


def configured(config: Config) -> list[str]:
    """The providers that somebody set up: in the configuration, by a key or an address in the environment, or in the keyring."""
    from agentcli.config import keyring

    kept: list[str] = []
    with suppress(UserError):  # told where keys are listed
        kept = keyring.names()
    in_table = (
        name
        for name, entry in PROVIDERS.items()
        if name in kept or any(os.environ.get(variable or "-") for variable in (entry.key_variable, entry.base_url_variable))
    )
    return list(dict.fromkeys([*in_table, *config.providers]))


async def endpoints(names: Iterable[str], loaded: Loaded | None, *, patience: float) -> dict[str, Endpoint | UserError]:
    """Where the providers are, with their keys. A command or a keyring that gives one may take its time, so they are asked at once."""
    import asyncio

    from agentcli.core.apart import in_thread

    def one(name: str) -> Endpoint | UserError:
        try:
            return endpoint(name, loaded)
        except UserError as error:
            return error

    asked = {name: in_thread(one, name, name="key") for name in names}
    if asked:
        await asyncio.wait(asked.values(), timeout=patience)
    return {name: answer.result() if answer.done() else _late(name, patience) for name, answer in asked.items()}


def _late(name: str, patience: float) -> UserError:
    return UserError(f"the key of {name} took longer than {patience:g} s to get", hint="See its key-command, or the keyring.")


def _kept(name: str, *, needed: bool) -> bool:
    """Is there a key in the keyring? A list that cannot be read is no fault for whoever can do without."""
    from agentcli.config import keyring

    try:
        return name in keyring.names()
    except UserError:
        if needed:
            raise
        return False


_keys: dict[tuple[str, str | None], tuple[str | None, str]] = {}
_looking: dict[tuple[str, str | None], Lock] = {}


def _key(name: str, variable: str, command: str | None, *, keyring: bool) -> tuple[str | None, str]:
    """The key, and where it came from. A command is run once, and the keyring asked once: either may want a person."""
    if os.environ.get(variable or "-"):
        return os.environ[variable], variable
    with _looking.setdefault((name, command), Lock()):
        if (name, command) in _keys:
            return _keys[name, command]
        from agentcli.config.key import key_of

        found = key_of(name, variable, command, keyring=keyring)
        if found[0]:
            _keys[name, command] = found
        return found


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
