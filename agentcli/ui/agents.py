"""Named agents as a person sees them: the list, one of them, and its file in an editor.

The file belongs to the person, so it is edited where it lies. What is wrong with it afterwards is said, and nothing of it is lost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentcli.errors import Exit, UserError
from agentcli.ui.sanitise import one_line
from agentcli.ui.stdout import on_terminal, print_json, put, put_text
from agentcli.ui.table import table
from agentcli.ui.talk import say, say_error

if TYPE_CHECKING:
    from agentcli.config.agent import NamedAgent

__all__ = ["WRONG", "edit", "gone", "print_agent", "print_agents"]

WRONG = "its file is wrong"
_KEPT = "The file is kept as you left it."


def gone(name: str) -> str:
    """What is said where a thread's agent is not there any more."""
    return f"note: there is no agent {one_line(name, 64)} any more; the instructions and tools are the configuration's"


def print_agents(found: Sequence[NamedAgent], *, json: bool) -> None:
    """A line for each."""
    if json:
        print_json([_everything(agent) for agent in found])
    elif not on_terminal():
        put("".join(f"{agent.name}\t{agent.config.description}\t{agent.config.model}\n" for agent in found))
    elif found:
        rows = [(agent.name, one_line(agent.config.description), one_line(agent.config.model)) for agent in found]
        put(table([("NAME", "DESCRIPTION", "MODEL"), *rows], gives=1, least=24, drop=(2,)))


def print_agent(agent: NamedAgent, *, json: bool) -> None:
    """All of one."""
    if json:
        print_json(_everything(agent))
        return
    said = agent.config
    rows = {
        "model": said.model,
        "tools": ", ".join(said.tools),
        "max-steps": str(said.max_steps or ""),
        "settings": ", ".join(f"{key}={_shown(value)}" for key, value in said.settings.items()),
        "file": str(agent.file),
    }
    put_text(f"{agent.name}{': ' if said.description else ''}{said.description}\n")
    put_text("".join(f"{name + ':':10} {value}\n" for name, value in rows.items() if value))
    if said.instructions:
        put_text(f"\n{said.instructions.rstrip()}\n")


def _everything(agent: NamedAgent) -> dict[str, Any]:
    said = agent.config
    return {
        "name": agent.name,
        "description": said.description or None,
        "model": said.model or None,
        "tools": list(said.tools),
        "max_steps": said.max_steps or None,
        "settings": said.settings,
        "instructions": said.instructions,
        "path": str(agent.file),
    }


def _shown(value: Any) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def edit(file: Path, check: Callable[[], object]) -> int:
    """Open the file in the person's editor, again if it is wrong afterwards and they want that; the exit code."""
    while True:
        _open(file)
        try:
            check()
        except UserError as error:
            if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
                raise UserError(error.message, hint=f"{error.hint}\n{_KEPT}".strip(), exit_code=error.exit_code) from None
            from agentcli.ui.confirm import confirm

            say_error(error)
            if not confirm("Edit it again?"):
                say(_KEPT)
                return error.exit_code
        else:
            return Exit.OK


def _open(file: Path) -> None:
    import signal
    import stat
    import subprocess

    from agentcli.ui.edit import editor

    command = [*editor(), str(file)]
    before = signal.signal(signal.SIGINT, lambda number, frame: None)  # it is meant for the editor
    try:
        code = subprocess.run(command).returncode
    except OSError as error:
        raise UserError(f"the editor {command[0]} cannot be started: {error.strerror or error}") from None
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise UserError(f"the editor {command[0]} ended with {code}", hint=f"The file is {file}.")
    with suppress(OSError):  # an editor may have made a new file of it
        if stat.S_ISREG(os.lstat(file).st_mode):
            os.chmod(file, 0o600)
