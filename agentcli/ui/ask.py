"""One question, one answer: ask, show it in the form that fits, save it, and leave with the exit code it deserves.

Neither stdout nor stderr holds up the turn: both are pipes that keep what has no room. When the turn is over, stdout is waited for
until everything is delivered; what ends that wait early makes the exit code, because a part of an answer is no success. A program that
reads is told how the turn ended when it is known whether the thread could be saved.
"""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agentcli.core.agent import Approve
from agentcli.core.begun import counted
from agentcli.core.document import Compaction
from agentcli.core.event import Compacted, Event, Failure, MessageAdded, TurnEnded
from agentcli.core.message import Message
from agentcli.errors import Exit, UserError
from agentcli.session import Session, exit_code
from agentcli.ui.cost import Price, cost_of
from agentcli.ui.form import DOCUMENTS, FORMS, REDRAWN, Form, pausing, tick
from agentcli.ui.interrupt import Interrupts
from agentcli.ui.notices import Talk
from agentcli.ui.pipe import Pipe
from agentcli.ui.stdout import fault_of, reserved
from agentcli.ui.talk import say_error, through

if TYPE_CHECKING:
    from agentcli.ui.fitting import Fitting
    from agentcli.ui.schema import Schema

__all__ = ["ask"]

_GRACE = 2.0  # seconds for a slow reader, once the turn was cut short and the program has to end


async def ask(
    session: Session,
    message: str | Message | None,
    approve: Approve | None,
    *,
    form: str,
    talk: Talk,
    schema: Schema | None = None,
    answers: int = 1,
    price: Price | None = None,
) -> int:
    """Ask, or go on with what is unfinished; show, save; the exit code.

    `answers` is the descriptor that the answer goes to; `price` says what a turn cost.
    """
    with Interrupts() as interrupts, closing(Pipe(answers, interrupts.stop)) as out, closing(Pipe(2)) as aside:
        with through(aside):
            fitting = _held_to(schema, out, talk, form)
            shown: Form = fitting or FORMS[form](out, talk, session.agent.full_model)
            try:
                with closing(shown):
                    await _take(session, message, pausing(shown, approve), shown, fitting, interrupts, form, price)
            except BaseException:  # what there is of the answer goes out all the same
                await _delivered(out, _GRACE)
                raise
            if fitting and fitting.wrong:
                session.error = fitting.wrong
            hurried = interrupts.ending or (session.ended and session.ended.stop in ("interrupted", "timed_out"))
            delivered = await _delivered(out, _GRACE if hurried else None)
            code = _outcome(session, interrupts, out, delivered=delivered)
        told = await _delivered(aside, _GRACE if hurried else None)
        return code if told or hurried else interrupts.ending or code


async def _take(
    session: Session,
    message: str | Message | None,
    approve: Approve | None,
    shown: Form,
    fitting: Fitting | None,
    interrupts: Interrupts,
    form: str,
    price: Price | None,
) -> None:
    """Carry out the turn, and another one if the answer has to be repaired; and save. A form that is read by a program is told how it
    ended when that is known for good."""
    held = fitting is not None or form in DOCUMENTS
    said: list[Message | Compaction] = []

    def show(event: Event) -> None:
        match counted(event):
            case MessageAdded(message=answer):
                said.append(answer)
            case Compacted(compaction=compaction):
                said.append(compaction)
        if not (held and isinstance(event, TurnEnded) and event.source == session.agent.name):
            shown.show(event)

    ticking = asyncio.create_task(tick(shown)) if form in REDRAWN else None
    try:
        with reserved():
            await interrupts.run(session.go_on(show, approve) if message is None else session.turn(message, show, approve))
            if fitting and session.ended and (repair := fitting.repair(session.ended)):
                await interrupts.run(session.turn(repair, show, approve))
    except asyncio.CancelledError:
        if interrupts.ending is None:
            raise
    finally:
        if ticking:
            ticking.cancel()
        session.close()
        if held and session.ended:
            ended = replace(session.ended, cost=cost_of(said, price)) if price else session.ended
            shown.show(_with_unsaved(ended, session.unsaved))
    if held and session.ended is None:  # stopped before it began
        shown.show(TurnEnded(session.agent.name, session.thread.id, stop="interrupted"))


def _with_unsaved(ended: TurnEnded, unsaved: UserError | None) -> TurnEnded:
    if unsaved is None or ended.error:
        return ended
    return replace(ended, error=Failure("unsaved", unsaved.message, unsaved.hint))


async def _delivered(pipe: Pipe, patience: float | None) -> bool:
    """Wait until everything is written. False if that took too long, or the wait was cut short."""
    with suppress(asyncio.CancelledError, TimeoutError):
        async with asyncio.timeout(patience):
            await pipe.drain()
    return not pipe.waits


def _outcome(session: Session, interrupts: Interrupts, out: Pipe, *, delivered: bool) -> int:
    """Say what went wrong; the exit code."""
    if out.lost:
        fault = fault_of(out.lost)
        if fault is None:
            return Exit.BROKEN_PIPE
        say_error(fault)
        return fault.exit_code
    ended = session.ended
    if session.error:
        say_error(session.error)
    elif ended and ended.error:
        say_error(UserError(ended.error.message, hint=ended.error.hint))
    if session.unsaved:
        say_error(session.unsaved)
    code = exit_code(session) if ended else Exit.INTERRUPTED
    if code == Exit.DENIED and ended:
        names = ", ".join(dict.fromkeys(ended.denied))
        say_error(UserError(f"a tool was needed and not allowed: {names}", hint="`--yes` allows every tool that asks."))
    if code == Exit.INTERRUPTED or (not delivered and code == Exit.OK):
        return interrupts.ending or Exit.INTERRUPTED
    return code


def _held_to(schema: Schema | None, out: Pipe, talk: Talk, form: str) -> Fitting | None:
    if schema is None:
        return None
    from agentcli.ui.fitting import Fitting

    return Fitting(out, talk, form, schema)
