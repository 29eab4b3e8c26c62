"""What is set, and which model would be asked with that."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agentcli.config import Loaded
from agentcli.errors import UserError
from agentcli.ui.doctor.check import Check, fault

__all__ = ["configuration", "model"]


def configuration(loaded: Loaded | UserError) -> Iterator[Check]:
    """Whether the file and the variables are understood."""
    if isinstance(loaded, UserError):
        yield fault("configuration", loaded)
        return
    state = "is understood" if loaded.text is not None else "is not there: the defaults hold"
    yield Check("ok", "configuration", f"{loaded.file} {state}")
    from agentcli.config.schema import VARIABLES

    known = {"AGENTCLI_HOME", *VARIABLES.values()}
    said = sorted(name for name in os.environ if name.startswith("AGENTCLI_") and name != "AGENTCLI_HOME")
    if used := [name for name in said if name in known and os.environ[name]]:
        yield Check("ok", "configuration", f"set by the environment: {', '.join(used)}")
    for name in said:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            yield Check("note", "configuration", f"{name} means nothing to agentcli", f"Did you mean {near[0]}?" if near else "")


def model(choice: tuple[str, str] | UserError, problem: UserError | None) -> Iterator[Check]:
    """Which model would be asked, why that one, and whether all is there to ask it."""
    if isinstance(choice, UserError):
        yield fault("model", choice)
        return
    name, why = choice
    yield Check("ok", "model", f"{name} ({why})" if why else name)
    if problem:
        yield fault("model", problem)
