"""The chat: read a line, take a turn, again.

The prompt is prompt-toolkit's, awaited; the turn is a task that Ctrl-C cancels (`interrupt.py`). Between the two the chat only decides
what a line means: a command (`slash.py`) or something to say. What is heavy to import and only needed for the first answer is
imported in a thread while the first prompt waits.

There is no prompt while a turn runs. What is typed then is not shown and not lost (`terminal.py`): the next prompt gets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentcli.core.agent import Agent, Approve
from agentcli.core.message import Message, speakable, user
from agentcli.core.provider import Provider
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.providers import Later
from agentcli.session import Session
from agentcli.ui import slash
from agentcli.ui.form import Form, pausing, tick
from agentcli.ui.interrupt import Interrupts
from agentcli.ui.sanitise import one_line
from agentcli.ui.talk import say, say_error
from agentcli.ui.terminal import typed_early

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from agentcli.store.threads import Store

__all__ = ["Chat"]

_LEAVE = "Ctrl-D or /quit leaves."


class Chat:
    """A conversation at the terminal. The slash commands act on it."""

    def __init__(
        self,
        session: Session,
        store: Callable[[], Store],
        *,
        banner: str,
        history: Path,
        form: Callable[[str], Form],
        approve: Approve,
        make_agent: Callable[[str], Agent],
        make_session: Callable[[Agent, Thread], Session],
    ) -> None:
        self.session = session
        self._store = store
        self.leaving = False
        self._banner = banner
        self._history = history
        self._form = form
        self._approve = approve
        self._make_agent = make_agent
        self._make_session = make_session

    async def run(self) -> int:
        """Until the person leaves; the exit code."""
        say(self._banner)
        if self.session.thread.messages:
            self._show_last()
        with Interrupts() as interrupts:
            try:
                await self._converse(interrupts)
            except asyncio.CancelledError:
                if interrupts.ending is None:
                    raise
            finally:
                self.session.close()
                await self.session.agent.aclose()
        self._say_goodbye()
        if self.session.unsaved:
            return self.session.unsaved.exit_code
        return interrupts.ending or Exit.OK

    @cached_property
    def store(self) -> Store:
        """Where threads are kept."""
        return self._store()

    async def use(self, model: str) -> None:
        """Let another model answer from now on."""
        agent = self._make_agent(model)
        await self.session.agent.aclose()
        self.session.agent = agent

    async def switch(self, thread_id: str | None) -> None:
        """Go on in another thread, or in a new one."""
        thread = Thread()
        if thread_id is not None:
            thread = self.store.open(thread_id)
            self.store.load_blobs(thread)
        self.session.close()
        timeout = self.session.timeout
        self.session = self._make_session(self.session.agent, thread)
        self.session.timeout = timeout
        say("A new thread." if thread_id is None else f"{thread.id}  {one_line(thread.title, 60)}")
        if thread.messages:
            self._show_last()

    async def _converse(self, interrupts: Interrupts) -> None:
        prompt = _prompt(self._history)
        drawn = asyncio.Event()
        prompt.app.after_render += lambda app: drawn.set()
        warming = asyncio.create_task(_warm(drawn, self.session.agent.provider))
        try:
            while not self.leaving and interrupts.ending is None:
                line = await _read(prompt)
                drawn.set()  # or the prompt was answered, by what was typed ahead, before it was drawn
                if line is None:
                    break
                if not line.strip():
                    continue
                await warming
                await self._take(line, interrupts)
        finally:
            warming.cancel()

    async def _take(self, line: str, interrupts: Interrupts) -> None:
        """One line: a command or a message."""
        try:
            message: Message | None = user(line)
            if line.startswith("/") and "\n" not in line:
                outcome = await slash.run(self, line)
                if outcome is None:
                    return
                message = outcome if isinstance(outcome, Message) else None
            await self._turn(message, interrupts)
        except UserError as error:
            say_error(error)

    async def _turn(self, message: Message | None, interrupts: Interrupts) -> None:
        say("")
        form = self._form(self.session.agent.full_model)
        ticking = asyncio.create_task(tick(form))
        try:
            await interrupts.run(self.session.turn(message, form.show, pausing(form, self._approve)))
        finally:
            ticking.cancel()
            form.close()
        ended = self.session.ended
        if ended and ended.error and ended.error.message:
            say_error(UserError(ended.error.message, hint=ended.error.hint))

    def _show_last(self) -> None:
        """The last exchange, so that one knows where one was."""
        from agentcli.core.event import TextDelta, TurnEnded

        thread = self.session.thread
        asked = next((message for message in reversed(thread.messages) if message.role == "user"), None)
        if asked:
            say(f"\n> {one_line(asked.text, 200)}\n", dim=True)
        last = thread.last
        if last and last.text and (asked is None or thread.messages.index(last) > thread.messages.index(asked)):
            form = self._form(self.session.agent.full_model)
            form.show(TextDelta(self.session.agent.name, thread.id, last.text))
            stop = last.stop or "done"
            form.show(TurnEnded(self.session.agent.name, thread.id, stop=stop if not last.whole else "done"))
            form.close()

    def _say_goodbye(self) -> None:
        thread = self.session.thread
        if thread.messages and self.session.saved:
            say(f"To go on: agentcli resume {thread.id}", dim=True)
        elif thread.messages:
            say("This conversation was not saved.", dim=True)


async def _warm(drawn: asyncio.Event, provider: Provider) -> None:
    """Import what the first answer needs, in a thread, once the first prompt is on the screen."""
    await drawn.wait()
    await asyncio.to_thread(_import, provider)


def _import(provider: Provider) -> None:
    from agentcli.store import threads  # noqa: F401
    from agentcli.ui import markdown

    if isinstance(provider, Later):
        provider.warm()
    markdown.warm()


async def _read(prompt: PromptSession[str]) -> str | None:
    """What the person typed; None if they leave."""
    while True:
        say("")
        try:
            return speakable(await prompt.prompt_async(handle_sigint=False))
        except KeyboardInterrupt:
            if not prompt.default_buffer.text:
                say(_LEAVE, dim=True)
        except EOFError:
            return None


def _prompt(history: Path) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.formatted_text import ANSI
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def clear_or_say(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    commands = {f"/{name}": (command.__doc__ or "").partition(": ")[2] for name, command in slash.COMMANDS.items()}
    prompt: PromptSession[str] = PromptSession(
        ANSI("\x1b[1;36m> \x1b[0m"),
        multiline=True,
        prompt_continuation="  ",
        key_bindings=keys,
        history=_history(history),
        completer=WordCompleter(list(commands), meta_dict=commands, sentence=True),
        complete_while_typing=False,
        enable_open_in_editor=True,
        enable_suspend=True,
        tempfile_suffix=".md",
    )
    if early := typed_early():
        from prompt_toolkit.input.typeahead import store_typeahead
        from prompt_toolkit.input.vt100_parser import Vt100Parser
        from prompt_toolkit.key_binding.key_processor import KeyPress

        typed: list[KeyPress] = []
        Vt100Parser(typed.append).feed(early)
        store_typeahead(prompt.app.input, typed)
    return prompt


def _history(path: Path) -> Any:
    """What was typed in earlier runs, readable by nobody else; kept in memory only where it cannot be written."""
    import os

    from prompt_toolkit.history import FileHistory, InMemoryHistory

    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        return FileHistory(str(path))
    return InMemoryHistory()
