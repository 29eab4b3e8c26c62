"""Pick a saved thread from a list."""

from __future__ import annotations

from agentcli.errors import Exit, UserError
from agentcli.store.index import Row
from agentcli.store.threads import Store
from agentcli.ui.sanitise import one_line
from agentcli.ui.stdout import put_text

__all__ = ["chosen", "listed", "pick"]

_SHOWN = 20


def listed(rows: list[Row]) -> str:
    """The newest threads, numbered."""
    return "\n".join(f"{number:3}  {row.id}  {one_line(row.title or '(no title)', 60)}" for number, row in enumerate(rows[:_SHOWN], 1))


def pick(store: Store) -> str:
    """Ask which thread; its id."""
    rows = [row for row in store.rows() if row.damaged is None]
    if not rows:
        raise UserError("there is no thread to resume", hint="`agentcli` starts one.", exit_code=Exit.USAGE)
    put_text(f"{listed(rows)}\n")
    try:
        answer = input("Which one? (number or id, Enter for the first) ").strip()
    except EOFError:
        raise UserError("no thread was picked", exit_code=Exit.USAGE) from None
    return chosen(answer, rows, store) if answer else rows[0].id


def chosen(answer: str, rows: list[Row], store: Store) -> str:
    """The thread that a number in the list, or an id, means."""
    if answer.isdecimal() and 1 <= int(answer) <= min(len(rows), _SHOWN):
        return rows[int(answer) - 1].id
    return store.resolve(answer)
