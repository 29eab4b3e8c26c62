"""One conversation: pulls the events of a turn, writes each down, then shows it.

The session owns what a turn needs around it: the clock, the thread's place on disk (a `Writer`, taken at the first turn, held until
`close()`), and the account of how the turn ended. Order is the whole point: an event is in the journal before it is on the screen or
takes effect, and the document is replaced before the turn is said to be over. A turn that is cancelled is kept as far as it came,
its `TurnEnded` is shown, and then the cancellation goes on its way.

An answer that was cut off is an object: `partial`. `go_on()` goes on from its exact text, `again()` asks anew, `drop()` takes it back
together with its question. What is said while a turn runs goes into it at its next step; what it did not come to is `unsaid()`.

Saving can fail (no space, read-only). An answer is not thrown away for that: it goes on, `unsaved` holds the error, `tell` is called
at once, and every later turn and `close()` try again. But a tool is not started unless the call is on disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, nullcontext
from typing import Protocol, TypeAlias

from msgspec.structs import replace

from agentcli.core.agent import Agent, Approve, Options
from agentcli.core.begun import counted
from agentcli.core.clock import Clock
from agentcli.core.event import Event, Failure, Tally, ToolStarted, TurnEnded
from agentcli.core.message import Message, Stop, ToolCall, user
from agentcli.core.provider import ProviderError
from agentcli.core.thread import Thread
from agentcli.core.tool import Tool
from agentcli.errors import Exit, UserError

__all__ = ["Session", "Show", "Writer", "exit_code"]

Show: TypeAlias = Callable[[Event], None]

_FLUSH = 0.5  # seconds
_WHOLE = "The last answer is whole. Ask something."

_EXIT_CODES: dict[Stop, Exit] = {
    "done": Exit.OK,
    "timed_out": Exit.TIMED_OUT,
    "interrupted": Exit.INTERRUPTED,
}

# Turns that the model ended, but not with a whole answer.
_SHORTFALLS: dict[Stop, Failure] = {
    "length": Failure(
        "length", "the answer is not whole: it reached the limit of tokens", "`-o max-tokens=N` allows more; or ask it to go on."
    ),
    "refused": Failure("refused", "the model refused to answer"),
    "tools": Failure(
        "max_steps",
        "the turn reached its limit of steps; the last tools were not run",
        "`--max-steps N` allows more; or ask it to go on.",
    ),
}


class Writer(Protocol):
    """A thread held for writing; the store has it, and so does a conversation that is not saved (as None)."""

    def begin(self, source: str, model: str, instead_of: Sequence[Message], /, *, goes_on: bool) -> None: ...
    def record(self, event: Event, /) -> None: ...
    def flush(self) -> None: ...
    def commit(self) -> None: ...
    def close(self) -> None: ...


class Session:
    """A thread, the agent that answers on it, and where it is written down."""

    def __init__(
        self,
        agent: Agent,
        thread: Thread,
        hold: Callable[[Thread], Writer] | None,
        *,
        timeout: float = 0,
        options: Options = Options(),
        tell: Callable[[UserError], None] = lambda error: None,
    ) -> None:
        self.agent = agent
        self.thread = thread
        self.timeout = timeout
        self.options = options
        self.ended: TurnEnded | None = None
        self.error: UserError | None = None
        self.unsaved: UserError | None = None
        self._hold = hold
        self._writer: Writer | None = None
        self._no_journal: UserError | None = None
        self._tell = tell
        self._clock: Clock | None = None
        self._meanwhile: deque[Message] = deque()

    @property
    def saved(self) -> bool:
        """Is this conversation written down at all?"""
        return self._hold is not None

    async def turn(
        self, message: str | Message | None, show: Show, approve: Approve | None = None, *, instead_of: Sequence[Message] = ()
    ) -> TurnEnded:
        """Carry out one turn. However it ends, the thread is saved and sendable, and `ended` says how that was.

        Without a message it goes on with what is there. `instead_of` are messages that were taken from the end of the thread: they
        come back unless there is an answer.
        """
        options = replace(self.options, approve=self._stopping_the_clock(approve), meanwhile=self._next)
        partial = self.partial if message is None else None
        return await self._carry_out(self.agent.stream(message, self.thread, options), show, instead_of, partial)

    async def go_on(self, show: Show, approve: Approve | None = None) -> TurnEnded:
        """Go on with what is unfinished: from the exact text of an answer that was cut off, or by asking for one that never came.

        If nothing comes, the thread is as it was. UserError if there is nothing to go on from.
        """
        if not self.unfinished:
            raise UserError("there is nothing to go on from", hint=_WHOLE, exit_code=Exit.USAGE)
        return await self.turn(None, show, approve)

    async def again(self, show: Show, approve: Approve | None = None) -> TurnEnded:
        """Ask again for an answer to the last thing that was said. The old answer is kept unless there is a new one."""
        self.open()
        messages = self.thread.messages
        asked = max(number for number, message in enumerate(messages) if message.role == "user")
        old = messages[asked + 1 :]
        del messages[asked + 1 :]
        return await self.turn(None, show, approve, instead_of=old)

    async def compact(self, show: Show, instructions: str = "") -> TurnEnded:
        """Have what is older summarised for sending, as a turn. UserError if there is nothing to leave out."""
        return await self._carry_out(self.agent.compact(self.thread, instructions, self.options), show, ())

    # What is unfinished

    @property
    def partial(self) -> Message | None:
        """The last answer, if it was cut off and can be gone on with."""
        return self.thread.partial

    @property
    def unfinished(self) -> bool:
        """Does the thread end with an answer that was cut off, or with something that nobody has answered?"""
        return self.thread.unfinished

    def drop(self) -> Message | None:
        """Take back the answer that was cut off, or never came, together with its question, and save. Says which question that was.

        UserError if the last answer is whole.
        """
        with self.thread.held():
            if not self.unfinished:
                raise UserError("there is no unfinished answer to drop", hint=_WHOLE, exit_code=Exit.USAGE)
            self.open()
            question = self.thread.undo()
            while question is None and self.unfinished:
                self.thread.messages.pop()
        self.save()
        return question

    # What is said while a turn runs

    def say_meanwhile(self, message: str | Message) -> None:
        """Say something to the turn that runs: it gets there at the next step, after the tools or after the answer."""
        self._meanwhile.append(user(message) if isinstance(message, str) else message)

    def unsay(self) -> Message | None:
        """Take back what was said last, if the turn has not come to it."""
        return self._meanwhile.pop() if self._meanwhile else None

    def unsaid(self) -> list[Message]:
        """What the turn has not come to, taken back."""
        messages = list(self._meanwhile)
        self._meanwhile.clear()
        return messages

    def _next(self) -> Message | None:
        return self._meanwhile.popleft() if self._meanwhile else None

    # Time

    @property
    def left(self) -> float | None:
        """Seconds that the turn may still take. None without a turn, without a limit, and while a person is asked."""
        return self._clock.left if self._clock else None

    def extend(self, seconds: float) -> None:
        """Give the turn that runs more time, also while a person is asked. Once the time is over this has no effect."""
        if self._clock:
            self._clock.extend(seconds)

    # The thread on disk

    def save(self) -> None:
        """Write the thread as it is now: after a change that was not a turn."""
        self.open()
        self._commit()

    def close(self) -> None:
        """Try once more to save what is not saved, and let the thread go."""
        if writer := self._writer:
            if self.unsaved:
                self._commit()
            self._writer = None
            try:
                writer.close()
            except UserError as error:
                self._not_saved(error)

    def open(self) -> None:
        """Take hold of the thread on disk, so that nobody else writes to it."""
        if self._hold and self._writer is None:
            self._writer = self._hold(self.thread)

    # A turn

    async def _carry_out(
        self, turn: AsyncGenerator[Event, None], show: Show, instead_of: Sequence[Message], partial: Message | None = None
    ) -> TurnEnded:
        self.ended = self.error = None
        self.thread.model = self.agent.full_model
        self.open()
        tally = Tally(self.agent.name, self.thread.id)
        before = len(self.thread.messages)
        clock = Clock(self.timeout)
        cancelled: asyncio.CancelledError | None = None
        stop: Stop = "failed"
        failure: Failure | None = None
        flushing = asyncio.create_task(self._flush())
        try:
            async with clock as self._clock:
                self._begin(instead_of, goes_on=partial is not None)
                ended = await self._pull(turn, show, tally)
                stop, failure = ended.stop, _SHORTFALLS.get(ended.stop)
        except TimeoutError:
            stop = "timed_out"
            hint = "What there is of the answer is kept. --timeout gives it longer; 0 means no limit."
            failure = Failure("timed_out", f"the turn took longer than {clock.limit:g} s", hint)
        except asyncio.CancelledError as error:
            stop, cancelled = "interrupted", error
        except UserError as error:
            self.error = error
            kind = error.kind if isinstance(error, ProviderError) else "error"
            failure = Failure(kind, error.message, error.hint)
        except Exception as error:
            failure = Failure("fault", f"{type(error).__name__}: {error}")
            raise
        finally:
            self._clock = None
            flushing.cancel()
            grown = partial is not None and self.thread.messages[before - 1] is not partial
            self.thread.mark(stop, before - grown)
            if len(self.thread.messages) == before:
                self.thread.messages.extend(instead_of)
            self.ended = replace(tally.ended(stop, failure), model=tally.model or self.agent.full_model)
            if partial and (last := self.thread.messages[-1]).id == partial.id:
                self.ended = replace(self.ended, text=last.text, reasoning=last.reasoning)  # the whole, not what is new
            self._record(self.ended)
            self._commit()
            show(self.ended)
        if cancelled:
            raise cancelled
        return self.ended

    async def _pull(self, turn: AsyncGenerator[Event, None], show: Show, tally: Tally) -> TurnEnded:
        async with aclosing(turn) as events:
            async for event in events:
                if isinstance(event, TurnEnded) and event.source == self.agent.name:
                    return event
                self._record(event)
                tally.add(counted(event))
                show(event)
        raise AssertionError("an agent ends its turn with TurnEnded")

    def _begin(self, instead_of: Sequence[Message], *, goes_on: bool) -> None:
        """Start the journal; without one the turn goes on, but no tool of it."""
        self._no_journal = None
        if self._writer:
            try:
                self._writer.begin(self.agent.name, self.agent.full_model, instead_of, goes_on=goes_on)
            except UserError as error:
                self._no_journal = error
                self._not_saved(error)

    def _record(self, event: Event) -> None:
        if self._writer is None:
            return
        try:
            if self._no_journal:
                raise self._no_journal
            self._writer.record(event)
        except UserError as error:
            if isinstance(event, ToolStarted):
                raise
            self._not_saved(error)

    async def _flush(self) -> None:
        """An answer that pauses is on disk as far as it came: the journal gathers pieces for up to a second."""
        while self._writer:
            await asyncio.sleep(_FLUSH)
            try:
                self._writer.flush()
            except UserError as error:
                self._not_saved(error)

    def _commit(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.commit()
            self.unsaved = None
        except UserError as error:
            self._not_saved(error)

    def _not_saved(self, error: UserError) -> None:
        if self.unsaved is None:
            self._tell(error)
        self.unsaved = error

    def _stopping_the_clock(self, approve: Approve | None) -> Approve | None:
        """A person may take their time: the turn's clock stands while they are asked."""
        if approve is None:
            return self.options.approve

        async def asked(call: ToolCall, tool: Tool) -> bool | str:
            with self._clock.standing() if self._clock else nullcontext():
                return await approve(call, tool)

        return asked


def exit_code(session: Session) -> int:
    """The exit code that a session's last turn deserves."""
    if session.ended is None:
        return Exit.FAILED
    code = session.error.exit_code if session.error else _EXIT_CODES.get(session.ended.stop, Exit.FAILED)
    if code == Exit.OK and session.ended.denied:
        return Exit.DENIED
    if code == Exit.OK and session.unsaved:
        return session.unsaved.exit_code
    return code
