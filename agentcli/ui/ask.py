"""One question, one answer: ask, show it in the form that fits, save it, and leave with the exit code it deserves."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from agentcli.core.agent import Approve
from agentcli.core.message import Message
from agentcli.errors import Exit, UserError
from agentcli.session import Session, exit_code
from agentcli.ui.form import FORMS, REDRAWN, Form, Talk, pausing, tick
from agentcli.ui.interrupt import Interrupts
from agentcli.ui.output import Output
from agentcli.ui.talk import say_error

if TYPE_CHECKING:
    from agentcli.ui.schema import Fitting, Schema

__all__ = ["ask"]


async def ask(
    session: Session, message: str | Message, approve: Approve | None, *, form: str, talk: Talk, schema: Schema | None = None
) -> int:
    """Ask, show, save; the exit code."""
    with Interrupts() as interrupts:
        out = Output(interrupts.stop)
        fitting = _held_to(schema, out, talk, form)
        shown: Form = fitting or FORMS[form](out, talk)
        approve = pausing(shown, approve)
        ticking = asyncio.create_task(tick(shown)) if form in REDRAWN else None
        try:
            await interrupts.run(session.turn(message, shown.show, approve))
            if fitting and (repair := fitting.repair()):
                await interrupts.run(session.turn(repair, shown.show, approve))
        except asyncio.CancelledError:
            if interrupts.ending is None:
                raise
        finally:
            if ticking:
                ticking.cancel()
            shown.close()
            session.close()
        with suppress(asyncio.CancelledError):
            await out.drain()
        if fitting and fitting.wrong:
            session.error = fitting.wrong
        return _outcome(session, interrupts, out)


def _outcome(session: Session, interrupts: Interrupts, out: Output) -> int:
    """Say what went wrong; the exit code."""
    if out.gone:
        return Exit.BROKEN_PIPE
    ended = session.ended
    if session.error:
        say_error(session.error)
    elif ended and ended.error:
        say_error(UserError(ended.error.message, hint=ended.error.hint))
    if session.unsaved:
        say_error(session.unsaved)
    code = exit_code(session)
    if code == Exit.DENIED and ended:
        names = ", ".join(dict.fromkeys(ended.denied))
        say_error(UserError(f"a tool was needed and not allowed: {names}", hint="`--yes` allows every tool that asks."))
    return interrupts.ending if interrupts.ending and code == Exit.INTERRUPTED else code


def _held_to(schema: Schema | None, out: Output, talk: Talk, form: str) -> Fitting | None:
    if schema is None:
        return None
    from agentcli.ui.schema import Fitting

    return Fitting(out, talk, form, schema)
