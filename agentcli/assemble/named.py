"""Named agents, as they are used: which one answers on a thread, and what of its file only others can judge.

The order is that of the layers: a flag, the agent, a variable, the configuration. Which agent it is: the one that was named, or else
the thread's. A thread keeps the name of its agent also when that is not there any more: it may come back, and until then the
configuration's own instructions and tools hold, which is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agentcli.assemble.choice import choose
from agentcli.assemble.reach import full_name, place
from agentcli.config import Loaded, agent
from agentcli.config.agent import NONE, AgentConfig
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.providers import PROVIDERS
from agentcli.ui.agents import WRONG, gone

if TYPE_CHECKING:
    from agentcli.core.agent import Agent

__all__ = ["Agents", "named", "of_thread", "on_thread", "told", "wrong"]


def named(loaded: Loaded, name: str | None) -> Loaded:
    """The configuration as it is for the agent of that name; for none, as it is without."""
    if name is None or name == NONE:
        return loaded.own or loaded
    found = agent.load(name)
    laid = agent.laid_over(loaded, found)
    if laid.origins["model"] == agent.ORIGIN and (error := _wrong_model(found.config.model, loaded)):
        raise agent.fault(found, "model", error)
    return laid


def on_thread(loaded: Loaded, thread: Thread, name: str) -> Loaded:
    """The same, for the agent that answers on this thread from now on."""
    found = named(loaded, name)
    thread.agent = found.agent.name if found.agent else None
    return found


def of_thread(loaded: Loaded, thread: Thread, tell: Callable[[str], None]) -> Loaded:
    """The same, for the agent that answered on this thread. That it is not there any more is told."""
    if thread.agent and agent.find(thread.agent) is None:
        tell(gone(thread.agent))
        return named(loaded, None)
    return named(loaded, thread.agent)


def told(loaded: Loaded, key: str, error: UserError) -> UserError:
    """A fault in what the configuration says, as a fault of the agent's file if it comes from there."""
    return agent.fault(loaded.agent, key, error) if loaded.agent and loaded.origins.get(key) == agent.ORIGIN else error


def wrong(loaded: Loaded | None, config: AgentConfig) -> Iterator[tuple[str, UserError]]:
    """What an agent names and there is not: the key, and why. No tool's file is run. Without a configuration, which may be wrong, it
    is not known which models there are."""
    if loaded and config.model and (error := _wrong_model(config.model, loaded)):
        yield "model", error
    for name in config.tools:
        try:
            _look_for_tool(name)
        except UserError as error:
            yield "tools", error


class Agents:
    """The agents of a chat, which changes between them; `make` makes one of what is configured, on a model."""

    def __init__(self, loaded: Loaded, make: Callable[[Loaded, str], Agent]) -> None:
        self._known = {loaded.agent.name if loaded.agent else None: loaded}
        self._loaded = loaded
        self._make = make

    def rows(self) -> list[tuple[str, str]]:
        """All that there are, each with what it is for."""
        return [(name, _description(name)) for name in agent.names()]

    def has(self, name: str) -> bool:
        """Is there one of that name? UserError if there is, and its file is wrong."""
        return agent.find(name) is not None

    def on(self, model: str, name: str | None) -> Agent:
        """The one that was made last under this name, or nobody in particular, on another model."""
        return self._make(self._known[name], model)

    async def make(self, name: str | None, model: str) -> Agent:
        """The one of that name, as its file is now. If nobody says which model it has, it gets this one."""
        loaded = named(self._loaded, name)
        if loaded.config.model:
            model = (await choose(loaded)).name
        made = self._make(loaded, model)
        self._known[name] = loaded
        return made


def _description(name: str) -> str:
    try:
        found = agent.find(name)
    except UserError:
        return WRONG
    return found.config.description if found else ""


def _wrong_model(name: str, loaded: Loaded) -> UserError | None:
    """Why this is no model that can be asked here."""
    if name not in PROVIDERS and name not in loaded.config.providers:
        try:
            place(full_name(name, loaded).partition("/")[0], loaded)
        except UserError as error:
            return error
    return None


def _look_for_tool(name: str) -> None:
    from agentcli.tools import TOOLS, load

    head, dot, function = name.rpartition(".py")
    if dot and not function:
        raise UserError(f"say which function of {name} is the tool", hint="A tool of your own is written path.py:function.")
    if name not in TOOLS and not (dot and Path(f"{head}.py").is_file()):
        load(name)  # which says what is wrong, since there is nothing that it could run
