"""The conversation that a chat is in: which thread, which agent, what goes with the next message, and changing any of them.

The slash commands act on this; the loop around it is `repl.py`, and the terminal is `screen`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from agentcli.core.agent import Agent, Approve
from agentcli.core.message import Message, Part
from agentcli.core.thread import Thread
from agentcli.core.tool import Tool
from agentcli.errors import UserError
from agentcli.session import Session
from agentcli.ui.sanitise import one_line
from agentcli.ui.screen import Screen
from agentcli.ui.talk import say, say_error

if TYPE_CHECKING:
    from agentcli.store.threads import Store
    from agentcli.ui.cost import Pricing
    from agentcli.ui.form import Form

__all__ = ["Agents", "Chat"]

_NOBODY = "agentcli"  # who speaks where no agent was named


class Agents(Protocol):
    """The named agents, and what is configured without one (None)."""

    def rows(self) -> list[tuple[str, str]]:
        """All that there are, each with what it is for."""
        ...

    def has(self, name: str) -> bool: ...

    def on(self, model: str, name: str | None) -> Agent:
        """The agent that answers, on another model."""
        ...

    async def make(self, name: str | None, model: str) -> Agent:
        """Another agent: on its own model, or else on this one."""
        ...


class Chat:
    """A conversation at the terminal. `models` names those that can be asked, `note` is what should be known of one, `pricing` what
    they cost, `keys` tells the keys if they are not the usual ones; the others are how its parts are made.

    `attached` is what goes with the next message: whoever sends it takes it with `take_attached()`.
    """

    def __init__(
        self,
        session: Session,
        screen: Screen,
        *,
        store: Callable[[], Store],
        agents: Callable[[], Agents],
        on: Callable[[Agent, Thread], Session],
        approve: Callable[[], Approve],
        models: Callable[[], list[str]],
        note: Callable[[Agent], str],
        takes: Callable[[str], Callable[[str], bool]],
        pricing: Callable[[], Pricing],
        keys: Callable[[], str] | None = None,
    ) -> None:
        self.session = session
        self.screen = screen
        self.models = models
        self.pricing = pricing
        self.keys = keys or self._usual_keys
        self.leaving = False
        self.attached: list[Part] = []
        self.tools: tuple[Tool, ...] = session.agent.tools  # all that the agent came with
        self.off: set[str] = set()  # those that it may not use in this chat
        self._instructions: str | None = None  # in place of the agent's own
        self._prices: Pricing | None = None  # once they were looked up
        self._told: tuple[object, str] = (None, "")  # the facts, and of what
        self._make_store = store
        self._make_agents = agents
        self._make_session = on
        self._make_approve = approve
        self._approve: Approve | None = None
        self._note = note
        self._takes = takes

    @cached_property
    def store(self) -> Store:
        """Where threads are kept."""
        return self._make_store()

    @cached_property
    def agents(self) -> Agents:
        """The named agents."""
        return self._make_agents()

    @property
    def agent(self) -> str | None:
        """The name of the agent that answers, if it is a named one."""
        name = self.session.agent.name
        return None if name == _NOBODY else name

    @property
    def approve(self) -> Approve:
        """What asks whether a tool may run in this thread."""
        if self._approve is None:
            self._approve = self._make_approve()
        return self._approve

    def form(self) -> Form:
        """What shows the next turn."""
        return self.screen.form(self.session.agent.full_model)

    def facts(self) -> str:
        """What lasts, for a status line: the agent and the model, and how much there is of the conversation. It is asked for at every
        drawing, so it only tells what is known already (`learn`)."""
        thread, agent = self.session.thread, self.session.agent
        last = id(thread.messages[-1]) if thread.messages else 0
        who = (self.agent, agent.full_model) if self.agent else (agent.full_model,)
        state = (thread.id, len(thread.messages), last, thread.updated, who, self._prices, self.screen.drawn.is_set())
        if state != self._told[0]:
            self._told = state, " · ".join((*who, *self._amounts())) if thread.messages else ""
        return self._told[1]

    def _usual_keys(self) -> str:
        from agentcli.ui.binding import ACTIONS, key_names, keys_help, plain_help

        return plain_help() if self.screen.plain else keys_help({name: [*map(key_names, each.keys)] for name, each in ACTIONS.items()})

    def learn(self) -> None:
        """Look up what takes time: how much the model holds, what it costs. May be called in a thread."""
        _ = self.session.agent.window
        self._prices = self.pricing()

    def _amounts(self) -> Iterator[str]:
        """Tokens, money, and how full the model is."""
        thread = self.session.thread
        if not self.screen.drawn.is_set():
            return
        from agentcli.core.need import fill
        from agentcli.ui import amount
        from agentcli.ui.cost import cost_of, money

        tokens, share = fill(thread, self.session.agent.__dict__.get("window"))  # not looked up here
        yield f"{amount.tokens(tokens)} tokens"
        if self._prices and (cost := cost_of(thread.messages, self._prices)) and cost["amount"]:
            yield money(cost["amount"], cost["currency"])
        if share is not None:
            yield f"{share:.0%} full"

    def begin(self) -> None:
        """Take hold of the thread, if it is a saved one, and show where it was left."""
        thread = self.session.thread
        if thread.revision:
            self.session.open()
        if thread.messages:
            self._show_last()

    async def use(self, model: str) -> None:
        """Let another model answer from now on."""
        await self._answer_by(self.agents.on(model, self.agent))

    async def use_agent(self, name: str | None) -> None:
        """Let another agent answer from now on, or none in particular. Instructions that were given in this chat are not for it."""
        agent = await self.agents.make(name, self.session.agent.full_model)
        self._instructions = None
        self.session.thread.agent = name
        await self._answer_by(agent)

    async def _answer_by(self, agent: Agent) -> None:
        await self.session.agent.aclose()
        self.tools = agent.tools
        if self._instructions is not None:
            agent.instructions = self._instructions
        self.session.agent = agent
        self.turn_off(self.off)
        self.tell_about_model()

    def instruct(self, text: str) -> None:
        """Other instructions, in this chat, whatever the model."""
        self._instructions = self.session.agent.instructions = text

    def turn_off(self, names: set[str]) -> None:
        """The tools that the agent may not use in this chat; it may use all the others that it came with."""
        self.off = names
        self.session.agent.tools = tuple(tool for tool in self.tools if tool.name not in names)

    def tell_about_model(self) -> None:
        """What a person should know of the model, if there is anything."""
        if note := self._note(self.session.agent):
            say(note, dim=True)

    async def switch(self, thread_id: str | None) -> None:
        """Go on in another thread, and with the agent that answered there; or in a new one. One that cannot be saved is not left."""
        thread = Thread(agent=self.agent)
        if thread_id is not None:
            thread = self.store.open(thread_id)
            self.store.load_blobs(thread)
        agent = await self._other_agent(thread)
        try:
            self.go_to(thread, "A new thread." if thread_id is None else f"{thread.id}  {one_line(thread.title, 60)}")
        except UserError:
            if agent:
                await agent.aclose()
            raise
        if agent:
            self._instructions = None
            await self._answer_by(agent)
            say(f"{self.agent or 'No named agent'} answers here, on {one_line(agent.full_model)}.", dim=True)

    async def _other_agent(self, thread: Thread) -> Agent | None:
        """The agent of this thread, if it is not the one that answers now."""
        name = thread.agent
        if name and name != self.agent and not self.agents.has(name):
            from agentcli.ui.agents import gone

            say(gone(name))
            name = None
        return None if name == self.agent else await self.agents.make(name, self.session.agent.full_model)

    def go_to(self, thread: Thread, words: str) -> None:
        """Go on in this thread; `words` say which it is. The one that is left is let go only when this one is held."""
        if self.session.unsaved:
            self.session.save()
        if self.session.unsaved:
            raise UserError("this thread is not saved yet", hint=self.session.unsaved.message)
        left, self.session = self.session, self._make_session(self.session.agent, thread)
        self.session.timeout = left.timeout
        say(words)
        try:
            self.begin()
        except UserError:
            self.session = left
            raise
        left.close()
        self._approve = None  # what was allowed was allowed in that thread

    def message(self, text: str, typed: str | None = None) -> Message:
        """What is said now, with everything that goes with it. If something cannot, the person has it all back."""
        from agentcli.ui.attach import check, with_mentions

        parts = self.take_attached()
        try:
            message = with_mentions(text, parts, typed=typed, tell=lambda text: say(f"  {text}", dim=True))
            model = self.session.agent.full_model
            check(message.parts, model, self._takes(model))
        except UserError:
            self.attached = [*parts, *self.attached]
            self.screen.put_back(text)
            raise
        return message

    def take_attached(self) -> list[Part]:
        """What goes with the message that is sent now, and with no other."""
        taken, self.attached = self.attached, []
        return taken

    def put_back(self, message: Message) -> None:
        """A message that was taken back: what was typed goes onto the input line, what was attached goes with the next message."""
        from agentcli.ui.attached import apart

        typed, attached = apart(message)
        self.attached = [*attached, *self.attached]
        if typed:
            self.screen.put_back(typed)

    def say_goodbye(self) -> None:
        """How to come back."""
        thread = self.session.thread
        if self.session.unsaved:
            say_error(self.session.unsaved)
        elif thread.messages and self.session.saved:
            say(f"To go on: agentcli resume {thread.id}", dim=True)
        elif thread.messages:
            say("This conversation was not saved.", dim=True)

    def _show_last(self) -> None:
        """The last exchange, so that one knows where one was, and how to see what was before it."""
        from agentcli.ui.past import last_exchange, retold

        thread = self.session.thread
        first = last_exchange(thread)
        if before := first - 1:
            say(f"{before} earlier message{'' if before == 1 else 's'}: /show all shows them.", dim=True)
        with closing(retold(thread, range(first, len(thread.messages) + 1), self.form, brief=True)) as pieces:
            for _ in pieces:
                pass
