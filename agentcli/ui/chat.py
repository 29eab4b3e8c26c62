"""The conversation that a chat is in: which thread, which model, and changing either.

The slash commands act on this; the loop around it is `repl.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from agentcli.core.agent import Agent, Approve
from agentcli.core.event import TextDelta, TurnEnded
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.session import Session
from agentcli.ui.form import Form
from agentcli.ui.sanitise import one_line
from agentcli.ui.talk import say, say_error

if TYPE_CHECKING:
    from agentcli.store.threads import Store
    from agentcli.ui.cost import Pricing

__all__ = ["Chat"]


class Chat:
    """A conversation at the terminal. `form` makes what shows a turn of a model, `models` names those that can be asked, `note` is
    what should be known of one, `pricing` what they cost; the others are how its parts are made."""

    def __init__(
        self,
        session: Session,
        *,
        store: Callable[[], Store],
        form: Callable[[str], Form],
        agent: Callable[[str], Agent],
        on: Callable[[Agent, Thread], Session],
        approve: Callable[[], Approve],
        models: Callable[[], list[str]],
        note: Callable[[Agent], str],
        pricing: Callable[[], Pricing],
    ) -> None:
        self.session = session
        self.approve = approve()
        self.models = models
        self.pricing = pricing
        self.leaving = False
        self._make_store = store
        self._make_form = form
        self._make_agent = agent
        self._make_session = on
        self._make_approve = approve
        self._note = note

    @cached_property
    def store(self) -> Store:
        """Where threads are kept."""
        return self._make_store()

    def form(self, beside: str = "") -> Form:
        """What shows the next turn; `beside` stands behind the model in its status line."""
        return self._make_form(" · ".join(filter(None, (self.session.agent.full_model, beside))))

    def begin(self) -> None:
        """Take hold of the thread, if it is a saved one, and show where it was left."""
        thread = self.session.thread
        if thread.revision:
            self.session.open()
        if thread.messages:
            self._show_last()

    async def use(self, model: str) -> None:
        """Let another model answer from now on."""
        agent = self._make_agent(model)
        await self.session.agent.aclose()
        self.session.agent = agent
        self.tell_about_model()

    def tell_about_model(self) -> None:
        """What a person should know of the model, if there is anything."""
        if note := self._note(self.session.agent):
            say(note, dim=True)

    async def switch(self, thread_id: str | None) -> None:
        """Go on in another thread, or in a new one. One that cannot be saved is not left."""
        thread = Thread()
        if thread_id is not None:
            thread = self.store.open(thread_id)
            self.store.load_blobs(thread)
        if self.session.unsaved:
            self.session.save()
        if self.session.unsaved:
            raise UserError("this thread is not saved yet", hint=self.session.unsaved.message)
        left, self.session = self.session, self._make_session(self.session.agent, thread)
        self.session.timeout = left.timeout
        say("A new thread." if thread_id is None else f"{thread.id}  {one_line(thread.title, 60)}")
        try:
            self.begin()
        except UserError:
            self.session = left
            raise
        left.close()
        self.approve = self._make_approve()  # what was allowed was allowed in that thread

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
        """The last exchange, so that one knows where one was."""
        thread = self.session.thread
        asked = next((number for number in range(len(thread.messages) - 1, -1, -1) if thread.messages[number].role == "user"), 0)
        if thread.messages[asked].role == "user":
            say(f"\n> {one_line(thread.messages[asked].text, 200)}\n", dim=True)
        answers = [message for message in thread.messages[asked:] if message.role == "assistant" and message.text]
        if answers:
            last, form = answers[-1], self.form()
            form.show(TextDelta(self.session.agent.name, thread.id, last.text))
            form.show(TurnEnded(self.session.agent.name, thread.id, stop="done" if last.whole else last.stop or "done"))
            form.close()
