"""Picking where nothing is drawn a second time: a numbered list, and a question.

An answer is a number of the list, the beginning of an id, or words, which make the list shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.store.index import Row
from agentcli.store.threads import Store
from agentcli.store.wording import numbered
from agentcli.ui.pick.choice import Choice, Offer, folded
from agentcli.ui.pick.messages import said
from agentcli.ui.sanitise import one_line
from agentcli.ui.stdout import put_text
from agentcli.ui.talk import say, say_error

if TYPE_CHECKING:
    from agentcli.ui.screen import Screen

__all__ = ["ask_message", "ask_thread", "chosen", "listed", "narrowed", "offered", "pick"]

_SHOWN = 20


def offered(store: Store) -> list[Row]:
    """The threads that can be picked, newest first; a UserError if there are none."""
    rows = [row for row in store.rows() if row.damaged is None]
    if not rows:
        raise UserError("there is no thread to resume", hint="`agentcli` starts one.", exit_code=Exit.USAGE)
    return rows


def listed(rows: Sequence[Row]) -> str:
    """The newest threads, numbered."""
    return "\n".join(f"{number:3}  {row.id}  {one_line(row.title or '(no title)', 60)}" for number, row in enumerate(rows[:_SHOWN], 1))


def chosen(answer: str, rows: Sequence[Row], store: Store) -> str:
    """The thread that a number in the list, or an id, means."""
    at = _number(answer)
    return rows[at - 1].id if 1 <= at <= min(len(rows), _SHOWN) else store.resolve(answer)


def narrowed(words: str, rows: Sequence[Row]) -> list[Row]:
    """The threads that have all the words in their titles."""
    choice = Choice([Offer(row.id, folded(row.title)) for row in rows])
    choice.type(words)
    return [rows[found.place] for found in choice.found]


def pick(store: Store) -> str:
    """Ask at a terminal where there is no chat; Enter is the first."""
    rows = shown = offered(store)
    while True:
        put_text(f"{listed(shown)}\n{_more(shown)}")
        try:
            answer = input("Which one? (number or id, Enter for the first) ").strip()
        except EOFError:
            raise UserError("no thread was picked", exit_code=Exit.USAGE) from None
        if not answer:
            return shown[0].id
        try:
            return chosen(answer, shown, store)
        except UserError:
            shown = narrowed(answer, rows)
            if not shown:
                raise


async def ask_thread(screen: Screen, store: Store, words: str = "") -> str | None:
    """Ask in a chat; Enter is none."""
    rows = offered(store)
    shown = narrowed(words, rows)
    if not shown:
        say(f"No title has {one_line(words, 40)} in it.")
        shown = rows
    while True:
        say(f"{listed(shown)}\n{_more(shown)}", end="")
        answer = (await screen.ask("Which one? (number, id, or words of its title; Enter for none) ")).strip()
        if not answer:
            return None
        try:
            return chosen(answer, shown, store)
        except UserError as error:
            fewer = narrowed(answer, rows)
            if fewer:
                shown = fewer
            else:
                say_error(error)


async def ask_message(screen: Screen, thread: Thread) -> int | None:
    """Ask for one of the messages in a chat; Enter is none."""
    every = [
        (number, f"{number:3}  {message.role:9}  {one_line(said(message), 55)}") for number, message, _ in numbered(thread.messages)
    ]
    words = [Offer(str(number), folded(said(message))) for number, message, _ in numbered(thread.messages)]
    shown = every
    while every:
        if len(shown) > _SHOWN:
            say(f"The last {_SHOWN} of {len(shown)}:")
        say("\n".join(line for _, line in shown[-_SHOWN:]))
        answer = (await screen.ask("After which message? (number, or words that are in it; Enter for none) ")).strip()
        if not answer:
            return None
        if 1 <= (at := _number(answer)) <= len(every):
            return at
        choice = Choice(words)
        choice.type(answer)
        if choice.found:
            shown = [every[found.place] for found in choice.found]
        else:
            say(f"No message has {one_line(answer, 40)} in it.")
    return None


def _number(answer: str) -> int:
    """The number of an answer that is one; 0 if it is none. A very long one is none: Python would not read it."""
    return int(answer) if answer.isdecimal() and len(answer) < 10 else 0


def _more(rows: Sequence[Row]) -> str:
    more = len(rows) - _SHOWN
    return f"     and {more:,} more: words of a title find them\n" if more > 0 else ""
