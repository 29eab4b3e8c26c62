"""The loop of the chat: take what was sent, do it, again.

What a line means is decided here: a slash command (`slash`), a shell command behind `!` (`run.py`), or something to say. Whatever it
is runs as a task that Ctrl-C cancels (`interrupt.py`). While it runs, more can be sent: commands that need no turn of their own run
at once, a message sent with Ctrl-S goes into the turn at its next step, and everything else waits on the screen until it is its turn.
When a turn was stopped, what waits is held: who stops an answer may have changed their mind.

What is heavy to import and only needed for the first answer is imported in a thread while the first prompt waits.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from agentcli.core.message import Message, ToolCall
from agentcli.errors import Exit, UserError
from agentcli.providers import Later
from agentcli.ui.interrupt import Interrupts
from agentcli.ui.screen import Screen, Sent
from agentcli.ui.talk import say, say_error

if TYPE_CHECKING:
    from agentcli.core.agent import Approve
    from agentcli.core.tool import Tool
    from agentcli.session import Session
    from agentcli.ui.chat import Chat
    from agentcli.ui.complete import Words
    from agentcli.ui.notify import Wish
    from agentcli.ui.slash import Outcome

__all__ = ["converse"]

_WORTH_KNOWING = 0.5  # of the model's window
_MORE_TIME = 60.0  # seconds
_MORE_TIME_HINT = "What there is of the answer is kept: /continue goes on. /timeout gives every turn longer."


async def converse(make: Callable[[], Chat], screen: Screen, *, banner: str, new: bool, wish: Wish) -> int:
    """Until the person leaves; the exit code. Making the chat takes time: in a `new` thread, where there is nothing to show before it,
    the prompt stands meanwhile. `wish` says whether they want to be told of the end of a long turn."""
    chat: Chat | None = None
    with Interrupts(stays=True, go_on=screen.go_on, away=lambda: screen.away) as interrupts:
        screen.on_stop = interrupts.press
        try:
            async with screen:
                say(banner)
                if new:
                    await screen.begin()
                chat = make()
                chat.tell_about_model()
                chat.begin()
                await _Loop(chat, screen, interrupts, wish).run()
        except asyncio.CancelledError:
            if interrupts.ending is None:
                raise
        finally:
            if chat:
                await _end(chat, interrupts)
        if chat:
            chat.say_goodbye()
    if chat and chat.session.unsaved:
        return chat.session.unsaved.exit_code
    return interrupts.ending or Exit.OK


async def _end(chat: Chat, interrupts: Interrupts) -> None:
    chat.session.close()
    try:
        await chat.session.agent.aclose()
    except asyncio.CancelledError:  # told twice to end: then without waiting
        if interrupts.ending is None:
            raise


class _Loop:
    """One chat on one screen."""

    def __init__(self, chat: Chat, screen: Screen, interrupts: Interrupts, wish: Wish) -> None:
        self.chat = chat
        self.screen = screen
        self.interrupts = interrupts
        self._wish = wish
        self._beside: set[asyncio.Task[None]] = set()  # commands that run while a turn does

    async def run(self) -> None:
        """Until the person leaves."""
        warming = asyncio.create_task(_warm(self.screen.drawn, self.chat))
        self.screen.facts = self.chat.facts
        self.screen.offers = self._offers
        self.screen.left = lambda: self.chat.session.left
        try:
            if self.chat.session.unfinished:
                await self._guarded(self._offer())
            while not self.chat.leaving and self.interrupts.ending is None:
                sent = await self.screen.line()
                if sent is None:
                    break
                self.screen.drawn.set()  # or what was typed ahead was sent before anything was drawn
                await warming
                await self._guarded(self._take(sent))
        finally:
            warming.cancel()
            for task in self._beside:
                task.cancel()

    def _offers(self) -> tuple[Callable[[], dict[str, str]], Words]:
        """What Tab completes: the commands, and what may stand behind them."""
        from agentcli.ui import slash
        from agentcli.ui.slash.words import offered

        commands = {f"/{name}": slash.help_of(name) for name in slash.COMMANDS}
        return lambda: commands, offered(self.chat, lambda: [(name[1:], text) for name, text in commands.items()])

    async def _guarded(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do it; what goes wrong is told, and the chat goes on."""
        try:
            with self.screen.interruptible():
                if not await self.interrupts.run(doing):
                    self.screen.hold()
        except UserError as error:
            say_error(error)
        finally:
            self.interrupts.forget()

    async def _offer(self) -> None:
        from agentcli.ui import slash

        await self._carry_out(await slash.offer_unfinished(self.chat))

    async def _take(self, sent: Sent) -> None:
        """One line: a command or a message."""
        from agentcli.ui import slash

        if sent.text.startswith("!"):
            from agentcli.ui.run import run

            telling = asyncio.create_task(self._tell_running(sent.text))
            try:
                ran = await run(self.chat, sent.text[1:])
            finally:
                telling.cancel()
                self.screen.doing("")
            if ran.stopped:
                self.screen.hold()
        elif slash.is_command(sent.text):
            await self._carry_out(await slash.run(self.chat, sent.text))
        else:
            await self._turn(self.chat.message(sent.text, sent.shown or None))

    async def _tell_running(self, command: str) -> None:
        """Say that a command runs, and for how long, as long as this task lives."""
        from agentcli.ui.sanitise import one_line

        for seconds in count(1):
            await asyncio.sleep(1)
            self.screen.doing(f"running {one_line(command, 40)} {seconds} s")

    async def _carry_out(self, outcome: Outcome) -> None:
        if outcome is not None:
            await self._turn(outcome)

    async def _turn(self, wanted: Message | Outcome) -> None:
        """A turn of the model."""
        from agentcli.ui.form import pausing, tick
        from agentcli.ui.stdout import reserved

        say("")
        chat, session = self.chat, self.chat.session
        session.ended = None
        form = self.screen.form(session.agent.full_model)
        ticking = asyncio.create_task(tick(form))
        self.screen.meanwhile = self._meanwhile
        self.screen.on_add_time = lambda: session.extend(_MORE_TIME)
        self.screen.on_take_back = lambda sent: session.unsay() is not None
        try:
            with reserved():
                await _begun(session, wanted, form.show, self._ringing(pausing(form, chat.approve)))
        finally:
            self.screen.meanwhile = None
            self.screen.on_add_time = lambda: None
            ticking.cancel()
            form.close()
            self._after(session)

    def _after(self, session: Session) -> None:
        """Say how a turn ended, and give back what it did not take."""
        for message in reversed(session.unsaid()):
            self.chat.put_back(message)
        ended = session.ended
        if ended is None:
            return
        if ended.stop == "interrupted":
            self.screen.hold()
        else:
            self._ring(ended.seconds, session.thread.title or "answered")
        if ended.error and ended.error.message:
            hint = _MORE_TIME_HINT if ended.stop == "timed_out" else ended.error.hint
            say_error(UserError(ended.error.message, hint=hint))
        elif self.screen.plain:  # on the other it stands over the prompt
            self._tell_how_full(session)

    def _ringing(self, approve: Approve | None) -> Approve:
        """An approver that calls for the person first, if they have waited long."""
        began = monotonic()

        async def asked(call: ToolCall, tool: Tool) -> bool | str:
            self._ring(monotonic() - began, f"{call.name} wants to run")
            return await approve(call, tool) if approve else False

        return asked

    def _ring(self, seconds: float, text: str) -> None:
        from agentcli.ui.notify import end_of_turn

        end_of_turn(self._wish, seconds, text, self.screen.ring, plain=self.screen.plain)

    def _meanwhile(self, sent: Sent) -> bool:
        """Take what was sent while a turn runs, if it need not wait for its end."""
        from agentcli.ui import slash

        if slash.is_command(sent.text):
            if not slash.runs_any_time(sent.text):
                return False
            task = asyncio.create_task(self._beside_the_turn(sent.text))
            self._beside.add(task)
            task.add_done_callback(self._beside.discard)
            return True
        if not sent.at_once or sent.text.startswith("!"):
            return False
        from agentcli.ui.attach import with_mentions

        with suppress(UserError):  # a file that cannot be attached is told when it is the message's turn
            self.chat.session.say_meanwhile(with_mentions(sent.text, typed=sent.shown or None))
            return True
        return False

    async def _beside_the_turn(self, text: str) -> None:
        from agentcli.ui import slash

        try:
            await slash.run(self.chat, text)
        except UserError as error:
            say_error(error)
        say("")
        if self.chat.leaving:
            self.interrupts.stop()

    def _tell_how_full(self, session: Session) -> None:
        """How much of the model's window the conversation takes, once that is worth knowing."""
        from agentcli.core.need import fill

        window = session.agent.window
        tokens, share = fill(session.thread, window)
        if share is not None and share >= _WORTH_KNOWING:
            say(f"The model is {share:.0%} full: about {tokens:,} of {window:,} tokens. /compact makes room.", dim=True)


def _begun(session: Session, wanted: Any, show: Any, approve: Any) -> Coroutine[Any, Any, Any]:
    """The turn that is wanted."""
    from agentcli.ui import slash

    match wanted:
        case Message():
            return session.turn(wanted, show, approve)
        case slash.Compact(words=words):
            return session.compact(show, words)
        case slash.GoOn():
            return session.go_on(show, approve)
        case _:
            return session.again(show, approve)


async def _warm(drawn: asyncio.Event, chat: Chat) -> None:
    """Import what the first answer needs, in a thread, once the first prompt is on the screen."""
    await drawn.wait()
    await asyncio.to_thread(_import, chat)


def _import(chat: Chat) -> None:
    from agentcli.store import threads  # noqa: F401  (importing it is the point)
    from agentcli.ui import live_form, markdown, slash  # noqa: F401

    provider = chat.session.agent.provider
    if isinstance(provider, Later):
        provider.warm()
    markdown.warm()
    chat.learn()  # once, while a person is still typing
    gc.set_threshold(20_000, 20, 20)  # it was higher for the start; a chat lives long
