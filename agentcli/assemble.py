"""Puts the parts together: from what is configured to a provider, an agent and a session. The one file that knows every room.

Which model: the flag, `AGENTCLI_MODEL`, the configuration, the one a resumed thread had, and then what is found on this machine. A
model's name is `provider/model`; what is known of the provider comes from the configuration first, its vendor's own variables second,
and the table of `providers` last.

Every command comes through here, so a room that costs time to enter (asyncio, the agent, tools) is imported by the function that
needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agentcli import config as configuration
from agentcli import providers
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.providers import PROVIDERS, Clocks, Endpoint, Later

if TYPE_CHECKING:
    from agentcli.core.agent import Agent, Approve
    from agentcli.core.message import ToolCall
    from agentcli.core.provider import Provider
    from agentcli.core.tool import Tool
    from agentcli.session import Session
    from agentcli.store.threads import Store
    from agentcli.ui.chat import Chat
    from agentcli.ui.schema import Schema

__all__ = ["Choice", "agent", "chat", "choose", "config", "configured_agent", "endpoint", "provider", "session", "store", "thread"]

_WAYS = (
    "Three ways to get a model:\n"
    "  1. a key:      export OPENAI_API_KEY=…\n"
    "  2. a server:   export OPENAI_BASE_URL=http://127.0.0.1:8080/v1   (anything that speaks OpenAI's API)\n"
    "  3. no model:   agentcli -m scripted/demo   (a script that shows what this program does)\n"
    "`agentcli config set model provider/model` remembers one for next time."
)


_DEMO, _DEMO_TOOLS = "scripted/demo", ("clock",)  # the demonstration shows a tool at work
_NO_LIMIT = 365 * 86_400.0  # seconds
_KEY_COMMAND = 10.0  # seconds


class Choice(NamedTuple):
    """A model, and why it is this one."""

    name: str
    why: str


def config(file: Path | None = None, changes: Mapping[str, Any] = {}) -> configuration.Loaded:
    """The configuration, with what the flags change."""
    return configuration.load(file, changes)


def store() -> Store:
    """Where threads are kept."""
    from agentcli.store.threads import Store

    places = configuration.places()
    return Store(places.threads, places.blobs, places.cache)


async def choose(loaded: configuration.Loaded, thread: Thread | None = None) -> Choice:
    """Which model to ask, and why that one."""
    if name := loaded.config.model:
        return Choice(name, loaded.origins.get("model", ""))
    if thread and thread.model:
        return Choice(thread.model, "this thread's")
    for name, entry in PROVIDERS.items():
        if entry.base_url_variable and (url := os.environ.get(entry.base_url_variable)):
            from agentcli.providers.probe import first_model

            if model := await first_model(url, os.environ.get(entry.key_variable)):
                return Choice(f"{name}/{model}", f"the first model at {entry.base_url_variable}")
            return Choice(f"{name}/{entry.model}", f"{entry.base_url_variable} is set")
        if entry.model and os.environ.get(entry.key_variable):
            return Choice(f"{name}/{entry.model}", f"{entry.key_variable} is set")
    raise UserError("there is no model to ask", hint=_WAYS, exit_code=Exit.CONFIG)


def provider(name: str, loaded: configuration.Loaded | None, *, keep: bool) -> tuple[Provider, str]:
    """The provider for `provider/model`, and the model's own name."""
    name, slash, model = name.partition("/")
    if not (name and slash and model):
        hint = f"A model is named provider/model, for example openai/{PROVIDERS['openai'].model}."
        raise UserError(f"{name + slash + model!r} does not name a model", hint=hint, exit_code=Exit.CONFIG)
    clocks = Clocks()
    if loaded:
        clocks = Clocks(loaded.config.connect_timeout, loaded.config.idle_timeout or _NO_LIMIT, loaded.config.retries)
    place = endpoint(name, loaded)
    if keep:
        return Later(name, lambda: providers.create(name, place, clocks, keep=True)), model
    return providers.create(name, place, clocks, keep=False), model


def endpoint(name: str, loaded: configuration.Loaded | None) -> Endpoint:
    """Where a provider is, and how to be let in."""
    entry = PROVIDERS.get(name)
    said = loaded.config.providers.get(name) if loaded else None
    if entry is None and said is None:
        known = [*PROVIDERS, *(loaded.config.providers if loaded else ())]
        near = get_close_matches(name, known, 1)
        hint = (
            f"Did you mean {near[0]}/…?"
            if near
            else f"Known are {', '.join(known)}; `[providers.{name}]` in the configuration adds it."
        )
        raise UserError(f"no provider is called {name!r}", hint=hint, exit_code=Exit.CONFIG)
    kind = (said and said.kind) or (entry.kind if entry else "openai-chat")
    if loaded and kind not in providers.KINDS:
        raise configuration.fault(
            loaded, f"providers.{name}.kind", f"there is no kind {kind!r}", f"The kinds: {', '.join(providers.KINDS)}."
        )
    vendor_url = entry.base_url if entry else ""
    url = (said and said.base_url) or (entry and os.environ.get(entry.base_url_variable or "-")) or vendor_url
    variable = (said and said.key_env) or (entry.key_variable if entry else "")
    key = os.environ.get(variable or "-") or _from_command(name, said.key_command if said else None)
    if not url and kind == "openai-chat":
        hint = f'In the configuration: [providers.{name}] base-url = "http://…/v1"'
        raise UserError(f"the provider {name} has no base URL", hint=hint, exit_code=Exit.CONFIG)
    if variable and not key and (url == vendor_url or (said and said.key_env)):
        raise UserError(f"there is no key for {name}: {variable} is not set", hint=f"export {variable}=…", exit_code=Exit.CONFIG)
    options = {"script": said.script} if said and said.script else {}
    return Endpoint(
        kind=kind,
        base_url=url.rstrip("/"),
        key=key,
        key_name=variable,
        headers=said.headers if said else {},
        options=options,
    )


