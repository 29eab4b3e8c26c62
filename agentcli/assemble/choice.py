"""Which model is asked when nobody named one.

The flag, `AGENTCLI_MODEL` and the configuration come first (they are one value by then), then the model of a resumed thread, then what
is found: a provider that the environment has a key or an address for, one with a key in the keyring, one from the configuration, a
server on this machine, the embedded model. An address counts if something answers there, or if there is a key for it; what does not
is passed over, and told only if nothing else is found.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from agentcli import config as configuration
from agentcli.assemble.reach import endpoint, from_vendor, full_name
from agentcli.config import Loaded
from agentcli.core.provider import ProviderError
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.providers import PROVIDERS

__all__ = ["Choice", "NoModelError", "choose"]

_WAYS = (
    "Three ways to get a model:\n"
    "  1. a key:      export OPENAI_API_KEY=…   (or ANTHROPIC_API_KEY, GEMINI_API_KEY, …: `agentcli models` names them)\n"
    "  2. a server:   start Ollama, llama.cpp, LM Studio or vLLM, or export OPENAI_BASE_URL=http://…/v1\n"
    "  3. neither:    {local}\n"
    "`agentcli config set model provider/model` remembers one for next time."
)
_UNUSABLE = ("unreachable", "tls", "stalled", "auth")  # kinds of fault of a server that is not there, or not for us
_SMALL = "a very small model that runs here, {size} MB"


class Choice(NamedTuple):
    """A model, and why it is this one."""

    name: str
    why: str


class NoModelError(UserError):
    """Nothing was named and nothing found. `embeddable`: the embedded model lacks no more than its weights."""

    def __init__(self, *, embeddable: bool) -> None:
        from agentcli.extra import command

        commands = "agentcli local install" if embeddable else f"{command('local')} && agentcli local install"
        hint = _WAYS.format(local=f"{commands}   ({_SMALL.format(size=93 if embeddable else 127)})")
        super().__init__("there is no model to ask", hint=hint, exit_code=Exit.CONFIG)
        self.embeddable = embeddable


async def choose(loaded: Loaded, thread: Thread | None = None) -> Choice:
    """Which model to ask, and why that one."""
    if name := loaded.config.model:
        return Choice(await _named(name, loaded), loaded.origins.get("model", ""))
    if thread and thread.model:
        return Choice(thread.model, "this thread's")
    silent: list[UserError] = []  # those that are named somewhere, but do not answer
    if found := await _configured(loaded, silent) or await _nearby() or _embedded():
        return found
    if silent:
        raise silent[0]
    from agentcli.providers.local import installed

    raise NoModelError(embeddable=installed())


async def _configured(loaded: Loaded, silent: list[UserError]) -> Choice | None:
    """A provider that somebody set up."""
    for name, entry in PROVIDERS.items():
        if from_vendor(entry):
            if found := await _at(name, loaded, entry.base_url_variable, silent):
                return found
        elif entry.model and os.environ.get(entry.key_variable):
            return Choice(f"{name}/{entry.model}", f"{entry.key_variable} is set")
    for name in _in_keyring():
        if name in PROVIDERS and (model := PROVIDERS[name].model):
            return Choice(f"{name}/{model}", "its key is in the keyring")
    for name, said in loaded.config.providers.items():
        if said.base_url and (found := await _at(name, loaded, f"[providers.{name}]", silent)):
            return found
        if said.key_command and not said.base_url and name in PROVIDERS and (model := PROVIDERS[name].model):
            return Choice(f"{name}/{model}", f"[providers.{name}] has its key")
    return None


def _in_keyring() -> list[str]:
    from agentcli.config.keyring import names

    try:
        return names()
    except UserError:  # told when a key is needed, and by `keys list`
        return []


async def _named(name: str, loaded: Loaded) -> str:
    """The model that a name means: its own, an alias's, or the first one of a provider."""
    entry = PROVIDERS.get(name)
    if name in loaded.config.aliases or not (entry or name in loaded.config.providers):
        return full_name(name, loaded)
    if entry and entry.model and not from_vendor(entry):
        return f"{name}/{entry.model}"
    silent: list[UserError] = []
    if found := await _at(name, loaded, "its server", silent):
        return found.name
    raise silent[0]


async def _at(name: str, loaded: Loaded, where: str, silent: list[UserError]) -> Choice | None:
    """The first model that a server lists; the one that the table names, if it does not say, but is there or has a key."""
    from agentcli.core.apart import in_thread
    from agentcli.providers.catalogue import listed

    entry = PROVIDERS.get(name)
    there = bool(entry and os.environ.get(entry.key_variable or "-"))
    fault: UserError = UserError(f"{name} lists no model", exit_code=Exit.CONFIG)
    try:
        where_it_is = await in_thread(endpoint, name, loaded, name="key")  # a command or a keyring may take its time
        if found := await listed(name, where_it_is, configuration.places().cache):
            return Choice(f"{name}/{found[0].id}", f"the first model at {where}")
        there = True
    except ProviderError as error:
        fault = error
        there = there or error.kind not in _UNUSABLE
    except UserError as error:
        fault = error
    if entry and entry.model and there:
        return Choice(f"{name}/{entry.model}", f"{where} is set")
    silent.append(UserError(fault.message, hint=f"{fault.hint} Name one: -m {name}/…".strip(), exit_code=fault.exit_code))
    return None


async def _nearby() -> Choice | None:
    """A server on this machine that answers."""
    from agentcli.providers.catalogue.nearby import nearby

    for name, listed in await nearby():
        if listed:
            return Choice(f"{name}/{listed[0].id}", f"found at port {PROVIDERS[name].port}")
    return None


def _embedded() -> Choice | None:
    """The embedded model, if it is there."""
    from agentcli.providers.local import installed, weights

    if installed() and weights(configuration.places().models):
        return Choice(f"local/{PROVIDERS['local'].model}", "nothing else was found")
    return None
