"""Puts the parts together: from what is configured to a provider, an agent and a session. The one file that knows every room.

`choice` says which model is asked, `reach` how its provider is reached, `named` what a named agent changes.

Every command comes through here, so a room that costs time to enter (asyncio, the agent, tools) is imported by the function that
needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentcli import config as configuration
from agentcli import providers
from agentcli.assemble.choice import Choice, NoModelError, choose
from agentcli.assemble.reach import at_hand, configured, endpoint, endpoints, full_name, kind_of, place, provider
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.providers import PROVIDERS, Clocks, Endpoint

if TYPE_CHECKING:
    from agentcli.assemble.named import Agents
    from agentcli.core.agent import Agent, Approve
    from agentcli.core.message import ToolCall
    from agentcli.core.provider import Model
    from agentcli.core.tool import Tool
    from agentcli.session import Session
    from agentcli.store.threads import Store
    from agentcli.ui.chat import Chat
    from agentcli.ui.cost import Pricing
    from agentcli.ui.schema import Schema
    from agentcli.ui.screen import Screen

__all__ = [
    "Choice", "NoModelError", "agent", "answering", "at_hand", "chat", "choose", "config", "configured", "configured_agent",
    "endpoint", "endpoints", "full_name", "note", "place", "pricing", "provider", "screen", "session", "store", "takes", "thread",
]  # fmt: skip

_DEMO, _DEMO_TOOLS = "scripted/demo", ("clock",)  # the demonstration shows a tool at work


def config(file: Path | None = None, changes: Mapping[str, Any] = {}) -> configuration.Loaded:
    """The configuration, with what the flags change. Its colours are those of the program from here on."""
    from agentcli.ui import theme

    loaded = configuration.load(file, changes)
    theme.use(loaded.config.theme)
    return loaded


def store() -> Store:
    """Where threads are kept."""
    from agentcli.store.threads import Store

    places = configuration.places()
    return Store(places.threads, places.blobs, places.cache)


def pricing(loaded: configuration.Loaded | None = None) -> Pricing:
    """What things cost. Without a configuration the user's own; one that is wrong does not keep anybody from seeing what was spent."""
    from agentcli.ui.cost import Pricing

    if loaded is None:
        with suppress(UserError):
            loaded = config()

    def where(name: str) -> Endpoint | None:
        try:
            return place(name, loaded)
        except UserError:  # a name of other days
            return None

    return Pricing(configuration.places().cache, where)


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
        place = Endpoint(kind=kind_of(entry, base_url), base_url=base_url.rstrip("/"), key=key)
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


def screen(loaded: configuration.Loaded, *, verbose: bool = False) -> Screen:
    """The terminal of a chat. Called within the loop."""
    from agentcli.ui.ability import only_appends
    from agentcli.ui.binding import bindings

    keys = bindings(loaded)
    history = configuration.places().history if loaded.config.save else None
    if only_appends(plain=loaded.config.plain):
        from agentcli.ui.line import Line

        return Line(history=history)
    from agentcli.ui.live import Live

    conf = loaded.config
    return Live(history=history, keys=keys, vi=conf.editing == "vi", verbose=verbose, theme=conf.theme)


