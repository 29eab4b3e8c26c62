"""One thing that was looked at, and all of them on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from agentcli.errors import Exit, UserError
from agentcli.ui.sanitise import visible
from agentcli.ui.stdout import print_json, put
from agentcli.ui.talk import colours
from agentcli.ui.theme import Role, paint

__all__ = ["Check", "Status", "exit_code", "fault", "print_checks"]

Status = Literal["ok", "note", "fault"]


class Check(Struct, frozen=True):
    """What was looked at, how it is, and what to do about it."""

    status: Status
    topic: str
    text: str
    hint: str = ""


def fault(topic: str, error: UserError, status: Status = "fault") -> Check:
    """An error as a finding."""
    return Check(status, topic, error.message, error.hint)


def exit_code(checks: Iterable[Check]) -> int:
    """0 without a fault, 78 if the configuration is at fault, else 1."""
    faults = {check.topic for check in checks if check.status == "fault"}
    return Exit.CONFIG if faults & {"configuration", "model", "keys"} else Exit.FAILED if faults else Exit.OK


def print_checks(checks: list[Check], *, json: bool) -> None:
    """A line for each check, and what to do under it."""
    if json:
        print_json({"ok": exit_code(checks) == 0, "checks": checks})
        return
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    coloured = is_terminal and colours(1)
    lines = []
    for check in checks:
        text = visible(_text(check)) if is_terminal else _text(check)
        status = f"{check.status:5}"
        lines.append((paint(_ROLES[check.status], status) if coloured else status) + text)
    put("\n".join(lines) + "\n")


_ROLES: dict[Status, Role] = {"ok": "ok", "note": "warn", "fault": "error"}


def _text(check: Check) -> str:
    """What stands after the status: the hint is indented under the text."""
    hint = f"\n{check.hint}" if check.status != "ok" and check.hint else ""
    return f"  {check.topic:13}  {check.text}{hint}".replace("\n", f"\n{'':22}")