def agent(
    model: str,
    *,
    name: str = "agentcli",
    instructions: str = "",
    tools: Iterable[Tool] = (),
    settings: Mapping[str, Any] | None = None,
    max_steps: int | None = None,
    base_url: str | None = None,
    key: str | None = None,
) -> Agent:
    """An agent for programs: `agent("openai/gpt-5.4", instructions="…", tools=[…])`.

    Reads the vendors' variables for keys and base URLs, but no configuration file, and prints nothing.
    """
    from agentcli.core.agent import MAX_STEPS, Agent

    provider_name, _, own_name = model.partition("/")
    if base_url is None:
        made, own_name = provider(model, None, keep=False)
    else:
        entry = PROVIDERS.get(provider_name)
        place = Endpoint(kind=entry.kind if entry else "openai-chat", base_url=base_url.rstrip("/"), key=key)
        made = providers.create(provider_name, place, Clocks(), keep=False)
    return Agent(
        made,
        own_name,
        name=name,
        instructions=instructions,
        tools=tuple(tools),
        settings=dict(settings or {}),
        max_steps=max_steps or MAX_STEPS,
    )


def session(loaded: configuration.Loaded, thread: Thread, model: str, *, keep: bool, schema: Schema | None = None) -> Session:
    """A conversation on a thread, as the configuration has it. `keep`: with a connection that is kept between turns."""
    made = _session(loaded, configured_agent(loaded, model, keep=keep), thread)
    if schema:
        from msgspec.structs import replace

        made.options = replace(made.options, schema=schema.document, instructions=schema.instructions)
    return made


def chat(loaded: configuration.Loaded, thread: Thread, model: str, approve: Callable[[], Approve], *, verbose: bool = False) -> Chat:
    """A conversation at the terminal."""
    from agentcli.ui.chat import Chat
    from agentcli.ui.form import at_terminal

    return Chat(
        session(loaded, thread, model, keep=True),
        store=store,
        form=lambda model: at_terminal(loaded.config.plain, model, "verbose" if verbose else "normal"),
        agent=lambda model: configured_agent(loaded, model, keep=True),
        on=lambda agent, thread: _session(loaded, agent, thread),
        approve=approve,
    )


def thread(name: str | None, *, latest: bool, fork: bool) -> Thread:
    """The thread that was named, the latest one, or a new one."""
    if name is None and not latest:
        return Thread()
    kept = store()
    name = name if name is not None else kept.latest()
    if name is None:
        raise UserError("there is no thread to continue", hint="`agentcli` starts one.", exit_code=Exit.USAGE)
    found = kept.open(kept.resolve(name))
    kept.load_blobs(found)
    return found.fork() if fork else found


def _session(loaded: configuration.Loaded, agent: Agent, thread: Thread) -> Session:
    from agentcli.core.agent import Options
    from agentcli.session import Session
    from agentcli.ui.talk import say_error

    conf = loaded.config
    return Session(
        agent,
        thread,
        (lambda thread: store().hold(thread)) if conf.save else None,
        timeout=conf.timeout,
        options=Options(tool_timeout=conf.tool_timeout or None, spill=_spill),
        tell=say_error,
    )


def configured_agent(loaded: configuration.Loaded, model: str, *, keep: bool) -> Agent:
    """The agent that the configuration describes, on this model."""
    from agentcli.core.agent import Agent

    conf = loaded.config
    made, own_name = provider(model, loaded, keep=keep)
    return Agent(
        made,
        own_name,
        instructions=conf.system,
        tools=_tools(_DEMO_TOOLS if model == _DEMO and loaded.origins.get("tools", "default") == "default" else conf.tools),
        settings=dict(conf.settings),
        max_steps=conf.max_steps,
    )


def _tools(names: Iterable[str]) -> list[Tool]:
    if not names:
        return []
    from agentcli.tools import load

    return [load(name) for name in names]


def _from_command(name: str, command: str | None) -> str | None:
    """The key that a `key-command` prints."""
    if not command:
        return None
    import shlex
    import subprocess

    program = ""
    try:
        words = shlex.split(command)
        program = words[0]
        done = subprocess.run(words, capture_output=True, text=True, timeout=_KEY_COMMAND, check=True)
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:  # what it was told, or said, may be secret
        match error:
            case subprocess.CalledProcessError(returncode=code):
                what = f"{program} left with the exit code {code}"
            case subprocess.TimeoutExpired():
                what = f"{program} took longer than {_KEY_COMMAND:g} s"
            case OSError():
                what = f"{program} cannot be started ({error.strerror})"
            case UnicodeError():
                what = f"{program} printed something that is not text"
            case _:
                what = "its words cannot be told apart"
        hint = f"It is `key-command` of [providers.{name}] in the configuration, and has {_KEY_COMMAND:g} s to print the key."
        raise UserError(f"the command for the key of {name} failed: {what}", hint=hint, exit_code=Exit.CONFIG) from None
    return done.stdout.strip() or None


def _spill(call: ToolCall, text: str) -> str:
    """Keep the whole of an output that is too long for the thread; says where."""
    from agentcli.store.outputs import keep

    return str(keep(configuration.places().cache / "tool-output", call.name, text))