def chat(loaded: configuration.Loaded, thread: Thread, model: str, screen: Screen, *, yes: bool = False) -> Chat:
    """A conversation at the terminal."""
    from agentcli.ui.binding import bindings, keys_help, plain_help
    from agentcli.ui.chat import Chat

    def approver() -> Approve:
        from agentcli.ui import approve

        return approve.always() if yes else approve.Asking(screen)

    return Chat(
        session(loaded, thread, model, keep=True),
        screen,
        store=store,
        keys=lambda: plain_help() if screen.plain else keys_help(bindings(loaded)),
        agents=lambda: _agents(loaded),
        on=lambda agent, thread: _session(loaded, agent, thread),
        approve=approver,
        models=lambda: _names(loaded),
        note=lambda agent: note(loaded, agent),
        takes=lambda model: takes(loaded, model),
        pricing=lambda: pricing(loaded),
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


def answering(
    loaded: configuration.Loaded, thread: Thread, name: str | None, *, tell: Callable[[str], None] = lambda text: None
) -> configuration.Loaded:
    """The configuration as it is for the agent that was named, or else for the thread's; as it is if there is none."""
    if name is None and thread.agent is None:
        return loaded
    from agentcli.assemble import named

    return named.of_thread(loaded, thread, tell) if name is None else named.on_thread(loaded, thread, name)


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
    """The agent that the configuration describes, or the named one that was laid over it, on this model."""
    from agentcli.core.agent import Agent

    conf = loaded.config
    name = full_name(model, loaded)
    others = _others(name, loaded)
    made, own_name = provider(name, loaded, keep=keep, hurried=bool(others))
    return Agent(
        made,
        own_name,
        name=loaded.agent.name if loaded.agent else "agentcli",
        instructions=conf.system,
        tools=_configured_tools(loaded, name),
        settings=dict(conf.settings),
        max_steps=conf.max_steps,
        window=lambda: _window(name, loaded),
        fallback=[_fallback(other, loaded, keep=keep, hurried=other != others[-1]) for other in others],
    )


def _others(name: str, loaded: configuration.Loaded) -> list[str]:
    """The models to ask instead of this one, in their order."""
    found: list[str] = []
    for each in loaded.config.fallback:
        try:
            whole = full_name(each, loaded)
            place(whole.partition("/")[0], loaded)
        except UserError as error:
            raise configuration.fault(loaded, "fallback", error.message, error.hint) from None
        if whole not in (name, *found):
            found.append(whole)
    return found


def _fallback(name: str, loaded: configuration.Loaded, *, keep: bool, hurried: bool) -> Model:
    """A model to ask instead."""
    from agentcli.core.provider import Model

    made, own_name = provider(name, loaded, keep=keep, later=True, hurried=hurried)
    return Model(made, own_name, find_window=lambda: _window(name, loaded))


def _window(model: str, loaded: configuration.Loaded) -> int | None:
    """How many tokens a model holds, as far as that is known."""
    from agentcli.providers.catalogue.price import context_of

    name = model.partition("/")[0]
    said = loaded.config.providers.get(name)
    try:
        if (where := place(name, loaded)).kind == "local":
            from agentcli.providers import local

            return local.window(model.removeprefix(f"{name}/"), where.options)
        return context_of(model, said.context if said else 0, configuration.places().cache, where)
    except UserError:  # told when it is asked
        return None


def takes(loaded: configuration.Loaded, model: str) -> Callable[[str], bool]:
    """Which attachments can be sent to the server of a model, by their media types."""
    from agentcli.providers.attached import takes as taken

    kind = place(full_name(model, loaded).partition("/")[0], loaded).kind
    return lambda media_type: taken(kind, media_type)


def _names(loaded: configuration.Loaded) -> list[str]:
    """The models that can be named, as far as they are known."""
    from agentcli.providers.catalogue import names

    return names(configuration.places().cache, loaded.config.aliases)


def note(loaded: configuration.Loaded, agent: Agent) -> str:
    """What should be known of a model that runs here."""
    name = agent.provider.name
    said = loaded.config.providers.get(name)
    if name != "local" and not (said and said.kind == "local"):
        return ""
    from agentcli.providers import local

    return local.note(agent.model, place(name, loaded).options, tools=bool(agent.tools))


def _agents(loaded: configuration.Loaded) -> Agents:
    from agentcli.assemble.named import Agents

    return Agents(loaded, lambda loaded, model: configured_agent(loaded, model, keep=True))


def _configured_tools(loaded: configuration.Loaded, model: str) -> list[Tool]:
    names = loaded.config.tools
    if model == _DEMO and loaded.origins.get("tools", "default") == "default":
        names = _DEMO_TOOLS
    if not names:
        return []
    from agentcli.tools import load

    try:
        return [load(name) for name in names]
    except UserError as error:
        if loaded.agent is None:
            raise
        from agentcli.assemble.named import told

        raise told(loaded, "tools", error) from None


def _spill(call: ToolCall, text: str) -> str:
    """Keep the whole of an output that is too long for the thread; says where."""
    from agentcli.store.outputs import keep

    return str(keep(configuration.places().cache / "tool-output", call.name, text))
